"""A shop whose prices include tax: the same revenue before tax by REST, by pages and by bulk operation."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import polars as pl
import pytest

from tests.resources.clients.loopback import NEW_YORK, NOW, config
from tests.resources.clients.shops import days_of, every_order, facts, graphql, rest, using
from weathervane_assets.transforms.orders import order_columns, order_rows
from weathervane_resources.clients import shopify_pages
from weathervane_resources.clients.shopify import Order
from weathervane_resources.clients.shopify_nodes import OrderNode, to_order
from weathervane_resources.geocoder import PLACES_SCHEMA
from weathervane_resources.sandbox import RunningSandbox, SandboxConfig, TenantProfile, refund_order, truth
from weathervane_resources.sandbox.graphql_plan import plan
from weathervane_resources.sandbox.shopify_graphql import MAX_COST

BERLIN = "Europe/Berlin"
ZONES = {"gross": BERLIN, "net": NEW_YORK}
FIRST, DAYS = date(2026, 10, 1), 40
PATIENT = timedelta(days=999)
BULK = {"id": "gid://shopify/Order/1", "legacyResourceId": "1", "createdAt": "2026-10-01T08:00:00Z"}


def shops() -> SandboxConfig:
    gross = TenantProfile(BERLIN, "EUR", orders_per_day=20, places=6, taxes_included=True)
    return replace(
        config(), tenants={"gross": gross, "net": TenantProfile(NEW_YORK, "USD", orders_per_day=20, places=6)}
    )


def revenue(orders: list[Order], tenant: str) -> dict[int, Decimal]:
    found = order_rows(
        order_columns(orders),
        pl.DataFrame(schema=PLACES_SCHEMA),
        tenant_id=tenant,
        timezone=ZONES[tenant],
        source="shopify_api",
        as_of=NOW,
    )
    assert found.rejects.is_empty()
    return {int(number): net for number, net in found.rows.select("order_id", "net_revenue").iter_rows()}


@pytest.mark.parametrize("tenant", ZONES)
def test_each_way_to_read_a_shop_gives_its_revenue_before_tax(tenant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The subtotal of a European shop has the VAT in it: what was promised before tax was a fifth too high."""
    edges = days_of(ZONES[tenant], FIRST, DAYS)
    with RunningSandbox(shops()) as sandbox:
        bulk = using(sandbox, tenant, graphql, lambda client: every_order(client, edges))
        by_rest = using(sandbox, tenant, rest, lambda client: every_order(client, edges))
        monkeypatch.setattr("weathervane_resources.clients.shopify_graphql.LONGEST_IN_PAGES", PATIENT)
        paged = using(sandbox, tenant, graphql, lambda client: every_order(client, edges))
        assert sum("/bulk-results/" in record.path for record in sandbox.log) == 1
    assert [facts(one) for one in bulk] == [facts(one) for one in by_rest] == [facts(one) for one in paged]
    true = {
        one["order_id"]: one["net_revenue"] for day in all_days() for one in truth.orders(shops(), tenant, day, NOW)
    }
    assert revenue(bulk, tenant) == revenue(by_rest, tenant) == revenue(paged, tenant) == true
    assert {order.financial_status for order in bulk} >= {"refunded", "partially_refunded", "voided", "partially_paid"}
    assert any(order.shipping_taxes() for order in bulk) == (tenant == "gross")


@pytest.mark.parametrize("tenant", ZONES)
def test_a_late_refund_of_shipping_leaves_revenue_alone(tenant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A European shop's revenue rose whenever shipping was given back, in whole or in part, alone or with an item."""
    world, edges = shops(), days_of(ZONES[tenant], FIRST, DAYS)
    before = {
        one["order_id"]: one["net_revenue"] for day in all_days() for one in truth.orders(world, tenant, day, NOW)
    }
    with RunningSandbox(world) as sandbox:
        sent = {one.id: one for one in using(sandbox, tenant, rest, lambda client: every_order(client, edges))}
        given = refund_some(world, tenant, list(sent.values()))
        bulk = using(sandbox, tenant, graphql, lambda client: every_order(client, edges))
        by_rest = using(sandbox, tenant, rest, lambda client: every_order(client, edges))
        monkeypatch.setattr("weathervane_resources.clients.shopify_graphql.LONGEST_IN_PAGES", PATIENT)
        paged = using(sandbox, tenant, graphql, lambda client: every_order(client, edges))
    true = {one["order_id"]: one["net_revenue"] for day in all_days() for one in truth.orders(world, tenant, day, NOW)}
    assert revenue(bulk, tenant) == revenue(by_rest, tenant) == revenue(paged, tenant) == true
    assert {number for number in true if true[number] != before[number]} == given["item"]
    for order in by_rest:
        was = sent[order.id]
        assert (order.shipping_taxes(), order.shipping_charged()) == (was.shipping_taxes(), was.shipping_charged())
        tax, tax_before = (Decimal(one.amount("current_total_tax") or "") for one in (order, was))
        assert (tax < tax_before) == (
            order.id in given["item"] or (order.id in given["shipping"] and tenant == "gross")
        )


def all_days() -> list[date]:
    return [FIRST + timedelta(days=day) for day in range(DAYS)]


def refund_some(world: SandboxConfig, tenant: str, orders: list[Order]) -> dict[str, set[int]]:
    """Give back the shipping of orders to which nothing has happened: all, a part, and all of it with an item."""
    kinds = (("shipping", "0", "5.95"), ("shipping", "0", "2.50"), ("item", "5", "5.95"))
    paid = [one.id for one in orders if one.financial_status == "paid" and one.shipping_charged() == ["5.95"]]
    given: dict[str, set[int]] = {"shipping": set(), "item": set()}
    for number, (kind, amount, shipping) in zip(paid, kinds * 4, strict=False):
        refund_order(world, tenant, number, Decimal(amount), NOW - timedelta(minutes=5), shipping=Decimal(shipping))
        given[kind].add(number)
    assert all(given.values())
    return given


def test_the_first_page_is_not_too_dear() -> None:
    """A query that costs more than Shopify allows is refused, and each window begins with a request for nothing."""
    asked = {"first": shopify_pages.PAGE_SIZE, "after": None, "query": "", "sort": "CREATED_AT"}
    assert sum(field.cost for field in plan(shopify_pages._ORDERS, asked)) <= MAX_COST


@pytest.mark.parametrize(
    "line", [{}, {"shippingLine": None}, {"shippingLine": {}}, {"shippingLine": {"taxLines": None}}]
)
def test_what_an_order_lacks_of_taxes_fails_nothing(line: dict[str, Any]) -> None:
    """An order that ships nowhere has no shipping line; an old recording has not one of these fields."""
    node = msgspec.convert({**BULK, **line}, OrderNode)
    order = to_order(node, [])
    assert (order.taxes_included, order.amount("current_total_tax"), order.shipping_taxes()) == (None, None, [])
    assert msgspec.convert({"id": 1, "created_at": "2026-10-01T08:00:00Z"}, Order).shipping_taxes() == []
