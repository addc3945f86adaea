"""The hints that vendors give before they refuse."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.resources.http.scripted import Naps, Script, calling, json_answer
from weathervane_resources.http.pacing import Pace
from weathervane_resources.http.usage import rest_after


def _business(percent: float) -> dict[str, str]:
    usage = {"42": [{"type": "ads_insights", "call_count": percent, "total_cputime": 1, "total_time": 1}]}
    return {"x-business-use-case-usage": json.dumps(usage)}


@pytest.mark.parametrize(
    ("vendor", "headers", "wait_s", "scope"),
    [
        ("shopify", {"x-shopify-shop-api-call-limit": "35/40"}, 0, ""),
        ("shopify", {"x-shopify-shop-api-call-limit": "36/40"}, 3, "shop"),
        ("shopify", {"x-shopify-shop-api-call-limit": "40/40"}, 5, "shop"),
        ("shopify", {"x-shopify-shop-api-call-limit": "400/400"}, 5, "shop"),
        ("shopify", {"x-shopify-shop-api-call-limit": "nonsense"}, 0, ""),
        ("shopify", {"x-shopify-shop-api-call-limit": "1/0"}, 0, ""),
        ("meta_ads", _business(90), 0, "account"),
        ("meta_ads", _business(95), 30, "account"),
        ("meta_ads", _business(5_000), 60, "account"),
        ("meta_ads", {"x-app-usage": '{"call_count": 92, "total_time": 3}'}, 12, "app"),
        ("meta_ads", {"x-fb-ads-insights-throttle": '{"app_id_util_pct": 96, "acc_id_util_pct": 1}'}, 36, "app"),
        ("meta_ads", {"x-ad-account-usage": '{"acc_id_util_pct": 96.5}'}, 39, "account"),
        ("meta_ads", {"x-app-usage": "{not json"}, 0, ""),
        ("meta_ads", {"x-app-usage": '{"call_count": ' + "9" * 400 + "}"}, 0, ""),
        ("klaviyo", {"ratelimit-remaining": "0", "ratelimit-reset": "17"}, 17, "account"),
        ("klaviyo", {"ratelimit-remaining": "1", "ratelimit-reset": "17"}, 0, ""),
        ("klaviyo", {"ratelimit-remaining": "0"}, 0, "account"),
        ("google_ads", {"ratelimit-remaining": "0", "ratelimit-reset": "17"}, 0, ""),
    ],
)
def test_a_quota_that_is_nearly_spent_is_eased(vendor: str, headers: dict[str, str], wait_s: float, scope: str) -> None:
    """A throttled call costs more than a pause: Meta counts it, Shopify's support counts it."""
    found_s, found_scope = rest_after(vendor, headers)
    assert found_s == pytest.approx(wait_s)
    assert not wait_s or found_scope == scope


def test_the_next_request_waits_and_others_of_the_scope_are_told() -> None:
    """The answer itself is not held back."""
    told: list[tuple[float, str]] = []

    class Shared(Pace):
        async def pause(self, wait_s: float, scope: str) -> None:
            told.append((wait_s, scope))

    naps = Naps()
    script = Script([json_answer({}, headers={"X-Shopify-Shop-Api-Call-Limit": "38/40"}), json_answer({})])

    async def main() -> None:
        async with calling(script, naps=naps) as session:
            session._pace = Shared(1_000, 1_000)
            await session.get(f"{session.origin}/x")
            assert naps.taken == []
            await session.get(f"{session.origin}/x")

    asyncio.run(main())
    assert naps.taken == [4.0]
    assert told == [(4.0, "shop")]


def test_the_session_keeps_what_the_vendor_says_about_the_version() -> None:
    """Once, and not once a page."""
    script = Script([json_answer({}, headers={"X-Shopify-API-Version": "2026-01"})])

    async def main() -> list[str]:
        async with calling(script, api_version="2025-01") as session:
            for _ in range(3):
                await session.get(f"{session.origin}/x")
            return session.version_notes

    [note] = asyncio.run(main())
    assert "2026-01" in note


@pytest.mark.parametrize(
    ("requested", "available", "restored", "wait_s"),
    [(50, 10, 50, 0.8), (50, 50, 50, 0.0), (50, 1000, 50, 0.0), (1000, 0, 100, 10.0), (9000, 0, 1, 60.0)],
)
def test_a_graphql_query_waits_until_it_can_be_paid_for(
    requested: int, available: int, restored: int, wait_s: float
) -> None:
    """Waiting for the whole bucket costs twenty times what the next query needs; not waiting costs a THROTTLED."""
    status = {"maximumAvailable": 2000, "currentlyAvailable": available, "restoreRate": restored}
    cost = {"requestedQueryCost": requested, "actualQueryCost": 3, "throttleStatus": status}
    body = json.dumps({"data": {}, "extensions": {"cost": cost}}).encode()
    assert rest_after("shopify", {}, body) == (wait_s, "shop" if wait_s else "")
