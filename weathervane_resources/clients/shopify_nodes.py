"""Orders as Shopify's GraphQL shows them, turned into the rows that its REST API gives.

Belongs here: what is selected and how it is spelled. Only what `Order` has is asked for, so no name, e-mail, phone or
street is ever sent to us. Facts (shopify.dev, read 2026-11): money is a decimal string without needless zeros, times are
UTC, statuses are in capitals, line items are pages of their own; `shippingLine` sums up all shipping, and its tax lines are a
plain list: they come with their order, in a bulk operation too. Refunds of shipping are pages in a list, which no bulk
operation may ask for; `currentDiscountedPriceSet` says what they left of the price.
"""

from typing import Annotated

import msgspec

from weathervane_resources.clients.shopify import (
    LineItem,
    Money,
    MoneySet,
    Order,
    ShippingAddress,
    ShippingLine,
    TaxLine,
)

MOST_LINES = 10
"""Line items asked for with an order; the few orders with more are asked for the rest."""

_MONEY = "{ shopMoney { amount currencyCode } }"
FIELDS = f"""id legacyResourceId name createdAt updatedAt cancelledAt test displayFinancialStatus currencyCode taxesIncluded
  totalPriceSet {_MONEY} subtotalPriceSet {_MONEY} totalTaxSet {_MONEY} totalDiscountsSet {_MONEY}
  currentSubtotalPriceSet {_MONEY} currentTotalTaxSet {_MONEY}
  shippingLine {{ discountedPriceSet {_MONEY} currentDiscountedPriceSet {_MONEY} taxLines {{ priceSet {_MONEY} }} }}
  shippingAddress {{ zip countryCodeV2 city provinceCode latitude longitude }}"""
LINES = "nodes { quantity currentQuantity } pageInfo { hasNextPage endCursor }"


class PageInfo(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """Whether more follows, and after what."""

    has_next_page: bool
    end_cursor: str | None = None


class _Money(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    amount: str | None = None
    currency_code: str | None = None


class _Bag(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    shop_money: _Money | None = None


class Line(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A line item; `parent_id` is its order's, in the result of a bulk operation only."""

    quantity: int | None = None
    current_quantity: int | None = None
    parent_id: str | None = msgspec.field(default=None, name="__parentId")


class Lines(msgspec.Struct, frozen=True, rename="camel"):
    """A page of line items."""

    nodes: list[Line]
    page_info: PageInfo


class _TaxLine(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    price_set: _Bag | None = None


class _ShippingLine(msgspec.Struct, frozen=True, rename="camel"):
    tax_lines: list[_TaxLine] | None = None
    discounted_price_set: _Bag | None = None
    current_discounted_price_set: _Bag | None = None


class _Address(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    zip: str | None = None
    country_code: str | None = msgspec.field(default=None, name="countryCodeV2")
    city: str | None = None
    province_code: str | None = None
    latitude: float | None = None
    longitude: float | None = None


class OrderNode(msgspec.Struct, frozen=True, rename="camel"):
    """An order as GraphQL sends it; without `line_items` in the result of a bulk operation."""

    id: str
    legacy_resource_id: Annotated[str, msgspec.Meta(pattern="^[0-9]{1,19}$")]
    created_at: str
    name: str | None = None
    updated_at: str | None = None
    cancelled_at: str | None = None
    test: bool | None = None
    display_financial_status: str | None = None
    currency_code: str | None = None
    taxes_included: bool | None = None
    total_price_set: _Bag | None = None
    subtotal_price_set: _Bag | None = None
    total_tax_set: _Bag | None = None
    total_discounts_set: _Bag | None = None
    current_subtotal_price_set: _Bag | None = None
    current_total_tax_set: _Bag | None = None
    shipping_line: _ShippingLine | None = None
    shipping_address: _Address | None = None
    line_items: Lines | None = None


def to_order(node: OrderNode, lines: list[Line]) -> Order:
    """Return the row that REST gives for the same order, to the spelling of its times and amounts."""
    status = node.display_financial_status
    return Order(
        id=int(node.legacy_resource_id),
        created_at=node.created_at,
        name=node.name,
        updated_at=node.updated_at,
        cancelled_at=node.cancelled_at,
        test=node.test,
        financial_status=status.lower() if status else None,
        currency=node.currency_code,
        taxes_included=node.taxes_included,
        total_price_set=_money_set(node.total_price_set),
        subtotal_price_set=_money_set(node.subtotal_price_set),
        total_tax_set=_money_set(node.total_tax_set),
        total_discounts_set=_money_set(node.total_discounts_set),
        current_subtotal_price_set=_money_set(node.current_subtotal_price_set),
        current_total_tax_set=_money_set(node.current_total_tax_set),
        shipping_lines=_shipping_lines(node.shipping_line),
        line_items=[LineItem(line.quantity, line.current_quantity) for line in lines],
        shipping_address=_address(node.shipping_address),
    )


def _money_set(bag: _Bag | None) -> MoneySet | None:
    money = bag.shop_money if bag else None
    return MoneySet(Money(money.amount, money.currency_code)) if money else None


def _shipping_lines(sent: _ShippingLine | None) -> list[ShippingLine] | None:
    if sent is None or not sent.tax_lines:
        return None
    line = ShippingLine(
        [TaxLine(price_set=_money_set(tax.price_set)) for tax in sent.tax_lines],
        discounted_price_set=_money_set(sent.discounted_price_set),
        current_discounted_price_set=_money_set(sent.current_discounted_price_set),
    )
    return [line]


def _address(sent: _Address | None) -> ShippingAddress | None:
    if sent is None:
        return None
    return ShippingAddress(sent.zip, sent.country_code, sent.city, sent.province_code, sent.latitude, sent.longitude)
