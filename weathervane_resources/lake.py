"""The lake: one Delta table for each tenant and dataset, and the ledger of what was written.

Belongs here: reading and replacing windows of days in `<lake>/<tenant>/<dataset>`, atomically and versioned.
Does not belong here: what a table means (`weathervane_assets.tables`) and Dagster (`lake_io.py`).

A window is replaced in one commit by a predicate on `date`, so readers see all of it or none of it, and a writer that
dies leaves the version before. Tables carry one column more than their contract: `month` (YYYY-MM), by which they are
physically partitioned.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TypeVar

import polars as pl
from deltalake import CommitProperties, DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError

from weathervane_resources.credentials import STUB, UNREAD
from weathervane_resources.drift import content, row_changes, sum_changes
from weathervane_resources.lake_days import MONTH, day_predicate, months, with_month, within
from weathervane_resources.lake_errors import LakeError, StubWouldReplaceLive, reason
from weathervane_resources.lake_files import LakeFiles, is_below_root
from weathervane_resources.lake_flush import flush_version
from weathervane_resources.lake_ledger import (
    LEDGER,
    LEDGER_SCHEMA,
    VendorCount,
    against_the_notes,
    known_days,
    left_over_days,
    written_marks,
)
from weathervane_resources.lake_lost import forget_lost
from weathervane_resources.lake_schema import (
    Shape,
    any_may_be_null,
    as_shaped,
    check_frame,
    described,
    refuse_absent,
    refuse_change,
    required_of,
)
from weathervane_resources.lake_tables import OPEN_TABLES, open_table

__all__ = [
    "LEDGER", "LEDGER_SCHEMA", "Lake", "LakeError", "Shape", "StubWouldReplaceLive", "VendorCount", "Written",
    "day_predicate",
]  # fmt: skip

T = TypeVar("T")

UNCLAIMED_SOURCES = UNREAD | {STUB}
COMMIT_ATTEMPTS = 8
TABLE_PROPERTIES = {
    "delta.checkpointInterval": "10",  # a night opens a hundred tables: docs/benchmarks.md
    "delta.logRetentionDuration": "interval 30 days",
    "delta.deletedFileRetentionDuration": "interval 30 days",
}


@dataclass(frozen=True)
class Written:
    """One commit: the table, its version, one ledger row a day, and the days whose restated sums can be compared."""

    uri: str
    version: int
    days: pl.DataFrame
    drift: pl.DataFrame


@dataclass(frozen=True)
class Lake:
    """A folder or object-store prefix of Delta tables."""

    root: str

    @property
    def files(self) -> LakeFiles:
        """The files below the root that are no rows of a table, like reports."""
        return LakeFiles(self.root)

    def uri(self, tenant: str, dataset: str) -> str:
        """Return the address of a table.

        Raises: LakeError: it would lie outside the lake.
        """
        if not is_below_root(f"{tenant}/{dataset}"):
            raise LakeError(f"{tenant!r}/{dataset!r} names no table of the lake; run it for a tenant of tenants.toml")
        return f"{self.root.rstrip('/')}/{tenant}/{dataset}"

    def check_usable(self) -> None:
        """Raise LakeError unless the root can be written by several at once."""
        self.files.check_usable()

    def version(self, tenant: str, dataset: str) -> int | None:
        """Return the table's current version, or None where there is no table."""
        table = self.table(tenant, dataset)
        return None if table is None else table.version()

    def scan(self, tenant: str, dataset: str, shape: Shape, days: Sequence[date] | None = None) -> pl.LazyFrame:
        """Return the table's rows, of `days` where given, with exactly the shape's columns; empty where there is none.

        A column that the table does not have yet is null, where it may be.
        Raises: LakeError: the table cannot be read, lacks a column that is never null, or has one of another type.
        """
        return rows_of(self.table(tenant, dataset), f"{tenant}/{dataset}", shape, days)

    def scan_own(self, tenant: str, dataset: str, shape: Shape, days: Sequence[date] | None = None) -> pl.LazyFrame:
        """Return the rows that count: those of `scan` without what is left over of a demo (`left_over_days`).

        Raises: LakeError, as `scan`; the ledger cannot be read.
        """
        left_over = self.left_over_days(tenant, dataset)
        rows = self.scan(tenant, dataset, shape, days)
        return rows.filter(~pl.col("date").is_in(left_over)) if left_over else rows

    def left_over_days(self, tenant: str, dataset: str) -> list[date]:
        """Return the days of a table that are left over of a demo (`lake_ledger.left_over_days`)."""
        return left_over_days(self.ledger(tenant, dataset))

    def filled(self, tenant: str, dataset: str, column: str) -> tuple[int, int]:
        """Return how many rows a table has, and in how many of them `column` is not null; 0, 0 where there is none.

        Read from what the log says of each file, so that the whole history costs no more than opening the table.
        Raises: LakeError: the table cannot be read, or has no such column.
        """
        table = self.table(tenant, dataset)
        if table is None:
            return 0, 0
        refuse_absent(f"{tenant}/{dataset}", {column} - set(pl.scan_delta(table).collect_schema()))
        files = pl.DataFrame(table.get_add_actions(flatten=True))
        noted = ["num_records", f"null_count.{column}"]
        if (
            not set(noted) <= set(files.columns)
            or files.select(pl.any_horizontal(pl.col(noted).is_null()).any()).item()
        ):
            counts = pl.scan_delta(table).select(pl.len(), pl.col(column).count().alias("filled")).collect()
        else:
            counts = files.select(pl.col(noted[0]).sum(), (pl.col(noted[0]) - pl.col(noted[1])).sum().alias("filled"))
        rows, filled = counts.row(0)
        return int(rows), int(filled)

    def ledger(self, tenant: str, dataset: str | None = None) -> pl.DataFrame:
        """Return what was last written for each dataset and day, zero rows included."""
        table, uri = self.table(tenant, LEDGER), self.uri(tenant, LEDGER)
        return OPEN_TABLES.remembered(uri, table, dataset, lambda: self.ledger_of(table, tenant, dataset))

    def ledger_of(self, table: DeltaTable | None, tenant: str, dataset: str | None = None) -> pl.DataFrame:
        """Return what a version of the ledger says."""
        rows = rows_of(table, f"{tenant}/{LEDGER}", any_may_be_null(LEDGER_SCHEMA), None)
        return whole(rows.filter(True if dataset is None else pl.col("dataset") == dataset), self.uri(tenant, LEDGER))

    def replace(
        self,
        tenant: str,
        dataset: str,
        frame: pl.DataFrame,
        *,
        shape: Shape,
        days: Sequence[date],
        source: str,
        run_id: str,
        now: datetime,
        vendor_count: VendorCount | None = None,
        source_by_day: Mapping[date, str] | None = None,
        flag_limits: Mapping[date, str] | None = None,
    ) -> Written:
        """Make `frame` the rows of `days`, in one commit, and note it in the ledger.

        A row that says the same as the version before keeps its `as_of_utc`: it was learnt then. `source` is of the days not in `source_by_day`.
        Raises: StubWouldReplaceLive: the source of a day is stub, not_configured or not_kept, and it holds live rows.
                LakeError: the frame has another shape, holds other days, or the commit fails.
        """
        check_frame(frame, dataset, shape, days)
        forget_lost(self, tenant, dataset)
        uri, by_day = self.uri(tenant, dataset), dict.fromkeys(days, source) | dict(source_by_day or {})

        def merge(table: DeltaTable | None) -> tuple[pl.DataFrame, tuple[pl.DataFrame, pl.DataFrame]]:
            # read from the very version that the commit is based on: if another writer comes between, both are done again
            before = whole(rows_of(table, f"{tenant}/{dataset}", shape, days), uri)
            _guard_live_days(before, by_day, f"{tenant}/{dataset}")
            merged = _keep_learning_time(frame, before, shape)
            return with_month(merged), (merged, before)

        version, (merged, before) = self.commit(
            uri, merge, shape=shape, predicate=day_predicate(days), partition_by=[MONTH]
        )
        noted = self._noted(tenant, dataset, shape, before)
        notes = (
            against_the_notes(noted, row_changes(merged, before, shape.keys, days), by_day)
            .select(
                pl.lit(dataset).alias("dataset"),
                "date",
                pl.col("row_count", "previous_row_count", "new_rows", "updated_rows", "removed_rows").cast(pl.Int64),
                pl.col("date").replace_strict(by_day, return_dtype=pl.String).alias("source"),
                pl.lit(version, dtype=pl.Int64).alias("table_version"),
                pl.lit(run_id).alias("run_id"),
                pl.lit(now).dt.cast_time_unit("us").alias("written_at_utc"),
                flag_limits=pl.col("date").replace_strict(flag_limits or {}, default=None, return_dtype=pl.String),
            )
            .join((vendor_count or VendorCount()).of(days), on="date", how="left", validate="1:1")
        )
        known = known_days(noted, by_day) if shape.restated else ()
        drift = sum_changes(merged, before, shape.restated, known)
        self.note(tenant, dataset, notes, days=days, version=version)
        return Written(uri, version, notes, drift)

    def note(self, tenant: str, dataset: str, notes: pl.DataFrame, *, days: Sequence[date], version: int) -> None:
        """Make `notes` what the ledger says of a dataset's `days`, which `version` of the table wrote.

        What a later version has noted of a day already, by a faster writer, stays.
        """

        def build(table: DeltaTable | None) -> tuple[pl.DataFrame, None]:
            newer = self.ledger_of(table, tenant, dataset).filter(
                (pl.col("table_version") > version) & pl.col("date").is_in(list(days))
            )
            if newer.height:  # but not of a table that is gone: one that was made anew begins at 0 again
                current = self.version(tenant, dataset) or 0
                newer = newer.filter(pl.col("table_version") <= current).select(notes.columns)
            return (pl.concat([notes.join(newer, on="date", how="anti"), newer]) if newer.height else notes), None

        self.commit(
            self.uri(tenant, LEDGER),
            build,
            shape=any_may_be_null(LEDGER_SCHEMA),
            predicate=f"dataset = '{dataset}' AND {day_predicate(days)}",
            partition_by=["dataset"],
            marks=written_marks(dataset, version),
        )

    def _noted(self, tenant: str, dataset: str, shape: Shape, before: pl.DataFrame) -> pl.DataFrame:
        """Return what the ledger says of a dataset; it is read only where there is something to hold against it."""
        if before.is_empty() and not shape.restated:
            return pl.DataFrame(schema=LEDGER_SCHEMA)
        return self.ledger(tenant, dataset)

    def append(self, folder: str, table: str, frame: pl.DataFrame, partition_by: list[str]) -> None:
        """Add rows to an append-only table (`<lake>/<folder>/<table>`)."""
        shape = any_may_be_null(frame.schema)
        self.commit(self.uri(folder, table), lambda _: (frame, None), shape=shape, partition_by=partition_by)

    def replace_shared(
        self, folder: str, table: str, frame: pl.DataFrame, predicate: str, partition_by: list[str]
    ) -> None:
        """Replace the rows of a shared table that `predicate` names; it must hold no text from outside."""
        shape, uri = any_may_be_null(frame.schema), self.uri(folder, table)
        self.commit(uri, lambda _: (frame, None), shape=shape, predicate=predicate, partition_by=partition_by)

    def scan_shared(self, folder: str, table: str, schema: pl.Schema) -> pl.LazyFrame:
        """Return all rows of an append-only table; empty where there is none."""
        return rows_of(self.table(folder, table), f"{folder}/{table}", any_may_be_null(schema), None)

    def table(self, tenant: str, dataset: str) -> DeltaTable | None:
        """Return a table at its current version, to be read only, or None where there is none.

        Raises: LakeError: it cannot be read.
        """
        return OPEN_TABLES.newest(self.uri(tenant, dataset))

    def commit(
        self,
        uri: str,
        build: Callable[[DeltaTable | None], tuple[pl.DataFrame, T]],
        *,
        shape: Shape,
        predicate: str | None = None,
        partition_by: Sequence[str] = (),
        marks: Mapping[str, str] | None = None,
    ) -> tuple[int, T]:
        """Commit what `build` makes of the table's current version; return the version made and what `build` noted.

        `marks` are kept with the commit. One that lost against another writer's is built and tried again: the write is idempotent.
        Raises: LakeError: the table's columns would change otherwise than by a new one that may be null.
        """
        for attempt in range(1, COMMIT_ATTEMPTS + 1):
            table = open_table(uri)
            try:
                _agree(table, uri, shape)
                frame, noted = build(table)
                version = _write(uri, table, frame, shape, predicate, partition_by, marks)
                flush_version(uri, version)
                OPEN_TABLES.hold(uri, table)
            except CommitFailedError:
                pass
            except (DeltaError, OSError) as error:
                # two writers that both find no table both create it; the second is told so by a plain DeltaError
                if table is not None or open_table(uri) is None:
                    raise LakeError(
                        f"the table {uri} cannot be written ({reason(error)}); check permissions and free space, then run it again"
                    ) from None
            else:
                return version, noted
            time.sleep(random.uniform(0.05, 0.2) * attempt)
        raise LakeError(f"{uri}: {COMMIT_ATTEMPTS} commits in a row lost against other writers; run it again")


