"""The ledger of a tenant: what was last written for each dataset and day, days without rows included.

Belongs here: its columns, and which of its commits goes with which version of a table. Does not belong here: writing it
(`lake.py`), and reading it as it was (`lake_restore.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import polars as pl

from weathervane_resources.credentials import STUB

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
    }
)
IS_MADE_UP = pl.col("source").str.split("+").list.contains(STUB)
"""Whether a row of the ledger notes made-up rows (`credentials.is_made_up`)."""


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
