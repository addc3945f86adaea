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
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TypeVar

import polars as pl
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from weathervane_resources.drift import content, row_changes, sum_changes
from weathervane_resources.lake_errors import LakeError, StubWouldReplaceLive, reason
from weathervane_resources.lake_files import LakeFiles, is_below_root

__all__ = ["Lake", "LakeError", "Shape", "StubWouldReplaceLive", "VendorCount", "Written", "day_predicate"]

T = TypeVar("T")

MONTH = "month"
LEDGER = "_ledger"
UNCLAIMED_SOURCES = frozenset({"stub", "not_configured"})
COMMIT_ATTEMPTS = 8
TABLE_PROPERTIES = {
    "delta.checkpointInterval": "10",  # a night opens a hundred tables: docs/benchmarks.md
    "delta.logRetentionDuration": "interval 30 days",
    "delta.deletedFileRetentionDuration": "interval 30 days",
}
LEDGER_SCHEMA = pl.Schema(
    {
        "dataset": pl.String(),
        "date": pl.Date(),
        "row_count": pl.Int64(),
        "previous_row_count": pl.Int64(),
        "new_rows": pl.Int64(),
        "updated_rows": pl.Int64(),
        "removed_rows": pl.Int64(),
        "source": pl.String(),
        "table_version": pl.Int64(),
        "run_id": pl.String(),
        "written_at_utc": pl.Datetime("us", "UTC"),
        "expected_rows": pl.Int64(),
        "expected_days": pl.Int64(),
    }
)


@dataclass(frozen=True)
class Shape:
    """What the lake needs to know of a table.

    Its columns in order, what identifies a row within its day, and the columns whose sum of a day is restated.
    """

    schema: pl.Schema
    keys: tuple[str, ...]
    restated: tuple[str, ...] = ()


