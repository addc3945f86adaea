"""A long window of orders, by bulk operations: first all of them are waited for, then their files are read one by one.

Waiting is what a run may be deferred in; no file was fetched for nothing then, and the operations that are done stay done.
What changed since the operations began is asked for beside their files.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from itertools import pairwise

from weathervane_resources.clients.jobs import Patience
from weathervane_resources.clients.rows import BadRow
from weathervane_resources.clients.shopify import Order, OrdersPage, TimeField
from weathervane_resources.clients.shopify_bulk import BulkReader, BulkUnusable, Operation
from weathervane_resources.clients.shopify_pages import pages, search
from weathervane_resources.clients.shopify_parts import Part, halves, joined, pieces
from weathervane_resources.clients.shopify_window import kept_page, window_name
from weathervane_resources.http.errors import TooBig

Count = Callable[[TimeField, Sequence[datetime]], Awaitable[list[int]]]
"""Counts the orders between each two neighbours."""

AT_ONCE = 3
"""Operations of a window that are made at the same time; Shopify makes five for an app and shop, and other runs want theirs."""
SHORT = timedelta(minutes=1)
"""What began less than this ago is as good as new."""
SEARCH_LAG = timedelta(minutes=1)
"""A change may show in a search a little after the time it carries."""
AHEAD = timedelta(hours=1)
"""Shopify's clock may be ahead of ours."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class LongWindow:
    """Reads one window; orders by the time `by`."""

    bulk: BulkReader
    count: Count
    by: TimeField
    _asked: set[str] = field(default_factory=set)

    async def pages(self, start: datetime, end: datetime) -> AsyncIterator[OrdersPage]:
        """Yield a page for each operation; where there is none, those of its part.

        Raises: Deferred: not all operations are done within this run's patience.
        """
        ready = await self._ready(start, end)
        begun = min((done.created_at for _, done in ready if done), default=self.bulk.clock())
        changes = _Changes(self.bulk, begun, lambda page: kept_page(page.rows, page.bad, set(), self.by, start, end))
        for part, done in ready:
            async for page in self._part(part, done, changes):
                yield page
                del page  # 100,000 orders, else held while the next are read
        if unread := changes.untold():
            yield OrdersPage([], unread)
        await self.bulk.forget(self._asked)

    async def _ready(self, start: datetime, end: datetime) -> list[tuple[Part, Operation | None]]:
        """Return the parts in order, each with its finished operation, None where the pages must be read."""
        todo, patience = (await self._parts(start, end))[::-1], Patience()
        ready: list[tuple[Part, Operation | None]] = []
        while todo:
            part = todo.pop()
            wanted, window = search(self.by, part.start, part.end), window_name(part.start, part.end)
            self._asked.add(wanted)
            following = partial(self._begin, todo[:-AT_ONCE:-1])
            try:
                ready.append((part, await self.bulk.ready(wanted, window, part.count, patience, following)))
            except TooBig:
                edges = halves(part)
                if len(edges) == 2:
                    raise  # a second is a second
                todo += (await self._counted(edges))[::-1]
            except BulkUnusable as reason:
                self._warn(reason)
                ready.append((part, None))
        return ready

    async def _begin(self, parts: Sequence[Part]) -> None:
        """Ask for the operations of parts that are next, as many as Shopify takes: they are made beside the one that is waited for."""
        for part in parts:
            wanted = search(self.by, part.start, part.end)
            self._asked.add(wanted)
            if not await self.bulk.begin(wanted, window_name(part.start, part.end)):
                return

    async def _parts(self, start: datetime, end: datetime) -> list[Part]:
        """Return the window in parts; pieces that are too much by themselves are cut and counted again."""
        edges = pieces(start, end)
        found: list[Part] = []
        for part in joined(await self._counted(edges)):
            found += await self._parts(part.start, part.end) if part.is_too_much else [part]
        return found

    async def _counted(self, edges: Sequence[datetime]) -> list[Part]:
        counts = await self.count(self.by, edges)
        return [Part(*span, count) for span, count in zip(pairwise(edges), counts, strict=True)]

    async def _part(self, part: Part, done: Operation | None, changes: "_Changes") -> AsyncIterator[OrdersPage]:
        if page := await self._from_file(part, done, changes) if done else None:
            yield page
            return
        async for some in pages(self.bulk.graph, self.by, part.start, part.end):
            changes.tell(some)
            yield some

    async def _from_file(self, part: Part, done: Operation, changes: "_Changes") -> OrdersPage | None:
        """Return the orders of an operation and of what changed since, None where its file cannot be had."""
        try:
            found = await self.bulk.read(search(self.by, part.start, part.end), window_name(part.start, part.end), done)
        except BulkUnusable as reason:
            self._warn(reason)
            return None
        rows = await changes.read()
        return changes.over(kept_page([*rows, *found.orders], found.bad, set(), self.by, part.start, part.end))

    def _warn(self, reason: BulkUnusable) -> None:
        tenant = self.bulk.graph.session.tenant
        _log.warning("shopify %s: no bulk operation (%s), so pages are read", tenant, reason)


@dataclass(slots=True)
class _Changes:
    """What changed since operations began: other runs may have stored it, and it would be lost.

    Its rows go before an operation's, of which those that changed are then duplicates. An order that can no longer be read
    takes the place of its older version: every order counts once, or one that is counted twice would hide one that was lost.
    """

    bulk: BulkReader
    known_to: datetime
    kept: Callable[[OrdersPage], OrdersPage]
    _rows: dict[str, Order] = field(default_factory=dict)
    _bad: dict[str, BadRow] = field(default_factory=dict)
    _told: set[str] = field(default_factory=set)
    """The bad rows that pages have."""

    async def read(self) -> list[Order]:
        """Return all that changed until now."""
        now = self.bulk.clock()
        if now - self.known_to > SHORT:
            async for page in pages(self.bulk.graph, "updated_at", self.known_to - SEARCH_LAG, now + AHEAD):
                changed = [datetime.fromisoformat(row.updated_at or "") for row in page.rows]
                self.known_to = max([self.known_to, *changed])
                self._note(page)
        return list(self._rows.values())

    def over(self, page: OrdersPage) -> OrdersPage:
        """Return a page of an operation's orders, each as it was last seen: readable, or among the bad ones."""
        bad = [one for one in page.bad if _key(one) not in self._rows]
        rows = [row for row in page.rows if str(row.id) not in self._bad] if self._bad else page.rows
        if len(rows) < len(page.rows):
            bad += [self._bad[key] for row in page.rows if (key := str(row.id)) in self._bad]
        page = replace(page, rows=rows, bad=bad)
        self.tell(page)
        return page

    def tell(self, page: OrdersPage) -> None:
        """Note that the orders of a page are known, so that none of them is a bad row once more."""
        self._told |= {_key(bad) for bad in page.bad}
        if self._bad:
            self._told |= self._bad.keys() & {str(row.id) for row in page.rows}

    def untold(self) -> list[BadRow]:
        """Return what could not be read and was on no page."""
        return [bad for key, bad in self._bad.items() if key not in self._told]

    def _note(self, page: OrdersPage) -> None:
        for row in page.rows:
            self._bad.pop(str(row.id), None)
        kept = self.kept(page)
        self._rows |= {str(row.id): row for row in kept.rows}
        for bad in kept.bad:
            self._bad[_key(bad)] = bad
            self._rows.pop(_key(bad), None)


def _key(bad: BadRow) -> str:
    """Return what tells an order from others: a page has the number of the id that a file has."""
    return bad.key.rpartition("/")[2] if bad.key else bad.reason
