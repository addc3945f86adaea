"""Net revenue of shops whose prices include tax: what is the state's is no revenue, and what is not known is not guessed."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.assets.transforms.test_order_rows import CENTS, order, row, rows, sort_out
from weathervane_resources.clients.shopify import (
    Money,
    MoneySet,
    Order,
    Refund,
    RefundedShipping,
    ShippingLine,
    TaxLine,
)

NO_TAX = "current_total_tax is missing or not usable"
NO_SHIPPING_TAX = "shipping_taxes is missing or not usable"
CHARGED = "5.95"


def european(subtotal: str | None = "120.00", tax: str | None = "21.00", *shipping: str | None, **change: Any) -> Order:
    lines = [ShippingLine([TaxLine(price=text) for text in shipping])] if shipping else None
    sent = {
        "taxes_included": True,
        "current_subtotal_price": subtotal,
        "current_total_tax": tax,
        "shipping_lines": lines,
    }
    return order(**{**sent, **change})


def net(sent: Order) -> Decimal | None:
    found: Decimal | None = row(sent)["net_revenue"]
    return found


def in_shops_money(amount: str) -> MoneySet:
    return MoneySet(Money(amount, "EUR"))


def test_tax_that_prices_include_is_no_revenue() -> None:
    """A German shop's revenue was 19% too high, and its share of ad spend too low."""
    assert net(european("120.00", "20.00")) == Decimal(100)


@pytest.mark.parametrize("included", [False, None])
def test_tax_on_top_of_prices_is_left_alone(included: bool | None) -> None:
    """Taken out of a subtotal that never had it, sales tax would be paid twice."""
    assert net(european("120.00", "20.00", "1.00", taxes_included=included)) == Decimal(120)


def test_the_tax_of_shipping_is_not_taken_out_of_the_items() -> None:
    """The tax of an order is that of its shipping too, which the subtotal has not."""
    assert net(european("120.00", "21.00", "1.00")) == Decimal(100)
    assert net(european("120.00", "21.00", "0.75", "0.25")) == Decimal(100)


def test_shipping_that_an_edit_removed_is_not_counted() -> None:
    """REST keeps it in the list; its tax is no longer in the order's."""
    gone, kept = ShippingLine([TaxLine(price="5.00")], is_removed=True), ShippingLine([TaxLine(price="1.00")])
    assert net(european(shipping_lines=[gone, kept, ShippingLine()])) == Decimal(100)


def shipping(left: str | None = None, number: int = 1, **change: Any) -> ShippingLine:
    """The auditor's: 5.95 with a tax of 0.99, which its tax line says for ever."""
    now = None if left is None else in_shops_money(left)
    said = {"discounted_price": CHARGED, "current_discounted_price_set": now, **change}
    return ShippingLine([TaxLine(price="0.99")], id=number, **said)


def refunded(amount: str | None, number: int = 1) -> list[Refund]:
    money = None if amount is None else in_shops_money(amount)
    return [Refund(), Refund([RefundedShipping(number, money)])]


@pytest.mark.parametrize(
    ("tax", "left", "back"), [("3.66", CHARGED, "0.00"), ("2.67", "0.00", CHARGED), ("3.17", "2.98", "2.97")]
)
@pytest.mark.parametrize("protocol", ["graphql", "rest", "both"])
def test_a_refund_of_shipping_is_none_of_the_items(tax: str, left: str, back: str, protocol: str) -> None:
    """Once 5.95 of shipping were given back, revenue of the same items rose from 13.38 to 14.37."""
    lines = [shipping(None if protocol == "rest" else left)]
    refunds = None if protocol == "graphql" else refunded(back)
    assert net(european("16.05", tax, shipping_lines=lines, refunds=refunds)) == Decimal("13.38")


def test_what_is_left_of_shipping_counts_before_what_refunds_say_was_given_back() -> None:
    """Of two refunds the answer held one: a third of the tax of shipping was still taken out of the items."""
    line = ShippingLine(
        [TaxLine(price="1.00")],
        id=1,
        discounted_price="5.00",
        current_discounted_price_set=in_shops_money("2.00"),
    )
    # 0.40 of the tax of 3.40 are of the shipping that is left; by the one refund it would be 0.80
    assert net(european("18.00", "3.40", shipping_lines=[line], refunds=refunded("1.00"))) == Decimal(15)


def test_more_given_back_than_charged_is_all_of_it() -> None:
    """A negative tax of shipping would be one more tax of the items."""
    assert net(european("16.05", "2.67", shipping_lines=[shipping()], refunds=refunded("9.00"))) == Decimal("13.38")
    assert net(european("16.05", "3.66", shipping_lines=[shipping("9.00")])) == Decimal("13.38")


def test_a_refund_of_shipping_that_an_edit_removed_is_not_of_what_is_left() -> None:
    """Its tax line is not counted; its refund, counted, would halve the tax of the other line."""
    lines = [shipping(number=1, is_removed=True), shipping(number=2)]
    assert net(european("16.05", "3.66", shipping_lines=lines, refunds=refunded(CHARGED))) == Decimal("13.38")