def _agree(table: DeltaTable | None, uri: str, shape: Shape) -> None:
    """Refuse a change of columns that a table does not take, and let it say which are never null."""
    if table is None:
        return
    refuse_change(table, uri, shape)
    if shape.required and required_of(table) != shape.required:
        table.alter.set_table_description(described(shape.required) or "")


def _write(
    uri: str,
    table: DeltaTable | None,
    frame: pl.DataFrame,
    shape: Shape,
    predicate: str | None,
    partition_by: Sequence[str],
    marks: Mapping[str, str] | None,
) -> int:
    """Write once, on top of `table`'s version where there is one; return the version of the commit."""
    kept = CommitProperties(custom_metadata=dict(marks or {}))
    if table is not None and predicate is not None:
        write_deltalake(
            table, frame, mode="overwrite", predicate=predicate, schema_mode="merge", commit_properties=kept
        )
        return table.version()
    if table is not None:
        write_deltalake(table, frame, mode="append", schema_mode="merge", commit_properties=kept)
        return table.version()
    write_deltalake(
        uri,
        frame,
        mode="append" if predicate is None else "error",
        partition_by=list(partition_by),
        configuration=TABLE_PROPERTIES,
        description=described(shape.required),
        commit_properties=kept,
    )
    return 0


def whole(rows: pl.LazyFrame, uri: str) -> pl.DataFrame:
    """Return the rows of a table's version.

    Raises: LakeError: a file of it is gone or damaged, as a power cut leaves one between a commit and its flush; of a file cut
        short polars panics, which no `except Exception` sees.
    """
    try:
        return rows.collect()
    except (pl.exceptions.ComputeError, pl.exceptions.PanicException, FileNotFoundError) as error:
        raise LakeError(
            f"a file of the table {uri} is gone or damaged ({reason(error)}); bring the version before back as docs/reliability.md says, then run it again"
        ) from None


