"""Meta Marketing insights: one row an ad set and account-local day, at once for short windows, as a report for long ones.

Facts (developers.facebook.com, read 2026-11): both ends of `time_range` are inclusive; only an absent `paging.next`
ends the pages, an empty page with one goes on; "reduce the amount of data" with HTTP 500 means a smaller `limit`, with
HTTP 400 (1487534, 1504018) or an error that stays a shorter window, and never another query; every number is a string; days without delivery have no
row. `paging.next` carries the access token: it is taken out before use. What a deleted ad set spent is in the answer only
where a filter asks for DELETED (best-practices/manage-your-ad-object-status).
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial
from http import HTTPStatus
from typing import Any, Generic, TypeVar

import msgspec
from yarl import URL

from weathervane_resources.clients.jobs import Jobs, MemoryJobs, Patience
from weathervane_resources.clients.meta_reports import Reports
from weathervane_resources.clients.rows import BadRow, PageDecoder
from weathervane_resources.http.errors import Deferred, Throttled, TooBig, Unavailable, VendorError
from weathervane_resources.http.paging import NextUrl, Trail
from weathervane_resources.http.session import Reply, Request, VendorSession, utc_now
from weathervane_resources.http.strict_json import decode

_log = logging.getLogger(__name__)

R = TypeVar("R")
T = TypeVar("T")
Span = tuple[date, date]
PAGE_SIZE, SMALLEST_PAGE = 500, 31
ONE_DAY = timedelta(days=1)
LONGEST_AT_ONCE = timedelta(days=35)
"""A night's restatement does not wait for a report."""
FAILURES_AT_ONCE = 3
"""So often Meta may fail on some days before fewer are asked for: "an unknown error" (1, 2, 99) that stays is a span that is too long."""
REPORTS_AT_ONCE = 3
"""Asked for together once one of their length was completed: those that fail are never many (airbyte #8282)."""
LONGEST_REPORT = timedelta(days=90)
"""Reports of years take longer than anyone waits, or fail without a reason."""
KEEPS = timedelta(days=36 * 365 // 12)
"""Insights are kept for 37 months (error 3018); a month less, since the month is Meta's, and a window must not fail for its first day."""
LEVEL = "adset"
EFFECTIVE_STATUSES = (
    "ACTIVE", "PAUSED", "CAMPAIGN_PAUSED", "IN_PROCESS", "WITH_ISSUES", "ARCHIVED", "DELETED",
)  # fmt: skip
"""Every status of an ad set: without a filter the spend of one that was deleted since is left out of its days."""


class Account(msgspec.Struct, frozen=True, gc=False):
    """The ad account's day and money."""

    currency: str
    timezone_name: str


class Action(msgspec.Struct, frozen=True, gc=False):
    """A count or value by action type; a type that is missing was not measured, it is not 0."""

    action_type: str
    value: str | None = None


class Insight(msgspec.Struct, frozen=True):
    """One ad set's day, as sent."""

    date_start: str
    account_id: str
    campaign_id: str
    adset_id: str
    date_stop: str | None = None
    account_currency: str | None = None
    campaign_name: str | None = None
    adset_name: str | None = None
    spend: str | None = None
    impressions: str | None = None
    clicks: str | None = None
    actions: list[Action] | None = None
    action_values: list[Action] | None = None


class _Paging(msgspec.Struct):
    next: str | None = None


class _Insights(msgspec.Struct, Generic[R]):
    data: list[R]
    paging: _Paging | None = None


FIELDS = ",".join(Insight.__struct_fields__)
_PAGE: PageDecoder[Insight, Any] = PageDecoder(
    msgspec.json.Decoder(_Insights[Insight]),
    msgspec.json.Decoder(_Insights[msgspec.Raw]),
    Insight,
    lambda p: p.data,
    ("adset_id",),
)


@dataclass(frozen=True, slots=True)
class InsightsPage:
    """One page of ad set days."""

    rows: list[Insight]
    bad: list[BadRow]


@dataclass(frozen=True, slots=True)
class _Part:
    """Days that are read together, with their completed report where they need one."""

    first: date
    last: date
    run_id: str | None = None


@dataclass(slots=True)
class _Cut:
    """How a window is cut so far: how long the next report may be, whether one of that length was completed, and all asked for."""

    longest: timedelta = LONGEST_REPORT
    is_proven: bool = False
    patience: Patience = field(default_factory=Patience)
    asked: list[dict[str, str]] = field(default_factory=list)

    def pieces(self, first: date, last: date) -> list[Span]:
        """Return a span that is longer than a report may be in spans that are not."""
        starts = [first + self.longest * n for n in range((last - first) // self.longest + 1)]
        return [(start, min(start + self.longest - ONE_DAY, last)) for start in starts]

    def needs_report(self, span: Span) -> bool:
        """Say whether a span is read from one report: neither at once, nor in pieces."""
        return LONGEST_AT_ONCE <= span[1] - span[0] < self.longest

    def halves(self, first: date, last: date) -> list[Span]:
        """Return the halves of a span that was too much; no later report is longer than they are."""
        half = ONE_DAY * ((last - first).days // 2 + 1)  # whole days: `pieces` multiplies it
        self.longest, self.is_proven = max(min(self.longest, half), LONGEST_AT_ONCE), False
        return [(first, first + half - ONE_DAY), (first + half, last)]


@dataclass(slots=True)
class MetaAdsClient:
    """One ad account. `base_url` is `https://graph.facebook.com` or its override; `account_id` has digits only."""

    session: VendorSession
    base_url: str
    api_version: str
    account_id: str
    jobs: Jobs = field(default_factory=MemoryJobs)
    clock: Callable[[], datetime] = utc_now
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    statuses: tuple[str, ...] = EFFECTIVE_STATUSES
    """The ad sets that are asked for, by status; none of them sends no filter."""
    _reports: Reports = field(init=False)

    def __post_init__(self) -> None:
        """Name the account's reports."""
        self._reports = Reports(self.session, self._node(), self.account_id, self.jobs, self.clock, self.sleep)

    async def account(self) -> Account:
        """Return the account's currency and time zone."""
        url, params = f"{self._node()}/act_{self.account_id}", {"fields": "currency,timezone_name"}
        request, where = Request("GET", url, params=params, window="account"), self.session.where("account")
        return await self.session.read(request, lambda reply: decode(reply.body, Account, where))

    async def insights(self, since: date, until: date) -> AsyncIterator[InsightsPage]:
        """Yield the ad set days of since..until, both inclusive, in account-local days.

        All reports are waited for before the rows of the first are read: a run that is deferred has read none for nothing,
        and those that are done stay done until the last is read. A part that is too much is read in halves, its pages kept
        back until it is whole: no row comes from two parts. Where a report was, no later one is as long.

        Raises:
            TooBig: even one row of one day at a time is too much.
            Deferred: not all reports are done within this run's patience.
        """
        cut = _Cut()
        todo = (await self._ready([(since, until)], cut))[::-1]
        while todo:
            part = todo.pop()
            try:
                found = await self._read(part)
            except TooBig:
                if part.first == part.last:
                    raise
                todo += (await self._ready(cut.halves(part.first, part.last), cut))[::-1]
                continue
            for page in found:
                yield page
        await self._reports.forget(cut.asked)

    async def _ready(self, spans: list[Span], cut: "_Cut") -> list["_Part"]:
        """Return the spans in parts, in order; each has its completed report or is short enough to be read at once."""
        todo, ready = spans[::-1], list[_Part]()
        while todo:
            first, last = todo.pop()
            if last - first >= cut.longest:
                todo += cut.pieces(first, last)[::-1]
            elif not cut.needs_report((first, last)):
                ready.append(_Part(first, last))
            else:
                query, window = self._asked((first, last), cut), f"{first}..{last}"
                following = partial(self._begin, todo[:-REPORTS_AT_ONCE:-1] if cut.is_proven else [], cut)
                wait = self._reports.finished(query, window, cut.patience, following)
                try:
                    ready.append(_Part(first, last, await self._noting(query, wait)))
                    cut.is_proven = True
                except TooBig:
                    todo += cut.halves(first, last)[::-1]
        return ready

    async def _begin(self, spans: Sequence[Span], cut: "_Cut") -> None:
        """Ask for the reports of spans that are next: they are made beside the one that is waited for."""
        for span in filter(cut.needs_report, spans):
            try:
                await self._reports.begin(self._asked(span, cut), f"{span[0]}..{span[1]}")
            except VendorError as error:
                _log.info("meta_ads %s: the next report waits for its turn: %s", self.session.tenant, error.message)
                return

    def _asked(self, span: Span, cut: "_Cut") -> dict[str, str]:
        query = _query(*span, self.statuses)
        if query not in cut.asked:
            cut.asked.append(query)
        return query

    async def _read(self, part: "_Part") -> list[InsightsPage]:
        query, can_split = _query(part.first, part.last, self.statuses), part.last > part.first
        if part.run_id is not None:
            url = URL(f"{self._node()}/{part.run_id}/insights")
            return await self._noting(query, self._whole(url, part, can_split=can_split), is_complete=True)
        url = URL(f"{self._node()}/act_{self.account_id}/insights").with_query(query)
        return await self._whole(url, part, can_split=can_split, too_big_after=FAILURES_AT_ONCE if can_split else 0)

    async def _whole(self, url: URL, part: "_Part", *, can_split: bool, too_big_after: int = 0) -> list[InsightsPage]:
        first, last = part.first, part.last
        pages = self._pages(url, f"{first}..{last}", can_split=can_split, too_big_after=too_big_after)
        return [_within(page, first, last) async for page in pages]

    async def _noting(self, query: dict[str, str], work: Awaitable[T], *, is_complete: bool = False) -> T:
        """Return what becomes of a report; where it is an error, the next run knows whether to use the report.

        `is_complete`: Meta has just said so; a reading that fails all the same may fail again and again.
        """
        try:
            return await work
        except TooBig:
            await self._reports.too_much(query)
            raise
        except VendorError as error:
            if not _leaves_the_report(error):
                await self._reports.drop(query)
            elif is_complete and isinstance(error, Unavailable) and (error.status or error.is_late):
                await self._reports.not_read(query)
            raise

    async def _pages(
        self, url: URL, window: str, *, can_split: bool, too_big_after: int = 0
    ) -> AsyncIterator[InsightsPage]:
        """Yield page after page; where a page is too much, ask for half as many rows, if a shorter window is no way out."""
        links = NextUrl(self.session.origin, Trail(self.session.where(window)))
        limit = PAGE_SIZE
        while True:
            try:
                page, next_url, size = await self._page(url.update_query(limit=str(limit)), window, too_big_after)
            except TooBig as error:
                if limit == 1 or (
                    can_split and (error.status != HTTPStatus.INTERNAL_SERVER_ERROR or limit <= SMALLEST_PAGE)
                ):
                    raise
                limit //= 2
                continue
            following = links.next(next_url, size)
            yield page
            if following is None:
                return
            url = URL(following).without_query_params("access_token", "appsecret_proof")

    async def _page(self, url: URL, window: str, too_big_after: int) -> tuple[InsightsPage, str | None, int]:
        where = self.session.where(window)

        def parse(reply: Reply) -> tuple[InsightsPage, str | None, int]:
            page, rows, bad = _PAGE.decode(reply.body, where)
            return InsightsPage(rows, bad), page.paging.next if page.paging else None, len(reply.body)

        return await self.session.read(Request("GET", str(url), window=window, too_big_after=too_big_after), parse)

    def _node(self) -> str:
        return f"{self.base_url.rstrip('/')}/{self.api_version}"


def _leaves_the_report(error: VendorError) -> bool:
    """Whether the next run may read the same report: after an outage or a wait, not after what Meta says of the report itself."""
    if isinstance(error, Unavailable):
        return error.status is None or error.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    return isinstance(error, Throttled | Deferred)


def _within(page: InsightsPage, first: date, last: date) -> InsightsPage:
    """Return the page with the rows of other days among the bad ones: the parts of a window must not overlap."""
    since, until, reason = first.isoformat(), last.isoformat(), f"date_start is not within {first}..{last}"
    kept = [row for row in page.rows if since <= row.date_start <= until]
    strays = [BadRow(reason, row.adset_id) for row in page.rows if not since <= row.date_start <= until]
    return InsightsPage(kept, [*page.bad, *strays])


def _query(since: date, until: date, statuses: tuple[str, ...]) -> dict[str, str]:
    """`time_range` and `filtering` are JSON, not a Python repr (traps.md 20)."""
    query = {
        "level": LEVEL,
        "time_increment": "1",
        "time_range": json.dumps({"since": since.isoformat(), "until": until.isoformat()}),
        "fields": FIELDS,
    }
    wanted = {"field": f"{LEVEL}.effective_status", "operator": "IN", "value": statuses}
    return query | ({"filtering": json.dumps([wanted])} if statuses else {})
