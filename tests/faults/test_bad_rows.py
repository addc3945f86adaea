"""One bad row in a good page: it costs itself at most, its neighbour is stored as ever, and no amount becomes another.

Starts from a valid page of each vendor and changes one place of its first row: another value, no key, or the key twice.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from decimal import Decimal, InvalidOperation
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.faults.bad_values import AMOUNTS, ANY_JSON, COORDINATES, FEW, MANY, NUMBERS, STRINGS, TIMES
from tests.faults.test_bad_campaigns import campaign, google_row, judged, meta_row, page
from tests.faults.test_bad_orders import NOW, WHERE, sent
from tests.faults.test_bad_weather import file_of, node, sorted_out
from weathervane_assets.transforms.orders import order_columns, order_rows
from weathervane_resources.clients import shopify_pages, shopify_rest
from weathervane_resources.clients.shopify_nodes import to_order
from weathervane_resources.geocoder import PLACES_SCHEMA
from weathervane_resources.http.errors import Malformed

Row = dict[str, Any]
TWICE = "\0twice"
BROKEN = ("\ud800", "a\udc00b", "\udfff\ud800")
"""Half a character: JSON can spell it, UTF-8 cannot."""
PLACE = {"zip": "10001", "country_code": "US", "latitude": 40.7, "longitude": -74.0}


def ordered(orders: list[Any], bad: int) -> tuple[list[Row], int]:
    done = order_rows(
        order_columns(orders),
        PLACES_SCHEMA.to_frame(),
        tenant_id="acme",
        timezone="UTC",
        source="shopify_api",
        as_of=NOW,
    )
    assert done.rows.height + done.rejects.height == len(orders)
    return done.rows.to_dicts(), bad + done.rejects.height


def rest(body: bytes) -> tuple[list[Row], int]:
    _, rows, bad = shopify_rest._PAGE.decode(body, WHERE)
    return ordered(rows, len(bad))


def graphql(body: bytes) -> tuple[list[Row], int]:
    _, nodes, bad = shopify_pages._PAGE.decode(body, WHERE)
    return ordered([to_order(one, []) for one in nodes], len(bad))


def ads(vendor: str) -> Callable[[bytes], tuple[list[Row], int]]:
    def read(body: bytes) -> tuple[list[Row], int]:
        rows, reasons = judged(vendor, body)
        return rows, len(reasons)

    return read


def connection(*nodes: Row) -> bytes:
    return json.dumps({"data": {"orders": {"nodes": nodes, "pageInfo": {"hasNextPage": False}}}}).encode()


KINDS: dict[str, tuple[Row, Row, Callable[..., bytes], Callable[[bytes], tuple[list[Row], int]], str, str]] = {
    "rest": (sent(shipping_address=PLACE), sent(id=99), lambda *r: json.dumps({"orders": r}).encode(), rest, "order_id", "total_price"),
    "graphql": (node(1), node(99), connection, graphql, "order_id", "total_price"),
    "bulk": (node(1), node(99), file_of, lambda body: sorted_out(body, 2, 2), "order_id", "total_price"),
    "meta": (meta_row(), meta_row(adset_id="99"), lambda *r: page("meta", *r), ads("meta"), "adset_id", "spend"),
    "google": (google_row(), google_row(campaign={"id": "99"}), lambda *r: page("google", *r), ads("google"), "campaign_id", "spend"),
    "klaviyo": (campaign(), campaign(id="99"), lambda *r: page("klaviyo", *r), ads("klaviyo"), "campaign_id", ""),
}  # fmt: skip
"""For each: a row to spoil, its neighbour, how a page is made and read, and the columns of the key and of an amount."""


def places(part: Any) -> Iterator[tuple[Row, str]]:
    """Yield each key of each object in a row."""
    for key in list(part) if isinstance(part, dict) else ():
        yield part, key
        yield from places(part[key])


def spoil(kind: str, which: int, how: str, value: Any) -> None:
    """Change one place of the first row; hold the neighbour, the count and the amount against what was sent."""
    first, second, make, read, key, amount = KINDS[kind]
    row = json.loads(json.dumps(first))
    every = list(places(row))
    part, name = every[which % len(every)]
    if how == "none":
        del part[name]
    else:
        part[name + (TWICE if how == "twice" else "")] = value
    try:
        stored, aside = read(make(row, second).replace(b"\\u0000twice", b""))
    except Malformed:
        assert value_is_broken(value), "one row cost its page"
        return
    undisturbed = read(make(first, second))[0]
    neighbours = [one for one in stored if one[key] == "99"]
    assert neighbours == [one for one in undisturbed if one[key] == "99"]
    assert len(neighbours) == 1
    others = [one for one in stored if one[key] != "99"]
    assert len(others) + aside <= 1
    if others and amount:
        now = None if how == "none" else value
        # Google leaves out what is zero
        is_left_out = kind == "google" and (now is None or (isinstance(now, dict) and "costMicros" not in now))
        right = others[0][amount] == undisturbed[0][amount]
        assert right or (others[0][amount] == 0 if is_left_out else is_amount(others[0][amount], now))


def is_amount(stored: Decimal, value: Any) -> bool:
    """Say whether that is the amount in what was sent, also in Google's millionths or inside of a set of amounts."""
    if isinstance(value, dict):
        return any(is_amount(stored, one) for one in value.values())
    try:
        read = Decimal(str(value))
    except InvalidOperation:
        return False
    return stored in (read, round(read / 10**6, 4))


def value_is_broken(value: Any) -> bool:
    return any("\ud800" <= sign <= "\udfff" for sign in str(value))


ODD = ANY_JSON | st.sampled_from([*NUMBERS, *AMOUNTS, *TIMES, *STRINGS, *COORDINATES, *BROKEN])
ANY_ROW: dict[str, Any] = {
    "kind": st.sampled_from(sorted(KINDS)), "which": st.integers(0, 60), "how": st.sampled_from(["value", "none", "twice"]), "value": ODD,
}  # fmt: skip


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_what_is_right_is_stored(kind: str) -> None:
    """A harness that sets everything aside finds nothing."""
    first, second, make, read, *_ = KINDS[kind]
    stored, aside = read(make(first, second))
    assert (len(stored), aside) == (2, 0)


@pytest.mark.faults
@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize(
    "value", [*BROKEN, "Z" * 2**20, "\ufeff1.50", "1.50\0", 2**70, -0.0], ids=lambda v: ascii(v)[:12]
)
def test_each_place_of_a_row_takes_an_odd_value(kind: str, value: Any) -> None:
    """A megabyte of text, half a character, a mark of byte order before an amount: in whichever field it stands."""
    for which in range(len(list(places(KINDS[kind][0])))):
        spoil(kind, which, "value", value)


@settings(FEW, max_examples=60)
@given(**ANY_ROW)
@example(kind="google", which=22, how="value", value={})  # all of its metrics are zero
def test_a_bad_row_costs_itself_at_most(kind: str, which: int, how: str, value: Any) -> None:
    """A row that cannot be read took its page, its day and the night's run with it."""
    spoil(kind, which, how, value)


@pytest.mark.faults
@MANY
@given(**ANY_ROW)
def test_thousands_of_bad_rows(kind: str, which: int, how: str, value: Any) -> None:
    """The same, at length."""
    spoil(kind, which, how, value)
