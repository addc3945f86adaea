"""What a check may look at: the run's window, its table, the tables it was made from, and the ledger.

Belongs here: reading, each thing at most once. Does not belong here: judging. What is read raises LakeError where a table
is damaged or was made by another version.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Protocol

import dagster as dg
import polars as pl
from weathervane_assets.tables import CONTRACTS, shape_of
from weathervane_resources.clock import Clock
from weathervane_resources.connectors import Connector, GoogleAdsConnector, MetaAdsConnector, ShopifyConnector
from weathervane_resources.credentials import tenant_variable
from weathervane_resources.lake import Lake, whole
from weathervane_resources.lake_io import tenant_days
from weathervane_resources.partition_keys import split_key
from weathervane_resources.platform import Platform
from weathervane_resources.quarantine import read_quarantine
from weathervane_resources.refusals import read_refusals
from weathervane_resources.tenants import Tenant
from weathervane_resources.versions import warnings as version_warnings

from weathervane_checks.thresholds import Thresholds

VERSION_OF = {
    "orders": "SHOPIFY_API_VERSION",
    "meta_ads": "META_GRAPH_VERSION",
    "google_ads": "GOOGLE_ADS_API_VERSION",
    "promos": "KLAVIYO_REVISION",
}
CONNECTOR_OF: Mapping[str, Connector] = {
    "orders": ShopifyConnector(),
    "meta_ads": MetaAdsConnector(),
    "google_ads": GoogleAdsConnector(),
}
"""The sources whose credential may end."""

_log = logging.getLogger(__name__)


class Rebuild(Protocol):
    """A tenant's days of the matrix, to be built again as their decisions could know them (given by definitions.py)."""

    @property
    def decisions(self) -> pl.DataFrame:
        """`date`, `decision_at`, `normals_year`."""

    @property
    def versions(self) -> pl.DataFrame:
        """Every version of the weather of the days' cells."""

    @property
    def normals(self) -> pl.DataFrame:
        """The normals that the decisions could have."""

    @property
    def left_out(self) -> pl.DataFrame:
        """`date`, `geohash` of the active cells that the decision could not know of."""

    @property
    def other_limits(self) -> Sequence[date]:
        """The days whose stored flags are set by other limits than the tenant has now."""

    def weather(self, versions: pl.DataFrame) -> pl.DataFrame:
        """Return the weather that the decisions knew, its flags by the limits of the stored rows."""

    def matrix(self, versions: pl.DataFrame) -> pl.DataFrame:
        """Return the matrix."""


OpenRebuild = Callable[[Tenant, Sequence[date], Lake, datetime], Rebuild]


