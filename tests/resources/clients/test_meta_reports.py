"""Meta's asynchronous reports: the rows of the synchronous answer, whatever becomes of a report on its way."""

from __future__ import annotations

import asyncio
import json
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs

import pytest
from aiohttp import web

from tests.resources.clients.loopback import NOW, base_of, config, reaching
from tests.resources.http.scripted import Naps, Script, calling, json_answer
from weathervane_resources.clients.jobs import MemoryJobs
from weathervane_resources.clients.meta_ads import KEEPS, Insight, MetaAdsClient
from weathervane_resources.clients.meta_reports import LOOKS_UNTIL_GONE, TRIES
from weathervane_resources.http.errors import BadRequest, Deferred, PermissionLost, TooBig, Unavailable
from weathervane_resources.sandbox import RunningSandbox, truth

FIRST, LAST = date(2026, 8, 20), date(2026, 11, 17)
DAYS = [FIRST + timedelta(days=n) for n in range((LAST - FIRST).days + 1)]


def read(sandbox: RunningSandbox, tenant: str = "acme", first: date = FIRST, last: date = LAST) -> list[Insight]:
    async def main() -> list[Insight]:
        naps = Naps()
        async with reaching(sandbox, "meta_ads", naps=naps) as session:
            client = MetaAdsClient(session, base_of(sandbox, tenant), "v26.0", "42", sleep=naps)
            found = [page async for page in client.insights(first, last)]
            assert not [bad for page in found for bad in page.bad]
            return [row for page in found for row in page.rows]

    return asyncio.run(main())


def by_key(rows: list[Insight]) -> dict[Any, Insight]:
    keyed = {(row.date_start, row.campaign_id, row.adset_id): row for row in rows}
    assert len(keyed) == len(rows)
    return keyed


def ways(sandbox: RunningSandbox) -> list[str]:
    """How the insights were asked for: `POST` starts a report."""
    paths = [(record.method, record.path) for record in sandbox.log]
    return ["report" if method == "POST" else "at once" for method, path in paths if path.endswith("act_42/insights")]


