"""Meta and Google reports to one schema."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weathervane_assets.tables import Ads, polars_schema
from weathervane_assets.transforms.ads import google_rows, meta_rows
from weathervane_resources.clients.google_ads import Campaign, CampaignDay, Customer, Metrics, Segments
from weathervane_resources.clients.meta_ads import Action, Insight

NOW = datetime(2025, 6, 1, 8, tzinfo=UTC)


def insight(**change: Any) -> Insight:
    sent = {
        "date_start": "2025-03-01", "account_id": "1", "campaign_id": "c", "adset_id": "s", "spend": "12.34",
        "impressions": "1000", "clicks": "10",
    }  # fmt: skip
    return Insight(**{**sent, **change})


def meta(*insights: Insight) -> pl.DataFrame:
    return meta_rows(insights, tenant_id="acme", currency="EUR", source="meta_api", as_of=NOW).rows


def campaign_day(
    day: str = "2025-03-01", campaign: str = "7", currency: str | None = "USD", **metrics: Any
) -> CampaignDay:
    return CampaignDay(Customer("42", currency), Campaign(campaign, "Spring"), Segments(day), Metrics(**metrics))


def google(*days: CampaignDay) -> pl.DataFrame:
    return google_rows(days, tenant_id="acme", source="google_ads_api", as_of=NOW).rows


def test_both_platforms_keep_the_one_contract() -> None:
    """Two schemas that differ by one type cannot be concatenated, and the union failed at night."""
    both = pl.concat([meta(insight()), google(campaign_day(cost_micros="1", impressions="1", clicks="0"))])
    Ads.validate(both)
    assert both.schema == polars_schema(Ads)
    assert both["platform"].to_list() == ["meta", "google"]
    assert both["adset_id"].to_list() == ["s", None]
    assert both["date"].to_list() == [date(2025, 3, 1)] * 2


def test_no_rows_are_a_frame_with_the_schema() -> None:
    """A day without delivery is an empty page, and an empty frame must still join."""
    assert meta().schema == google().schema == polars_schema(Ads)


def test_one_purchase_reported_under_three_types_is_one_purchase() -> None:
    """Summed over action types, Meta's conversions tripled overnight."""
    actions = [Action("link_click", "40"), Action("offsite_conversion.fb_pixel_purchase", "3"), Action("purchase", "3"), Action("omni_purchase", "4")]  # fmt: skip
    (row,) = meta(
        insight(actions=actions, action_values=[Action("purchase", "99.90"), Action("link_click", "1")])
    ).to_dicts()
    assert (row["conversions"], row["conversion_value"]) == (4.0, Decimal("99.9"))


@pytest.mark.parametrize("actions", [None, [], [Action("link_click", "40")], [Action("purchase", None)]])
def test_purchases_that_are_not_reported_are_null_not_zero(actions: list[Action] | None) -> None:
    """An account without a pixel had a conversion rate of zero, and its budget was cut."""
    (row,) = meta(insight(actions=actions, action_values=actions)).to_dicts()
    assert row["conversions"] is None
    assert row["conversion_value"] is None


def test_a_reported_zero_is_zero() -> None:
    """Null and zero are two answers."""
    (row,) = meta(insight(actions=[Action("purchase", "0")], spend="0", impressions="0", clicks="0")).to_dicts()
    assert (row["conversions"], row["spend"], row["impressions"], row["clicks"]) == (0.0, Decimal(0), 0, 0)


def test_the_accounts_currency_is_the_rows_and_else_the_accounts_own() -> None:
    """Spend in pounds added to spend in euros."""
    assert meta(insight(), insight(adset_id="t", account_currency="GBP"))["currency"].to_list() == ["EUR", "GBP"]


@pytest.mark.parametrize(
    ("change", "column"),
    [
        ({"spend": None}, "spend"), ({"spend": "1,20"}, "spend"), ({"impressions": None}, "impressions"),
        ({"clicks": "many"}, "clicks"), ({"date_start": "03/01/2025"}, "date"),
        ({"adset_id": ""}, "adset_id"), ({"account_currency": "???"}, "currency"),
        ({"actions": [Action("purchase", "NaN")]}, "conversions"), ({"date_start": "2025-02-30"}, "date"), ({"action_values": [Action("purchase", "n/a")]}, "conversion_value"),
    ],
)  # fmt: skip
def test_a_meta_row_with_a_value_that_cannot_be_read_is_set_aside(change: dict[str, Any], column: str) -> None:
    """Spend that cannot be read became zero, and the cheapest campaign of the year was scaled up."""
    bad = insight(**{"adset_id": "t", **change})
    found = meta_rows([insight(), bad, bad], tenant_id="acme", currency="EUR", source="meta_api", as_of=NOW)
    assert found.rows["adset_id"].to_list() == ["s"]
    day = None if column == "date" else date(2025, 3, 1)
    key = "1/c/" if column == "adset_id" else "1/c/t"
    assert found.rejects.rows() == [(day, key.rstrip("/"), f"{column} is missing or not usable")]


