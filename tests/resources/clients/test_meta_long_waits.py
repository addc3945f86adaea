"""Meta's long windows whose reports take longer than a run waits, in runs one after the other; the clock is simulated."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from aiohttp import web

from tests.resources.http.scripted import NOW, Script, calling
from weathervane_resources.clients import jobs
from weathervane_resources.clients.jobs import PATIENCE_S
from weathervane_resources.clients.meta_ads import LONGEST_REPORT, REPORTS_AT_ONCE, MetaAdsClient
from weathervane_resources.clients.meta_reports import READINGS, TRIES, _Kept
from weathervane_resources.http.errors import Deferred, Unavailable
from weathervane_resources.jobs import StateJobs
from weathervane_resources.state import State, open_state

LAST = date(2026, 11, 19)
SPANS = 13
FIRST = LAST - SPANS * LONGEST_REPORT + timedelta(days=1)

QUARTER = LAST - timedelta(days=89)

Span = tuple[date, date]
COMPLETED = {"async_status": "Job Completed", "async_percent_completion": 100}
RUNNING = {"async_status": "Job Running", "async_percent_completion": 40}
FAILED = {"async_status": "Job Failed", "async_percent_completion": 0}
TOO_MANY_REPORTS = {"error": {"code": 100, "error_subcode": 1_234_567, "message": "too many reports"}}
TOO_MANY = {"error": {"code": 100, "error_subcode": 1_487_534, "message": "Too many rows"}}


def failing_answer() -> web.Response:
    return web.json_response({}, status=500)


@dataclass
class Account:
    """An ad account whose reports take `minutes`, read by runs one after the other; waiting moves its clock."""

    state: State
    minutes: float = 40.0
    now: datetime = NOW
    fails: Callable[[int], bool] = lambda days: False
    """Whether a report of so many days fails, for no reason and as slowly as the others."""
    is_too_much: Callable[[Span], bool] = lambda span: False
    """Whether a completed report's rows are more than Meta gives."""
    reports: list[tuple[datetime, Span]] = field(default_factory=list)
    reads: list[Span] = field(default_factory=list)
    runs: int = 0
    most_at_once: int = 99
    """Another report is refused while so many are being made."""
    refused: int = 0

    def clock(self) -> datetime:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        if request.method == "POST":
            asked = json.loads(parse_qs(await request.text())["time_range"][0])
            span = (date.fromisoformat(asked["since"]), date.fromisoformat(asked["until"]))
            if sum(self.now - at < timedelta(minutes=self.minutes) for at, _ in self.reports) >= self.most_at_once:
                self.refused += 1
                return web.json_response(TOO_MANY_REPORTS, status=400)
            self.reports.append((self.now, span))
            return web.json_response({"report_run_id": str(len(self.reports))})
        if request.path.endswith("act_42/insights"):
            asked = json.loads(request.query["time_range"])
            return self.rows((date.fromisoformat(asked["since"]), date.fromisoformat(asked["until"])))
        at, span = self.reports[int(request.path.split("/")[2]) - 1]
        if request.path.endswith("/insights"):
            return self.rows(span)
        if self.now - at < timedelta(minutes=self.minutes):
            return web.json_response({"id": "1", **RUNNING})
        return web.json_response({"id": "1", **(FAILED if self.fails(days_of(span)) else COMPLETED)})

    def rows(self, span: Span) -> web.Response:
        self.reads.append(span)
        if self.is_too_much(span):
            return web.json_response(TOO_MANY, status=400)
        whose = {"account_id": "42", "campaign_id": "c", "adset_id": "a", "spend": "1.5"}
        days = (span[0] + timedelta(days=n) for n in range(days_of(span)))
        return web.json_response({"data": [{"date_start": day.isoformat(), **whose} for day in days]})

    def backfill(self, first: date = FIRST, most_runs: int = 60, fatal: tuple[type[Exception], ...] = ()) -> list[date]:
        """As the sensor does it: a run that is deferred is started again when its time has come."""

        async def main() -> list[date]:
            async with calling(Script([self]), "meta_ads", naps=self.sleep) as session:  # type: ignore[arg-type]
                for _ in range(most_runs):
                    self.runs += 1
                    ids = StateJobs(self.state, "meta_ads", "acme", self.clock)
                    client = MetaAdsClient(session, session.origin, "v26.0", "42", ids, self.clock, self.sleep)
                    try:
                        return [date.fromisoformat(row.date_start) for row in await every_row(client, first)]
                    except Deferred as deferred:
                        self.now = max(self.now, deferred.until)
                    except fatal:
                        continue
            raise AssertionError(f"not done after {most_runs} runs and {len(self.reports)} reports")

        return asyncio.run(main())

    @property
    def asked(self) -> list[int]:
        """How many days each report was asked for, in order."""
        return [days_of(span) for _, span in self.reports]


async def every_row(client: MetaAdsClient, first: date) -> list[Any]:
    return [row async for page in client.insights(first, LAST) for row in page.rows]


def days_of(span: Span) -> int:
    return (span[1] - span[0]).days + 1


def days_since(first: date) -> list[date]:
    return [first + timedelta(days=n) for n in range((LAST - first).days + 1)]


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Account:
    """It is looked at less often than a real one."""
    monkeypatch.setattr(jobs, "LONGEST_WAIT_S", 300.0)
    return Account(open_state(f"sqlite:///{tmp_path / 'state.db'}"))


