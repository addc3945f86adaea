"""Shopify over HTTP: filters, paging, time travel, tokens, limits."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weathervane_resources.sandbox import RunningSandbox, SandboxConfig, truth
from weathervane_resources.sandbox.gazetteer import PLACES

HEADERS = {"X-Shopify-Access-Token": "any"}
NOW = datetime(2025, 6, 30, 12, tzinfo=UTC)
API = "/admin/api/2026-07"


def _pages(get: Any, url: str, params: dict[str, str]) -> list[list[dict[str, Any]]]:
    answer = get(url, headers=HEADERS, params=params)
    pages = [answer.data["orders"]]
    while following := re.search(r'<([^>]+)>; rel="next"', answer.headers.get("Link", "")):
        answer = get(following.group(1), headers=HEADERS)
        pages.append(answer.data["orders"])
    return pages


def _orders(get: Any, url: str, params: dict[str, str]) -> list[dict[str, Any]]:
    return [order for page in _pages(get, url, params) for order in page]


def _window(first: str, last: str, offset: str) -> dict[str, str]:
    return {"created_at_min": f"{first}T00:00:00{offset}", "created_at_max": f"{last}T23:59:59{offset}"}


@pytest.mark.parametrize(("tenant", "offset"), [("acme", "-04:00"), ("tokyo", "+09:00")])
def test_a_local_day_matches_the_truth(
    config: SandboxConfig, sandbox: RunningSandbox, get: Any, tenant: str, offset: str
) -> None:
    """East of Greenwich a UTC day loses the last local one; the vendor's day is the shop's."""
    params = {"status": "any", "limit": "250", **_window("2025-05-10", "2025-05-10", offset)}
    orders = _orders(get, f"{sandbox.url}/t/{tenant}{API}/orders.json", params)
    expected = truth.order_day(config, tenant, date(2025, 5, 10), NOW)
    assert len(orders) == expected.orders > 0
    assert {order["created_at"][:10] for order in orders} == {"2025-05-10"}
    assert {order["created_at"][-6:] for order in orders} == {offset}
    assert sum(Decimal(order["current_subtotal_price"]) for order in orders) == expected.net_revenue
    counted = [o for o in orders if not o["test"] and o["cancelled_at"] is None]
    assert sum(Decimal(o["current_subtotal_price"]) for o in counted) == expected.counted_net_revenue


@settings(max_examples=12, deadline=None)
@given(
    limit=st.integers(7, 250),
    order=st.sampled_from(["created_at asc", "created_at desc", "updated_at asc", "updated_at desc", "id asc"]),
    days=st.integers(1, 9),
)
def test_paging_covers_every_order_once_in_order(
    sandbox: RunningSandbox, get: Any, limit: int, order: str, days: int
) -> None:
    first = (date(2025, 6, 20) - timedelta(days=days)).isoformat()
    params = {"status": "any", "order": order, **_window(first, "2025-06-20", "-04:00")}
    url = f"{sandbox.url}/t/acme{API}"
    count = get(f"{url}/orders/count.json", headers=HEADERS, params=params).data["count"]
    pages = _pages(get, f"{url}/orders.json", {**params, "limit": str(limit)})
    orders = [one for page in pages for one in page]
    assert len({one["id"] for one in orders}) == len(orders) == count
    assert all(len(page) == limit for page in pages[:-1])
    name, direction = order.split()
    keys = [one[name] for one in orders]
    assert keys == sorted(keys, reverse=direction == "desc")
    assert pages == _pages(get, f"{url}/orders.json", {**params, "limit": str(limit)})


def test_the_previous_link_leads_back(sandbox: RunningSandbox, get: Any) -> None:
    url = f"{sandbox.url}/t/acme{API}/orders.json"
    params = {"status": "any", "limit": "20", "fields": "id", **_window("2025-06-18", "2025-06-20", "-04:00")}
    first = get(url, headers=HEADERS, params=params)
    assert "previous" not in first.headers["Link"]
    second = get(re.findall(r"<([^>]+)>", first.headers["Link"])[0], headers=HEADERS)
    back = get(re.findall(r'<([^>]+)>; rel="previous"', second.headers["Link"])[0], headers=HEADERS)
    assert back.data == first.data
    assert set(back.data["orders"][0]) == {"id"}


def test_a_filter_beside_page_info_is_refused(sandbox: RunningSandbox, get: Any) -> None:
    """Trap: clients resend their filters with page_info; Shopify answers 400."""
    url = f"{sandbox.url}/t/acme{API}/orders.json?page_info=abc&status=any"
    answer = get(url, headers=HEADERS)
    assert answer.status == 400
    assert "status cannot be passed when page_info is present" in answer.body.decode()


def test_the_default_status_forgets_closed_and_cancelled_orders(sandbox: RunningSandbox, get: Any) -> None:
    url = f"{sandbox.url}/t/acme{API}/orders/count.json"
    window = _window("2025-05-01", "2025-05-31", "-04:00")
    counts = {
        status: get(url, headers=HEADERS, params={**window, **({"status": status} if status else {})}).data["count"]
        for status in ("", "open", "closed", "cancelled", "any")
    }
    assert counts[""] == counts["open"] < counts["any"]
    assert counts["cancelled"] > 0
    assert counts["closed"] > 0


def test_a_refund_is_seen_only_after_it_happened(config: SandboxConfig, sandbox: RunningSandbox, get: Any) -> None:
    day, later = date(2025, 4, 7), datetime(2025, 6, 1, tzinfo=UTC)
    early = datetime(2025, 4, 8, 4, tzinfo=UTC)
    url, params = f"{sandbox.url}/t/acme{API}/orders.json", {"status": "any", "limit": "250"}
    params |= _window("2025-04-01", "2025-04-07", "-04:00")
    seen = {}
    for at in (early, later):
        headers = {**HEADERS, "X-Sandbox-Now": at.isoformat().replace("+00:00", "Z")}
        seen[at] = {o["id"]: o for o in get(url, headers=headers, params=params).data["orders"]}
        expected = truth.order_day(config, "acme", day, at)
        of_day = [o for o in seen[at].values() if o["created_at"][:10] == day.isoformat()]
        assert sum(Decimal(o["current_subtotal_price"]) for o in of_day) == expected.net_revenue
    assert set(seen[early]) == set(seen[later])
    changed = [i for i in seen[early] if seen[early][i] != seen[later][i]]
    assert changed
    assert all(seen[later][i]["updated_at"] > seen[early][i]["updated_at"] for i in changed)
    total = [sum(Decimal(o["subtotal_price"]) for o in seen[at].values()) for at in (early, later)]
    assert total[0] == total[1]


def test_updated_at_finds_old_orders_that_changed(config: SandboxConfig, sandbox: RunningSandbox, get: Any) -> None:
    """Refunds of orders made weeks ago come by updated_at alone; the bound is inclusive."""
    since, until = datetime(2025, 6, 10, 3, tzinfo=UTC), datetime(2025, 6, 10, 3, tzinfo=UTC)
    headers = {**HEADERS, "X-Sandbox-Now": "2025-06-10T03:00:00Z"}
    params = {"status": "any", "updated_at_min": since.isoformat(), "updated_at_max": until.isoformat()}
    orders = get(f"{sandbox.url}/t/acme{API}/orders.json", headers=headers, params=params).data["orders"]
    assert sorted(o["id"] for o in orders) == sorted(truth.updated_orders(config, "acme", since, until))
    assert orders
    assert any(o["created_at"] < "2025-06-08" for o in orders)


def test_the_future_does_not_exist(sandbox: RunningSandbox, get: Any) -> None:
    url = f"{sandbox.url}/t/acme{API}/orders.json"
    params = {"status": "any", "limit": "250", **_window("2025-06-29", "2025-07-05", "-04:00")}
    orders = get(url, headers=HEADERS, params=params).data["orders"]
    assert orders
    assert all(datetime.fromisoformat(o["updated_at"]) <= NOW for o in orders)


def test_money_sets_people_and_places_have_the_vendors_shape(sandbox: RunningSandbox, get: Any) -> None:
    params = {"status": "any", "limit": "250", **_window("2025-06-01", "2025-06-14", "-04:00")}
    orders = _orders(get, f"{sandbox.url}/t/acme{API}/orders.json", params)
    for order in orders:
        assert type(order["id"]) is int
        assert order["total_price_set"]["shop_money"] == {"amount": order["total_price"], "currency_code": "USD"}
        assert order["email"].endswith("@example.com")
        assert all(item["quantity"] >= 1 for item in order["line_items"])
    assert len({order["id"] for order in orders}) == len(orders)
    assert any(order["shipping_address"] is None for order in orders)


def test_enough_orders_have_coordinates_every_day_and_they_are_near_their_place(config: SandboxConfig) -> None:
    """The warning threshold is 0.88: a synthetic shop must not trip it by chance."""
    postal_codes = {place.postal_code for place in PLACES}
    for tenant in ("acme", "tokyo", "other"):
        for day in range(60):
            orders = truth.orders(config, tenant, date(2025, 3, 1) + timedelta(days=day), NOW)
            assert sum(o["has_coordinates"] for o in orders) / len(orders) > 0.88
            assert {o["place"].postal_code for o in orders} <= postal_codes


def test_tokens_and_shop(sandbox: RunningSandbox, get: Any) -> None:
    url = f"{sandbox.url}/t/tokyo/admin"
    for token in (None, "expired-1"):
        headers = {"X-Shopify-Access-Token": token} if token else {}
        answer = get(f"{url}/api/2026-07/shop.json", headers=headers)
        assert answer.status == 401
        assert answer.data["errors"].startswith("[API] Invalid API key or access token")
    answer = get(f"{url}/api/2026-07/shop.json", headers=HEADERS)
    assert (answer.data["shop"]["iana_timezone"], answer.data["shop"]["currency"]) == ("Asia/Tokyo", "JPY")
    assert answer.headers["X-Shopify-API-Version"] == "2026-07"
    assert answer.headers["X-Shopify-Shop-Api-Call-Limit"] == "1/40"
    scopes = get(f"{url}/oauth/access_scopes.json", headers=HEADERS).data["access_scopes"]
    assert {"handle": "read_all_orders"} in scopes


def test_a_rotated_refresh_token_dies_with_the_first_use_of_the_new_access_token(
    config: SandboxConfig, get: Any
) -> None:
    """A client that loses the response may try again; one that has used the new pair may not."""
    clock = {"now": NOW}
    with RunningSandbox(replace(config, clock=lambda: clock["now"])) as running:
        url = f"{running.url}/t/acme/admin"

        def refresh(token: str) -> Any:
            body = {"grant_type": "refresh_token", "refresh_token": token, "client_id": "a", "client_secret": "b"}
            return get(f"{url}/oauth/access_token", "POST", json=body)

        first = refresh("shprt_begin").data
        again = refresh("shprt_begin")
        assert again.status == 200
        assert again.data["refresh_token"] != first["refresh_token"]
        used = {"X-Shopify-Access-Token": again.data["access_token"]}
        assert get(f"{url}/api/2026-07/shop.json", headers=used).status == 200
        dead = refresh("shprt_begin")
        assert (dead.status, dead.data["error"]) == (400, "invalid_grant")
        assert refresh("unknown").data["error"] == "invalid_grant"
        clock["now"] += timedelta(hours=1)
        assert get(f"{url}/api/2026-07/shop.json", headers=used).status == 401
        assert refresh(again.data["refresh_token"]).status == 200


def test_the_bucket_overflows_when_limits_are_enforced(config: SandboxConfig, get: Any) -> None:
    with RunningSandbox(replace(config, enforce_limits=True)) as running:
        url = f"{running.url}/t/acme{API}/shop.json"
        first = get(url, headers=HEADERS)
        refused = next(a for _ in range(400) if (a := get(url, headers=HEADERS)).status == 429)
    assert first.headers["X-Shopify-Shop-Api-Call-Limit"] == "1/40"
    assert refused.headers["Retry-After"] == "2.0"
