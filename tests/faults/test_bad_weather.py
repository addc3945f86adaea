"""Weather answers and bulk files of any content: what is asked for and exact, or one typed error; and JSON that is none."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.faults.bad_values import AMOUNTS, ANY_JSON, EDITS, FEW, MANY, NUMBERS, damaged
from weathervane_assets.transforms.orders import order_columns, order_rows
from weathervane_resources.clients.open_meteo_answer import Asked, PlaceDays, Point, read_places
from weathervane_resources.clients.shopify_file import Found, parse
from weathervane_resources.geocoder import PLACES_SCHEMA
from weathervane_resources.http.errors import Malformed
from weathervane_resources.http.strict_json import decode, decode_any

NOW = datetime(2026, 11, 20, tzinfo=UTC)
WHERE = {"vendor": "v", "tenant": "acme", "window": "w"}
FIRST = date(2026, 11, 1)
DAYS = [(FIRST + timedelta(days=n)).isoformat() for n in range(3)]
VARIABLES = ("temperature_2m_mean", "precipitation_sum")
POINTS = (Point(40.7, -74.0, "Etc/GMT+5"), Point(52.5, 13.4, "Etc/GMT-1"))
ASKED = Asked(POINTS, FIRST, FIRST + timedelta(days=2), VARIABLES, WHERE)


def place(index: int, **more: Any) -> dict[str, Any]:
    point = POINTS[index]
    return {
        "latitude": point.latitude, "longitude": point.longitude, "utc_offset_seconds": point.utc_offset_s, "elevation": 3.0, "location_id": index,
        "daily_units": {"time": "iso8601", "temperature_2m_mean": "°C", "precipitation_sum": "mm"},
        "daily": {"time": DAYS, "temperature_2m_mean": [1.5, None, -3.0], "precipitation_sum": [0.0, 0.1, None]},
    } | more  # fmt: skip


def read(*places: dict[str, Any]) -> list[PlaceDays]:
    return read_places(json.dumps(list(places)).encode(), ASKED)


def whole(found: list[PlaceDays]) -> None:
    """Hold an answer that was believed against what was asked: each place, each day, each value a number or missing."""
    assert [one.point for one in found] == list(POINTS)
    for one in found:
        assert one.times == DAYS
        assert abs(one.grid_latitude - one.point.latitude) <= 1
        assert set(one.columns) == set(VARIABLES)
        for values in one.columns.values():
            assert len(values) == len(DAYS)
            assert all(value is None or math.isfinite(value) for value in values)


def odd_place(path: tuple[str, ...], value: Any) -> None:
    """Put anything somewhere into the second place."""
    odd = place(1)
    part = odd
    for name in path[:-1]:
        part = part[name]
    part[path[-1]] = value
    try:
        whole(read(place(0), odd))
    except Malformed:
        return


PATHS = st.sampled_from([
    ("latitude",), ("longitude",), ("utc_offset_seconds",), ("elevation",), ("location_id",), ("daily_units",), ("daily",),
    ("daily", "time"), ("daily", "temperature_2m_mean"), ("daily_units", "precipitation_sum"),
])  # fmt: skip
WEATHER = json.dumps([place(0), place(1)]).encode()


def test_what_is_right_is_read() -> None:
    """A harness that refuses everything finds nothing."""
    whole(read(place(0), place(1)))


@pytest.mark.parametrize("number", NUMBERS, ids=lambda n: str(n)[:24])
def test_a_value_is_exact_or_the_answer_is_refused(number: Any) -> None:
    """A temperature of 10^400 is no infinity, and `true` is no degree."""
    values = [number, None, 0.0]
    try:
        found = read(place(0), place(1, daily=place(1)["daily"] | {"temperature_2m_mean": values}))
    except Malformed:
        assert isinstance(number, bool | str | list | dict) or abs(number) > 2**63
        return
    assert found[1].columns["temperature_2m_mean"][0] == (None if number is None else float(number))


@pytest.mark.parametrize("coordinate", [90.5, -91.0, 181.0, 1e308, 5e-324, 0.0, 41.9])
def test_another_place_is_refused(coordinate: float) -> None:
    """Weather of the Gulf of Guinea, because two numbers were swapped or absent."""
    with pytest.raises(Malformed):
        read(place(0), place(1, latitude=coordinate))


def node(number: int, **more: Any) -> dict[str, Any]:
    money = {"shopMoney": {"amount": "1.5", "currencyCode": "USD"}}
    sets = dict.fromkeys(
        (
            "totalPriceSet",
            "subtotalPriceSet",
            "totalTaxSet",
            "totalDiscountsSet",
            "currentSubtotalPriceSet",
            "currentTotalTaxSet",
        ),
        money,
    )
    at = "2026-11-01T08:00:00Z"
    return {
        "id": f"gid://shopify/Order/{number}", "legacyResourceId": str(number), "createdAt": at, "updatedAt": at, "name": "#1",
        "currencyCode": "USD", "displayFinancialStatus": "PAID", "shippingAddress": {"zip": "10001", "countryCodeV2": "US"}, **sets,
        "taxesIncluded": True, "shippingLine": {"taxLines": [{"priceSet": money}]},
    } | more  # fmt: skip


def line(number: int, **more: Any) -> dict[str, Any]:
    return {"quantity": 1, "currentQuantity": 1, "__parentId": f"gid://shopify/Order/{number}"} | more


def file_of(*objects: dict[str, Any]) -> bytes:
    return b"\n".join(json.dumps(one, separators=(",", ":")).encode() for one in objects)


BULK = file_of(node(1), line(1), node(2), line(2), line(2))


def sorted_out(body: bytes, objects: int, roots: int) -> tuple[list[dict[str, Any]], int]:
    """Read a bulk file and transform it as a run does; no order may be lost without a word."""
    found: Found = parse(body, objects, roots, WHERE)
    assert len(found.orders) + len(found.bad) == roots
    done = order_rows(
        order_columns(found.orders),
        PLACES_SCHEMA.to_frame(),
        tenant_id="acme",
        timezone="UTC",
        source="shopify_api",
        as_of=NOW,
    )
    assert done.rows.height + done.rejects.height == len(found.orders)
    return done.rows.to_dicts(), len(found.bad) + done.rejects.height


def survives(body: bytes) -> None:
    try:
        sorted_out(body, 5, 2)
    except Malformed:
        return


@pytest.mark.parametrize("amount", AMOUNTS)
def test_an_amount_of_a_bulk_file_is_exact_or_set_aside(amount: str) -> None:
    """The same as by REST."""
    money = {"shopMoney": {"amount": amount, "currencyCode": "USD"}}
    rows, aside = sorted_out(file_of(node(1, totalPriceSet=money), node(2)), 2, 2)
    assert len(rows) + aside == 2
    assert aside == 1 or rows[0]["total_price"] == Decimal(amount)


def test_any_text_of_a_bulk_file_is_kept_to_the_letter(texts: tuple[str, ...]) -> None:
    """A text with a line end, or one that looks like a child's mark, is no second line."""
    for text in (*texts, '"__parentId":"gid://shopify/Order/1"', '\\"__parentId\\":', "a\u2028b\u0085c\x0bd\x1ce"):
        rows, aside = sorted_out(file_of(node(1, name=text), node(2)), 2, 2)
        assert aside == 0
        assert rows[0]["name"] == text or rows[1]["name"] == text


