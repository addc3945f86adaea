"""Shops whose prices include tax, beside the same shop where tax comes on top."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

from tests.resources.sandbox.conftest import NOW
from weathervane_resources.sandbox import RunningSandbox, SandboxConfig, TenantProfile, truth
from weathervane_resources.sandbox.late_events import LateEvents

HEADERS = {"X-Shopify-Access-Token": "any"}
DAY = date(2025, 6, 2)
WINDOW = {"created_at_min": "2025-06-02T00:00:00-04:00", "created_at_max": "2025-06-02T23:59:59-04:00"}
NODES = """{ orders(first: 250, query: "created_at:>='2025-06-02T00:00:00-04:00' created_at:<'2025-06-03T00:00:00-04:00'",
  sortKey: CREATED_AT) { nodes { legacyResourceId taxesIncluded currentTotalTaxSet { shopMoney { amount } }
  shippingLine { title taxLines { rate priceSet { shopMoney { amount } } } } } } }"""
LEFT = """{ order(id: "gid://shopify/Order/ID") { shippingLine {
  discountedPriceSet { shopMoney { amount } } currentDiscountedPriceSet { shopMoney { amount } } } } }"""
OF_TAXES = {"taxes_included", "total_tax", "total_tax_set", "current_total_tax", "current_total_tax_set", "total_price",
            "total_price_set", "current_total_price", "current_total_price_set", "shipping_lines"}  # fmt: skip
Get = Callable[..., Any]


def gross(config: SandboxConfig) -> SandboxConfig:
    return replace(config, tenants={"acme": TenantProfile(taxes_included=True)})


def _orders(get: Get, config: SandboxConfig) -> list[dict[str, Any]]:
    params = {"status": "any", "limit": "250", "order": "created_at asc", **WINDOW}
    with RunningSandbox(config) as running:
        url = f"{running.url}/t/acme/admin/api/2026-07/orders.json"
        orders: list[dict[str, Any]] = get(url, headers=HEADERS, params=params).data["orders"]
    return orders


def _shipping_tax(order: dict[str, Any]) -> Decimal:
    return sum((Decimal(tax["price"]) for line in order["shipping_lines"] for tax in line["tax_lines"]), Decimal(0))


def test_only_taxes_and_totals_differ_from_the_shop_whose_prices_are_net(config: SandboxConfig, get: Get) -> None:
    """A switch that moved the random numbers would change every shop of every test."""
    plain, taxed = _orders(get, config), _orders(get, gross(config))
    assert len(plain) > 20
    for one, other in zip(plain, taxed, strict=True):
        assert {name for name in one if one[name] != other[name]} <= OF_TAXES
        assert one.keys() == other.keys()
        assert not _shipping_tax(one)
        assert (one["taxes_included"], other["taxes_included"]) == (False, True)


def test_prices_that_include_tax_add_up_without_it(config: SandboxConfig, get: Get) -> None:
    """In the total the tax is there once."""
    for order in _orders(get, gross(config)):
        shipping = Decimal(order["total_shipping_price_set"]["shop_money"]["amount"])
        assert Decimal(order["total_price"]) == Decimal(order["subtotal_price"]) + shipping
        assert bool(shipping) == bool(_shipping_tax(order))
        assert (
            Decimal(order["total_tax"]) - _shipping_tax(order)
            == Decimal(order["subtotal_price"]) / 6 // Decimal("0.01") / 100
        )


def test_the_truth_is_before_tax(config: SandboxConfig) -> None:
    """A truth that has the mistake of the pipeline proves it right."""
    before, with_tax = (truth.order_day(one, "acme", DAY, NOW) for one in (config, gross(config)))
    assert before.orders == with_tax.orders
    cents = before.orders * Decimal("0.01")
    assert 0 <= with_tax.net_revenue - before.net_revenue * 5 / 6 <= cents
    orders = truth.orders(gross(config), "acme", DAY, NOW)
    assert sum(order["net_revenue"] for order in orders) == with_tax.net_revenue


def test_shipping_that_is_given_back_shows_as_the_vendor_shows_it(config: SandboxConfig, get: Get) -> None:
    """A refund that changed the tax lines too would hide that the vendor's do not change."""
    world = replace(gross(config), late_events=LateEvents())
    before = next(one for one in _orders(get, world) if _shipping_tax(one) and one["financial_status"] == "paid")
    admin = f"/sandbox/t/acme/orders/{before['id']}/refund"
    with RunningSandbox(world) as running:
        given = {"amount": "0", "shipping": "2.95", "at": NOW.isoformat()}
        assert get(running.url + admin, "POST", json=given).status == 200
        assert get(running.url + admin, "POST", json={"amount": "0"}).status == 422
        assert get(running.url + admin, "POST", json={"amount": "1", "shipping": "-1"}).status == 422
        query = LEFT.replace("ID", str(before["id"]))
        url = f"{running.url}/t/acme/admin/api/2026-07/graphql.json"
        node = get(url, "POST", headers=HEADERS, json={"query": query}).data["data"]["order"]
    after = next(one for one in _orders(get, world) if one["id"] == before["id"])
    same = ("shipping_lines", "current_subtotal_price", "total_price", "total_tax", "line_items")
    assert [after[name] for name in same] == [before[name] for name in same]
    assert after["financial_status"] == "partially_refunded"
    assert Decimal(before["current_total_tax"]) - Decimal(after["current_total_tax"]) == Decimal("0.49")
    assert Decimal(before["current_total_price"]) - Decimal(after["current_total_price"]) == Decimal("2.95")
    [line] = after["refunds"][0]["refund_shipping_lines"]
    assert line["shipping_line_id"] == after["shipping_lines"][0]["id"]
    assert line["subtotal_amount_set"]["shop_money"]["amount"] == "2.95"
    assert node["shippingLine"] == {
        "discountedPriceSet": {"shopMoney": {"amount": "5.95"}},
        "currentDiscountedPriceSet": {"shopMoney": {"amount": "3.0"}},
    }
    assert before["refunds"] == []


def test_graphql_shows_the_same_taxes(config: SandboxConfig, get: Get) -> None:
    """One line for all shipping, where REST has a list."""
    with RunningSandbox(gross(config)) as running:
        url = f"{running.url}/t/acme/admin/api/2026-07/graphql.json"
        nodes = get(url, "POST", headers=HEADERS, json={"query": NODES}).data["data"]["orders"]["nodes"]
    for node, order in zip(nodes, _orders(get, gross(config)), strict=True):
        taxes = node["shippingLine"]["taxLines"]
        assert (node["legacyResourceId"], node["taxesIncluded"]) == (str(order["id"]), True)
        assert Decimal(node["currentTotalTaxSet"]["shopMoney"]["amount"]) == Decimal(order["current_total_tax"])
        assert sum(Decimal(tax["priceSet"]["shopMoney"]["amount"]) for tax in taxes) == _shipping_tax(order)
