"""The asset `features`: the modelling matrix of a tenant's cells and days."""

from datetime import date

import dagster as dg
import polars as pl

from weathervane_assets.ads import sources_of
from weathervane_assets.transforms.calendar import day_frame
from weathervane_assets.transforms.features import build_matrix, finish_matrix, tenant_ads, tenant_promos
from weathervane_assets.weather import active_in
from weathervane_assets.window import Window, open_window
from weathervane_resources.clock import Clock
from weathervane_resources.credentials import NOT_CONFIGURED
from weathervane_resources.lake_io import Batch
from weathervane_resources.platform import Platform

INPUTS = ["orders", "meta_ads", "google_ads", "promos", "weather_daily"]


def features(
    context: dg.AssetExecutionContext,
    platform: Platform,
    clock: Clock,
    orders: pl.LazyFrame,
    ads: pl.LazyFrame,
    promos: pl.LazyFrame,
    weather_daily: pl.LazyFrame,
) -> Batch:
    """The modelling matrix: each cell a tenant ships to, each day, with its sales, its weather and the tenant's ads and promos.

    A day without orders is a row with zero orders. Missing weather is null and marked. Columns that begin with
    `tenant_` concern the whole tenant-day and repeat on each cell: never sum them over cells.
    """
    window = open_window(context.partition_keys, platform, clock)
    sold = orders.collect()
    weather = weather_daily.collect()
    fetched = _fetched(window)
    matrix = build_matrix(
        active_in(window),
        sold,
        tenant_ads(ads.collect(), fetched, window.tenant.currency),
        tenant_promos(promos.collect(), fetched),
        weather,
        join_mode="observed",
    )
    source = _source(sources_of(window, INPUTS))
    as_of = pl.lit(window.now).dt.cast_time_unit("us")
    frame = finish_matrix(matrix, window.tenant.id, source, as_of)
    return Batch(frame, source, metadata_by_day=_coverage(frame))


def _fetched(window: Window) -> pl.DataFrame:
    """Return for each day whether each source was read: what was never read is unknown, not zero."""
    ledger = window.lake.ledger(window.tenant.id).filter(pl.col("source") != NOT_CONFIGURED)

    def was_read(dataset: str) -> pl.Expr:
        return pl.col("date").is_in(ledger.filter(pl.col("dataset") == dataset)["date"].to_list())

    return day_frame(window.days).with_columns(
        has_meta=was_read("meta_ads"), has_google=was_read("google_ads"), has_promos=was_read("promos")
    )


def _source(sources: str) -> str:
    return "stub" if "stub" in sources.split("+") else sources


def _coverage(frame: pl.DataFrame) -> dict[date, dict[str, object]]:
    ratios = frame.group_by("date").agg((~pl.col("is_weather_missing")).mean().alias("ratio"))
    return {day: {"weather_coverage_ratio": ratio} for day, ratio in ratios.select("date", "ratio").iter_rows()}
