"""What a check may look at: the run's window, its table, the tables it was made from, and the ledger.

Belongs here: reading, each thing at most once. Does not belong here: judging.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property

import polars as pl
from weathervane_assets.tables import CONTRACTS, key_columns, polars_schema
from weathervane_resources.clock import Clock
from weathervane_resources.credentials import tenant_variable
from weathervane_resources.lake import Lake, Shape
from weathervane_resources.lake_io import split_key, tenant_days
from weathervane_resources.platform import Platform
from weathervane_resources.tenants import Tenant
from weathervane_resources.versions import warnings as version_warnings

from weathervane_checks.thresholds import Thresholds

VERSION_OF = {
    "orders": "SHOPIFY_API_VERSION",
    "meta_ads": "META_GRAPH_VERSION",
    "google_ads": "GOOGLE_ADS_API_VERSION",
    "promos": "KLAVIYO_REVISION",
}


@dataclass(frozen=True)
class Evidence:
    """One dataset's window as it stands in the lake."""

    dataset: str
    tenant: Tenant
    keys: dict[date, str]
    lake: Lake
    now: datetime
    limits: Thresholds

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

    @cached_property
    def frame(self) -> pl.DataFrame:
        """The dataset's rows of the window."""
        return self.table(self.dataset)

    @cached_property
    def ledger(self) -> pl.DataFrame:
        """What was last written for each day of the dataset."""
        return self.lake.ledger(self.tenant.id, self.dataset)

    def table(self, dataset: str, days: Sequence[date] | None = None) -> pl.DataFrame:
        """Return another dataset's rows of the window, or of `days`."""
        contract = CONTRACTS[dataset]
        shape = Shape(polars_schema(contract), tuple(key_columns(contract)))
        return self.lake.scan(self.tenant.id, dataset, shape, self.days if days is None else days).collect()


def open_evidence(dataset: str, keys: Sequence[str], platform: Platform, clock: Clock) -> Evidence:
    """Return the evidence of a run's partition keys."""
    tenant = platform.tenants()[tenant_days(keys).tenant]
    by_day = {split_key(key)[1]: key for key in keys}
    limits = Thresholds().for_tenant(tenant.thresholds)
    return Evidence(dataset, tenant, by_day, platform.lake(), clock.now(), limits)