@dataclass(frozen=True)
class VendorCount:
    """How many rows a vendor itself says it has: of each day, or where days are many of the whole window, or neither."""

    by_day: Mapping[date, int] = field(default_factory=dict)
    total: int | None = None

    def of(self, days: Sequence[date]) -> pl.DataFrame:
        """Return `date`, `expected_rows` and over how many days that is; null where the vendor was not asked."""
        whole = (self.total, None if self.total is None else len(days))
        rows = [(day, self.by_day[day], 1) if day in self.by_day else (day, *whole) for day in sorted(set(days))]
        schema = {"date": pl.Date, "expected_rows": pl.Int64, "expected_days": pl.Int64}
        return pl.DataFrame(rows, schema=schema, orient="row")


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
        table = self._table(self.uri(tenant, dataset))
        return None if table is None else table.version()

    def scan(self, tenant: str, dataset: str, shape: Shape, days: Sequence[date] | None = None) -> pl.LazyFrame:
        """Return the table's rows, of `days` where given, with exactly the shape's columns; empty where there is none.

        Raises: LakeError: the table cannot be read, or lacks a column that the shape has.
        """
        return _rows_of(self._table(self.uri(tenant, dataset)), f"{tenant}/{dataset}", shape, days)

    def filled(self, tenant: str, dataset: str, column: str) -> tuple[int, int]:
        """Return how many rows a table has, and in how many of them `column` is not null; 0, 0 where there is none.

        Read from what the log says of each file, so that the whole history costs no more than opening the table.
        Raises: LakeError: the table cannot be read, or has no such column.
        """
        table = self._table(self.uri(tenant, dataset))
        if table is None:
            return 0, 0
        _check_columns(pl.scan_delta(table), f"{tenant}/{dataset}", [column])
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
        table = self._table(self.uri(tenant, LEDGER))
        if table is None:
            return pl.DataFrame(schema=LEDGER_SCHEMA)
        rows = pl.scan_delta(table)
        if dataset is not None:
            rows = rows.filter(pl.col("dataset") == dataset)
        known = rows.collect_schema()
        # columns that a ledger of an older version does not have yet
        absent = [pl.lit(None, dtype).alias(name) for name, dtype in LEDGER_SCHEMA.items() if name not in known]
        return rows.with_columns(absent).select(LEDGER_SCHEMA.names()).collect()

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
    ) -> Written:
        """Make `frame` the rows of `days`, in one commit, and note it in the ledger.

        A row that says the same as the version before keeps its `as_of_utc`: it was learnt then.
        Raises: StubWouldReplaceLive: `source` is stub or not_configured and the days hold live rows.
                LakeError: the frame has another shape, holds other days, or the commit fails.
        """
        _check_frame(frame, dataset, shape, days)
        uri = self.uri(tenant, dataset)

        def merge(table: DeltaTable | None) -> tuple[pl.DataFrame, tuple[pl.DataFrame, pl.DataFrame]]:
            # read from the very version that the commit is based on: if another writer comes between, both are done again
            before = _rows_of(table, f"{tenant}/{dataset}", shape, days).collect()
            _guard_live_rows(before, source, f"{tenant}/{dataset}")
            merged = _keep_learning_time(frame, before, shape)
            return merged.with_columns(pl.col("date").dt.strftime("%Y-%m").alias(MONTH)), (merged, before)

        version, (merged, before) = self._commit(uri, merge, day_predicate(days), [MONTH])
        notes = (
            row_changes(merged, before, shape.keys, days)
            .select(
                pl.lit(dataset).alias("dataset"),
                "date",
                pl.col("row_count", "previous_row_count", "new_rows", "updated_rows", "removed_rows").cast(pl.Int64),
                pl.lit(source).alias("source"),
                pl.lit(version, dtype=pl.Int64).alias("table_version"),
                pl.lit(run_id).alias("run_id"),
                pl.lit(now).dt.cast_time_unit("us").alias("written_at_utc"),
            )
            .join((vendor_count or VendorCount()).of(days), on="date", how="left", validate="1:1")
        )
        drift = sum_changes(merged, before, shape.restated, self._known_days(tenant, dataset, shape, days, source))
        predicate = f"dataset = '{dataset}' AND {day_predicate(days)}"
        self._commit(self.uri(tenant, LEDGER), lambda _: (notes, None), predicate, ["dataset"])
        return Written(uri, version, notes, drift)

    def _known_days(
        self, tenant: str, dataset: str, shape: Shape, days: Sequence[date], source: str
    ) -> Collection[date]:
        """Return which days were read before from the same source: others have nothing to be compared with."""
        if not shape.restated:
            return ()
        known = self.ledger(tenant, dataset).filter(pl.col("source") == source, pl.col("date").is_in(list(days)))
        return known["date"].to_list()

    def append(self, folder: str, table: str, frame: pl.DataFrame, partition_by: list[str]) -> None:
        """Add rows to an append-only table (`<lake>/<folder>/<table>`)."""
        self._commit(self.uri(folder, table), lambda _: (frame, None), None, partition_by)

    def replace_shared(
        self, folder: str, table: str, frame: pl.DataFrame, predicate: str, partition_by: list[str]
    ) -> None:
        """Replace the rows of a shared table that `predicate` names; it must hold no text from outside."""
        self._commit(self.uri(folder, table), lambda _: (frame, None), predicate, partition_by)

    def scan_shared(self, folder: str, table: str, schema: pl.Schema) -> pl.LazyFrame:
        """Return all rows of an append-only table; empty where there is none."""
        found = self._table(self.uri(folder, table))
        return pl.LazyFrame(schema=schema) if found is None else pl.scan_delta(found).select(schema.names())

    def _table(self, uri: str) -> DeltaTable | None:
        try:
            return DeltaTable(uri)
        except TableNotFoundError:
            return None
        except (DeltaError, OSError) as error:
            raise LakeError(
                f"the table {uri} cannot be read ({reason(error)}); check WEATHERVANE_LAKE and its permissions with `weathervane doctor`"
            ) from None

    def _commit(
        self,
        uri: str,
        build: Callable[[DeltaTable | None], tuple[pl.DataFrame, T]],
        predicate: str | None,
        partition_by: list[str],
    ) -> tuple[int, T]:
        """Commit what `build` makes of the table's current version; return the version made and what `build` noted.

        A commit that lost against another writer's is built and tried again, since the write is idempotent.
        """
        for attempt in range(1, COMMIT_ATTEMPTS + 1):
            table = self._table(uri)
            frame, noted = build(table)
            try:
                return _write(uri, table, frame, predicate, partition_by), noted
            except CommitFailedError:
                pass
            except (DeltaError, OSError) as error:
                # two writers that both find no table both create it; the second is told so by a plain DeltaError
                if table is not None or self._table(uri) is None:
                    raise LakeError(
                        f"the table {uri} cannot be written ({reason(error)}); check permissions and free space, then run it again"
                    ) from None
            time.sleep(random.uniform(0.05, 0.2) * attempt)
        raise LakeError(f"{uri}: {COMMIT_ATTEMPTS} commits in a row lost against other writers; run it again")