@dataclass(frozen=True)
class Evidence:
    """One dataset's window as it stands in the lake."""

    dataset: str
    tenant: Tenant
    keys: dict[date, str]
    lake: Lake
    now: datetime
    limits: Thresholds
    open_rebuild: OpenRebuild | None = None
    is_backfill: bool = False
    """Whether the run says that it is one."""
    platform: Platform | None = None
    """Where the credentials are; None where only the lake is judged."""

    @property
    def backfilled(self) -> frozenset[date]:
        """The days that are history: nobody is woken for them, and they are judged by the days around them."""
        reach = restatement_days(self.dataset, self.limits, self.tenant)
        return frozenset(day for day in self.days if self.is_backfill or (reach and (self.today - day).days > reach))

    @property
    def days(self) -> Sequence[date]:
        """The window's days, in order."""
        return sorted(self.keys)

    @property
    def today(self) -> date:
        """The tenant's day at the time of the check."""
        return self.tenant.today(self.now)

    @property
    def dying_version(self) -> str:
        """What is wrong with the API version that the dataset's source is asked in; empty when all is well."""
        variable = VERSION_OF.get(self.dataset)
        own = os.environ.get(tenant_variable(self.tenant.id, variable), "") if variable else ""
        in_use = {**os.environ, **({variable: own} if variable and own else {})}
        found = [w for w in version_warnings(self.now.date(), in_use) if w.variable == variable and w.ends]
        return found[0].message if found else ""

    @property
    def ending_credential(self) -> str:
        """What is to be done about the dataset's credential, which ends soon; empty when all is well, or nobody can say."""
        connector = CONNECTOR_OF.get(self.dataset)
        if connector is None or self.platform is None:
            return ""
        try:
            return connector.ending(connector.access(self.tenant.id, self.platform), self.platform, self.now)
        except dg.Failure as failure:  # what reads the source fails of it, and says so
            _log.warning("whether the credential ends soon is not known: %s", failure.description)
            return ""

    @cached_property
    def frame(self) -> pl.DataFrame:
        """The dataset's rows of the window."""
        return self.table(self.dataset)

    def orders_since(self, days_before: int) -> pl.DataFrame:
        """Return `date`, `order_id`, `ship_geohash`, `geo_source` of the window and of so many days before it."""
        return self._orders(days_before, pl.col("date", "order_id", "ship_geohash", "geo_source"))

    def _orders(self, days_before: int, *columns: pl.Expr) -> pl.DataFrame:
        since = self.days[0] - timedelta(days=days_before)
        rows = self.lake.scan_own(self.tenant.id, "orders", shape_of(CONTRACTS["orders"]))
        mine = rows.filter(pl.col("date").is_between(since, self.days[-1])).select(columns)
        return whole(mine, self.lake.uri(self.tenant.id, "orders"))

    @cached_property
    def ledger(self) -> pl.DataFrame:
        """What was last written for each day of the dataset."""
        return self.lake.ledger(self.tenant.id, self.dataset)

    @property
    def quarantined(self) -> dict[date, int]:
        """How many of the dataset's rows were set aside, by day."""
        rows = read_quarantine(self.lake, self.tenant.id, self.dataset)
        return dict(rows.group_by("date").len().iter_rows())

    @property
    def refusals(self) -> pl.DataFrame:
        """The days that the vendor would not let us read."""
        return read_refusals(self.lake, self.tenant.id, self.dataset)

    @cached_property
    def rebuild(self) -> Rebuild | None:
        """The window's matrix, to be built again; None where nobody said how."""
        return self.rebuild_of(self.days)

    def rebuild_of(self, days: Sequence[date]) -> Rebuild | None:
        """Return other days' matrix, to be built again."""
        return self.open_rebuild(self.tenant, days, self.lake, self.now) if self.open_rebuild else None

    def shipped(self, days_before: int) -> pl.DataFrame:
        """Return `date`, `geohash` of the orders of the window and of so many days before it, without test orders."""
        cells = self._orders(days_before, pl.col("date"), pl.col("ship_geohash").alias("geohash"), pl.col("is_test"))
        return cells.filter(~pl.col("is_test")).drop("is_test").drop_nulls().unique()

    def table(self, dataset: str, days: Sequence[date] | None = None) -> pl.DataFrame:
        """Return another dataset's rows of the window, or of `days`."""
        shape = shape_of(CONTRACTS[dataset])
        rows = self.lake.scan(self.tenant.id, dataset, shape, self.days if days is None else days)
        return whole(rows, self.lake.uri(self.tenant.id, dataset))

    def own_orders(self) -> pl.DataFrame:
        """Return the window's orders that count: none that are left over of a demo."""
        rows = self.lake.scan_own(self.tenant.id, "orders", shape_of(CONTRACTS["orders"]), self.days)
        return whole(rows, self.lake.uri(self.tenant.id, "orders"))


def restatement_days(dataset: str, limits: Thresholds, tenant: Tenant) -> float | None:
    """Return how old a day may be and still be read again in the ordinary course; None where age says nothing (normals)."""
    of_ads = max(limits.ads_restatement_days, tenant.restate_ads_days)
    reaches = {
        **dict.fromkeys(("orders", "promos", "features"), limits.orders_restatement_days),
        **dict.fromkeys(("meta_ads", "google_ads", "ads"), of_ads),
        **dict.fromkeys(("weather_daily", "weather_forecast"), limits.weather_restatement_days),
    }
    return reaches.get(dataset)


def open_evidence(
    dataset: str,
    keys: Sequence[str],
    platform: Platform,
    clock: Clock,
    open_rebuild: OpenRebuild | None = None,
    *,
    is_backfill: bool = False,
) -> Evidence:
    """Return the evidence of a run's partition keys."""
    tenant = platform.tenants()[tenant_days(keys).tenant]
    by_day = {split_key(key)[1]: key for key in keys}
    limits = Thresholds().for_tenant(tenant.thresholds)
    return Evidence(dataset, tenant, by_day, platform.lake(), clock.now(), limits, open_rebuild, is_backfill, platform)
