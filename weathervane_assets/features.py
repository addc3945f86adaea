"""The asset `features`: the modelling matrix of a tenant's cells and days."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property

import dagster as dg
import polars as pl

from weathervane_assets.ads import sources_by_day
from weathervane_assets.as_of import AsOf
from weathervane_assets.lineage import lineage, of_features
from weathervane_assets.pictures import FEWEST_DAYS, sales_picture
from weathervane_assets.tables import CONTRACTS, shape_of
from weathervane_assets.transforms.calendar import day_frame, history_start
from weathervane_assets.transforms.features import (
    PLATFORMS,
    build_matrix,
    finish_matrix,
    planned_promos,
    tenant_ads,
    tenant_promos,
)
from weathervane_assets.transforms.regions import weighted_weather
from weathervane_assets.transforms.weather import FlagLimits
from weathervane_assets.weather import active_in
from weathervane_assets.window import Window, open_window
from weathervane_resources.clock import Clock
from weathervane_resources.credentials import NOT_CONFIGURED, STUB, UNREAD, is_made_up
from weathervane_resources.lake import Lake
from weathervane_resources.lake_io import Batch
from weathervane_resources.lake_ledger import left_over_days, lost_days
from weathervane_resources.platform import Platform
from weathervane_resources.tenants import Tenant

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

    A day without orders is a row with zero orders; a day whose orders were never read has no row. Missing weather is null and marked. Columns that begin with
    `tenant_` concern the whole tenant-day and repeat on each cell: never sum them over cells. In join mode `as_of` each
    row knows the weather, cells and plans that its decision could know, and nothing later.
    """
    window = open_window(context.partition_keys, platform, clock)
    tables = Tables(window.whole("orders", orders), window.whole("ads", ads), window.whole("promos", promos))
    if is_as_of(window):
        matrix = matrix_as_of(AsOf(window), tables)
    else:
        matrix = _observed(window, tables, window.whole("weather_daily", weather_daily))
    sources = _sources(window)
    frame = _finish(matrix, window, sources)
    shown, noted = _shown(frame, window), _flag_limits(window)
    return Batch(frame, NOT_CONFIGURED, {"requests": 0}, shown, source_by_day=sources, flag_limits=noted)


@dataclass(frozen=True)
class Tables:
    """What is joined to the weather: a window's orders, ads and promos."""

    orders: pl.DataFrame
    ads: pl.DataFrame
    promos: pl.DataFrame


def is_as_of(window: Window) -> bool:
    """Whether the tenant's matrix may only know what was known at the decision."""
    return window.tenant.join_mode == "as_of"


def matrix_cells(window: Window) -> pl.DataFrame:
    """Return `date`, `geohash`, `is_first_order_day` of the rows that the window's days have, as the stored orders make them."""
    return _sold(AsOf(window).active if is_as_of(window) else active_in(window), _fetched(window))


def _observed(window: Window, tables: Tables, weather: pl.DataFrame) -> pl.DataFrame:
    fetched = _fetched(window)
    return build_matrix(
        _sold(active_in(window), fetched),
        tables.orders,
        tenant_ads(tables.ads, fetched, window.tenant.currency),
        tenant_promos(tables.promos, fetched),
        weather,
        join_mode="observed",
    )


def matrix_as_of(as_of: AsOf, tables: Tables, versions: pl.DataFrame | None = None) -> pl.DataFrame:
    """Return the matrix in join mode as_of: what each row's decision could know, and the sales that came after it.

    What ads cost on the day is not known before it: null. `versions` stands in for those of the lake.
    """
    window = as_of.window
    fetched = _fetched(window)
    unread = fetched.with_columns(*(pl.lit(value=False).alias(f"has_{platform}") for platform in PLATFORMS))
    return build_matrix(
        _sold(as_of.active, fetched),
        tables.orders,
        tenant_ads(tables.ads.clear(), unread, window.tenant.currency),
        planned_promos(tables.promos, as_of.decisions),
        as_of.weather(as_of.versions if versions is None else versions),
        join_mode="as_of",
    )


@dataclass(frozen=True)
class Rebuild(AsOf):
    """The matrix of a tenant's days as their decisions could know it, built again from the lake for the checks."""

    @cached_property
    def limits(self) -> Mapping[date, FlagLimits]:
        """Those by which the stored rows were made; of days of which nobody noted them, the tenant's of now."""
        noted = _noted_limits(self.window, "features")
        return {day: FlagLimits.read(noted[day]) if day in noted else self._limits_of_now for day in self.window.days}

    @property
    def other_limits(self) -> Sequence[date]:
        """The days whose stored flags are set by other limits than the tenant has now."""
        return [day for day, limits in self.limits.items() if limits != self._limits_of_now]

    def matrix(self, versions: pl.DataFrame) -> pl.DataFrame:
        """Return the matrix that `versions` of the weather make."""
        orders, ads, promos = (self._table(name) for name in ("orders", "ads", "promos"))
        matrix = matrix_as_of(self, Tables(orders, ads, promos), versions)
        return _finish(matrix, self.window, _sources(self.window))

    def _table(self, dataset: str) -> pl.DataFrame:
        shape = shape_of(CONTRACTS[dataset])
        rows = self.window.lake.scan(self.window.tenant.id, dataset, shape, self.window.days)
        return self.window.whole(dataset, rows)


def open_rebuild(tenant: Tenant, days: Sequence[date], lake: Lake, now: datetime) -> Rebuild:
    """Return the matrix of `days`, to be built again; nothing is read yet."""
    return Rebuild(Window(tenant, tuple(sorted(days)), now, lake))


