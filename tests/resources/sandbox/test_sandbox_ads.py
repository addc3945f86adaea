"""Meta and Google Ads over HTTP."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weathervane_resources.sandbox import RunningSandbox, SandboxConfig, truth
from weathervane_resources.sandbox.late_events import LateEvents

NOW = datetime(2025, 6, 30, 12, tzinfo=UTC)
META = {"Authorization": "Bearer any"}
GOOGLE = {"Authorization": "Bearer any", "developer-token": "d"}
FIELDS = "campaign_id,campaign_name,adset_id,adset_name,spend,impressions,clicks,actions,action_values,account_currency"
FILTERED = "fields=spend&level=adset&filtering=[%s]"
SELECT = (
    "SELECT campaign.id, campaign.name, customer.currency_code, segments.date, metrics.cost_micros, "
    "metrics.impressions, metrics.clicks, metrics.conversions, metrics.conversions_value FROM campaign "
)


def _insights(get: Any, sandbox: RunningSandbox, limit: int, first: date, last: date) -> list[list[dict[str, Any]]]:
    params = {
        "fields": FIELDS,
        "level": "adset",
        "time_increment": "1",
        "limit": str(limit),
        "time_range": msgspec.json.encode({"since": first, "until": last}).decode(),
    }
    page = get(f"{sandbox.url}/t/acme/v26.0/act_42/insights", headers=META, params=params).data
    pages = [page["data"]]
    while "next" in page["paging"]:
        assert "access_token=any" in page["paging"]["next"]
        page = get(page["paging"]["next"]).data
        pages.append(page["data"])
    assert "after" in page["paging"]["cursors"]
    return pages


@settings(max_examples=8, deadline=None)
@given(limit=st.integers(4, 60), days=st.integers(1, 15))
def test_insights_pages_cover_every_row_once_and_match_the_truth(
    config: SandboxConfig, sandbox: RunningSandbox, get: Any, limit: int, days: int
) -> None:
    last = date(2025, 5, 20)
    first = last - timedelta(days=days - 1)
    pages = _insights(get, sandbox, limit, first, last)
    rows = [row for page in pages for row in page]
    assert len({(row["adset_id"], row["date_start"]) for row in rows}) == len(rows)
    expected = [truth.ads_day(config, "acme", "meta", first + timedelta(days=d), NOW) for d in range(days)]
    assert len(rows) == sum(day.rows for day in expected)
    assert sum(Decimal(row["spend"]) for row in rows) == sum(day.spend for day in expected)
    assert pages == _insights(get, sandbox, limit, first, last)


def test_some_pages_are_empty_or_short_although_more_follow(sandbox: RunningSandbox, get: Any) -> None:
    """Stopping at an empty page, or at one shorter than the limit, loses rows."""
    pages = _insights(get, sandbox, 5, date(2025, 4, 1), date(2025, 5, 1))
    assert any(not page for page in pages[:-1])
    assert any(0 < len(page) < 5 for page in pages[:-1])


def test_numbers_are_strings_and_what_did_not_happen_is_absent(sandbox: RunningSandbox, get: Any) -> None:
    rows = [r for page in _insights(get, sandbox, 100, date(2025, 5, 1), date(2025, 5, 31)) for r in page]
    assert all(isinstance(row[name], str) for row in rows for name in ("spend", "impressions", "clicks"))
    assert all(int(row["impressions"]) > 0 for row in rows)
    without = [row for row in rows if "action_values" not in row]
    assert without
    assert all("purchase" not in {a["action_type"] for a in row.get("actions", [])} for row in without)


@pytest.mark.parametrize(
    ("query", "headers", "code"),
    [
        ("fields=spend", {}, 190),
        ("fields=spend&access_token=expired1", {}, 190),
        ("level=adset", META, 100),
        ("fields=spend,nonsense", META, 100),
        ("fields=spend&time_range={'since':1}", META, 100),
        ('fields=spend&action_attribution_windows=["7d_view"]', META, 100),
        ("fields=spend&level=adset&filtering=DELETED", META, 100),
        (FILTERED % '{"field":"adset.effective_status","value":["DELETED"]}', META, 100),
        (FILTERED % '{"field":"adset.effective_status","operator":"IN","value":["GONE"]}', META, 100),
        (FILTERED % '{"field":"status","operator":"IN","value":["DELETED"]}', META, 100),
    ],
)
def test_meta_errors_are_http_400_with_a_code(
    sandbox: RunningSandbox, get: Any, query: str, headers: dict[str, str], code: int
) -> None:
    answer = get(f"{sandbox.url}/t/acme/v26.0/act_42/insights?{query}", headers=headers)
    assert answer.status == 400
    assert answer.data["error"]["code"] == code


def test_a_deleted_ad_set_is_shown_only_where_the_filter_names_it(config: SandboxConfig, get: Any) -> None:
    """As Meta has it: an account's insights leave deleted objects out, its totals and a filter on DELETED do not."""
    config = replace(config, late_events=LateEvents())
    by_adset = "fields=adset_id,spend&level=adset"
    named = '&filtering=[{"field":"adset.effective_status","operator":"IN","value":["ACTIVE","DELETED"]}]'
    with RunningSandbox(config) as running:
        url = f"{running.url}/t/acme/v26.0/act_42/insights?limit=500&time_increment=1"

        def rows(more: str) -> list[Any]:
            return list(get(f"{url}&{more}", headers=META).data["data"])

        whole, total = rows(by_adset), rows("fields=spend&level=account")
        gone = int(whole[0]["adset_id"])
        config.late_events.delete_adset("acme", gone, NOW)
        assert rows(by_adset) == [row for row in whole if row["adset_id"] != str(gone)]
        assert rows(by_adset + named) == whole
        assert rows("fields=spend&level=account") == total


