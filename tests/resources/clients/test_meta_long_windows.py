"""Meta's long windows at an account that fails: every day comes once, in a bounded number of requests."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any
from urllib.parse import parse_qs

import pytest
from aiohttp import web

from tests.resources.http.scripted import NOW, Naps, Script, calling
from weathervane_resources.clients.jobs import MemoryJobs
from weathervane_resources.clients.meta_ads import LONGEST_AT_ONCE, LONGEST_REPORT, MetaAdsClient, _Cut
from weathervane_resources.clients.meta_reports import PAUSES_S, THROTTLED_S, TRIES
from weathervane_resources.http.errors import (
    BadRequest,
    Deferred,
    ForeignOrigin,
    Malformed,
    PermissionLost,
    Unavailable,
    VersionDead,
)
from weathervane_resources.http.pacing import Pace
from weathervane_resources.http.retry import COME_BACK_S, RetryPolicy

FIRST, LAST = date(2024, 1, 1), date(2026, 11, 19)
DAYS = [FIRST + timedelta(days=n) for n in range((LAST - FIRST).days + 1)]
COMPLETED = {"async_status": "Job Completed", "async_percent_completion": 100}
FAILED = {"async_status": "Job Failed", "async_percent_completion": 0}

NEVER, GONE = object(), object()
"""No answer, and no connection."""
Says = Callable[[int], Any]
"""What an account answers where so many days are asked for; None for the rows themselves."""


@dataclass
class Account:
    """An ad account with one ad set, which spends each day; remembers how many days each question was for."""

    becomes: Says = lambda _: COMPLETED
    """What becomes of a report."""
    shows: Says = lambda _: None
    """The answer where a completed report's rows are asked for."""
    at_once: Says = lambda _: None
    """The answer to a question without a report."""
    reports: list[tuple[date, date]] = field(default_factory=list)
    asked_at_once: list[int] = field(default_factory=list)

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        if request.method == "POST":
            self.reports.append(_span(parse_qs(await request.text())["time_range"][0]))
            return web.json_response({"report_run_id": str(len(self.reports))})
        if request.path.endswith("act_42/insights"):
            span = _span(request.query["time_range"])
            self.asked_at_once.append(_days(span))
            instead = self.at_once(_days(span))
            if instead is NEVER:
                await asyncio.Event().wait()
            if instead is GONE and request.transport:
                request.transport.close()
                instead = ({}, 500)
            return _rows(span, instead)
        span = self.reports[int(request.path.split("/")[2]) - 1]
        if request.path.endswith("/insights"):
            return _rows(span, self.shows(_days(span)))
        return web.json_response({"id": "1", **self.becomes(_days(span))})

    @property
    def report_days(self) -> list[int]:
        """How many days each report was asked for, in order."""
        return [_days(span) for span in self.reports]


def _span(text: str) -> tuple[date, date]:
    asked = json.loads(text)
    return date.fromisoformat(asked["since"]), date.fromisoformat(asked["until"])


def _days(span: tuple[date, date]) -> int:
    return (span[1] - span[0]).days + 1


def _rows(span: tuple[date, date], instead: Any) -> web.Response:
    if instead is not None:
        body, status = instead
        return web.json_response(body, status=status)
    whose = {"account_id": "42", "campaign_id": "c", "adset_id": "a", "spend": "1.5"}
    days = (span[0] + timedelta(days=n) for n in range(_days(span)))
    return web.json_response({"data": [{"date_start": day.isoformat(), **whose} for day in days]})


def refused(code: int, subcode: int | None = None, message: str = "no", status: int = 400) -> tuple[Any, int]:
    return {"error": {"code": code, "error_subcode": subcode, "message": message}}, status


def read(
    account: Account,
    first: date = FIRST,
    last: date = LAST,
    *,
    jobs: MemoryJobs | None = None,
    naps: Naps | None = None,
    **session_options: Any,
) -> list[date]:
    """Return the days of the rows that came."""
    naps = naps or Naps()

    async def main() -> list[date]:
        async with calling(Script([account]), "meta_ads", naps=naps, **session_options) as session:
            options = {"jobs": jobs or MemoryJobs(), "clock": lambda: NOW, "sleep": naps}
            client = MetaAdsClient(session, session.origin, "v26.0", "42", **options)
            pages = [page async for page in client.insights(first, last)]
            return [date.fromisoformat(row.date_start) for page in pages for row in page.rows]

    return asyncio.run(main())


def test_a_report_is_of_a_quarter_at_most() -> None:
    """One of three years fails, or takes longer than anyone waits."""
    account = Account()
    assert read(account) == DAYS
    assert set(account.report_days[:-1]) == {LONGEST_REPORT.days} == {90}


