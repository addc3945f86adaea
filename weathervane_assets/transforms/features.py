"""The modelling matrix: one row per active cell and day.

Sales go to the cell they were shipped to; spend and promos belong to the whole tenant-day and are repeated on its
cells, never allocated. Weather is joined by cell and local date; what is not there stays null and is marked.
"""

from __future__ import annotations

import polars as pl

from weathervane_assets.tables import MONEY, WEATHER_VALUES, Features, conform

PLATFORMS = ("meta", "google")
NOT_SENT_YET = ("Scheduled", "Preparing to schedule", "Queued without Recipients")
CARRIED = (
    *WEATHER_VALUES,
    "temp_anomaly",
    "precip_anomaly",
    "temp_roll7",
    "precip_roll7",
    "temp_c_lag1",
    "precip_mm_lag1",
    "uv_index_lag1",
    "precip_probability_lag1",
    "humidity_lag1",
    "freeze_flag",
    "heatwave_flag",
    "snow_event_flag",
    "high_wind_flag",
    "uv_alert_flag",
    "high_precip_prob_flag",
    "observation_type",
)


def sales(orders: pl.DataFrame) -> pl.DataFrame:
    """Return the orders that count as sales: neither test nor cancelled."""
    return orders.filter(~pl.col("is_test") & pl.col("cancelled_at").is_null())


def cell_sales(orders: pl.DataFrame) -> pl.DataFrame:
    """Return `date`, `geohash`, `orders`, `net_revenue` of the sales that have a cell."""
    located = sales(orders).drop_nulls("ship_geohash").rename({"ship_geohash": "geohash"})
    return located.group_by("date", "geohash").agg(
        pl.len().cast(pl.Int32).alias("orders"), pl.col("net_revenue").sum().cast(MONEY)
    )


def tenant_orders(orders: pl.DataFrame) -> pl.DataFrame:
    """Return `date` and `tenant_orders`, sales with and without a cell."""
    return sales(orders).group_by("date").agg(pl.len().cast(pl.Int32).alias("tenant_orders"))


def tenant_ads(ads: pl.DataFrame, fetched: pl.DataFrame, currency: str) -> pl.DataFrame:
    """Return the ad columns of each tenant-day.

    `fetched`: `date`; `has_meta`, `has_google`: whether that platform was read for the day; `no_meta`, `no_google`: whether
    the tenant had no such platform then. A day that was read and shows no row is a day without delivery, zero; a day not
    read is null, and so are totals over both, unless there is but one. Spend in another currency than the shop's cannot be added
    and makes the platform's spend null.
    """
    foreign = (pl.col("currency") != currency).any()
    spend = pl.when(foreign).then(None).otherwise(pl.col("spend").sum())
    by_platform = ads.group_by("date", "platform").agg(
        spend.cast(MONEY).alias("spend"), pl.col("impressions").sum(), pl.col("clicks").sum()
    )
    table = fetched
    for platform in PLATFORMS:
        mine = by_platform.filter(pl.col("platform") == platform).select(
            "date",
            pl.col("spend").alias(f"_{platform}_spend"),
            pl.lit(value=True).alias(f"_{platform}_seen"),
            pl.col("impressions").alias(f"_{platform}_impressions"),
            pl.col("clicks").alias(f"_{platform}_clicks"),
        )
        table = table.join(mine, on="date", how="left", validate="1:1")
    return table.select("date", **_ad_columns())


def _ad_columns() -> dict[str, pl.Expr]:
    def read(platform: str, column: str) -> pl.Expr:
        seen = pl.col(f"_{platform}_seen").fill_null(value=False)
        value = pl.col(f"_{platform}_{column}")
        # read and without a row is a day without delivery: zero; not read stays null
        return pl.when(seen).then(value).when(pl.col(f"has_{platform}")).then(pl.lit(0).cast(_type_of(column)))

    def total(column: str) -> pl.Expr:
        parts = {platform: read(platform, column) for platform in PLATFORMS}
        known = [part.is_not_null() | pl.col(f"no_{platform}") for platform, part in parts.items()]
        is_there = pl.all_horizontal(known) & pl.any_horizontal(f"has_{platform}" for platform in PLATFORMS)
        return pl.when(is_there).then(pl.sum_horizontal(parts.values())).cast(_type_of(column))

    return {
        "tenant_ad_spend": total("spend"),
        "tenant_meta_spend": read("meta", "spend"),
        "tenant_google_spend": read("google", "spend"),
        "tenant_ad_impressions": total("impressions"),
        "tenant_ad_clicks": total("clicks"),
    }


def _type_of(column: str) -> pl.DataType:
    return MONEY if column == "spend" else pl.Int64()