def test_a_window_of_many_slow_reports_is_done_with_each_of_them_once(account: Account) -> None:
    """Each run lost what it had read and ordered it again: five reports of 40 minutes were never done."""
    account.minutes = 80.0
    assert account.backfill() == days_since(FIRST)
    assert account.asked == [LONGEST_REPORT.days] * SPANS
    assert len(account.reads) == SPANS, "no row was read for nothing"
    assert 2 < account.runs <= 2 * SPANS
    assert account.now - NOW > timedelta(hours=6), "longer than an id is kept that nobody looks for"


def test_reports_are_made_together_once_one_was_completed(account: Account) -> None:
    """A year is five reports: it took five times as long as one."""
    account.minutes = 5.0
    assert account.backfill() == days_since(FIRST)
    assert account.asked == [LONGEST_REPORT.days] * SPANS
    begun = [at for at, _ in account.reports]
    going = [sum(at <= now < at + timedelta(minutes=account.minutes) for at in begun) for now in begun]
    assert begun[1] - begun[0] >= timedelta(minutes=account.minutes), (
        "nobody knows yet whether reports of this length fail"
    )
    assert max(going) == REPORTS_AT_ONCE
    assert account.now - NOW < timedelta(minutes=account.minutes) * SPANS * 2 / 3


def test_a_report_that_cannot_be_asked_for_ahead_is_asked_for_in_its_turn(account: Account) -> None:
    """Too much work at once is no failure of the report that is being made."""
    account.minutes, account.most_at_once = 5.0, 2
    assert account.backfill() == days_since(FIRST)
    assert account.asked == [LONGEST_REPORT.days] * SPANS
    assert account.refused


def test_the_patience_is_for_all_reports_of_a_window(account: Account) -> None:
    """Thirteen of 20 minutes never deferred the run, and its time was up after four hours."""
    account.minutes = 20.0
    with pytest.raises(AssertionError, match="not done after 1 runs"):
        account.backfill(most_runs=1)
    waited_s = (account.now - NOW).total_seconds()
    assert PATIENCE_S <= waited_s <= PATIENCE_S + 300 + jobs.COME_BACK_AFTER.total_seconds()


def test_reports_that_fail_slowly_are_counted_over_the_runs(account: Account) -> None:
    """No run is there for three failures of 25 minutes each: what was too long must not be asked for for ever."""
    account.minutes, account.fails = 25.0, lambda days: days > 60
    first = LAST - timedelta(days=269)
    assert account.backfill(first) == days_since(first)
    assert account.asked == [90] * TRIES + [45] * 6


def test_a_report_that_turns_out_too_much_is_halved_and_the_others_are_not_asked_for_again(account: Account) -> None:
    """The run is deferred for the halves of the last one; the others were read before."""
    account.is_too_much = lambda span: span[1] == LAST and days_of(span) > 60
    first = LAST - timedelta(days=269)
    assert account.backfill(first) == days_since(first)
    assert account.asked == [90, 90, 90, 45, 45]


def test_a_run_that_fails_while_it_reads_asks_for_no_report_again(account: Account) -> None:
    """The reports that were read are still there for the next run."""
    plain, failing = account.rows, iter([False, True, True, True, True])

    def rows(span: Span) -> web.Response:
        return web.json_response({}, status=503) if next(failing, False) else plain(span)

    account.minutes, account.rows = 1.0, rows  # type: ignore[method-assign]
    first = LAST - timedelta(days=269)
    assert account.backfill(first, fatal=(Unavailable,)) == days_since(first)
    assert (account.asked, account.runs > 1) == ([90] * 3, True)


def test_a_completed_report_that_stays_at_500_is_left_for_another(account: Account) -> None:
    """Every run of six hours read the same broken report, and each reading kept it for six hours more."""
    plain = account.rows
    account.rows = lambda span: plain(span) if len(account.reports) > 1 else failing_answer()  # type: ignore[method-assign]
    account.minutes = 1.0
    assert account.backfill(QUARTER, fatal=(Unavailable,)) == days_since(QUARTER)
    assert (account.asked, account.runs) == ([90, 90], READINGS + 1)


def test_where_every_report_stays_at_500_a_window_costs_three_of_them(account: Account) -> None:
    """Reports without end would be asked for, each as dear as the one before; what fails three times is too much."""
    plain = account.rows
    account.rows = lambda span: failing_answer() if days_of(span) > 60 else plain(span)  # type: ignore[method-assign]
    account.minutes = 1.0
    assert account.backfill(QUARTER, fatal=(Unavailable,)) == days_since(QUARTER)
    assert account.asked == [90] * TRIES + [45] * 2
    assert account.runs == TRIES * READINGS + 1


def test_an_outage_of_less_than_three_runs_costs_no_report(account: Account) -> None:
    """A report took Meta an hour; an outage of a minute is none of its doing."""
    plain, failing = account.rows, iter([True] * 4 * (READINGS - 1))
    account.rows = lambda span: failing_answer() if next(failing, False) else plain(span)  # type: ignore[method-assign]
    account.minutes = 1.0
    assert account.backfill(QUARTER, fatal=(Unavailable,)) == days_since(QUARTER)
    assert (account.asked, account.runs) == ([90], READINGS)


def test_what_the_version_before_kept_of_a_report_is_understood() -> None:
    """An update while reports were under way."""
    for text in ("17", "17 2", "17 2 1", "17 0 1", "- 1"):
        assert str(_Kept.of(text)) == text


def test_the_reports_of_a_window_that_was_read_are_forgotten(account: Account) -> None:
    """Who asks for days that were read an hour ago wants them as they are now."""
    account.minutes = 3.0
    first = LAST - timedelta(days=179)
    assert account.backfill(first) == days_since(first)
    with account.state.begin(durable=False) as connection:
        assert not connection.exec_driver_sql("select * from jobs").all()