def test_account_exchange_and_usage_header(sandbox: RunningSandbox, get: Any) -> None:
    url = f"{sandbox.url}/t/tokyo/v26.0"
    answer = get(f"{url}/act_42?fields=account_id,currency,timezone_name,name", headers=META)
    assert answer.data["timezone_name"] == "Asia/Tokyo"
    assert "42" in msgspec.json.decode(answer.headers["X-Business-Use-Case-Usage"])
    answer = get(f"{url}/oauth/access_token?grant_type=fb_exchange_token&fb_exchange_token=old")
    headers = {"Authorization": f"Bearer {answer.data['access_token']}"}
    assert get(f"{sandbox.url}/v26.0/act_42?fields=name", headers=headers).data["name"] == "Sandbox tokyo"


def _search(get: Any, sandbox: RunningSandbox, body: dict[str, Any], method: str = "search") -> Any:
    return get(f"{sandbox.url}/t/acme/v26/customers/42/googleAds:{method}", "POST", headers=GOOGLE, json=body)


def test_google_pages_cover_every_row_once_and_agree_with_the_stream(config: SandboxConfig, get: Any) -> None:
    query = SELECT + "WHERE segments.date BETWEEN '2025-05-01' AND '2025-05-14'"
    with RunningSandbox(replace(config, google_page_size=7)) as running:
        body, rows = {"query": query}, []
        while True:
            page = _search(get, running, body).data
            rows += page["results"]
            if "nextPageToken" not in page:
                break
            body = {"query": query, "pageToken": page["nextPageToken"]}
        batches = _search(get, running, {"query": query}, "searchStream").data
    assert [row for batch in batches for row in batch["results"]] == rows
    expected = [truth.ads_day(config, "acme", "google_ads", date(2025, 5, d), NOW) for d in range(1, 15)]
    assert len(rows) == sum(day.rows for day in expected)
    assert sum(int(row["metrics"]["costMicros"]) for row in rows) == sum(day.spend for day in expected) * 1_000_000
    assert all(isinstance(row["metrics"]["clicks"], str) for row in rows)
    assert any("conversions" not in row["metrics"] for row in rows)
    assert all(isinstance(row["metrics"].get("conversions", 0.0), float) for row in rows)


def test_google_customer_and_errors(sandbox: RunningSandbox, get: Any) -> None:
    row = _search(get, sandbox, {"query": "SELECT customer.time_zone, customer.id FROM customer LIMIT 1"}).data[
        "results"
    ]
    assert row[0]["customer"]["timeZone"] == "America/New_York"
    refused = _search(get, sandbox, {"query": SELECT, "pageSize": 10})
    assert refused.status == 400
    code = refused.data["error"]["details"][0]["errors"][0]["errorCode"]
    assert code == {"requestError": "PAGE_SIZE_NOT_SUPPORTED"}
    url = f"{sandbox.url}/t/acme/v26/customers/42/googleAds:search"
    assert get(url, "POST", json={"query": SELECT}, headers={"Authorization": "Bearer a"}).status == 400
    denied = get(url, "POST", json={"query": SELECT}, headers={**GOOGLE, "Authorization": "Bearer expired"})
    assert (denied.status, denied.data["error"]["status"]) == (401, "UNAUTHENTICATED")
    assert isinstance(_search(get, sandbox, {"query": "SELECT nonsense FROM campaign"}, "searchStream").data, list)


def test_conversions_restate_and_delivery_does_not(config: SandboxConfig) -> None:
    day = date(2025, 5, 1)
    early, late = (
        [truth.ads_day(config, t, "meta", day, datetime(2025, m, 2, 12, tzinfo=UTC)) for t in ("acme", "b", "c", "d")]
        for m in (5, 6)
    )
    assert [d.spend for d in early] == [d.spend for d in late]
    assert sum(d.conversions for d in early) < sum(d.conversions for d in late)
