"""The modelling matrix: nothing lost, nothing doubled, null is not zero."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weathervane_assets.tables import Ads, Features, Orders, Promos, WeatherDaily, polars_schema
from weathervane_assets.transforms.calendar import active_cells, day_frame
from weathervane_assets.transforms.features import (
    CARRIED,
    build_matrix,
    finish_matrix,
    sales,
    tenant_ads,
    tenant_promos,
)

NOW = datetime(2025, 6, 1, 8, tzinfo=UTC)
MON, TUE = date(2025, 3, 3), date(2025, 3, 4)
DAYS = [MON, TUE]


def table(contract: Any, rows: list[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=polars_schema(contract))


def order(
    number: int,
    day: date = MON,
    cell: str | None = "u33d8",
    revenue: str | None = "10.00",
    *,
    cancelled: bool = False,
    test: bool = False,
) -> dict[str, Any]:
    return {
        "tenant_id": "acme", "date": day, "order_id": str(number), "is_test": test, "cancelled_at": NOW if cancelled else None,
        "net_revenue": None if revenue is None else Decimal(revenue), "ship_geohash": cell, "currency": "USD",
    }  # fmt: skip


def ad(
    platform: str, day: date = MON, spend: str = "5.00", currency: str = "USD", campaign: str = "c"
) -> dict[str, Any]:
    return {
        "date": day, "platform": platform, "campaign_id": campaign, "spend": Decimal(spend), "currency": currency,
        "impressions": 100, "clicks": 7,
    }  # fmt: skip


def promo(
    number: int, day: date = MON, channel: str = "email", status: str = "Sent", sent: datetime | None = NOW
) -> dict[str, Any]:
    return {"date": day, "campaign_id": str(number), "channel": channel, "status": status, "send_time": sent}


def weather(*keys: tuple[date, str]) -> pl.DataFrame:
    rows = [
        {"date": d, "geohash": c, "temp_c": 12.5, "observation_type": "observed", "as_of_utc": NOW} for d, c in keys
    ]
    return table(WeatherDaily, rows)


def fetched(
    *,
    meta: bool = True,
    google: bool = True,
    promos: bool = True,
    no_meta: bool = False,
    no_google: bool = False,
    days: list[date] = DAYS,
) -> pl.DataFrame:
    return day_frame(days).with_columns(
        has_meta=pl.lit(meta),
        has_google=pl.lit(google),
        has_promos=pl.lit(promos),
        no_meta=pl.lit(no_meta),
        no_google=pl.lit(no_google),
    )


def matrix(
    orders: list[dict[str, Any]],
    *,
    ads: list[dict[str, Any]] | None = None,
    promos: list[dict[str, Any]] | None = None,
    known: pl.DataFrame | None = None,
    read: pl.DataFrame | None = None,
    days: list[date] = DAYS,
) -> pl.DataFrame:
    sold = table(Orders, orders)
    read = fetched() if read is None else read
    built = build_matrix(
        active_cells(sold.select("date", pl.col("ship_geohash").alias("geohash")), days),
        sold,
        tenant_ads(table(Ads, ads or []), read, "USD"),
        tenant_promos(table(Promos, promos or []), read),
        weather() if known is None else known,
        join_mode="observed",
    )
    return finish_matrix(built, "acme", pl.lit("shopify_api"), pl.lit(NOW).dt.cast_time_unit("us"))


def test_the_matrix_keeps_its_contract() -> None:
    """A matrix that fails its own blocking check reaches nobody."""
    found = matrix([order(1)], ads=[ad("meta")], promos=[promo(1)], known=weather((MON, "u33d8")))
    Features.validate(found)
    assert found.schema == polars_schema(Features)
    assert matrix([]).schema == polars_schema(Features)


ORDERS = st.lists(
    st.tuples(
        st.integers(0, 3), st.sampled_from(["a", "b", "c", None]), st.one_of(st.none(), st.decimals(0, 999, places=2)), st.booleans(), st.booleans()
    ),
    max_size=25,
)  # fmt: skip
KEYS = st.sets(st.tuples(st.integers(0, 3), st.sampled_from("abc")))
ROWS = st.lists(st.tuples(st.sampled_from(["meta", "google"]), st.integers(0, 3)), max_size=5)


@settings(max_examples=40, deadline=None)
@given(ORDERS, KEYS, ROWS, st.lists(st.integers(0, 3), max_size=4))
def test_orders_and_revenue_are_the_same_before_and_after_the_join(
    drawn: list[tuple[int, str | None, Decimal | None, bool, bool]],
    known: set[tuple[int, str]],
    ads: list[tuple[str, int]],
    promos: list[int],
) -> None:
    """Joined on the date alone, three cells made 300 of a revenue of 100: it still looked like data."""
    days = [MON + timedelta(days=n) for n in range(4)]
    orders = [
        order(k, days[n], cell, None if money is None else str(money), cancelled=off, test=test)
        for k, (n, cell, money, off, test) in enumerate(drawn)
    ]
    read = fetched(days=days)
    found = matrix(
        orders,
        ads=[ad(platform, days[n], campaign=str(k)) for k, (platform, n) in enumerate(ads)],
        promos=[promo(k, days[n]) for k, n in enumerate(promos)],
        known=weather(*((days[n], cell) for n, cell in sorted(known))),
        read=read,
        days=days,
    )
    located = sales(table(Orders, orders)).drop_nulls("ship_geohash")
    assert found["orders"].sum() == located.height
    assert (found["net_revenue"].sum() or Decimal(0)) == (located["net_revenue"].sum() or Decimal(0))
    assert not found.select("date", "geohash").is_duplicated().any()
    for day in days:
        sold = sales(table(Orders, orders)).filter(pl.col("date") == day).height
        assert found.filter(pl.col("date") == day)["tenant_orders"].unique().to_list() in ([], [sold])


def test_trap_13_weather_that_is_missing_or_null_stays_null_in_the_matrix() -> None:
    """trap 13: nulls of the weather were filled with 0 for the model: 0 degrees in June, and no sun."""
    found = matrix([order(1), order(2, cell="drt2y")], known=weather((MON, "u33d8")))
    bare = found.filter((pl.col("date") == MON) & (pl.col("geohash") == "drt2y"))
    assert bare.select(*CARRIED, "weather_known_at_utc").row(0) == (None,) * (len(CARRIED) + 1)
    assert bare["is_weather_missing"].to_list() == [True]
    known = found.filter((pl.col("date") == MON) & (pl.col("geohash") == "u33d8"))
    assert known["temp_c"].to_list() == [12.5]
    assert known.select(pl.col(CARRIED).exclude("temp_c", "observation_type")).null_count().row(0) == (1,) * (
        len(CARRIED) - 2
    )


def test_a_day_without_orders_is_a_row_with_zero_orders() -> None:
    """Only days with sales in the matrix: rain that keeps people at home was never seen."""
    found = matrix([order(1)])
    assert found.select("date", "orders", "net_revenue", "tenant_orders", "is_first_order_day").rows() == [
        (MON, 1, Decimal(10), 1, True), (TUE, 0, Decimal(0), 0, False),
    ]  # fmt: skip


def test_cancelled_and_test_orders_are_no_sales() -> None:
    """A load test of 10,000 orders became the best day of the year."""
    found = matrix([order(1), order(2, cancelled=True), order(3, test=True)])
    assert found.filter(pl.col("date") == MON).select("orders", "tenant_orders", "net_revenue").rows() == [
        (1, 1, Decimal(10))
    ]


def test_an_order_without_a_place_counts_for_the_tenant_only() -> None:
    """Dropped from the matrix without trace, or given to a cell it never shipped to."""
    found = matrix([order(1), order(2, cell=None)]).filter(pl.col("date") == MON)
    assert found.select("orders", "tenant_orders").rows() == [(1, 2)]


def test_ads_and_promos_repeat_on_each_cell_and_are_allocated_to_none() -> None:
    """Divided by cells, spend follows the number of orders: the model learns its own target."""
    found = matrix(
        [order(1, cell="a"), order(2, cell="b")],
        ads=[ad("meta", spend="4.00"), ad("google", spend="1.50")],
        promos=[promo(1)],
    ).filter(pl.col("date") == MON)
    columns = (
        "tenant_ad_spend",
        "tenant_meta_spend",
        "tenant_google_spend",
        "tenant_ad_impressions",
        "tenant_ad_clicks",
        "tenant_promos",
    )
    assert found.select(columns).rows() == [(Decimal("5.5"), Decimal(4), Decimal("1.5"), 200, 14, 1)] * 2


def test_a_source_that_was_not_read_is_unknown_and_one_that_was_empty_is_zero() -> None:
    """A tenant without Klaviyo had 'no promos' for a year, and the model learnt what no promos look like."""
    ads = ("tenant_ad_spend", "tenant_meta_spend", "tenant_google_spend", "tenant_ad_impressions", "tenant_ad_clicks")
    promos = ("tenant_promos", "tenant_promos_email", "tenant_promos_sms", "tenant_promos_push")
    unread = matrix([order(1)], read=fetched(meta=False, google=False, promos=False))
    assert unread.select(*ads, *promos).unique().rows() == [(None,) * 9]
    empty = matrix([order(1)])
    assert empty.select(*ads, *promos).unique().rows() == [(Decimal(0),) * 3 + (0,) * 6]


def test_one_platform_of_two_is_the_total_of_what_is_run() -> None:
    """A shop that has no Google Ads had no ad spend at all."""
    read = fetched(google=False, no_google=True)
    found = matrix([order(1)], ads=[ad("meta")], read=read).filter(pl.col("date") == MON)
    assert found.select("tenant_ad_spend", "tenant_meta_spend", "tenant_google_spend").rows() == [
        (Decimal(5), Decimal(5), None)
    ]


def test_one_platform_of_two_that_are_run_is_no_total() -> None:
    """A year of Meta was read and its Google never: total spend doubled on the day that Google began."""
    found = matrix([order(1)], ads=[ad("meta")], read=fetched(google=False)).filter(pl.col("date") == MON)
    totals = ("tenant_ad_spend", "tenant_ad_impressions", "tenant_ad_clicks")
    assert found.select("tenant_meta_spend", *totals).rows() == [(Decimal(5), None, None, None)]


def test_a_shop_without_any_platform_has_no_total_rather_than_a_total_of_zero() -> None:
    """A shop that advertised elsewhere had spent nothing for a year, and its sales came of themselves."""
    read = fetched(meta=False, google=False, no_meta=True, no_google=True)
    totals = ("tenant_ad_spend", "tenant_ad_impressions", "tenant_ad_clicks")
    assert matrix([order(1)], read=read).select(totals).unique().rows() == [(None, None, None)]


def test_spend_in_another_currency_is_unknown_not_added() -> None:
    """100 yen and 100 dollars are not 200 of anything."""
    found = matrix([order(1)], ads=[ad("meta", spend="100", currency="JPY"), ad("google")]).filter(
        pl.col("date") == MON
    )
    assert found.select("tenant_ad_spend", "tenant_meta_spend", "tenant_google_spend").rows() == [
        (None, None, Decimal(5))
    ]
    assert found["tenant_ad_impressions"].to_list() == [200]
    tuesday = matrix([order(1)], ads=[ad("meta", MON, currency="JPY"), ad("meta", TUE)]).filter(pl.col("date") == TUE)
    assert tuesday["tenant_meta_spend"].to_list() == [Decimal(5)]


@pytest.mark.parametrize(
    ("status", "sent", "counts"),
    [
        ("Sent", NOW, 1),
        ("Sending", NOW, 1),
        ("Draft", None, 0),
        ("Draft", NOW, 0),
        ("Cancelled", NOW, 0),
        ("Cancelled: No Recipients", NOW, 0),
        ("Cancelled: Smart Sending", NOW, 0),
        ("Queued without Recipients", NOW, 0),
        ("Scheduled", NOW, 0),
        ("Sent", None, 0),
    ],
)
def test_only_campaigns_that_went_out_are_promos(status: str, sent: datetime | None, counts: int) -> None:
    """Drafts and cancelled campaigns counted as sent."""
    found = matrix([order(1)], promos=[promo(1, status=status, sent=sent)]).filter(pl.col("date") == MON)
    assert found["tenant_promos"].to_list() == [counts]


def test_promos_are_counted_by_channel() -> None:
    """Push campaigns were counted as SMS."""
    sent = [promo(1), promo(2, channel="sms"), promo(3, channel="sms"), promo(4, channel="mobile_push"), promo(5, TUE)]
    found = matrix([order(1)], promos=sent).filter(pl.col("date") == MON)
    columns = ("tenant_promos", "tenant_promos_email", "tenant_promos_sms", "tenant_promos_push")
    assert found.select(columns).rows() == [(4, 1, 2, 1)]


def test_a_cell_without_weather_is_marked_and_its_values_are_null() -> None:
    """Weather nulls were filled with 0 for the model: every gap was a frosty, dry, windless day."""
    found = matrix([order(1, cell="a"), order(2, cell="b")], known=weather((MON, "a"))).filter(pl.col("date") == MON)
    columns = ("geohash", "is_weather_missing", "temp_c", "weather_known_at_utc", "observation_type")
    assert found.select(columns).rows() == [("a", False, 12.5, NOW, "observed"), ("b", True, None, None, None)]


def test_weather_goes_to_its_own_cell_and_day() -> None:
    """Joined on the date alone, every cell had the weather of the first one."""
    known = weather((MON, "a"), (TUE, "b")).with_columns(
        temp_c=pl.when(pl.col("geohash") == "a").then(1.0).otherwise(2.0)
    )
    found = matrix([order(1, cell="a"), order(2, cell="b")], known=known)
    assert found.select("date", "geohash", "temp_c").rows() == [
        (MON, "a", 1.0),
        (MON, "b", None),
        (TUE, "a", None),
        (TUE, "b", 2.0),
    ]


def test_doubled_weather_is_an_error_not_a_doubled_sale() -> None:
    """The fan-out must stop at the join, before anyone sums it."""
    with pytest.raises(pl.exceptions.ComputeError):
        matrix([order(1)], known=weather((MON, "u33d8"), (MON, "u33d8")))