def odd_node(field: str, value: Any) -> None:
    survives(file_of(node(1, **{field: value}), line(1), node(2), line(2), line(2)))


def cut_and_flipped(body: bytes, edits: list[tuple[int, int]], end: int) -> None:
    if body is BULK:
        survives(damaged(body, edits, end))
        return
    try:
        whole(read_places(damaged(body, edits, end), ASKED))
    except Malformed:
        return


BODIES = st.sampled_from([BULK, WEATHER])
FIELDS = st.sampled_from(sorted(node(1)))


@FEW
@given(body=BODIES, **EDITS)
def test_a_damaged_answer_is_read_or_refused(body: bytes, edits: list[tuple[int, int]], end: int) -> None:
    """A flipped bit in a proxy is enough."""
    cut_and_flipped(body, edits, end)


@FEW
@given(path=PATHS, value=ANY_JSON)
def test_a_place_of_any_shape_is_whole_or_refused(path: tuple[str, ...], value: Any) -> None:
    """A list that is one too short shifted a year of weather by a day."""
    odd_place(path, value)


@FEW
@given(field=FIELDS, value=ANY_JSON)
def test_a_node_of_any_shape_costs_its_order_at_most(field: str, value: Any) -> None:
    """A number that became text ended a night's run."""
    odd_node(field, value)


@pytest.mark.faults
@MANY
@given(body=BODIES, **EDITS)
def test_thousands_of_damaged_answers(body: bytes, edits: list[tuple[int, int]], end: int) -> None:
    """The same, at length."""
    cut_and_flipped(body, edits, end)


@pytest.mark.faults
@MANY
@given(path=PATHS, value=ANY_JSON)
def test_thousands_of_odd_places(path: tuple[str, ...], value: Any) -> None:
    """The same, at length."""
    odd_place(path, value)


@pytest.mark.faults
@MANY
@given(field=FIELDS, value=ANY_JSON)
def test_thousands_of_odd_nodes(field: str, value: Any) -> None:
    """The same, at length."""
    odd_node(field, value)


NO_JSON = (
    b"", b" ", b"nul", b"NaN", b"[NaN]", b"[Infinity]", b"[-Infinity]", b"[1e400]", b"[01]", b"[1.]", b"[.5]", b"[+1]", b"[0x1]", b"[1,]",
    b"{\"a\":1,}", b"{a:1}", b"{'a':1}", b"[\"\\x\"]", b"[\"\\u12\"]", b"[\"\x01\"]", b"[\"\xff\"]", b"[\"\xed\xa0\x80\"]", b"\xef\xbb\xbf[]",
    b"\xff\xfe[\x00]\x00", b"[] []", b"[]x", b"/**/[]", b"[1", b"{\"a\"", b"[\"a", b"[" * 100_000, b"{\"a\":" * 100_000, b"[" + b"9" * 100_000 + b"]",
)  # fmt: skip
"""Our own, after the categories of JSONTestSuite's `n_` files; its own files are read too where they are at hand."""


@pytest.mark.parametrize("body", NO_JSON, ids=lambda body: repr(body[:12]))
def test_what_is_no_json_is_refused_or_a_number_too_large_is_no_other_number(body: bytes) -> None:
    """Python's own reader takes NaN and Infinity, and falls over at a depth of a thousand."""
    for kind in (object, list[Any], dict[str, Any]):
        try:
            found = decode(body, kind, WHERE) if kind is not object else decode_any(body, WHERE)
        except Malformed:
            continue
        assert found == [int(b"9" * 100)] or body == b"[" + b"9" * 100_000 + b"]"