def rows_of(table: DeltaTable | None, name: str, shape: Shape, days: Sequence[date] | None) -> pl.LazyFrame:
    """Return the rows of a version, of `days` where given, with exactly the shape's columns; none where there is no table."""
    if table is None:
        return pl.LazyFrame(schema=shape.schema)
    rows = pl.scan_delta(table)
    if days is not None:
        rows = rows.filter(pl.col(MONTH).is_in(months(days)) & within(days))
    return as_shaped(rows, name, shape)


def guard_live_rows(before: pl.DataFrame, source: str, where: str) -> None:
    """Raise StubWouldReplaceLive if `source` is none that has rows and some of `before` came from a vendor."""
    if source not in UNCLAIMED_SOURCES:
        return
    live = before.filter(~pl.col("source").is_in(list(UNCLAIMED_SOURCES))).height
    if live:
        raise StubWouldReplaceLive(
            f"{where}: {live} rows from a vendor would be replaced by {source} data; nothing was written. "
            "Set the source's credentials again, or write stub data to another WEATHERVANE_LAKE."
        )


def _guard_live_days(before: pl.DataFrame, by_day: Mapping[date, str], where: str) -> None:
    """Guard the rows of each day against what it is to be made from."""
    for source in UNCLAIMED_SOURCES.intersection(by_day.values()):
        days = [day for day, one in by_day.items() if one == source]
        guard_live_rows(before.filter(pl.col("date").is_in(days)), source, where)


def _keep_learning_time(frame: pl.DataFrame, before: pl.DataFrame, shape: Shape) -> pl.DataFrame:
    """Give rows that did not change the `as_of_utc` they had."""
    if frame.is_empty() or before.is_empty():
        return frame
    known = before.select(content(shape.schema).alias("_content"), pl.col("as_of_utc").alias("_learnt")).unique(
        "_content"
    )
    return (
        frame.with_columns(content(shape.schema).alias("_content"))
        .join(known, on="_content", how="left", validate="m:1", maintain_order="left")
        .with_columns(pl.coalesce("_learnt", "as_of_utc").alias("as_of_utc"))
        .select(shape.schema.names())
    )
