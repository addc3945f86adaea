"""The matrix as it could be known when each decision was taken, read from the lake.

Belongs here: reading what the snapshots need (versions, normals, orders) for a tenant's days. Does not belong here: how a
snapshot is computed (`transforms/as_of.py`). The asset `features` builds its rows with it in join mode `as_of`, and the
check `weather_join_leakage` builds them again with a shuffled future.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property

import polars as pl

from weathervane_assets.stub_forecasts import known_versions
from weathervane_assets.tables import WEATHER_VALUES, WeatherDaily, conform
from weathervane_assets.transforms.as_of import decision_frame, describe_as_of, in_months, known_cells, weather_span
from weathervane_assets.transforms.calendar import active_cells, history_start
from weathervane_assets.transforms.weather import FlagLimits
from weathervane_assets.weather import normals_of, shipping_days
from weathervane_assets.window import Window
from weathervane_resources.credentials import STUB
from weathervane_resources.weather_cache import ARCHIVE_MODEL, WeatherCache, cell_table, observation_type


@dataclass(frozen=True)
class AsOf:
    """What was known of a window's days at their decisions."""

    window: Window

    @cached_property
    def decisions(self) -> pl.DataFrame:
        """`date`, `decision_at`, `normals_year` of each day."""
        return decision_frame({day: self.window.tenant.decision_at(day) for day in self.window.days})

    @cached_property
    def _order_days(self) -> pl.DataFrame:
        return shipping_days(self.window, history_start(self.window.first), self.window.last)

    @cached_property
    def active(self) -> pl.DataFrame:
        """`date`, `geohash`, `is_first_order_day` of the cells that the decision of the day could know of."""
        return known_cells(self._all_active, self._order_days, self.window.tenant.decision_lead_days)

    @cached_property
    def _all_active(self) -> pl.DataFrame:
        return active_cells(self._order_days, self.window.days)

    @property
    def left_out(self) -> pl.DataFrame:
        """`date`, `geohash` of the active cells that the decision could not know of."""
        return self._all_active.join(self.active, on=["date", "geohash"], how="anti").select("date", "geohash")

    @cached_property
    def cells(self) -> pl.DataFrame:
        """The active cells, their grid points and time zones."""
        return cell_table(self._all_active["geohash"].to_list())

    @cached_property
    def source(self) -> str:
        """The source of the window's weather, as the ledger has it for the newest day."""
        ledger = self.window.lake.ledger(self.window.tenant.id, "weather_daily")
        mine = ledger.filter(pl.col("date").is_in(list(self.window.days))).sort("date")
        return str(mine["source"][-1]) if mine.height else "not_configured"

    @cached_property
    def versions(self) -> pl.DataFrame:
        """Every version of the weather of the window's cells, from the days before it on; several a cell and day.

        Made-up forecasts of days that were over are the tenant's own: another one's would be said to be older than they are.
        """
        first, last = weather_span(self.window.days)
        points = self.cells["point"].to_list()
        cache = WeatherCache(self.window.lake, self.source)
        versions = cache.read(cache.versions(points, first, last).select(self._version))
        if self.source == STUB:
            made_up = known_versions(self.window, points, first, last).select(self._version)
            versions = pl.concat([versions, made_up]).unique()
        by_cell = self.cells.select("geohash", "point").join(versions, on="point", how="inner", validate="m:m")
        return by_cell.drop("point").sort("geohash", "valid_date", "known_at_utc", *WEATHER_VALUES)

    @property
    def _version(self) -> list[pl.Expr]:
        """What of a version is asked for, by the names that the snapshots have for it."""
        return [
            pl.col("point"),
            pl.col("valid_date"),
            pl.col("known_at_utc"),
            (pl.col("model") == ARCHIVE_MODEL).alias("is_archived"),
            *map(pl.col, WEATHER_VALUES),
            observation_type(self.source).alias("observation_type"),
            pl.col("model").alias("source_model"),
            pl.col("source"),
            pl.col("known_at_utc").alias("as_of_utc"),
        ]

    @cached_property
    def normals(self) -> pl.DataFrame:
        """The normals that the decisions may use; none where their year was never materialised."""
        return normals_of(self.window, self.decisions["normals_year"].unique())

    @cached_property
    def limits(self) -> Mapping[date, FlagLimits]:
        """By which limits the flags of each day are set."""
        return dict.fromkeys(self.window.days, self._limits_of_now)

    @property
    def _limits_of_now(self) -> FlagLimits:
        return FlagLimits.of(self.window.tenant.thresholds)

    def weather(self, versions: pl.DataFrame) -> pl.DataFrame:
        """Return the weather of each cell and day as its decision knew it from `versions`, as rows of `WeatherDaily`."""
        described = [self._weather_of(month, versions, limits) for month, limits in self._months()]
        frame = pl.concat(described) if described else self._weather_of(self.active, versions, FlagLimits())
        return conform(frame.with_columns(tenant_id=pl.lit(self.window.tenant.id)), WeatherDaily)

    def _months(self) -> Iterator[tuple[pl.DataFrame, FlagLimits]]:
        """Yield the active cells of each month, apart where their flags are set by other limits."""
        for limits in dict.fromkeys(self.limits.values()):
            days = [day for day, one in self.limits.items() if one == limits]
            for month in in_months(self.active.filter(pl.col("date").is_in(days))):
                yield month, limits

    def _weather_of(self, known: pl.DataFrame, versions: pl.DataFrame, limits: FlagLimits) -> pl.DataFrame:
        return describe_as_of(known, versions, self.normals, self.cells.drop("point"), self.decisions, limits)