@pytest.mark.parametrize("tenant", ["acme", "tokyo"])
def test_reports_and_answers_at_once_have_the_same_rows_and_the_truth(
    tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Splitting a window must not change what is asked (airbyte #36998); every day's spend is the account's."""
    with RunningSandbox(config()) as sandbox:
        reported = by_key(read(sandbox, tenant))
        assert ways(sandbox) == ["report"]
        monkeypatch.setattr("weathervane_resources.clients.meta_ads.LONGEST_AT_ONCE", timedelta(days=999))
        assert by_key(read(sandbox, tenant)) == reported
        assert "report" not in ways(sandbox)[1:]
    for day in DAYS:
        rows = [row for row in reported.values() if row.date_start == day.isoformat()]
        true = truth.ads_day(config(), tenant, "meta", day, NOW)
        assert sum(Decimal(row.spend or 0) for row in rows) == true.spend
        assert sum(int(row.clicks or 0) for row in rows) == true.clicks


def test_what_is_read_again_each_night_is_read_at_once() -> None:
    """A report takes minutes; the daily run must not wait for one."""
    with RunningSandbox(config()) as sandbox:
        assert read(sandbox, first=LAST - timedelta(days=34))
        assert set(ways(sandbox)) == {"at once"}
        assert read(sandbox, first=LAST - timedelta(days=35))
        assert "report" in ways(sandbox)


def test_a_day_that_meta_does_not_keep_fails_its_window_and_says_since_when_it_keeps_them() -> None:
    """ "compare the request with the pinned API version" sent someone the wrong way (3018)."""
    with RunningSandbox(config()) as sandbox:
        assert read(sandbox, first=NOW.date() - KEEPS, last=NOW.date() - KEEPS)
        with pytest.raises(BadRequest, match="Meta keeps 37 months; begin the window later"):
            read(sandbox, first=date(2023, 10, 1), last=date(2023, 10, 2))


def test_too_many_rows_are_asked_for_in_halves_and_none_is_lost() -> None:
    """The seam is neither left out nor counted twice, down to single days."""
    whole, first = None, LAST - timedelta(days=29)
    for most in (0, 150, 40, 12):
        with RunningSandbox(config(meta_max_rows=most)) as sandbox:
            rows = by_key(read(sandbox, first=first))
            whole = whole or rows
            assert rows == whole
            queries = {q for q in (record.query.get("fields") for record in sandbox.log) if q}
        assert len(queries) == 1


@pytest.mark.parametrize("failing", [1, TRIES, 2 * TRIES])
def test_reports_that_fail_are_asked_for_again_and_then_in_halves(failing: int) -> None:
    """A failed report gave no reason, and its days were missing."""
    with RunningSandbox(config()) as calm:
        true = by_key(read(calm))
    with RunningSandbox(config(meta_failing_jobs=failing)) as sandbox:
        assert by_key(read(sandbox)) == true


def test_faults_change_no_row() -> None:
    """Throttles, resets, cut bodies, transient errors."""
    with RunningSandbox(config()) as calm:
        true = by_key(read(calm))
    for seed in range(3):
        spoiled = config(faults="throttle,flaky", fault_share=0.5, fault_wait_s=0.0, fault_seed=seed)
        with RunningSandbox(spoiled) as flaky:
            assert by_key(read(flaky)) == true


ROW = {"date_start": "2026-09-01", "account_id": "42", "campaign_id": "c", "adset_id": "a", "spend": "1.5"}
ROWS = {"data": [ROW]}


def started(number: Any = "7001") -> dict[str, Any]:
    return {"report_run_id": number}


def stands(status: str, percent: int | None = 100, **more: Any) -> dict[str, Any]:
    return {"id": "7001", "async_status": status, "async_percent_completion": percent, **more}


def refused(code: int, subcode: int | None = None, message: str = "no") -> web.Response:
    return json_answer({"error": {"code": code, "error_subcode": subcode, "message": message}}, 400)


DONE, RUNNING, FAILED = stands("Job Completed"), stands("Job Running", 40), stands("Job Failed", 0)
UNKNOWN = refused(100, 33, "Unsupported get request")


class OneJob(MemoryJobs):
    """Each run of a test has another port, and so would ask something else."""

    async def find(self, mark: str) -> str | None:
        return next(iter(self.ids.values()), None)

    async def drop(self, mark: str) -> None:
        self.ids.clear()


def scripted(*answers: Any, jobs: MemoryJobs | None = None, first: date = FIRST) -> tuple[list[Insight], Script]:
    script, naps = Script(list(answers)), Naps()

    async def main() -> list[Insight]:
        async with calling(script, "meta_ads", naps=naps) as session:
            options = {"jobs": jobs or MemoryJobs(), "clock": lambda: NOW, "sleep": naps}
            client = MetaAdsClient(session, session.origin, "v26.0", "42", **options)
            return [row async for page in client.insights(first, LAST) for row in page.rows]

    return asyncio.run(main()), script


def paths(script: Script) -> list[str]:
    return [f"{request.method} {request.path.removeprefix('/v26.0/')}" for request in script.seen]


def test_a_report_is_asked_for_looked_at_and_read_page_by_page() -> None:
    """The query goes with the question only; the rows come from the report."""
    rows, script = scripted(started(7001), RUNNING, stands("Job Completed", 90), DONE, ROWS)
    assert (len(rows), script.seen[-1].query["limit"]) == (1, "500")
    assert paths(script) == ["POST act_42/insights", *["GET 7001"] * 3, "GET 7001/insights"]
    form = {name: values[0] for name, values in parse_qs(script.bodies[0]).items()}
    assert json.loads(form["time_range"]) == {"since": str(FIRST), "until": str(LAST)}
    assert (form["level"], form["time_increment"], "limit" in form) == ("adset", "1", False)


def test_rows_that_are_not_there_yet_are_asked_for_again() -> None:
    """2637 and 1815107 right after "Job Completed"; 100/33 right after the question."""
    late = [refused(2637, 1815107), refused(100, 1815107)]
    rows, script = scripted(started(), UNKNOWN, DONE, *late, ROWS)
    assert len(rows) == 1
    assert [path for path in paths(script) if path.endswith("7001/insights")] == ["GET 7001/insights"] * 3


@pytest.mark.parametrize("status", ["Job Failed", "Job Skipped"])
def test_a_report_that_failed_is_asked_for_again(status: str) -> None:
    """Skipped is failed too: its days were taken for days without delivery."""
    rows, script = scripted(started(), stands(status, 0), started("7002"), DONE, ROWS)
    assert len(rows) == 1
    assert paths(script)[-1] == "GET 7002/insights"


def test_a_report_that_was_too_much_is_never_asked_for_unchanged() -> None:
    """1487534: the same question fails for ever."""
    too_much = stands("Job Failed", 0, error_subcode=1487534, error_message="Too many rows")
    empty = {"data": []}
    for first in ([started(), too_much], [refused(100, 1487534)], [started(), DONE, refused(100, 1487534)]):
        rows, script = scripted(*first, started("7002"), DONE, started("7003"), DONE, ROWS, empty)
        assert len(rows) == 1
        asked = [parse_qs(body)["time_range"][0] for body in script.bodies if body]
        assert [json.loads(text)["since"] for text in asked] == ["2026-08-20", "2026-08-20", "2026-10-04"]
        assert [json.loads(text)["until"] for text in asked] == ["2026-11-17", "2026-10-03", "2026-11-17"]


def test_a_run_that_is_started_again_waits_for_the_same_report() -> None:
    """The ids survive a restart: the first dies waiting, the second reads."""
    jobs = OneJob()
    with pytest.raises(Unavailable):
        scripted(started(), RUNNING, web.Response(status=500), jobs=jobs)
    rows, script = scripted(RUNNING, DONE, ROWS, jobs=jobs)
    assert (len(rows), paths(script)[0], jobs.ids) == (1, "GET 7001", {})


def test_a_report_that_meta_forgot_is_asked_for_again() -> None:
    """It expired, or another app asked for it: unknown a few times over is gone."""
    jobs = OneJob()
    jobs.ids["x"] = "6999"
    rows, script = scripted(*[UNKNOWN] * LOOKS_UNTIL_GONE, started(), DONE, ROWS, jobs=jobs)
    assert len(rows) == 1
    assert paths(script)[LOOKS_UNTIL_GONE:] == ["POST act_42/insights", "GET 7001", "GET 7001/insights"]


def test_a_lost_permission_is_one_even_while_a_report_is_waited_for() -> None:
    """Not "gone", and never an empty window."""
    denied = refused(200, None, "ads_read was not granted")
    with pytest.raises(PermissionLost):
        scripted(started(), denied)


def test_a_report_that_takes_too_long_frees_the_slot_and_stays() -> None:
    """Up to an hour: the run comes back and goes on waiting."""
    jobs = OneJob()
    with pytest.raises(Deferred) as raised:
        scripted(started(), RUNNING, jobs=jobs)
    assert raised.value.until == NOW + timedelta(minutes=10)
    assert list(jobs.ids.values()) == ["7001"]


def test_one_day_that_is_too_much_is_said_so() -> None:
    """There is no shorter window; smaller pages are tried before."""
    script = Script([refused(100, 1487534, "Too many rows")])

    async def main() -> None:
        async with calling(script, "meta_ads") as session:
            client = MetaAdsClient(session, session.origin, "v26.0", "42")
            [page async for page in client.insights(FIRST, FIRST + timedelta(days=1))]

    with pytest.raises(TooBig):
        asyncio.run(main())
    limits = [request.query["limit"] for request in script.seen]
    assert limits == ["500", "500", "250", "125", "62", "31", "15", "7", "3", "1"]


def test_a_row_of_another_day_is_a_bad_row() -> None:
    """It would be counted twice where a window is read in parts."""
    script = Script([{"data": [ROW, {**ROW, "date_start": "2026-09-03"}, {**ROW, "date_start": "soon"}]}])

    async def main() -> list[Any]:
        async with calling(script, "meta_ads") as session:
            client = MetaAdsClient(session, session.origin, "v26.0", "42")
            return [page async for page in client.insights(date(2026, 9, 1), date(2026, 9, 2))]

    (page,) = asyncio.run(main())
    assert (len(page.rows), [bad.key for bad in page.bad]) == (1, ["a", "a"])
