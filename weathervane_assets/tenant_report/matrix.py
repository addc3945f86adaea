"""The section on the modelling matrix: its columns, sales against the temperature, and what else moved sales."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import polars as pl

from weathervane_assets.pictures import FEWEST_DAYS
from weathervane_assets.tables import CONTRACTS, WEATHER_VALUES
from weathervane_assets.tenant_report.charts import NEAR_NORMAL_C, sales_chart
from weathervane_assets.tenant_report.source import Missing, Source
from weathervane_assets.tenant_report.svg import Chart
from weathervane_assets.tenant_report.wording import NOTHING, day, instant, money, share
from weathervane_assets.transforms.features import sales, was_sent

MOST_CAMPAIGNS = 8
MOST_VALUES = 4
GROUPS = (
    "Keys",
    "Sales",
    "Ads",
    "Promotions",
    "Weather of the day",
    "Departures, means and lags",
    "Event flags",
    "Origin",
)


@dataclass(frozen=True)
class Column:
    """One column: what it is, how much of it is null, and what its values span in the period."""

    name: str
    meaning: str
    unit: str
    null_ratio: float
    spans: str


@dataclass(frozen=True)
class Weather:
    """The days of one kind of temperature: how many, and what was sold on one of them on average."""

    name: str
    days: int
    orders: float | None
    revenue: Decimal | None


@dataclass(frozen=True)
class Campaign:
    """One campaign with its name from outside, and what there is to say of it."""

    name: str
    kind: str
    date: date | None
    spend: str


@dataclass(frozen=True)
class Matrix:
    """The section. Money is in the tenant's currency; `foreign_orders` and `unpriced_orders` are not in any sum of it.

    `order_days`, `ad_days`: for how many days of the period orders and ads were read. None were: no total, not zero.
    """

    missing: Missing | None
    rows: int
    join_mode: str
    columns: Mapping[str, Sequence[Column]]
    orders: int
    revenue: Decimal | None
    order_days: int
    ad_spend: Decimal | None
    ad_days: int
    foreign_orders: int
    unpriced_orders: int
    chart: Chart | None
    no_chart: Missing
    by_weather: Sequence[Weather]
    by_day: pl.DataFrame
    ads: Sequence[Campaign]
    promos: Sequence[Campaign]


def examine_matrix(source: Source) -> Matrix:
    """Return the section."""
    features = source.features
    sold = sales(source.orders_of_period)
    mine = sold.filter(pl.col("currency") == source.tenant.currency)
    by_day = _sales_by_day(source, mine, sold)
    both = by_day.drop_nulls("temp_anomaly")
    return Matrix(
        missing=source.no_matrix,
        rows=features.height,
        join_mode="+".join(features["join_mode"].unique().sort()),
        columns=_columns(source),
        orders=sold.height,
        revenue=_total(mine["net_revenue"]) if source.days_read("orders") else None,
        order_days=len(source.days_read("orders")),
        ad_spend=_ad_spend(source),
        ad_days=len(source.days_read("ads")),
        foreign_orders=sold.height - mine.height,
        unpriced_orders=mine["net_revenue"].null_count(),
        chart=sales_chart(by_day) if both.height >= FEWEST_DAYS else None,
        no_chart=Missing(
            f"Only {both.height} days have both sales and a temperature with its normal; fewer than {FEWEST_DAYS} are no picture.",
            source.backfill(),
        ),
        by_weather=_by_weather(both) if both.height >= FEWEST_DAYS else [],
        by_day=by_day,
        ads=_ads(source),
        promos=_promos(source),
    )


def _sales_by_day(source: Source, mine: pl.DataFrame, sold: pl.DataFrame) -> pl.DataFrame:
    """Return `date`, `temp_anomaly`, `orders`, `net_revenue` of the days that the orders were read for.

    A day that was read and has no order is zero; one that was not read is not there.
    """
    revenue = mine.group_by("date").agg(pl.col("net_revenue").sum())
    return (
        source.weather.select("date", "temp_anomaly")
        .filter(pl.col("date").is_in(source.days_read("orders")))
        .join(sold.group_by("date").len("orders"), on="date", how="left", validate="1:1")
        .join(revenue, on="date", how="left", validate="1:1")
        .with_columns(pl.col("orders").fill_null(0), pl.col("net_revenue").fill_null(Decimal(0)))
        .sort("date")
    )


def _by_weather(days: pl.DataFrame) -> list[Weather]:
    anomaly = pl.col("temp_anomaly")
    kinds = (
        (f"colder than normal by more than {NEAR_NORMAL_C:g} °C", anomaly < -NEAR_NORMAL_C),
        (f"within {NEAR_NORMAL_C:g} °C of normal", anomaly.is_between(-NEAR_NORMAL_C, NEAR_NORMAL_C)),
        (f"warmer than normal by more than {NEAR_NORMAL_C:g} °C", anomaly > NEAR_NORMAL_C),
    )
    return [_weather(name, days.filter(which)) for name, which in kinds]


def _weather(name: str, days: pl.DataFrame) -> Weather:
    if days.is_empty():
        return Weather(name, 0, None, None)
    revenue = (_total(days["net_revenue"]) or Decimal(0)) / days.height
    return Weather(name, days.height, sum(days["orders"].to_list()) / days.height, revenue)


def _columns(source: Source) -> dict[str, list[Column]]:
    """Return the columns by group, in the order of the contract."""
    grouped: dict[str, list[Column]] = {name: [] for name in GROUPS}
    for name, details in CONTRACTS["features"].to_schema().columns.items():
        values = source.features[name]
        unit = (details.metadata or {}).get("unit") or ""
        null_ratio = values.null_count() / values.len() if values.len() else 0.0
        spans = _spans(values.drop_nulls(), source)
        grouped[_group(name)].append(Column(name, details.description or "", unit, null_ratio, spans))
    return grouped


def _group(name: str) -> str:
    if name in ("tenant_id", "date", "geohash", "is_first_order_day"):
        return "Keys"
    if name in ("orders", "net_revenue", "tenant_orders"):
        return "Sales"
    if name.startswith("tenant_promos"):
        return "Promotions"
    if name.startswith("tenant_"):
        return "Ads"
    if name in WEATHER_VALUES:
        return "Weather of the day"
    if name.endswith("_flag"):
        return "Event flags"
    return "Departures, means and lags" if name.startswith(("temp_", "precip_", "uv_", "humidity_")) else "Origin"


def _spans(values: pl.Series, source: Source) -> str:
    """Return what the values of a column span, as text."""
    if values.is_empty():
        return NOTHING
    if values.name.endswith("_flag") or values.dtype == pl.Boolean:
        return f"yes in {share(float(values.cast(pl.Float64).mean()))}"  # type: ignore[arg-type] # of numbers: a float
    if values.name == "geohash":  # a cell with few orders could point at a person
        return f"{values.n_unique():,} different"
    if values.dtype == pl.String:
        known = values.unique().sort().to_list()
        return ", ".join(known) if len(known) <= MOST_VALUES else f"{len(known):,} different"
    low, high = (_value(one, source) for one in (values.min(), values.max()))
    return low if low == high else f"{low} to {high}"


def _value(value: Any, source: Source) -> str:
    if isinstance(value, Decimal):
        return money(value, source.tenant.currency)
    if isinstance(value, float):
        return f"{value:,.2f}".rstrip("0").rstrip(".").replace("-", "−")
    if isinstance(value, int):
        return f"{value:,}"
    return instant(value, source.tenant.zone) if hasattr(value, "hour") else day(value)


def _ad_spend(source: Source) -> Decimal | None:
    """Return what ads cost; None where they were read for no day, or some of it is in another currency than the tenant's."""
    rows = source.table("ads")
    if not source.days_read("ads") or (rows["currency"] != source.tenant.currency).any():
        return None
    return _total(rows["spend"])


