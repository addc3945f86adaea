"""Orders of a window by one of Shopify's bulk operations: for windows that would take many pages.

Facts (shopify.dev, read 2026-11): five operations run at once for an app and shop since 2026-01, one before; `url` is null
where there are no rows; an operation sees the shop as it stands while it runs. It outlives the run that started it, and so
does its mark until `forget`: a run that is started again neither repeats it nor forgets that it was too large. One that was
cancelled, or failed for another reason, is asked for once more by the next run.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

import msgspec

from weathervane_resources.clients.jobs import Jobs, Patience, job_mark, wait_for
from weathervane_resources.clients.shopify_file import MAX_FILE_BYTES, Found, fetch
from weathervane_resources.clients.shopify_graph import Graph
from weathervane_resources.clients.shopify_nodes import FIELDS
from weathervane_resources.http.errors import (
    BadRequest,
    BodyTooLarge,
    Malformed,
    PermissionLost,
    TooBig,
    Unavailable,
    VendorError,
    Where,
)
from weathervane_resources.http.session import Reply
from weathervane_resources.http.strict_json import decode

BUSY_WAITS_S = (5.0, 10.0, 20.0, 40.0)
"""How long to wait for a free place among the shop's operations before the pages are read instead."""
FRESH = timedelta(hours=6)
"""An older operation is not used where an order of it was deleted since: no list of changes would tell."""

_RUN = """mutation Run($query: String!) { bulkOperationRunQuery(query: $query) {
  bulkOperation { id } userErrors { message } } }"""
_LOOK = """query Look($id: ID!) { node(id: $id) { ... on BulkOperation {
  id status createdAt errorCode objectCount rootObjectCount fileSize url } } }"""
ORDERS_QUERY = f"""{{ orders(query: "%s") {{ edges {{ node {{ {FIELDS}
  lineItems {{ edges {{ node {{ id quantity currentQuantity }} }} }} }} }} }} }}"""
_GOING = frozenset({"CREATED", "RUNNING"})
_TOO_LARGE = ("FAILED", "TIMEOUT")
"""It would be so the next time; other ends say nothing of the orders."""

Count = Annotated[str, msgspec.Meta(pattern="^[0-9]{1,18}$")]


class BulkUnusable(Exception):
    """No bulk operation will answer this time; the pages will. Says why."""


class _Started(msgspec.Struct):
    id: str


class Operation(msgspec.Struct, rename="camel"):
    """A bulk operation as it stands; counts are strings."""

    id: str
    status: str
    created_at: datetime
    error_code: str | None = None
    object_count: Count = "0"
    root_object_count: Count = "0"
    file_size: Count | None = None
    url: str | None = None


class _UserError(msgspec.Struct):
    message: str = ""


class _Payload(msgspec.Struct, rename="camel"):
    bulk_operation: _Started | None
    user_errors: list[_UserError]


class _Run(msgspec.Struct, rename="camel"):
    bulk_operation_run_query: _Payload


class _RunAnswer(msgspec.Struct):
    data: _Run


class _Look(msgspec.Struct):
    node: Operation | None


class _LookAnswer(msgspec.Struct):
    data: _Look


