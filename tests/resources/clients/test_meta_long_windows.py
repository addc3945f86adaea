"""Meta's long windows at an account that fails: every day comes once, in a bounded number of requests."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any
from urllib.parse import parse_qs

from aiohttp import web

from tests.resources.http.scripted import NOW, Naps, Script, calling
from weathervane_resources.clients.jobs import MemoryJobs
from weathervane_resources.clients.meta_ads import LONGEST_AT_ONCE, LONGEST_REPORT, MetaAdsClient
from weathervane_resources.clients.meta_reports import PAUSES_S, TRIES

FIRST, LAST = date(2024, 1, 1), date(2026, 11, 19)
DAYS = [FIRST + timedelta(days=n) for n in range((LAST - FIRST).days + 1)]
COMPLETED = {"async_status": "Job Completed", "async_percent_completion": 100}
FAILED = {"async_status": "Job Failed", "async_percent_completion": 0}

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
            return _rows(span, self.at_once(_days(span)))
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
    account: Account, first: date = FIRST, last: date = LAST, jobs: MemoryJobs | None = None, naps: Naps | None = None
) -> list[date]:
    """Return the days of the rows that came."""
    naps = naps or Naps()

    async def main() -> list[date]:
        async with calling(Script([account]), "meta_ads", naps=naps) as session:
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