def test_reports_that_fail_without_a_reason_above_a_length_cost_a_window_three_of_them() -> None:
    """1,061 days gave up at 133, at each retry the same: what failed was forgotten, and the failures of all parts added up."""
    account, naps = Account(becomes=lambda days: FAILED if days > 60 else COMPLETED), Naps()
    assert read(account, naps=naps) == DAYS
    assert account.report_days[:TRIES] == [90] * TRIES
    assert max(account.report_days[TRIES:]) == 45
    assert [wait for wait in naps.taken if wait in PAUSES_S] == list(PAUSES_S)


def test_where_all_reports_fail_the_days_are_read_at_once() -> None:
    """Stuck jobs started again and again brought the throttle on everything else (airbyte #8282)."""
    account = Account(becomes=lambda _: FAILED)
    assert read(account) == DAYS
    assert account.report_days == [90] * TRIES + [45] * TRIES
    assert max(account.asked_at_once) == LONGEST_AT_ONCE.days


@dataclass
class Ending:
    """Reports of which the first few fail with a code."""

    code: int
    failing: int
    subcode: int | None = None
    message: str = ""
    failed: int = 0

    def __call__(self, days: int) -> dict[str, Any]:
        if self.failed >= self.failing:
            return COMPLETED
        self.failed += 1
        return {**FAILED, "error_code": self.code, "error_subcode": self.subcode, "error_message": self.message}


class Watched(Pace):
    """A pace that remembers for how long which scope was to wait."""

    def __init__(self) -> None:
        super().__init__(10_000, 10_000)
        self.pauses: list[tuple[str, float]] = []

    async def pause(self, wait_s: float, scope: str) -> None:
        self.pauses.append((scope, wait_s))


QUARTER = LAST - timedelta(days=89)


@pytest.mark.parametrize("code", [4, 17, 613, 80_000, 80_008])
def test_a_report_that_failed_for_the_throttle_is_waited_out_and_never_halved(code: int) -> None:
    """Nine reports were started at once, at a vendor that asked for a pause: each made it longer (airbyte #8282)."""
    account, naps = Account(becomes=Ending(code, failing=4, message="request limit reached")), Naps()
    assert len(read(account, QUARTER, naps=naps)) == 90
    assert account.report_days == [90] * 5
    assert [wait >= THROTTLED_S for wait in naps.taken] == [True] * 4


@pytest.mark.parametrize(("code", "scope"), [(4, "app"), (17, "account")])
def test_a_throttle_of_reports_that_lasts_defers_the_run_and_lets_its_scope_rest(code: int, scope: str) -> None:
    """The slot is free, and the other runs of the app do not find out one by one."""
    account, naps, pace = Account(becomes=Ending(code, failing=999)), Naps(), Watched()
    with pytest.raises(Deferred) as raised:
        read(account, QUARTER, naps=naps, pace=pace)
    assert raised.value.until == NOW + timedelta(seconds=COME_BACK_S)
    assert account.report_days == [90] * 5
    assert pace.pauses == [(scope, THROTTLED_S)] * 5
    assert RetryPolicy().patience_s - THROTTLED_S <= sum(naps.taken) <= RetryPolicy().patience_s


@pytest.mark.parametrize(
    ("ending", "error"),
    [(Ending(200, 9, message="ads_read was not granted"), PermissionLost), (Ending(2635, 9), VersionDead)],
)
def test_a_report_that_nobody_may_have_is_not_asked_for_again(ending: Ending, error: type[Exception]) -> None:
    """What someone must change first is said at once, in the words of every other answer."""
    account = Account(becomes=ending)
    with pytest.raises(error):
        read(account, QUARTER)
    assert account.report_days == [90]


def test_reports_that_were_too_much_are_halved_at_once_and_others_are_asked_for_again() -> None:
    """1487534 fails for ever; 2 and an expired token do not."""
    for ending, asked in [
        (Ending(100, 1, 1_487_534), [90, 45, 45]),
        (Ending(2, 1, message="Please reduce the amount of data you're asking for"), [90, 45, 45]),
        (Ending(2, 1, 1_504_043), [90, 90]),
        (Ending(190, 1, 463), [90, 90]),
    ]:
        account = Account(becomes=ending)
        assert len(read(account, QUARTER)) == 90
        assert account.report_days == asked


class OneJob(MemoryJobs):
    """Each run of a test has another port, and so would ask something else."""

    async def find(self, mark: str) -> str | None:
        return next(iter(self.ids.values()), None)

    async def drop(self, mark: str) -> None:
        self.ids.clear()


UNLOADABLE = {"error": {"code": 2601, "message": "(#2601) Loading async ads report failed", "is_transient": False}}
LOOPING = {"data": [], "paging": {"next": "http://127.0.0.1:1/v26.0/1/insights"}}


