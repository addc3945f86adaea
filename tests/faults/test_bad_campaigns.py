"""Ad rows and campaigns of any content: each is stored as it was sent, or set aside with its reason, and keeps its contract."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.faults.bad_values import AMOUNTS, ANY_JSON, EDITS, FEW, MANY, NUMBERS, TIMES, damaged
from weathervane_assets.tables import CONTRACTS
from weathervane_assets.transforms.ads import google_rows, meta_rows
from weathervane_assets.transforms.promos import promo_rows
from weathervane_resources.clients import google_ads, klaviyo, meta_ads
from weathervane_resources.clients.rows import BadRow
from weathervane_resources.http.errors import Malformed

NOW = datetime(2026, 11, 20, tzinfo=UTC)
DAY = date(2026, 11, 1)
Judge = Callable[[bytes], tuple[list[dict[str, Any]], list[str]]]
Sent = dict[str, Any]
WHERE = {"vendor": "v", "tenant": "acme", "window": "w"}


def meta_row(**more: Any) -> Sent:
    bought = {"action_type": "purchase", "value": "2"}
    return {
        "date_start": "2026-11-01", "account_id": "1", "campaign_id": "2", "adset_id": "3", "account_currency": "USD",
        "campaign_name": "c", "adset_name": "a", "spend": "1.50", "impressions": "10", "clicks": "1", "actions": [bought],
        "action_values": [bought],
    } | more  # fmt: skip


def google_row(**more: Any) -> Sent:
    metrics = {"costMicros": "1500000", "impressions": "10", "clicks": "1", "conversions": 1.0, "conversionsValue": 2.5}
    return {
        "customer": {"id": "1", "currencyCode": "USD"}, "campaign": {"id": "2", "name": "c"}, "segments": {"date": "2026-11-01"},
        "metrics": metrics | more.pop("metrics", {}),
    } | more  # fmt: skip


def campaign(**more: Any) -> Sent:
    at = "2026-11-01T08:00:00Z"
    attributes = {"name": "n", "status": "Sent", "archived": False, "created_at": at, "send_time": at, "updated_at": at}
    return {"id": more.pop("id", "7"), "attributes": attributes | more}


def page(vendor: str, *rows: Sent) -> bytes:
    whole: dict[str, Any] = {
        "meta": {"data": rows},
        "google": [{"results": rows, "fieldMask": "x"}],
        "klaviyo": {"data": rows, "links": {"next": None}},
    }
    return json.dumps(whole[vendor]).encode()


def judged(vendor: str, body: bytes) -> tuple[list[dict[str, Any]], list[str]]:
    """Decode, transform and hold against the contract as a run does; return what is stored and why the rest is not."""
    rows: list[Any]
    bad: list[BadRow]
    if vendor == "meta":
        _, rows, bad = meta_ads._PAGE.decode(body, WHERE)
        kept = meta_ads._within(meta_ads.InsightsPage(rows, bad), DAY, DAY)
        rows, bad, table = kept.rows, kept.bad, "meta_ads"
        done = meta_rows(rows, tenant_id="acme", currency="USD", source="meta_api", as_of=NOW)
    elif vendor == "google":
        _, rows, bad = google_ads._stream_decoder(google_ads.CampaignDay, ("campaign", "id")).decode(body, WHERE)
        table = "google_ads"
        done = google_rows(rows, tenant_id="acme", source="google_ads_api", as_of=NOW)
    else:
        _, sent, bad = klaviyo._PAGE.decode(body, WHERE)
        every = [klaviyo._campaign(row, "email", archived=False) for row in sent]
        rows, table = klaviyo._once(klaviyo.CampaignsPage(every, bad), set()).rows, "promos"
        done = promo_rows(rows, [DAY], tenant_id="acme", timezone="America/New_York", source="klaviyo_api", as_of=NOW)
    assert all(one.reason for one in bad)
    assert done.rejects["reason"].null_count() == 0
    CONTRACTS[table].validate(done.rows)
    return done.rows.to_dicts(), [*(one.reason for one in bad), *done.rejects["reason"]]


def one(vendor: str, row: Sent) -> tuple[list[dict[str, Any]], list[str]]:
    stored, reasons = judged(vendor, page(vendor, row))
    assert len(stored) + len(reasons) <= 1
    return stored, reasons


@pytest.mark.parametrize(
    "field", ["campaign_name", "adset_name", "account_id", "campaign_id", "adset_id", "account_currency"]
)
def test_any_text_in_metas_row_is_kept_to_the_letter_or_set_aside(field: str, texts: tuple[str, ...]) -> None:
    """A trimmed id is another ad set."""
    column = {"account_currency": "currency"}.get(field, field)
    for text in texts:
        stored, reasons = one("meta", meta_row(**{field: text}))
        assert len(stored) + len(reasons) == 1
        if stored and text:
            assert stored[0][column] == text


def test_any_text_in_googles_row_is_kept_to_the_letter_or_set_aside(texts: tuple[str, ...]) -> None:
    """The same for the other platform."""
    for text in texts:
        for row, column in (
            (google_row(campaign={"id": "2", "name": text}), "campaign_name"),
            (google_row(campaign={"id": text}), "campaign_id"),
            (google_row(customer={"id": text, "currencyCode": "USD"}), "account_id"),
            (google_row(customer={"id": "1", "currencyCode": text}), "currency"),
        ):
            stored, reasons = one("google", row)
            assert len(stored) + len(reasons) == 1
            if stored:
                assert stored[0][column] == text


@pytest.mark.parametrize("field", ["id", "name", "status"])
def test_any_text_of_a_campaign_is_kept_to_the_letter_or_set_aside(field: str, texts: tuple[str, ...]) -> None:
    """Names of campaigns are written by people."""
    column = {"id": "campaign_id"}.get(field, field)
    for text in texts:
        stored, reasons = one("klaviyo", campaign(**{field: text}))
        assert len(stored) + len(reasons) == 1
        if stored and text:
            assert stored[0][column] == text


@pytest.mark.parametrize("amount", [*AMOUNTS, "-1.00"])
@pytest.mark.parametrize("field", ["spend", "action_values"])
def test_metas_money_is_exact_or_rounded_where_it_was_converted_or_set_aside(field: str, amount: str) -> None:
    """Money that does not fit became null or was rounded, and a null is summed like nothing."""
    value = amount if field == "spend" else [{"action_type": "purchase", "value": amount}]
    stored, reasons = one("meta", meta_row(**{field: value}))
    if stored:
        exact = Decimal(amount) if field == "spend" else round(Decimal(amount), 4)
        assert stored[0]["spend" if field == "spend" else "conversion_value"] == exact
    else:
        assert len(reasons) == 1


@pytest.mark.parametrize("number", NUMBERS, ids=lambda n: str(n)[:24])
def test_googles_numbers_are_exact_or_set_aside(number: Any) -> None:
    """int64 as text, beyond int64, or as the wrong type."""
    for field, column in (("costMicros", "spend"), ("impressions", "impressions"), ("clicks", "clicks")):
        for sent in (number, str(number)):
            stored, reasons = one("google", google_row(metrics={field: sent}))
            assert len(stored) + len(reasons) == 1
            if stored and sent is not None:
                micros = Decimal(10**6) if column == "spend" else Decimal(1)
                assert stored[0][column] == (Decimal(sent) / micros).quantize(Decimal("0.0001"), ROUND_HALF_EVEN)


@pytest.mark.parametrize(
    "number", [*(n for n in NUMBERS if isinstance(n, float)), -1.0, 5e-324, 1e300, 2**53 + 1, 10**400]
)
def test_googles_floats_are_kept_or_set_aside(number: float) -> None:
    """A value beyond a Decimal became null, and a conversion of less than none was stored."""
    for field, column in (("conversions", "conversions"), ("conversionsValue", "conversion_value")):
        stored, reasons = one("google", google_row(metrics={field: number}))
        assert len(stored) + len(reasons) == 1
        if stored:
            assert float(stored[0][column]) == pytest.approx(float(number), abs=5e-5)


@pytest.mark.parametrize("time", TIMES)
def test_a_campaigns_time_is_its_instant_or_set_aside_or_on_another_day(time: str) -> None:
    """A campaign on the wrong day is a promotion that the model learns from."""
    for field in ("created_at", "scheduled_at", "send_time", "updated_at"):
        stored, reasons = one("klaviyo", campaign(**{field: time}))
        if stored:
            leap = time.replace("12-31T23:59:60", "12-31T23:59:59")
            late = timedelta(seconds=leap != time)
            assert stored[0][field] == datetime.fromisoformat(leap).astimezone(UTC) + late
        assert stored or reasons or field == "send_time"


@pytest.mark.parametrize("text", [*TIMES, "2026-11-1", "2026-02-30", "20261101", "2026-11-01x", " 2026-11-01"])
def test_an_ad_rows_day_is_that_day_or_set_aside(text: str) -> None:
    """A lenient reader took the 30th of February for the 2nd of March."""
    for vendor, row in (("meta", meta_row(date_start=text)), ("google", google_row(segments={"date": text}))):
        stored, reasons = one(vendor, row)
        assert len(stored) + len(reasons) == 1
        assert not stored or stored[0]["date"] == datetime.strptime(text.strip(), "%Y-%m-%d").replace(tzinfo=UTC).date()


ROWS: dict[str, Callable[..., Sent]] = {"meta": meta_row, "google": google_row, "klaviyo": campaign}
GOOD = {vendor: page(vendor, make(), make()) for vendor, make in ROWS.items()}
VENDOR = st.sampled_from(sorted(ROWS))


def survives(vendor: str, body: bytes) -> None:
    """Read, or one typed error; whatever else is raised fails the test."""
    try:
        judged(vendor, body)
    except Malformed:
        return


def odd_field(vendor: str, which: int, value: Any) -> None:
    """Put anything into one field of a row, or of what is in the row, beside a row that is right."""
    row = ROWS[vendor]()
    inner = [row, *(part for part in row.values() if isinstance(part, dict))]
    places = [(part, name) for part in inner for name in part]
    part, name = places[which % len(places)]
    part[name] = value
    survives(vendor, page(vendor, row, ROWS[vendor]()))


@FEW
@given(vendor=VENDOR, **EDITS)
def test_a_damaged_page_of_any_vendor_is_read_or_refused(vendor: str, edits: list[tuple[int, int]], end: int) -> None:
    """A flipped bit in a proxy is enough."""
    survives(vendor, damaged(GOOD[vendor], edits, end))


@FEW
@given(vendor=VENDOR, which=st.integers(0, 100), value=ANY_JSON)
def test_any_field_of_any_vendor_costs_its_row_at_most(vendor: str, which: int, value: Any) -> None:
    """A number that became text ended a night's run."""
    odd_field(vendor, which, value)


@pytest.mark.faults
@MANY
@given(vendor=VENDOR, **EDITS)
def test_thousands_of_damaged_pages_of_any_vendor(vendor: str, edits: list[tuple[int, int]], end: int) -> None:
    """The same, at length."""
    survives(vendor, damaged(GOOD[vendor], edits, end))


@pytest.mark.faults
@MANY
@given(vendor=VENDOR, which=st.integers(0, 100), value=ANY_JSON)
def test_thousands_of_odd_fields_of_any_vendor(vendor: str, which: int, value: Any) -> None:
    """The same, at length."""
    odd_field(vendor, which, value)


def test_what_is_right_is_stored() -> None:
    """A harness that sets everything aside finds nothing."""
    for vendor, make in ROWS.items():
        stored, reasons = judged(vendor, page(vendor, make()))
        assert (len(stored), reasons) == (1, []), vendor
