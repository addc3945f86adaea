"""Shopify's GraphQL over HTTP: the same orders as REST, search, paging, cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weathervane_resources.sandbox import RunningSandbox, SandboxConfig

HEADERS = {"X-Shopify-Access-Token": "any"}
API = "/admin/api/2026-07"
Get = Callable[..., Any]
MONEY = ("totalPriceSet", "subtotalPriceSet", "totalTaxSet", "totalDiscountsSet", "currentSubtotalPriceSet")
ORDER = (
    "legacyResourceId id name createdAt updatedAt cancelledAt test displayFinancialStatus currencyCode "
    + " ".join(f"{name} {{ shopMoney {{ amount currencyCode }} }}" for name in MONEY)
    + " subtotalLineItemsQuantity lineItems(first: 50) { nodes { quantity currentQuantity } }"
    " shippingAddress { zip countryCodeV2 city provinceCode latitude longitude }"
)
PAGE = """query Orders($first: Int!, $after: String, $search: String, $sort: OrderSortKeys) {
  orders(first: $first, after: $after, query: $search, sortKey: $sort) {
    pageInfo { hasNextPage endCursor } nodes { %s }
  }
}"""
JUNE = "created_at:>='2025-06-01T00:00:00-04:00' AND created_at:<'2025-06-15T00:00:00-04:00'"


def _post(get: Get, sandbox: RunningSandbox, query: str, tenant: str = "acme", **variables: Any) -> Any:
    body = {"query": query, "variables": variables}
    return get(f"{sandbox.url}/t/{tenant}{API}/graphql.json", "POST", headers=HEADERS, json=body).data


def _orders(get: Get, sandbox: RunningSandbox, search: str, first: int, sort: str, order: str = ORDER) -> list[Any]:
    found, after = [], None
    while True:
        answer = _post(get, sandbox, PAGE % order, first=first, after=after, search=search, sort=sort)
        page = answer["data"]["orders"]
        found += page["nodes"]
        if not page["pageInfo"]["hasNextPage"]:
            return found
        after = page["pageInfo"]["endCursor"]


def _rest(get: Get, sandbox: RunningSandbox, **params: str) -> list[Any]:
    everything = {"status": "any", "limit": "250", "order": "created_at asc", **params}
    return get(f"{sandbox.url}/t/acme{API}/orders.json", headers=HEADERS, params=everything).data["orders"]


def _facts(rest: dict[str, Any]) -> dict[str, Any]:
    """Return what both protocols must agree on."""
    address = rest["shipping_address"]
    names = {"countryCodeV2": "country_code", "provinceCode": "province_code"}
    return {
        "legacyResourceId": str(rest["id"]),
        "createdAt": datetime.fromisoformat(rest["created_at"]),
        "updatedAt": datetime.fromisoformat(rest["updated_at"]),
        "isCancelled": rest["cancelled_at"] is not None,
        "test": rest["test"],
        "money": [
            Decimal(rest[n])
            for n in ("total_price", "subtotal_price", "total_tax", "total_discounts", "current_subtotal_price")
        ],
        "items": [(item["quantity"], item["current_quantity"]) for item in rest["line_items"]],
        "address": address
        and [address[names.get(n, n)] for n in ("zip", "countryCodeV2", "city", "provinceCode", "latitude")],
    }


def _graphql_facts(node: dict[str, Any]) -> dict[str, Any]:
    address = node["shippingAddress"]
    return {
        "legacyResourceId": node["legacyResourceId"],
        "createdAt": datetime.fromisoformat(node["createdAt"]),
        "updatedAt": datetime.fromisoformat(node["updatedAt"]),
        "isCancelled": node["cancelledAt"] is not None,
        "test": node["test"],
        "money": [Decimal(node[name]["shopMoney"]["amount"]) for name in MONEY],
        "items": [(item["quantity"], item["currentQuantity"]) for item in node["lineItems"]["nodes"]],
        "address": address and [address[n] for n in ("zip", "countryCodeV2", "city", "provinceCode", "latitude")],
    }


def test_both_protocols_show_the_same_orders_and_numbers(sandbox: RunningSandbox, get: Get) -> None:
    search = "created_at:>='2025-06-01T00:00:00-04:00' created_at:<'2025-06-06T00:00:00-04:00'"
    found = _orders(get, sandbox, search, 50, "CREATED_AT")
    window = {"created_at_min": "2025-06-01T00:00:00-04:00", "created_at_max": "2025-06-05T23:59:59-04:00"}
    rest = _rest(get, sandbox, **window)
    assert [_graphql_facts(node) for node in found] == [_facts(order) for order in rest]
    assert len(found) > 100
    assert found[0]["createdAt"].endswith("Z")


@settings(max_examples=8, deadline=None)
@given(first=st.integers(9, 250), sort=st.sampled_from(["CREATED_AT", "UPDATED_AT", "ID"]))
def test_paging_covers_every_order_once_in_order(sandbox: RunningSandbox, get: Get, first: int, sort: str) -> None:
    found = _orders(get, sandbox, JUNE, first, sort, "legacyResourceId createdAt updatedAt")
    count = _post(get, sandbox, "query C($q: String) { ordersCount(query: $q) { count precision } }", q=JUNE)
    assert count["data"]["ordersCount"] == {"count": len(found), "precision": "EXACT"}
    assert len({one["legacyResourceId"] for one in found}) == len(found)
    name = {"CREATED_AT": "createdAt", "UPDATED_AT": "updatedAt", "ID": "legacyResourceId"}[sort]
    assert [one[name] for one in found] == sorted(one[name] for one in found)


def test_bounds_are_strict_where_they_say_so(sandbox: RunningSandbox, get: Get) -> None:
    """An inclusive upper bound counts the order at midnight twice."""
    moment = _orders(get, sandbox, JUNE, 9, "CREATED_AT", "createdAt")[3]["createdAt"]
    counts = {
        op: _post(
            get,
            sandbox,
            f"{{ ordersCount(query: \"created_at:{op}'{moment}' created_at:>2025-05-01\", limit: null) {{ count }} }}",
        )
        for op in ("<", "<=", ">", ">=")
    }
    numbers = {op: answer["data"]["ordersCount"]["count"] for op, answer in counts.items()}
    assert numbers["<="] > numbers["<"]
    assert numbers["<"] + numbers[">="] == numbers["<="] + numbers[">"]


def test_aliases_fragments_shop_and_scopes(sandbox: RunningSandbox, get: Get) -> None:
    text = """query { home: shop { zone: ianaTimezone ...Money }
      app: currentAppInstallation { accessScopes { handle } }
      few: orders(first: 1, reverse: true, sortKey: CREATED_AT, query: "created_at:>2025-06-20") { edges { cursor node { __typename n: name } } } }
      fragment Money on Shop { currencyCode }"""
    data = _post(get, sandbox, text, tenant="tokyo")["data"]
    assert data["home"] == {"zone": "Asia/Tokyo", "currencyCode": "JPY"}
    assert {"handle": "read_all_orders"} in data["app"]["accessScopes"]
    assert set(data["few"]["edges"][0]["node"]) == {"__typename", "n"}
    assert data["few"]["edges"][0]["node"]["__typename"] == "Order"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{ orders(first: 1) { nodes { nonsense } } }", "undefinedField"),
        ("{ orders { nodes { id } } }", "BAD_USER_INPUT"),
        ('{ orders(first: 1, after: "x") { nodes { id } } }', "BAD_USER_INPUT"),
        ('{ orders(first: 1, query: "tag:vip") { nodes { id } } }', "BAD_USER_INPUT"),
        ("{ orders(first: 1) { nodes { id } ", "invalid"),
    ],
)
def test_errors_come_with_http_200(sandbox: RunningSandbox, get: Get, query: str, code: str) -> None:
    """A page with an error body read as an empty page loses orders."""
    assert _post(get, sandbox, query)["errors"][0]["extensions"]["code"] == code


def test_the_bucket_is_charged_by_cost_and_throttles_within_http_200(config: SandboxConfig, get: Get) -> None:
    with RunningSandbox(replace(config, enforce_limits=True)) as running:
        answers = [_post(get, running, PAGE % ORDER, first=250, search=JUNE) for _ in range(6)]
    throttled = next(answer for answer in answers if "errors" in answer)
    assert throttled["errors"][0]["extensions"]["code"] == "THROTTLED"
    cost = throttled["extensions"]["cost"]
    assert cost["actualQueryCost"] is None
    assert cost["requestedQueryCost"] > cost["throttleStatus"]["currentlyAvailable"]
    first = answers[0]["extensions"]["cost"]
    assert 0 < first["actualQueryCost"] <= first["requestedQueryCost"] <= 1_000


def test_without_the_scope_old_orders_are_absent_not_an_error(config: SandboxConfig, get: Get) -> None:
    """392 of 8000 orders, sync green: the earliest was 60 days old."""
    now = datetime(2025, 6, 30, 12, tzinfo=UTC)
    count = "{ ordersCount(query: \"created_at:>='2025-01-01'\") { count } }"
    with RunningSandbox(replace(config, shopify_scopes=("read_orders",))) as running:
        oldest = _rest(get, running, created_at_min="2025-01-01T00:00:00Z")[0]
        few = _post(get, running, count)["data"]["ordersCount"]["count"]
        scopes = get(f"{running.url}/t/acme/admin/oauth/access_scopes.json", headers=HEADERS).data["access_scopes"]
    with RunningSandbox(config) as running:
        assert _post(get, running, count)["data"]["ordersCount"]["count"] > 2 * few > 0
    assert (now - datetime.fromisoformat(oldest["created_at"])).days in (59, 60)
    assert scopes == [{"handle": "read_orders"}]