def is_planned() -> pl.Expr:
    """Whether a campaign is to be sent or was: neither a draft nor cancelled, for whatever reason (`Cancelled: No Recipients`)."""
    return (pl.col("status") != "Draft") & ~pl.col("status").str.starts_with("Cancel")


def was_sent() -> pl.Expr:
    """Whether a campaign went out, or is on its way."""
    return is_planned() & ~pl.col("status").is_in(NOT_SENT_YET) & pl.col("send_time").is_not_null()


def tenant_promos(promos: pl.DataFrame, fetched: pl.DataFrame) -> pl.DataFrame:
    """Return the promo counts of each tenant-day; `fetched`: `date`, `has_promos`. Null where promos were not read."""
    by_channel = _by_channel(promos.filter(was_sent()))
    counts = [name for name in by_channel.columns if name != "date"]
    joined = fetched.join(by_channel, on="date", how="left", validate="1:1")
    # a day that was read and shows no campaign is zero; a day not read is null
    return joined.select("date", *(pl.when("has_promos").then(pl.col(n).fill_null(0)).cast(pl.Int32) for n in counts))


def _by_channel(campaigns: pl.DataFrame) -> pl.DataFrame:
    return campaigns.group_by("date").agg(
        pl.len().alias("tenant_promos"),
        (pl.col("channel") == "email").sum().alias("tenant_promos_email"),
        (pl.col("channel") == "sms").sum().alias("tenant_promos_sms"),
        (pl.col("channel") == "mobile_push").sum().alias("tenant_promos_push"),
    )


def planned_promos(promos: pl.DataFrame, decisions: pl.DataFrame) -> pl.DataFrame:
    """Return the promo counts of each tenant-day as far as they were known at its decision, else null.

    A campaign counts if it went out before the decision, or stood planned at it and has not been touched since: only then is
    what it was known. One that was there and changed later may have been planned or not: its day's count, and its channel's, is
    null, and so is one without any plan, since its absence proves nothing. `decisions`: `date`, `decision_at`.
    """
    dated = promos.join(decisions, on="date", how="inner", validate="m:1")
    was_out = was_sent() & (pl.col("send_time") <= pl.col("decision_at"))
    was_there = pl.col("created_at") <= pl.col("decision_at")
    is_certain = was_out | (pl.col("updated_at") <= pl.col("decision_at"))
    is_dated = pl.coalesce("send_time", "scheduled_at").is_not_null()
    known = _by_channel(dated.filter(was_there & is_certain & is_planned() & is_dated))
    unsure = _by_channel(dated.filter(was_there & ~is_certain))
    counts = [name for name in known.columns if name != "date"]
    joined = decisions.select("date").join(known, on="date", how="left", validate="1:1")
    both = joined.join(unsure, on="date", how="left", suffix="_unsure", validate="1:1")
    stands = {name: (pl.col(name) > 0) & (pl.col(f"{name}_unsure").fill_null(0) == 0) for name in counts}
    return both.select("date", *(pl.when(stands[n]).then(n).cast(pl.Int32).alias(n) for n in counts))


def build_matrix(
    active: pl.DataFrame,
    orders: pl.DataFrame,
    ads_by_day: pl.DataFrame,
    promos_by_day: pl.DataFrame,
    weather: pl.DataFrame,
    *,
    join_mode: str,
) -> pl.DataFrame:
    """Return the matrix without `tenant_id`, `source` and `as_of_utc`; one row for each row of `active`.

    `active`: `date`, `geohash`, `is_first_order_day`. `weather`: `WeatherDaily`.
    Zero orders is an observation and is written as 0; missing weather is null.
    """
    known = weather.select("date", "geohash", *CARRIED, pl.col("as_of_utc").alias("weather_known_at_utc"))
    return (
        active.join(cell_sales(orders), on=["date", "geohash"], how="left", validate="1:1")
        .join(tenant_orders(orders), on="date", how="left", validate="m:1")
        .join(ads_by_day, on="date", how="left", validate="m:1")
        .join(promos_by_day, on="date", how="left", validate="m:1")
        .join(known, on=["date", "geohash"], how="left", validate="1:1")
        .with_columns(
            pl.col("orders").fill_null(0),
            pl.col("tenant_orders").fill_null(0),
            pl.col("net_revenue").fill_null(pl.lit(0).cast(MONEY)),
            pl.lit(join_mode).alias("join_mode"),
            pl.col("weather_known_at_utc").is_null().alias("is_weather_missing"),
        )
        .sort("date", "geohash")
    )


def finish_matrix(matrix: pl.DataFrame, tenant_id: str, source: pl.Expr, as_of: pl.Expr) -> pl.DataFrame:
    """Add the ids that every table has and bring the columns into the contract's order."""
    return conform(matrix.with_columns(tenant_id=pl.lit(tenant_id), source=source, as_of_utc=as_of), Features)
