"""Orders as Shopify's GraphQL shows them, from the orders of its REST API: the same orders, the same numbers.

The differences are the vendor's: times in UTC, amounts without needless zeros, statuses in capitals.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, tzinfo
from math import ceil, floor
from typing import Any

from weathervane_resources.sandbox.order_shape import utc_text
from weathervane_resources.sandbox.shopify_orders import BadOrderQuery, OrderQuery

_MONEY = ("total_price", "current_total_price", "subtotal_price", "current_subtotal_price", "total_tax",
          "total_discounts", "total_shipping_price")  # fmt: skip
_CLAUSE = re.compile(r"\s*(?:AND\s+)?(\w+):\s*(>=|<=|>|<)?\s*('[^']*'|\"[^\"]*\"|[^\s'\"]+)\s*", re.IGNORECASE)
_SORTS = {"CREATED_AT": "created_at", "PROCESSED_AT": "created_at", "UPDATED_AT": "updated_at", "ID": "id"}
_LOWER, _UPPER = {">=": 0, ">": 1}, {"<=": 0, "<": 1}


def camel(name: str) -> str:
    """Return a REST name as GraphQL spells it."""
    first, *others = name.split("_")
    return first + "".join(part.capitalize() for part in others)


def parse_search(text: str | None, zone: tzinfo, sort_key: str = "ID", *, reverse: bool = False) -> OrderQuery:
    """Read the search syntax: clauses on created_at, updated_at, status and id. Raises: BadOrderQuery."""
    query = OrderQuery(status="any", sort=_SORTS[sort_key], descending=reverse)
    text, position = (text or "").strip(), 0
    while position < len(text):
        found = _CLAUSE.match(text, position)
        if found is None:
            raise BadOrderQuery({"query": f"the sandbox cannot read: {text[position:]}"})
        query = _narrowed(query, found[1].lower(), found[2] or "", found[3].strip("'\""), zone)
        position = found.end()
    return query


def _narrowed(query: OrderQuery, name: str, operator: str, value: str, zone: tzinfo) -> OrderQuery:
    if name == "status" and not operator and value in ("any", "open", "closed", "cancelled"):
        return replace(query, status=value)
    if name == "id" and operator == ">" and value.isdigit():
        return replace(query, since_id=int(value))
    column = {"created_at": "created", "processed_at": "created", "updated_at": "updated"}.get(name)
    if column is None or operator not in (*_LOWER, *_UPPER):
        raise BadOrderQuery({"query": f"the sandbox has no filter {name}:{operator}"})
    try:
        moment = datetime.fromisoformat(value)
    except ValueError as error:
        raise BadOrderQuery({"query": f"{value!r} is not a time"}) from error
    epoch = (moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp()
    return _bounded(query, column, operator, epoch)


def _bounded(query: OrderQuery, column: str, operator: str, epoch: float) -> OrderQuery:
    """Return the query with one bound more; strict bounds are a second further in."""
    if operator in _LOWER:
        name, bound = f"{column}_min", floor(epoch) + 1 if operator == ">" else ceil(epoch)
        return replace(query, **{name: max(getattr(query, name), bound)})
    name, bound = f"{column}_max", ceil(epoch) - 1 if operator == "<" else floor(epoch)
    return replace(query, **{name: min(getattr(query, name), bound)})


def order_node(order: dict[str, Any]) -> dict[str, Any]:
    """Return a REST order as a GraphQL one."""
    items = [_line_item(item) for item in order.get("line_items") or ()]
    financial, fulfilment = order.get("financial_status"), order.get("fulfillment_status")
    customer = order.get("customer")
    times = ("created_at", "processed_at", "updated_at", "cancelled_at", "closed_at")
    return {
        "__typename": "Order",
        "id": f"gid://shopify/Order/{order['id']}",
        "legacyResourceId": str(order["id"]),
        **{name: order.get(name) for name in ("name", "test", "confirmed", "email", "phone")},
        **{camel(name): _time(order.get(name)) for name in times},
        "cancelReason": str(order["cancel_reason"]).upper() if order.get("cancel_reason") else None,
        "displayFinancialStatus": financial.upper() if financial else None,
        "displayFulfillmentStatus": "FULFILLED" if fulfilment == "fulfilled" else "UNFULFILLED",
        "currencyCode": order.get("currency"),
        "presentmentCurrencyCode": order.get("presentment_currency") or order.get("currency"),
        "sourceName": order.get("source_name"),
        "tags": [tag for tag in str(order.get("tags") or "").split(", ") if tag],
        **{f"{camel(name)}Set": _money(order.get(f"{name}_set")) for name in _MONEY},
        "subtotalLineItemsQuantity": sum(item["quantity"] for item in items),
        "currentSubtotalLineItemsQuantity": sum(item["currentQuantity"] for item in items),
        "lineItems": items,
        "shippingAddress": _address(order.get("shipping_address")),
        "clientIp": order.get("browser_ip"),
        "customer": _renamed(customer, "Customer") if isinstance(customer, dict) else None,
    }


def _time(text: Any) -> str | None:
    return utc_text(datetime.fromisoformat(text)) if text else None


def _amount(text: str) -> str:
    """Return an amount as GraphQL's Decimal has it: 12.50 is "12.5" and 12.00 is "12.0"."""
    whole, _, cents = text.partition(".")
    return f"{whole}.{cents.rstrip('0') or '0'}"


def _money(bag: Any) -> dict[str, Any] | None:
    if not isinstance(bag, dict):
        return None
    return {
        camel(name): {"amount": _amount(str(money["amount"])), "currencyCode": money["currency_code"]}
        for name, money in bag.items()
    }


def _line_item(item: dict[str, Any]) -> dict[str, Any]:
    return {
        "__typename": "LineItem",
        "id": f"gid://shopify/LineItem/{item.get('id')}",
        "title": item.get("title"),
        "sku": item.get("sku"),
        "quantity": item.get("quantity", 0),
        "currentQuantity": item.get("current_quantity", item.get("quantity", 0)),
        "originalUnitPriceSet": _money(item.get("price_set")),
    }


def _address(address: Any) -> dict[str, Any] | None:
    if not isinstance(address, dict):
        return None
    return {**{camel(name): value for name, value in address.items()}, "countryCodeV2": address.get("country_code")}


def _renamed(thing: dict[str, Any], kind: str) -> dict[str, Any]:
    return {**{camel(name): value for name, value in thing.items()}, "id": f"gid://shopify/{kind}/{thing.get('id')}"}