@pytest.mark.parametrize(
    ("broken", "error"),
    [
        ((UNLOADABLE, 400), Unavailable),
        (refused(100, 1_815_107), Unavailable),
        (refused(100, message="Invalid parameter"), BadRequest),
        (refused(200, message="ads_read was not granted"), PermissionLost),
        ((LOOPING, 200), ForeignOrigin),
        (({"data": "?"}, 200), Malformed),
    ],
)
def test_a_broken_report_is_not_read_by_the_next_run(broken: Any, error: type[Exception]) -> None:
    """Three runs in six hours read the same broken report, and failed the same."""
    jobs = OneJob()
    account = Account(shows=lambda _: broken)
    with pytest.raises(error):
        read(account, QUARTER, jobs=jobs)
    assert jobs.ids == {}
    account.shows = lambda _: None
    assert len(read(account, QUARTER, jobs=jobs)) == 90
    assert account.report_days == [90, 90]


@pytest.mark.parametrize(
    ("answer", "error"), [(({}, 503), Unavailable), (refused(4, message="request limit reached"), Deferred)]
)
def test_a_report_outlives_an_outage_and_a_throttle(answer: Any, error: type[Exception]) -> None:
    """It is whole, and took Meta an hour."""
    jobs = OneJob()
    account = Account(shows=lambda _: answer)
    with pytest.raises(error):
        read(account, QUARTER, jobs=jobs)
    account.shows = lambda _: None
    assert len(read(account, QUARTER, jobs=jobs)) == 90
    assert account.report_days == [90]


MONTH = LAST - timedelta(days=29)
UNKNOWN = refused(1, 99, "An unknown error occurred", status=500)


def test_a_span_on_which_meta_keeps_failing_is_asked_for_in_halves() -> None:
    """Thirty days were asked for ten times, unchanged, and the night failed; seven would have come."""
    account = Account(at_once=lambda days: UNKNOWN if days > 7 else None)
    assert read(account, MONTH) == DAYS[-30:]
    assert account.asked_at_once[:10] == [30] * 3 + [15] * 3 + [8] * 3 + [4]
    assert account.reports == []


@pytest.mark.parametrize("subcode", [1_487_534, 1_504_018])
def test_what_meta_calls_too_much_or_too_slow_is_halved_at_once(subcode: int) -> None:
    """ "Please try a smaller date range" comes with code 2, and was asked for again unchanged."""
    account = Account(at_once=lambda days: refused(2, subcode) if days > 20 else None)
    assert read(account, MONTH) == DAYS[-30:]
    assert account.asked_at_once == [30, 15, 15]


def test_an_answer_that_does_not_come_is_waited_for_once() -> None:
    """Three minutes a time, six times over."""
    account = Account(at_once=lambda days: None if days < 30 else NEVER)
    assert read(account, MONTH, total_s=0.2) == DAYS[-30:]
    assert account.asked_at_once == [30, 15, 15]


def test_a_few_failures_halve_nothing() -> None:
    """Twice is chance."""
    failing = iter([UNKNOWN, UNKNOWN])
    account = Account(at_once=lambda _: next(failing, None))
    assert read(account, MONTH) == DAYS[-30:]
    assert account.asked_at_once == [30] * 3


def test_a_vendor_that_is_away_is_waited_for_day_by_day_and_says_so() -> None:
    """The end of the halves is one day, which has the patience of every request."""
    account = Account(at_once=lambda _: ({}, 503))
    with pytest.raises(Unavailable):
        read(account, MONTH)
    assert account.asked_at_once == [days for days in (30, 15, 8, 4, 2) for _ in range(3)] + [1] * 3


def test_a_vendor_that_cannot_be_reached_is_no_span_that_is_too_long() -> None:
    """Half a span does not come through a broken cable either."""
    account = Account(at_once=lambda _: GONE)
    with pytest.raises(Unavailable):
        read(account, MONTH)
    assert set(account.asked_at_once) == {30}


@pytest.mark.parametrize("failed", [*range(70, 91)])
def test_a_span_cut_by_half_of_another_loses_no_day(failed: int) -> None:
    """Half of 82 days were 40 and a half, twice that began a day after the piece before it ended: that day was never read."""
    cut = _Cut()
    days = [day for span in cut.halves(FIRST, FIRST + timedelta(days=failed - 1)) for day in _each(span)]
    assert days == DAYS[:failed]
    for length in range(91, 200):
        pieces = cut.pieces(FIRST, FIRST + timedelta(days=length - 1))
        assert [day for piece in pieces for day in _each(piece)] == DAYS[:length]
        assert all(_days(piece) * timedelta(days=1) <= cut.longest for piece in pieces)


def _each(span: tuple[date, date]) -> list[date]:
    return [span[0] + timedelta(days=n) for n in range(_days(span))]