@dataclass(slots=True)
class BulkReader:
    """Reads searches, each by an operation."""

    graph: Graph
    jobs: Jobs
    clock: Callable[[], datetime]
    sleep: Callable[[float], Awaitable[object]]

    async def begin(self, search: str, window: str) -> bool:
        """Ask for the operation of a search, unless an earlier run did; False where Shopify does not take it now."""
        try:
            await self._going(search, self.graph.session.where(window), ())
        except BulkUnusable:
            return False
        return True

    async def ready(
        self, search: str, window: str, count: int, patience: Patience, beside: Callable[[], Awaitable[object]]
    ) -> Operation:
        """Return the finished operation of a search, an earlier run's where there is one.

        `count`: of the search's orders, now. `beside` is awaited while the operation is at work, before it is first looked at.

        Raises:
            BulkUnusable: refused, failed, or no place free; nothing is known of the orders.
            TooBig: the result is larger than we read at once: ask for a shorter window.
            Deferred: not done within this run's patience; the next one goes on with the same operation.
        """
        where, mark = self.graph.session.where(window), self._mark(search)
        operation, is_known = await self._going(search, where, BUSY_WAITS_S)
        await beside()
        done = await self._done(operation, where, patience)
        if is_known and not self._is_usable(done, count):
            await self.jobs.drop(mark)
            operation, _ = await self._going(search, where, BUSY_WAITS_S)
            done = await self._done(operation, where, patience)
        if done is None or done.status != "COMPLETED":
            if done is None or (done.status, done.error_code) != _TOO_LARGE:
                await self.jobs.drop(mark)  # the next run asks anew; in this one the others get their turn
            raise BulkUnusable(f"{done.status} {done.error_code or ''}".strip() if done else "it is gone")
        if int(done.file_size or 0) > MAX_FILE_BYTES:
            raise TooBig(f"the bulk result has {done.file_size} bytes", hint="ask for a shorter window", **where)
        return done

    async def read(self, search: str, window: str, done: Operation) -> Found:
        """Return the orders of a finished operation, as they stood at some time since it was created.

        Raises: BulkUnusable: its file cannot be fetched.
        """
        try:
            return await self._result(done, self.graph.session.where(window))
        except Unavailable:
            raise  # the file is still there for the next run
        except VendorError:
            await self.jobs.drop(self._mark(search))
            raise

    async def forget(self, searches: Iterable[str]) -> None:
        """Forget the operations of a window that is read: who asks for it again wants it as it is then."""
        for search in searches:
            await self.jobs.drop(self._mark(search))

    def _mark(self, search: str) -> str:
        return job_mark("shopify bulk", self.graph.url, ORDERS_QUERY % search)

    async def _going(self, search: str, where: Where, waits_s: Sequence[float]) -> tuple[str, bool]:
        """Return the operation of a search, started now where there is none, and whether it was known before."""
        mark = self._mark(search)
        known = await self.jobs.find(mark)
        operation = known or await self._start(ORDERS_QUERY % search, where, waits_s)
        # a known one is kept anew: else one that takes longer than ids are kept would be started for ever
        await self.jobs.keep(mark, operation)
        return operation, known is not None

    def _is_usable(self, done: Operation | None, count: int) -> bool:
        """Whether an earlier run's operation, now that it is over, says of the search what one begun now would."""
        is_old = done is not None and self.clock() - done.created_at > FRESH
        return done is not None and not (is_old and int(done.root_object_count) > count)

    async def _start(self, query: str, where: Where, waits_s: Sequence[float]) -> str:
        """Start an operation and return its id; `waits_s`: how long to wait for a free place each time there is none."""

        def parse(reply: Reply) -> _Payload:
            return decode(reply.body, _RunAnswer, where).data.bulk_operation_run_query

        said = ""
        for wait_s in (*waits_s, None):
            payload = await self.graph.ask(_RUN, {"query": query}, parse, where["window"])
            if payload.bulk_operation is not None:
                return payload.bulk_operation.id
            said = payload.user_errors[0].message if payload.user_errors else "no reason given"
            if wait_s is None or "already in progress" not in said:
                break
            await self.sleep(wait_s)
        raise BulkUnusable(said)

    async def _done(self, operation_id: str, where: Where, patience: Patience) -> Operation | None:
        """Return the operation once it is over, None where Shopify knows of none."""

        async def look() -> _Look | None:
            found = await self.graph.ask(
                _LOOK, {"id": operation_id}, lambda reply: decode(reply.body, _LookAnswer, where).data, where["window"]
            )
            return None if found.node and found.node.status in _GOING else found

        return (await wait_for(look, self.sleep, self.clock, where, patience)).node

    async def _result(self, done: Operation, where: Where) -> Found:
        objects, roots = int(done.object_count), int(done.root_object_count)
        if done.url is None:
            if objects:
                raise Malformed(f"{objects} objects were written, but nowhere", **where)
            return Found([], [])
        try:
            return await fetch(done.url, objects, roots, self.graph.session, where, self.sleep)
        except (BodyTooLarge, PermissionLost, BadRequest) as error:
            raise BulkUnusable(f"its file cannot be fetched: {error.message}") from error