@pytest.mark.parametrize(
    ("line", "refunds"),
    [
        (shipping(discounted_price=None), refunded(CHARGED)), (shipping("0.00", discounted_price=None), None),
        (shipping("0.00", discounted_price="0.00"), None), (shipping(), refunded(None)), (shipping(), None),
        (shipping(), []), (shipping(), [Refund()]),
    ],
)  # fmt: skip
def test_shipping_of_which_no_refund_is_known_has_all_its_tax(line: ShippingLine, refunds: list[Refund] | None) -> None:
    """Older answers do not say what is left of a price; an order is not lost for that."""
    assert net(european("16.05", "3.66", shipping_lines=[line], refunds=refunds)) == Decimal("13.38")


@pytest.mark.parametrize(
    ("line", "refunds", "reason"),
    [
        (shipping(discounted_price="free"), None, "shipping_charged is missing or not usable"),
        (shipping("none"), None, "shipping_left is missing or not usable"),
        (shipping(), refunded("all"), "shipping_refunded is missing or not usable"),
    ],
)
def test_an_order_with_a_shipping_price_that_cannot_be_read_is_set_aside(
    line: ShippingLine, refunds: list[Refund] | None, reason: str
) -> None:
    """Taken for no refund, the tax of shipping would be taken for revenue."""
    found = sort_out(european("16.05", "3.66", shipping_lines=[line], refunds=refunds))
    assert found.rejects["reason"].to_list() == [reason]


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 99_999), st.integers(0, 99_999), st.data())
def test_revenue_stays_to_the_cent_whatever_part_of_shipping_is_refunded(price: int, items: int, data: Any) -> None:
    """Shopify rounds the tax it gives back; a proportion may be half a cent beside it, never more."""
    left, tax, cent = data.draw(st.integers(0, price)), price * 19 // 119, Decimal("0.01")
    tax_left = (items * 19 // 119 + tax - tax * (price - left) // price) * cent
    line = ShippingLine(
        [TaxLine(price=str(tax * cent))],
        discounted_price=str(price * cent),
        current_discounted_price_set=in_shops_money(str(left * cent)),
    )
    found = net(european(str(items * cent), str(tax_left), shipping_lines=[line]))
    assert found is not None
    assert abs(found - (items - items * 19 // 119) * cent) <= cent


def test_taxes_are_the_shops_money_not_the_buyers() -> None:
    """A tax of 3,300 yen, taken out of 120 euros."""
    line = ShippingLine([TaxLine(price="160", price_set=in_shops_money("1.00"))])
    sent = european(tax="3300", current_total_tax_set=in_shops_money("21.00"), shipping_lines=[line])
    assert net(sent) == Decimal(100)


def test_what_is_refunded_whole_is_nothing_and_never_less() -> None:
    """The tax lines of shipping stay as they were placed when order and tax are back at zero."""
    assert net(european("0.00", "0.00", "1.00")) == 0
    assert net(european("0.00", "1.00", "1.00")) == 0
    assert net(european("5.00", "9.00")) == 0


def test_a_tax_that_was_not_sent_leaves_revenue_unknown() -> None:
    """Taken for zero, the tax would be revenue again."""
    assert net(european(tax=None)) is None
    assert net(european(subtotal=None)) is None


def test_other_amounts_stay_as_the_shop_sends_them() -> None:
    """Only what says it is before tax is before tax."""
    found = row(european(subtotal_price="120.00", total_tax="21.00", total_price="126.00"))
    assert [found[name] for name in ("subtotal_price", "total_tax", "total_price")] == [120, 21, 126]


@pytest.mark.parametrize(
    ("tax", "shipping", "reason"),
    [
        ("much", (), NO_TAX), ("", (), NO_TAX), ("1.00001", (), NO_TAX), ("1e-5", (), NO_TAX),
        ("21.00", ("1.00", "free"), NO_SHIPPING_TAX), ("21.00", (None,), NO_SHIPPING_TAX),
        ("21.00", ("99999999999999",) * 9, NO_SHIPPING_TAX), ("?", ("?",), f"{NO_TAX}; {NO_SHIPPING_TAX}"),
    ],
)  # fmt: skip
def test_an_order_with_a_tax_that_cannot_be_read_is_set_aside(
    tax: str, shipping: tuple[str | None, ...], reason: str
) -> None:
    """Part of a tax is no tax: the order would count for a wrong amount, and nobody would know."""
    found = sort_out(european("120.00", "20.00", id=1), european("120.00", tax, *shipping, id=2))
    assert found.rows.select("order_id", "net_revenue").rows() == [("1", Decimal(100))]
    assert found.rejects.select("key", "reason").rows() == [("2", reason)]


def test_a_tax_that_nothing_is_taken_out_of_costs_no_order() -> None:
    """An American shop's order has no use for it."""
    assert net(european("120.00", "much", "free", taxes_included=False)) == Decimal(120)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.booleans(), CENTS, CENTS, st.lists(CENTS, max_size=3)), min_size=1, max_size=12))
def test_net_revenue_is_exact_order_by_order(orders: list[tuple[bool, Decimal, Decimal, list[Decimal]]]) -> None:
    """A shop that changes its prices from net to gross has both kinds in one window."""
    found = rows(
        *(
            european(str(subtotal), str(tax), *map(str, shipping), id=number, taxes_included=is_included)
            for number, (is_included, subtotal, tax, shipping) in enumerate(orders)
        )
    )
    expected = {
        str(number): max(subtotal - max(tax - sum(shipping), Decimal(0)), Decimal(0)) if is_included else subtotal
        for number, (is_included, subtotal, tax, shipping) in enumerate(orders)
    }
    assert dict(found.select("order_id", "net_revenue").iter_rows()) == expected
