"""The tax of an order, in cents: added to the shop's prices, or a part of them.

Works on numbers and on columns of them; rounds down.
"""

from __future__ import annotations

from typing import Any

SALES_TAX_PERCENT, VAT_PERCENT = 7, 20


def of_items(cents: Any, *, are_included: bool) -> Any:
    """Return the tax of a subtotal."""
    return _within(cents) if are_included else cents * SALES_TAX_PERCENT // 100


def of_shipping(cents: Any, *, are_included: bool) -> Any:
    """Return the tax of what shipping costs; sales tax has none on it."""
    return _within(cents) if are_included else cents * 0


def of_shipping_left(cents: int, left: int, *, are_included: bool) -> int:
    """Return the tax that is left once a part of the shipping's price was refunded, to the nearest cent."""
    return (2 * of_shipping(cents, are_included=are_included) * left + cents) // (2 * cents) if cents else 0


def _within(cents: Any) -> Any:
    return cents * VAT_PERCENT // (100 + VAT_PERCENT)