def _ads(source: Source) -> list[Campaign]:
    """Return the campaigns that cost most, each in its account's currency, by the account's days."""
    rows = source.table("ads").sort("date")
    by_campaign = (
        rows.group_by("platform", "account_id", "campaign_id", "currency")
        .agg(pl.col("spend").sum(), pl.col("campaign_name").drop_nulls().last())
        .sort(["spend", "campaign_id"], descending=[True, False])
        .head(MOST_CAMPAIGNS)
    )
    kinds = {"meta": "Meta", "google": "Google Ads"}
    return [
        Campaign(r["campaign_name"] or r["campaign_id"], kinds[r["platform"]], None, money(r["spend"], r["currency"]))
        for r in by_campaign.iter_rows(named=True)
    ]


def _promos(source: Source) -> list[Campaign]:
    """Return the campaigns that were sent last."""
    sent = source.table("promos").filter(was_sent())
    newest = sent.sort("send_time", "campaign_id", descending=True).head(MOST_CAMPAIGNS)
    kinds = {"email": "e-mail", "sms": "SMS", "mobile_push": "mobile push"}
    return [
        Campaign(r["name"] or r["campaign_id"], kinds[r["channel"]], r["date"], "")
        for r in newest.iter_rows(named=True)
    ]


def _total(amounts: pl.Series) -> Decimal | None:
    """Return the sum of the amounts that are known; None where there are some and none is known."""
    known = amounts.drop_nulls().to_list()
    return sum(known, Decimal(0)) if known or amounts.is_empty() else None
