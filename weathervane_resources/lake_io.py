"""How assets reach the lake: the Dagster IO manager.

Belongs here: which rows belong to which partition keys, and what of a write is worth showing in the UI.
Does not belong here: how a table is written (`lake.py`).

It stands on dagster-polars' base class and replaces its partition handling: the stock managers refuse more than one
partition in a run, write in place, and put sample rows, which are customer data, into the event log.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import TYPE_CHECKING, Any, ClassVar

import dagster as dg
import polars as pl
from dagster_polars import BasePolarsUPathIOManager

from weathervane_resources import metrics
from weathervane_resources.clock import system_now
from weathervane_resources.lake import LEDGER_SCHEMA, Lake, Shape, VendorCount, Written
from weathervane_resources.partition_keys import split_key
from weathervane_resources.partition_metadata import show_partitions
from weathervane_resources.quarantine import replace_quarantine

if TYPE_CHECKING:
    from upath import UPath

CHANGES = ("new", "updated", "removed")


@dataclass(frozen=True)
class Batch:
    """What an asset hands to the lake: the rows of its window, where they came from, and what to show of them.

    `source` is one of the source names, `stub`, `not_configured`, `not_kept`, or several joined by `+`; `source_by_day` says it of days
    that differ. `rejects` are the rows of the
    window that cannot be used (`date`, `key`, `reason`), for the quarantine; None where there is nothing to set aside.
    `vendor_count` is what the vendor says it has; the ledger keeps it for the check `completeness`. `kept` are days of the
    window that are not written: the table and the ledger have them as they should be. `flag_limits` says by which limits the flags of
    each day are set; the ledger keeps it.
    """

    frame: pl.DataFrame
    source: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    metadata_by_day: Mapping[date, Mapping[str, Any]] = field(default_factory=dict)
    rejects: pl.DataFrame | None = None
    vendor_count: VendorCount | None = None
    source_by_day: Mapping[date, str] = field(default_factory=dict)
    kept: Collection[date] = ()
    flag_limits: Mapping[date, str] = field(default_factory=dict)


@dataclass(frozen=True)
class TenantDays:
    """One tenant and the days of a run, in order. A year partition counts as its January 1."""

    tenant: str
    days: tuple[date, ...]

    @property
    def first(self) -> date:
        """The first day."""
        return self.days[0]

    @property
    def last(self) -> date:
        """The last day."""
        return self.days[-1]

    def __str__(self) -> str:
        return f"{self.tenant} {self.first}..{self.last}"


def tenant_days(keys: Iterable[str]) -> TenantDays:
    """Return the tenant and days of a run's partition keys, which arrive in no order.

    Raises: dagster.Failure: the keys belong to more than one tenant (one tenant's rows must never reach another's).
    """
    parts = sorted({split_key(key) for key in keys})
    tenants = {tenant for tenant, _ in parts}
    if len(tenants) != 1:
        found = ", ".join(sorted(tenants)) or "no partition"
        raise dg.Failure(f"a run is one tenant x a range of days, not: {found}; start one run for each tenant")
    return TenantDays(tenants.pop(), tuple(day for _, day in parts))


class DeltaLakeIOManager(BasePolarsUPathIOManager):
    """Keeps each asset as a Delta table a tenant: `<base_dir>/<tenant>/<asset>`.

    A subclass names the tables (`shapes`, by asset name). Assets return a `Batch` and receive a `polars.LazyFrame`
    of exactly the partitions that Dagster maps to theirs; days never written are simply not in it.
    """

    shapes: ClassVar[Mapping[str, Shape]] = {}

    @property
    def lake(self) -> Lake:
        """The lake at `base_dir`."""
        return Lake(str(self.base_dir))

    def handle_output(self, context: dg.OutputContext, obj: Batch) -> None:
        """Replace the run's window in one commit; one metadata record a partition."""
        dataset = context.asset_key.path[-1]
        keys = list(context.asset_partition_keys)
        window = tenant_days(keys)
        self.vet(dataset, obj.frame, window.days)
        written = self._write(obj, dataset, window, context.run_id)
        shared = {"path": dg.MetadataValue.path(written.uri), "table_version": written.version}
        shared |= {"window": f"{window.first}/{window.last}", **obj.metadata}
        by_day = {row["date"]: row for row in written.days.iter_rows(named=True)}
        restated = self._restated(written.drift, window.last)
        set_aside = self._set_aside(obj, dataset, window, context.run_id)

        def shown(day: date) -> dict[str, Any]:
            own = obj.metadata_by_day.get(day, {})
            return {**shared, **_noted(by_day[day]), **restated.get(day, {}), **set_aside(day), **own}

        show_partitions(context, {key: shown(split_key(key)[1]) for key in sorted(keys)})

    def vet(self, dataset: str, frame: pl.DataFrame, days: Sequence[date]) -> None:
        """Refuse rows that break their table's contract, before any is written. Raises: dagster.Failure (not retried)."""
        del dataset, frame, days

    def _write(self, batch: Batch, dataset: str, window: TenantDays, run_id: str) -> Written:
        """Write the window without the days that are kept; return what is noted of all of them."""
        days = [day for day in window.days if day not in batch.kept]
        kept = self._unchanged(window.tenant, dataset, batch.kept)
        if not days:
            version = self.lake.version(window.tenant, dataset) or 0
            return Written(self.lake.uri(window.tenant, dataset), version, kept, kept.select("date").clear())
        written = self.lake.replace(
            window.tenant,
            dataset,
            batch.frame,
            shape=self.shapes[dataset],
            days=days,
            source=batch.source,
            run_id=run_id,
            now=system_now(),
            vendor_count=batch.vendor_count,
            source_by_day=batch.source_by_day,
            flag_limits=batch.flag_limits,
        )
        _publish(window.tenant, dataset, written.days)
        return replace(written, days=pl.concat([written.days, kept.select(written.days.columns)]))

    def _unchanged(self, tenant: str, dataset: str, days: Collection[date]) -> pl.DataFrame:
        """Return what the ledger says of days that a run leaves as they are: nothing is new there."""
        if not days:
            return pl.DataFrame(schema=LEDGER_SCHEMA)
        mine = self.lake.ledger(tenant, dataset).filter(pl.col("date").is_in(list(days)))
        return mine.with_columns(pl.lit(0, pl.Int64).alias(f"{change}_rows") for change in CHANGES)

    def drift_picture(self, drift: pl.DataFrame) -> str | None:
        """Return the changes of a run's days as a Markdown image; None where there is nothing to see."""
        del drift
        return None

    def _restated(self, drift: pl.DataFrame, newest: date) -> dict[date, dict[str, Any]]:
        """Return what to show of each day's restated sums, and of all of them on the newest day."""
        shown: dict[date, dict[str, Any]] = {
            row.pop("date"): {name: float(change) for name, change in row.items() if change is not None}
            for row in drift.iter_rows(named=True)
        }
        picture = self.drift_picture(drift)
        if picture:
            shown.setdefault(newest, {})["drift"] = dg.MetadataValue.md(picture)
        return shown

    def _set_aside(
        self, batch: Batch, dataset: str, window: TenantDays, run_id: str
    ) -> Callable[[date], dict[str, int]]:
        """Replace the window's quarantine; return what to show of it by day."""
        rejects = batch.rejects
        if rejects is None:
            return lambda _: {}
        replace_quarantine(
            self.lake,
            window.tenant,
            dataset,
            rejects,
            days=window.days,
            source=batch.source,
            run_id=run_id,
            now=system_now(),
        )
        by_day = dict(rejects.group_by("date").len().iter_rows())
        return lambda day: {"quarantined_rows": by_day.get(day, 0)}

    def load_input(self, context: dg.InputContext) -> pl.LazyFrame | None:
        """Return the upstream rows of the partitions mapped to this run's."""
        keys = list(context.asset_partition_keys)
        dataset = context.asset_key.path[-1]
        if not keys:
            return pl.LazyFrame(schema=self.shapes[dataset].schema)
        window = tenant_days(keys)
        return self.lake.scan(window.tenant, dataset, self.shapes[dataset], window.days)

    def scan_df_from_path(self, path: UPath, context: dg.InputContext) -> pl.LazyFrame:
        """Scan a whole table."""
        del context
        return pl.scan_delta(str(path))

    def write_df_to_path(self, context: dg.OutputContext, df: pl.DataFrame, path: UPath) -> None:
        """Refuse: without partition keys a write would replace everything."""
        raise NotImplementedError(f"{path}: the lake is written by window, see handle_output")

    def sink_df_to_path(self, context: dg.OutputContext, df: pl.LazyFrame, path: UPath) -> None:
        """Refuse: without partition keys a write would replace everything."""
        raise NotImplementedError(f"{path}: the lake is written by window, see handle_output")


def _publish(tenant: str, dataset: str, days: pl.DataFrame) -> None:
    metrics.count(metrics.WRITES, 1, tenant=tenant, dataset=dataset)
    for change in CHANGES:
        metrics.count(metrics.ROWS, int(days[f"{change}_rows"].sum()), tenant=tenant, dataset=dataset, change=change)


def _noted(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the ledger says of a day."""
    return {
        "source": row["source"],
        "dagster/partition_row_count": row["row_count"],
        "new_rows": row["new_rows"],
        "updated_rows": row["updated_rows"],
        "removed_rows": row["removed_rows"],
    }
