"""REST and GraphQL of one shop: the same orders, the same counts, the same refusals."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.resources.clients.loopback import NEW_YORK, NOW, TOKYO, config
from tests.resources.clients.shops import PROTOCOLS, days_of, every_order, facts, using
from weathervane_resources.clients.shopify import ShopifyClient
from weathervane_resources.http.errors import PermissionLost
from weathervane_resources.sandbox import RunningSandbox, truth

ZONES = {"acme": NEW_YORK, "tokyo": TOKYO}
FIRST, DAYS = date(2026, 10, 15), 30
"""New York's clocks go back inside it."""


@pytest.fixture(scope="module")
def sandbox() -> Any:
    with RunningSandbox(config()) as running:
        yield running


@pytest.mark.parametrize("tenant", ZONES)
def test_pages_of_both_protocols_hold_the_same_orders_and_the_truth(sandbox: RunningSandbox, tenant: str) -> None:
    """A shop that changes its protocol must not see its history move."""
    edges = days_of(ZONES[tenant], FIRST, DAYS)
    found = {name: using(sandbox, tenant, make, lambda c: every_order(c, edges)) for name, make in PROTOCOLS.items()}
    assert [facts(order) for order in found["graphql"]] == [facts(order) for order in found["rest"]]
    orders = found["graphql"]
    assert {order.test for order in orders} == {True, False}
    assert {"refunded", "partially_refunded", "voided", "paid"} <= {order.financial_status for order in orders}
    for day in range(DAYS):
        true = truth.order_day(config(), tenant, FIRST + timedelta(days=day), NOW)
        of_day = [o for o in orders if edges[day] <= datetime.fromisoformat(o.created_at) < edges[day + 1]]
        net = sum(Decimal(order.amount("current_subtotal_price") or "NaN") for order in of_day)
        assert (len(of_day), net) == (true.orders, true.net_revenue)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("tenant", ZONES)
def test_the_vendor_counts_each_day(sandbox: RunningSandbox, tenant: str, protocol: str) -> None:
    """What completeness is measured by, cancelled, closed and test orders included."""
    edges = days_of(ZONES[tenant], FIRST, DAYS)
    counts = using(sandbox, tenant, PROTOCOLS[protocol], lambda client: client.order_counts(edges))
    true = [truth.order_day(config(), tenant, FIRST + timedelta(days=day), NOW).orders for day in range(DAYS)]
    assert counts == true
    whole = using(sandbox, tenant, PROTOCOLS[protocol], lambda client: client.order_count(edges[0], edges[-1]))
    assert whole == sum(true)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_changed_orders_go_by_their_last_change(sandbox: RunningSandbox, protocol: str) -> None:
    """Refunds and edits of older orders never arrived; a bound with a fraction lost the second it cut."""
    since, until = NOW - timedelta(days=2), datetime.fromisoformat("2026-11-20T03:00:00.5+00:00")

    async def changed(client: ShopifyClient) -> list[int]:
        return [row.id async for page in client.changed_orders(since, until) for row in page.rows]

    assert sorted(using(sandbox, "acme", PROTOCOLS[protocol], changed)) == sorted(
        truth.updated_orders(config(), "acme", since, until)
    )


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_days_that_the_token_cannot_see_are_refused_by_the_name_of_the_scope(protocol: str) -> None:
    """392 of 8,000 orders and a green run (airbyte #58668)."""
    with RunningSandbox(config(shopify_scopes=("read_orders",))) as blind:
        near, far = (days_of(NEW_YORK, NOW.date() - timedelta(days=back), 5) for back in (59, 62))
        assert using(blind, "acme", PROTOCOLS[protocol], lambda client: every_order(client, near))
        for ask in (
            lambda client: every_order(client, far),
            lambda client: client.order_count(far[0], far[1]),
            lambda client: client.order_counts(far),
        ):
            with pytest.raises(PermissionLost, match="read_all_orders") as raised:
                using(blind, "acme", PROTOCOLS[protocol], ask)
            assert not raised.value.is_transient


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_shop_and_scopes_are_read(sandbox: RunningSandbox, protocol: str) -> None:
    """The shop's day and money decide which orders are whose day's."""
    shop = using(sandbox, "tokyo", PROTOCOLS[protocol], lambda client: client.shop())
    assert (shop.iana_timezone, shop.currency, shop.served_version) == (TOKYO, "JPY", "2026-10")
    assert "read_all_orders" in using(sandbox, "tokyo", PROTOCOLS[protocol], lambda client: client.access_scopes())


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_faults_change_no_order(protocol: str) -> None:
    """Throttles, resets, cut bodies and expired pages: the same month comes out."""
    edges = days_of(NEW_YORK, FIRST, DAYS)
    with RunningSandbox(config()) as calm:
        true = using(calm, "acme", PROTOCOLS[protocol], lambda client: every_order(client, edges))
    spoiled = replace(config(), faults="throttle,flaky", fault_share=0.5, fault_wait_s=0.0)
    with RunningSandbox(spoiled) as flaky:
        found = using(flaky, "acme", PROTOCOLS[protocol], lambda client: every_order(client, edges))
    assert [facts(order) for order in found] == [facts(order) for order in true]