def _finish(matrix: pl.DataFrame, window: Window, sources: Mapping[date, str]) -> pl.DataFrame:
    as_of = pl.lit(window.now).dt.cast_time_unit("us")
    source = pl.col("date").replace_strict(sources, return_dtype=pl.String)
    return finish_matrix(matrix, window.tenant.id, source, as_of)


def _sold(active: pl.DataFrame, fetched: pl.DataFrame) -> pl.DataFrame:
    """Return the active cells of the days whose orders were read."""
    return active.filter(pl.col("date").is_in(fetched.filter("has_orders")["date"].implode()))


def _fetched(window: Window) -> pl.DataFrame:
    """Return for each day whether each source was read: what was never read is unknown, not zero.

    A platform's ads count as read once `ads` was made from them: a night on which the other failed has none to join. Made-up
    orders that are left over of a demo were never read. `no_meta` and `no_google` are days whose run found the platform not
    configured; a day without any run, that the platform does not keep any more, or on which its credentials were lost, is not one
    of them.
    """
    noted = window.lake.ledger(window.tenant.id)
    ledger = noted.filter(~pl.col("source").is_in(sorted(UNREAD)))
    left_over = left_over_days(ledger.filter(pl.col("dataset") == "orders"))

    def was_read(dataset: str) -> pl.Expr:
        return pl.col("date").is_in(ledger.filter(pl.col("dataset") == dataset)["date"].to_list())

    def was_absent(dataset: str) -> pl.Expr:
        mine = noted.filter(pl.col("dataset") == dataset)
        absent = mine.filter(pl.col("source") == NOT_CONFIGURED)["date"].to_list()
        return pl.col("date").is_in(sorted({*absent} - {*lost_days(mine)}))

    def was_joined(dataset: str) -> pl.Expr:
        source = pl.col("source")
        ads = ledger.filter(pl.col("dataset") == "ads").select("date", source.str.split("+").alias("_of"))
        mine = ledger.filter(pl.col("dataset") == dataset).join(ads, on="date", how="inner", validate="1:1")
        return pl.col("date").is_in(mine.filter(pl.col("_of").list.contains(source))["date"].to_list())

    return day_frame(window.days).with_columns(
        has_orders=was_read("orders") & ~pl.col("date").is_in(left_over),
        has_meta=was_joined("meta_ads"),
        has_google=was_joined("google_ads"),
        no_meta=was_absent("meta_ads"),
        no_google=was_absent("google_ads"),
        has_promos=was_read("promos"),
    )


def _flag_limits(window: Window) -> Mapping[date, str]:
    """Return by which limits the flags of each day are set: in join mode as_of the tenant's, else those of the joined weather."""
    if is_as_of(window):
        return dict.fromkeys(window.days, FlagLimits.of(window.tenant.thresholds).noted)
    return _noted_limits(window, "weather_daily")


def _noted_limits(window: Window, dataset: str) -> Mapping[date, str]:
    ledger = window.lake.ledger(window.tenant.id, dataset).filter(pl.col("date").is_in(list(window.days)))
    return dict(ledger.select("date", "flag_limits").drop_nulls().iter_rows())


def _sources(window: Window) -> dict[date, str]:
    """Return what each day's rows are made of: a source that was connected yesterday leaves the days before as they were.

    Days that are left over of a demo have no rows, and no source.
    """
    joined = sources_by_day(window, INPUTS)
    found = {day: STUB if is_made_up(sources) else sources for day, sources in joined.items()}
    left_over = window.lake.left_over_days(window.tenant.id, "orders")
    return found | dict.fromkeys(found.keys() & left_over, NOT_CONFIGURED)


def _shown(frame: pl.DataFrame, window: Window) -> dict[date, dict[str, object]]:
    """Return the share of rows with weather for each day; on the last one where columns come from, and the picture of sales."""
    by_day = _coverage(frame)
    by_day.setdefault(window.last, {}).update(lineage(of_features(is_as_of=is_as_of(window))))
    picture = sales_picture(_sales_by_anomaly(frame, window)) if len(window.days) >= FEWEST_DAYS else None
    if picture:
        by_day[window.last]["sales"] = dg.MetadataValue.md(picture)
    return by_day


def _sales_by_anomaly(frame: pl.DataFrame, window: Window) -> pl.DataFrame:
    """Return `date`, `temp_anomaly` of the tenant, weighted by where orders went before the decision, and `orders`."""
    history = window.lake.scan_own(window.tenant.id, "orders", shape_of(CONTRACTS["orders"])).filter(
        pl.col("date").is_between(history_start(window.first), window.last)
    )
    before = window.whole("orders", history.select("date", "ship_geohash", "is_test", "cancelled_at"))
    anomalies = weather_of_tenant(frame, window, before).select("date", "temp_anomaly")
    orders = frame.group_by("date").agg(pl.col("tenant_orders").max().alias("orders"))
    return orders.join(anomalies, on="date", how="left", validate="1:1")


def weather_of_tenant(frame: pl.DataFrame, window: Window, orders: pl.DataFrame) -> pl.DataFrame:
    """Return `weighted_weather` of the tenant, by where orders went before the day, in join mode as_of before the decision."""
    lead_days = window.tenant.decision_lead_days if is_as_of(window) else 0
    return weighted_weather(frame, orders, lead_days=lead_days)


def _coverage(frame: pl.DataFrame) -> dict[date, dict[str, object]]:
    ratios = frame.group_by("date").agg((~pl.col("is_weather_missing")).mean().alias("ratio"))
    return {day: {"weather_coverage_ratio": ratio} for day, ratio in ratios.select("date", "ratio").iter_rows()}
