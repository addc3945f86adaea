"""The ledger of a tenant: what was last written for each dataset and day, days without rows included.

Belongs here: its columns, and which of its commits goes with which version of a table. Does not belong here: writing it
(`lake.py`), and reading it as it was (`lake_restore.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

import polars as pl

from weathervane_resources.credentials import STUB, UNREAD, is_made_up

LEDGER = "_ledger"
DATASET_MARK, VERSION_MARK = "weathervane.dataset", "weathervane.table_version"
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
        "flag_limits": pl.String(),
    }
)
"""`flag_limits`: by which limits the flags of a day's rows were set; null where rows have none, and of days written before it was noted."""
IS_MADE_UP = pl.col("source").str.split("+").list.contains(STUB)
"""Whether a row of the ledger notes made-up rows (`credentials.is_made_up`)."""
IS_OWN = ~IS_MADE_UP & (pl.col("source").str.split("+").list.set_difference(sorted(UNREAD)).list.len() > 0)
"""Whether a row of the ledger notes what a vendor said: rows, or that it has none."""

LOST_FOR = timedelta(days=15)
"""So long after its last day a source without credentials counts as lost, and someone is told; later it was given up.

The counts of `ads`, which such a loss brings down too, have learnt it after two weeks (`relearn_weeks`), a day before: nothing is told after it."""


def left_over_days(ledger: pl.DataFrame) -> list[date]:
    """Return the days of a dataset that still hold made-up rows although others hold the tenant's own: of a demo, before it.

    They count nowhere, as if nobody had read them. Where all is made up, nothing is left over: that is a demo. `ledger`:
    the rows of one dataset.
    """
    return ledger.filter(IS_MADE_UP)["date"].to_list() if own_days(ledger) else []


def own_days(ledger: pl.DataFrame) -> list[date]:
    """Return the days of a dataset that were read from a vendor, with rows or without. `ledger`: the rows of one dataset."""
    return ledger.filter(IS_OWN)["date"].to_list()


def lost_after(own: Collection[date], day: date) -> date | None:
    """Return the last day before `day` that was read from the vendor, if a source without credentials is lost on `day`.

    None where no day before was read, and where the last is longer ago than `LOST_FOR`. `own`: the days that were read.
    """
    last = max((one for one in own if one < day), default=None)
    return last if last is not None and day - last <= LOST_FOR else None


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


def written_marks(dataset: str, version: int) -> dict[str, str]:
    """Return what a commit of the ledger says of itself: whose rows it notes, and which version of that table wrote them."""
    return {DATASET_MARK: dataset, VERSION_MARK: str(version)}


def against_the_notes(noted: pl.DataFrame, changes: pl.DataFrame, by_day: Mapping[date, str]) -> pl.DataFrame:
    """Let the count before be the one that was noted last: a run killed between table and ledger noted nothing.

    Where real rows take the place of made-up ones there is no count before. `by_day`: the sources of the new rows.
    """
    if not changes["previous_row_count"].sum():
        return changes
    made_up = IS_MADE_UP & pl.col("date").is_in([day for day, source in by_day.items() if not is_made_up(source)])
    count = pl.when(made_up).then(0).otherwise("row_count").alias("_noted")
    newest = noted.sort("table_version").unique("date", keep="last").select("date", count)
    before = pl.coalesce("_noted", "previous_row_count").alias("previous_row_count")
    return changes.join(newest, on="date", how="left", validate="1:1").with_columns(before)


def known_days(noted: pl.DataFrame, by_day: Mapping[date, str]) -> Collection[date]:
    """Return which days were read before from the same source: others have nothing to be compared with."""
    return [day for day, source in noted.select("date", "source").iter_rows() if by_day.get(day) == source]