MICROS = st.integers(0, 10**12).map(lambda cents: cents * 10_000)


@settings(max_examples=40, deadline=None)
@given(st.lists(MICROS, min_size=1, max_size=20))
def test_googles_micros_are_exact(micros: list[int]) -> None:
    """cost_micros / 1e6 as a float: a year of spend was off by more than a cent."""
    found = google(*(campaign_day(campaign=str(n), cost_micros=str(m)) for n, m in enumerate(micros)))
    assert found["spend"].sum() == sum(Decimal(m) / 1_000_000 for m in micros)


def test_micros_finer_than_our_money_are_rounded_not_cut() -> None:
    """Currencies with small units report six decimals; cutting them is a bias that only ever goes down."""
    found = google(campaign_day(cost_micros="1999999"), campaign_day(campaign="8", cost_micros="1234449"))
    assert found["spend"].to_list() == [Decimal("2.0000"), Decimal("1.2344")]


@pytest.mark.parametrize("amount", ["1.00005", "1.00015", "-0.00001", "1e-5", "12345e-6"])
def test_metas_spend_with_a_fifth_decimal_is_set_aside_and_a_converted_value_is_rounded(amount: str) -> None:
    """Spend was rounded without a word, and 1e-5 became nothing, while an order's fifth decimal was set aside."""
    found = meta_rows([insight(spend=amount)], tenant_id="acme", currency="EUR", source="meta_api", as_of=NOW)
    assert found.rows.height == 0
    assert found.rejects["reason"].str.contains("spend").to_list() == [True]
    valued = meta(insight(action_values=[Action("purchase", amount)]))
    assert valued["conversion_value"].to_list() == [round(Decimal(amount), 4)]


def test_metas_trailing_zeros_are_no_decimals() -> None:
    """Whoever counts characters sets good rows aside."""
    assert meta(insight(spend="1.500000"))["spend"].to_list() == [Decimal("1.5")]


@pytest.mark.parametrize(
    ("sent", "kept"), [(33.333333333333336, "33.3333"), (1e-05, "0"), (0.1 + 0.2, "0.3"), (1e13, "1e13")]
)
def test_googles_value_is_a_double_and_is_rounded_to_four_decimals(sent: float, kept: str) -> None:
    """Attribution divides a purchase among campaigns; a row with a third of one is no bad row."""
    assert google(campaign_day(conversions_value=sent))["conversion_value"].to_list() == [Decimal(kept)]


def test_what_google_leaves_out_because_it_is_zero_is_zero() -> None:
    """proto3 drops zeros from its JSON: a campaign-day without clicks failed the whole account."""
    (row,) = google(campaign_day(impressions="5")).to_dicts()
    assert (row["spend"], row["impressions"], row["clicks"]) == (Decimal(0), 5, 0)
    assert row["conversions"] is None
    assert row["conversion_value"] is None


def test_a_campaign_day_without_any_number_is_set_aside() -> None:
    """An answer whose numbers were lost on the way was a day without spend."""
    found = google_rows([campaign_day()], tenant_id="acme", source="google_ads_api", as_of=NOW)
    assert found.rows.is_empty()
    (reason,) = found.rejects["reason"]
    assert reason.startswith("spend is missing or not usable")


@pytest.mark.parametrize(
    ("sent", "kept"), [(0.0, "0"), (1e-05, "0"), (12.3456, "12.3456"), (1234567.875, "1234567.875"), (3e-3, "0.003")]
)
def test_a_conversion_value_is_the_number_that_was_sent(sent: float, kept: str) -> None:
    """Fractional attribution sends 1e-05; as text a decimal did not read it, and the value became null."""
    (row,) = google(campaign_day(conversions=sent, conversions_value=sent)).to_dicts()
    assert row["conversion_value"] == Decimal(kept)
    assert row["conversions"] == sent


def test_a_google_row_without_currency_is_set_aside() -> None:
    """Spend of no currency was taken for the shop's."""
    found = google_rows([campaign_day(currency=None, clicks="1")], tenant_id="acme", source="google_ads_api", as_of=NOW)
    assert found.rows.is_empty()
    assert found.rejects["reason"].to_list() == ["currency is missing or not usable"]
