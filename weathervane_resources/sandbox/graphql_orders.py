"""Orders as Shopify's GraphQL shows them, from the orders of its REST API: the same orders, the same numbers.

The differences are the vendor's: times in UTC, amounts without needless zeros, statuses in capitals.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, tzinfo
from decimal import Decimal
from functools import cache, lru_cache
from math import ceil, floor
from typing import Any

from weathervane_resources.sandbox.made_fields import MadeFields
from weathervane_resources.sandbox.order_shape import utc_text
from weathervane_resources.sandbox.shopify_orders import BadOrderQuery, OrderQuery

_MONEY = ("total_price", "current_total_price", "subtotal_price", "current_subtotal_price", "total_tax",
          "current_total_tax", "total_discounts", "total_shipping_price")  # fmt: skip
_CLAUSE = re.compile(r"\s*(?:AND\s+)?(\w+):\s*(>=|<=|>|<)?\s*('[^']*'|\"[^\"]*\"|[^\s'\"]+)\s*", re.IGNORECASE)
_SORTS = {"CREATED_AT": "created_at", "PROCESSED_AT": "created_at", "UPDATED_AT": "updated_at", "ID": "id"}
_LOWER, _UPPER = {">=": 0, ">": 1}, {"<=": 0, "<": 1}


@cache
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


def order_node(order: Mapping[str, Any]) -> MadeFields:
    """Return a REST order as a GraphQL one."""
    return MadeFields(_FIELDS, order)


def _same(name: str) -> Callable[[Mapping[str, Any]], Any]:
    return lambda order: order.get(name)


def _timed(name: str) -> Callable[[Mapping[str, Any]], Any]:
    return lambda order: _time(order.get(name))


def _priced(name: str) -> Callable[[Mapping[str, Any]], Any]:
    return lambda order: _money(order.get(f"{name}_set"))


def _capitals(name: str) -> Callable[[Mapping[str, Any]], Any]:
    return lambda order: str(order[name]).upper() if order.get(name) else None


def _lines(order: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [_line_item(item) for item in order.get("line_items") or ()]


def _quantity(order: Mapping[str, Any], name: str) -> int:
    return sum(item.get(name, item.get("quantity", 0)) for item in order.get("line_items") or ())


def _customer(order: Mapping[str, Any]) -> dict[str, Any] | None:
    customer = order.get("customer")
    return _renamed(customer, "Customer") if isinstance(customer, dict) else None


@lru_cache(maxsize=1024)
def _time(text: Any) -> str | None:
    return utc_text(datetime.fromisoformat(text)) if text else None


@lru_cache(maxsize=16_384)
def _amount(text: str, currency: str) -> Mapping[str, Any]:
    """Return an amount as GraphQL's Decimal has it: 12.50 is "12.5" and 12.00 is "12.0"."""
    whole, _, cents = text.partition(".")
    return {"amount": f"{whole}.{cents.rstrip('0') or '0'}", "currencyCode": currency}


def _money(bag: Any) -> dict[str, Any] | None:
    if not isinstance(bag, dict):
        return None
    return {camel(name): _amount(str(money["amount"]), money["currency_code"]) for name, money in bag.items()}


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


def _shipping_line(order: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return all shipping that was not removed as one line, with the taxes of each."""
    lines = [line for line in order.get("shipping_lines") or () if not line.get("is_removed")]
    if not lines:
        return None
    return {
        "__typename": "ShippingLine",
        "id": f"gid://shopify/ShippingLine/{lines[0].get('id')}",
        "title": lines[0].get("title"),
        "originalPriceSet": _money(lines[0].get("price_set")),
        "discountedPriceSet": _shipping_price(order, lines, refunded=False),
        "currentDiscountedPriceSet": _shipping_price(order, lines, refunded=True),
        "taxLines": [_tax_line(tax) for line in lines for tax in line.get("tax_lines") or ()],
    }


def _shipping_price(order: Mapping[str, Any], lines: list[Mapping[str, Any]], *, refunded: bool) -> Any:
    """Return what all shipping costs after discounts, before refunds or after them."""
    charged, ids = [line.get("discounted_price_set") for line in lines], {line.get("id") for line in lines}
    refunds = [one for refund in order.get("refunds") or () for one in refund.get("refund_shipping_lines") or ()]
    back = [one["subtotal_amount_set"] for one in refunds if refunded and one["shipping_line_id"] in ids]
    if not all(charged):
        return None
    return _money({kind: _less(money, kind, charged[1:], back) for kind, money in (charged[0] or {}).items()})


def _less(money: Mapping[str, Any], kind: str, more: list[Any], back: list[Any]) -> Mapping[str, Any]:
    if not more and not back:
        return money
    left = Decimal(money["amount"]) + sum(Decimal(one[kind]["amount"]) for one in more)
    return {**money, "amount": left - sum(Decimal(one[kind]["amount"]) for one in back)}


def _tax_line(tax: Mapping[str, Any]) -> dict[str, Any]:
    return {"title": tax.get("title"), "rate": tax.get("rate"), "priceSet": _money(tax.get("price_set"))}


def _address(address: Any) -> dict[str, Any] | None:
    if not isinstance(address, dict):
        return None
    return {**{camel(name): value for name, value in address.items()}, "countryCodeV2": address.get("country_code")}


def _renamed(thing: dict[str, Any], kind: str) -> dict[str, Any]:
    return {**{camel(name): value for name, value in thing.items()}, "id": f"gid://shopify/{kind}/{thing.get('id')}"}


_FIELDS: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
    "__typename": lambda _: "Order",
    "id": lambda order: f"gid://shopify/Order/{order['id']}",
    "legacyResourceId": lambda order: str(order["id"]),
    **{name: _same(name) for name in ("name", "test", "confirmed", "email", "phone")},
    "taxesIncluded": _same("taxes_included"),
    **{camel(name): _timed(name) for name in ("created_at", "processed_at", "updated_at", "cancelled_at", "closed_at")},
    "cancelReason": _capitals("cancel_reason"),
    "displayFinancialStatus": _capitals("financial_status"),
    "displayFulfillmentStatus": lambda order: (
        "FULFILLED" if order.get("fulfillment_status") == "fulfilled" else "UNFULFILLED"
    ),
    "currencyCode": _same("currency"),
    "presentmentCurrencyCode": lambda order: order.get("presentment_currency") or order.get("currency"),
    "sourceName": _same("source_name"),
    "tags": lambda order: [tag for tag in str(order.get("tags") or "").split(", ") if tag],
    **{f"{camel(name)}Set": _priced(name) for name in _MONEY},
    "subtotalLineItemsQuantity": lambda order: _quantity(order, "quantity"),
    "currentSubtotalLineItemsQuantity": lambda order: _quantity(order, "current_quantity"),
    "lineItems": _lines,
    "shippingLine": _shipping_line,
    "shippingAddress": lambda order: _address(order.get("shipping_address")),
    "clientIp": _same("browser_ip"),
    "customer": _customer,
}