def _write(
    uri: str, table: DeltaTable | None, frame: pl.DataFrame, predicate: str | None, partition_by: list[str]
) -> int:
    """Write once, on top of `table`'s version where it is to be replaced; return the version of the commit."""
    if table is not None and predicate is not None:
        write_deltalake(table, frame, mode="overwrite", predicate=predicate, schema_mode="merge")
        return table.version()
    mode = "append" if predicate is None else "error"
    write_deltalake(uri, frame, mode=mode, partition_by=partition_by, configuration=TABLE_PROPERTIES)  # type: ignore[call-overload]
    return 0 if table is None else DeltaTable(uri).version()


def _rows_of(table: DeltaTable | None, name: str, shape: Shape, days: Sequence[date] | None) -> pl.LazyFrame:
    if table is None:
        return pl.LazyFrame(schema=shape.schema)
    rows = pl.scan_delta(table)
    _check_columns(rows, name, shape.schema.names())
    if days is not None:
        rows = rows.filter(pl.col(MONTH).is_in(_months(days)) & _within(days))
    return rows.select(shape.schema.names())


def _check_columns(rows: pl.LazyFrame, name: str, wanted: Sequence[str]) -> None:
    known = rows.collect_schema()
    absent = [column for column in wanted if column not in known]
    if absent:
        hint = "it was written under another contract; delete the table and run its backfill again"
        raise LakeError(f"the table {name} lacks {', '.join(absent)}: {hint}")


def _months(days: Sequence[date]) -> list[str]:
    return sorted({day.strftime("%Y-%m") for day in days})


def _is_contiguous(days: Sequence[date]) -> bool:
    return (max(days) - min(days)).days + 1 == len(set(days))


def _within(days: Sequence[date]) -> pl.Expr:
    if _is_contiguous(days):
        return pl.col("date").is_between(min(days), max(days))
    return pl.col("date").is_in(sorted(set(days)))


def day_predicate(days: Sequence[date]) -> str:
    """Say the same as `_within` in SQL. Dates are dates, so nothing from outside gets into the text."""
    if _is_contiguous(days):
        return f"date >= '{min(days).isoformat()}' AND date <= '{max(days).isoformat()}'"
    return "date IN ({})".format(", ".join(f"'{day.isoformat()}'" for day in sorted(set(days))))


def _check_frame(frame: pl.DataFrame, dataset: str, shape: Shape, days: Sequence[date]) -> None:
    if frame.schema != shape.schema:
        wrong = [n for n in {*frame.schema, *shape.schema} if frame.schema.get(n) != shape.schema.get(n)] or [
            "column order"
        ]
        raise LakeError(
            f"{dataset}: the frame does not have the contract's columns: {', '.join(sorted(wrong))}; mend the asset that made it"
        )
    strays = frame.select(_within(days).not_().fill_null(value=True).sum()).item()
    if strays:
        raise LakeError(
            f"{dataset}: {strays} rows fall outside the window {min(days)} to {max(days)}; mend the asset that made them"
        )


def _guard_live_rows(before: pl.DataFrame, source: str, where: str) -> None:
    if source not in UNCLAIMED_SOURCES:
        return
    live = before.filter(~pl.col("source").is_in(list(UNCLAIMED_SOURCES))).height
    if live:
        raise StubWouldReplaceLive(
            f"{where}: {live} rows from a vendor would be replaced by {source} data; nothing was written. "
            "Set the source's credentials again, or write stub data to another WEATHERVANE_LAKE."
        )


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
