"""What Shopify's GraphQL answers at its root: orders, counts, shop, bulk operations. HTTP and cost: `shopify_graphql`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from graphql import GraphQLError

from weathervane_resources.sandbox import order_history, shopify, shopify_orders
from weathervane_resources.sandbox.call import Call, pack, unpack
from weathervane_resources.sandbox.graphql_orders import order_node, parse_search
from weathervane_resources.sandbox.graphql_plan import Field, connection, plan
from weathervane_resources.sandbox.shopify_bulk import OPERATIONS, node_of, writer
from weathervane_resources.sandbox.shopify_orders import BadOrderQuery, OrderQuery, OrderTable

MAX_PAGE = 250
_MANY_AT_ONCE_SINCE = "2026-01"


class Refusal(Exception):
    """An error as the vendor words it, in an answer with HTTP 200."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


def _query(call: Call, field: Field) -> OrderQuery:
    wanted = field.arguments
    sort_key, zone = wanted.get("sortKey") or "ID", shopify.zone_of(call)
    query = parse_search(wanted.get("query"), zone, sort_key, reverse=bool(wanted.get("reverse")))
    return shopify.permitted(call, query)


def _orders(call: Call, field: Field) -> dict[str, Any]:
    first = field.arguments.get("first")
    if first is None or not 1 <= first <= MAX_PAGE:
        message = f"you must provide first: between 1 and {MAX_PAGE}, not {first}"
        raise Refusal(message, "BAD_USER_INPUT")
    query, cursor = _query(call, field), _cursor(field.arguments.get("after"))
    table = shopify.order_table(call, query, cursor)
    found = shopify_orders.select(table, query)
    start = shopify_orders.position(table, query, found, cursor) if cursor else 0
    page = found[start : start + first]
    nodes = [order_node(table.show(int(row))) for row in page]
    marks = [pack({"after": key}) for key in shopify_orders.keys(table, query, page)]
    info = {"hasNextPage": start + first < found.size, "hasPreviousPage": start > 0}
    ends = {"startCursor": marks[0], "endCursor": marks[-1]} if marks else {}
    edges = [{"cursor": mark, "node": node} for mark, node in zip(marks, nodes, strict=True)]
    return {"nodes": nodes, "edges": edges, "pageInfo": {**info, **ends}}


def _cursor(after: str | None) -> tuple[int, int] | None:
    if not after:
        return None
    key = (unpack(after) or {}).get("after")
    if not isinstance(key, list):
        message = f"Invalid cursor for current pagination sort: {after}"
        raise Refusal(message, "BAD_USER_INPUT")
    return int(key[0]), int(key[1])


def _all_orders(call: Call, field: Field) -> tuple[OrderTable, Any]:
    query = _query(call, field)
    table = shopify.order_table(call, query, None)
    return table, shopify_orders.select(table, query)


def _orders_count(call: Call, field: Field) -> dict[str, Any]:
    count, limit = int(_all_orders(call, field)[1].size), field.arguments.get("limit")
    if limit is not None and count > limit:
        return {"count": limit, "precision": "AT_LEAST"}
    return {"count": count, "precision": "EXACT"}


def _node(call: Call, field: Field) -> Mapping[str, Any] | None:
    gid = str(field.arguments["id"])
    operation = call.request.app[OPERATIONS].find(call.tenant, gid)
    return operation.look() if operation else _order(call, field)


def _order(call: Call, field: Field) -> Mapping[str, Any] | None:
    number = str(field.arguments["id"]).removeprefix("gid://shopify/Order/")
    if not number.isdigit():
        return None
    query = shopify.permitted(call, OrderQuery(status="any", since_id=int(number) - 1, sort="id", descending=False))
    record = order_history.find_order(call.config, call.tenant, int(number))
    if record.size:  # read its day, not every day since the shop opened
        created = int(record["created"][0])
        query = replace(query, created_min=max(query.created_min, created), created_max=created)
    table = shopify.order_table(call, query, None)
    found = shopify_orders.select(table, query)[:1]
    is_there = bool(found.size) and int(table.order_id[found[0]]) == int(number)
    return order_node(table.show(int(found[0]))) if is_there else None


def _shop(call: Call, _field: Field) -> dict[str, Any]:
    facts = shopify.shop_facts(call)
    return {
        "id": f"gid://shopify/Shop/{facts['id']}",
        "name": facts["name"],
        "myshopifyDomain": facts["myshopify_domain"],
        "ianaTimezone": facts["iana_timezone"],
        "currencyCode": facts["currency"],
        "plan": {"displayName": "Basic", "shopifyPlus": False},
    }


def _installation(call: Call, _field: Field) -> dict[str, Any]:
    scopes = [{"handle": scope, "description": scope.replace("_", " ")} for scope in call.config.shopify_scopes]
    return {"id": "gid://shopify/AppInstallation/1", "accessScopes": scopes}


def _current_operation(call: Call, _field: Field) -> dict[str, Any] | None:
    known = call.request.app[OPERATIONS].of(call.tenant)
    return known[0].look() if known else None


def _operations(call: Call, field: Field) -> dict[str, Any]:
    known = call.request.app[OPERATIONS].of(call.tenant)
    return connection([one.look() for one in known[: field.arguments.get("first") or MAX_PAGE]], known)


def _run_bulk(call: Call, field: Field) -> dict[str, Any]:
    text = field.arguments["query"]
    try:
        (root,) = plan(text, {})
        node = node_of(root) if root.name == "orders" else None
        _query(call, root)
    except (GraphQLError, BadOrderQuery, ValueError, KeyError) as error:
        return _bulk_refused(f"Invalid bulk query: {error}", "INVALID")
    if node is None or node.child("id") is None:
        return _bulk_refused("The bulk query must select edges { node { id } } of orders", "INVALID")
    lines = writer(node)
    operations, version = call.request.app[OPERATIONS], call.request.match_info["version"]
    running = [one for one in operations.of(call.tenant) if one.is_running]
    if len(running) >= (5 if version >= _MANY_AT_ONCE_SINCE else 1):
        message = f"A bulk query operation for this app and shop is already in progress: {running[0].gid}."
        return _bulk_refused(message, "OPERATION_IN_PROGRESS")

    def run() -> Any:
        table, found = _all_orders(call, root)
        return (line for row in found for line in lines(order_node(table.show(int(row)))))

    operation = operations.start(call.request, call.tenant, text, call.now, run)
    return {"bulkOperation": operation.shown(), "userErrors": []}


def _bulk_refused(message: str, code: str) -> dict[str, Any]:
    return {"bulkOperation": None, "userErrors": [{"field": ["query"], "message": message, "code": code}]}


def _cancel_bulk(call: Call, field: Field) -> dict[str, Any]:
    operation = call.request.app[OPERATIONS].find(call.tenant, str(field.arguments["id"]))
    if operation is None:
        return _bulk_refused("Bulk operation does not exist", "INVALID")
    operation.is_cancelled = operation.is_running
    return {"bulkOperation": operation.shown(), "userErrors": []}


ROOTS: dict[str, Callable[[Call, Field], Any]] = {
    "orders": _orders,
    "ordersCount": _orders_count,
    "order": _order,
    "node": _node,
    "shop": _shop,
    "currentAppInstallation": _installation,
    "currentBulkOperation": _current_operation,
    "bulkOperations": _operations,
    "bulkOperationRunQuery": _run_bulk,
    "bulkOperationCancel": _cancel_bulk,
}
