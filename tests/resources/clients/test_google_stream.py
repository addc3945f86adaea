"""Google's `searchStream` against `search`: one answer or many pages, the same rows."""

from __future__ import annotations

import asyncio
import json
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.resources.clients.loopback import NOW, base_of, config, reaching
from tests.resources.http.scripted import Script, calling, json_answer
from weathervane_resources.clients.google_ads import CampaignDay, GoogleAdsClient
from weathervane_resources.http.errors import BadRequest, Malformed, PermissionLost, Throttled, VendorError
from weathervane_resources.sandbox import RunningSandbox, truth

FIRST, LAST = date(2026, 8, 20), date(2026, 11, 17)
DAY = {
    "customer": {"id": "99", "currencyCode": "USD"},
    "campaign": {"id": "5"},
    "segments": {"date": "2026-11-01"},
    "metrics": {"costMicros": "1500000"},
}
MASK = {"fieldMask": "campaign.id", "requestId": "r"}


def scripted(
    *answers: Any, script: Script | None = None, **options: Any
) -> tuple[list[CampaignDay], list[Any], Script]:
    script = script or Script(list(answers))

    async def main() -> tuple[list[CampaignDay], list[Any]]:
        async with calling(script, "google_ads") as session:
            client = GoogleAdsClient(session, session.origin, "v26", "99", **{"use_stream": True, **options})
            found = [page async for page in client.campaign_days(FIRST, LAST)]
            return [row for page in found for row in page.rows], [bad for page in found for bad in page.bad]

    return (*asyncio.run(main()), script)


def read(sandbox: RunningSandbox, tenant: str, first: date = FIRST, **options: Any) -> tuple[list[CampaignDay], int]:
    async def main() -> tuple[list[CampaignDay], int]:
        async with reaching(sandbox, "google_ads") as session:
            client = GoogleAdsClient(
                session, base_of(sandbox, tenant), "v26", "2000001", **{"use_stream": True, **options}
            )
            rows = [row async for page in client.campaign_days(first, LAST) for row in page.rows]
            return rows, session.requests

    return asyncio.run(main())


@pytest.mark.parametrize("tenant", ["acme", "tokyo"])
def test_a_stream_has_the_rows_of_the_pages_and_the_spend_of_the_account(tenant: str) -> None:
    """Search is cut into pages of 10,000; a page too few was a campaign too few."""
    setting = config(google_page_size=50)
    with RunningSandbox(setting) as sandbox:
        streamed, asked = read(sandbox, tenant)
        paged, pages = read(sandbox, tenant, use_stream=False)
    assert streamed == paged
    assert (asked, pages > 3) == (1, True)
    for offset in range((LAST - FIRST).days + 1):
        day = FIRST + timedelta(days=offset)
        spent = sum(int(row.metrics.cost_micros or 0) for row in streamed if row.segments.date == day.isoformat())
        assert Decimal(spent) / 1_000_000 == truth.ads_day(setting, tenant, "google_ads", day, NOW).spend


def test_batches_are_one_page_and_a_bad_row_costs_one_row() -> None:
    """A stream is a JSON array; the last batch of an empty report has a field mask only."""
    odd = {**DAY, "metrics": {"costMicros": "1e6"}}
    rows, bad, script = scripted(json_answer([{"results": [DAY, odd], **MASK}, {"results": [DAY]}, MASK]))
    assert (len(rows), [one.key for one in bad]) == (2, ["5"])
    assert script.seen[0].path == "/v26/customers/99/googleAds:searchStream"
    assert list(json.loads(script.bodies[0])) == ["query"]


@pytest.mark.parametrize(
    "answer", [[MASK], [], MASK, {**MASK, "results": []}, {**MASK, "queryResourceConsumption": "206"}]
)
def test_a_report_without_rows_is_any_of_the_ways_that_google_prints_it(answer: Any) -> None:
    """Until 2025-08 it was an empty list, since then an object: an account that was paused failed each night."""
    assert scripted(json_answer(answer))[:2] == ([], [])


@pytest.mark.parametrize(
    "batches", [[{}], {}, {"results": []}, [{"results": None}], {"results": [DAY], **MASK}, [{"results": [DAY]}, {}]]
)
def test_a_batch_without_rows_or_mask_proves_nothing(batches: Any) -> None:
    """Never read as an empty day."""
    with pytest.raises(Malformed):
        scripted(json_answer(batches))


@pytest.mark.parametrize(("status", "kind"), [("PERMISSION_DENIED", PermissionLost), ("RESOURCE_EXHAUSTED", Throttled)])
def test_an_error_behind_good_batches_is_an_error(status: str, kind: type[VendorError]) -> None:
    """HTTP said 200 long before the stream broke: the batches before it are not the report."""
    error = {"error": {"code": 429, "message": "x", "status": status}}
    broken = json_answer([{"results": [DAY], **MASK}, error])
    if kind is Throttled:
        rows, _, script = scripted(broken, json_answer([{"results": [DAY], **MASK}]))
        assert (len(rows), len(script.seen)) == (1, 2)
        return
    with pytest.raises(kind):
        scripted(broken)


def test_a_stream_that_is_cut_off_is_read_again() -> None:
    """Without Content-Length only the JSON shows it."""
    whole = json.dumps([{"results": [DAY], **MASK}]).encode()
    rows, _, script = scripted(whole[:-20], whole)
    assert (len(rows), len(script.seen)) == (1, 2)


@pytest.mark.parametrize("use_stream", [True, False])
def test_a_long_window_is_asked_for_by_quarters_and_no_day_comes_twice_or_not_at_all(use_stream: bool) -> None:
    """One answer of three years was above the size cap, and no retry made it smaller."""
    first = date(2023, 12, 1)
    with RunningSandbox(config()) as sandbox:
        rows, requests = read(sandbox, "acme", first=first, use_stream=use_stream)
    days = (LAST - first).days + 1
    assert {row.segments.date for row in rows} == {(first + timedelta(days=n)).isoformat() for n in range(days)}
    assert len({(row.segments.date, row.campaign.id) for row in rows}) == len(rows)
    assert requests == -(-days // 92)


def failing(code: str) -> Any:
    problem = {"errors": [{"errorCode": {"requestError": code}}]}
    return json_answer(
        {"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": "x", "details": [problem]}}, 400
    )


def test_a_page_token_that_has_expired_starts_the_query_again_once_and_no_row_comes_twice() -> None:
    """A slow night lost the token between two pages (airbyte #30704), and the window failed for good."""
    first = {"results": [DAY], "nextPageToken": "a", **MASK}
    last = {"results": [{**DAY, "campaign": {"id": "6"}}], **MASK}
    rows, _, script = scripted(first, failing("EXPIRED_PAGE_TOKEN"), first, last, use_stream=False)
    assert [row.campaign.id for row in rows] == ["5", "6"]
    assert [json.loads(body).get("pageToken") for body in script.bodies] == [None, "a", None, "a"]
    for code, asked in (("EXPIRED_PAGE_TOKEN", 4), ("INVALID_PAGE_TOKEN", 2)):
        script = Script([first, failing(code)] * 3)
        with pytest.raises(BadRequest, match=code):
            scripted(script=script, use_stream=False)
        assert len(script.seen) == asked
