"""The days of a window, as what picks their rows: in polars, in SQL, and by the months that tables are partitioned by.

Belongs here: saying which rows are meant. Does not belong here: reading or writing them (`lake.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import polars as pl

MONTH = "month"
"""The column (YYYY-MM) by which tables are physically partitioned; no contract has it."""


def with_month(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the rows with the column by which tables are partitioned."""
    return frame.with_columns(pl.col("date").dt.strftime("%Y-%m").alias(MONTH))


def months(days: Sequence[date]) -> list[str]:
    """Return the months of `days`, in order, as the column `month` has them."""
    return sorted({day.strftime("%Y-%m") for day in days})


def is_contiguous(days: Sequence[date]) -> bool:
    """Return whether no day is left out between the first and the last."""
    return (max(days) - min(days)).days + 1 == len(set(days))


def within(days: Sequence[date]) -> pl.Expr:
    """Return whether a row's `date` is one of `days`."""
    if is_contiguous(days):
        return pl.col("date").is_between(min(days), max(days))
    return pl.col("date").is_in(sorted(set(days)))


def day_predicate(days: Sequence[date]) -> str:
    """Say the same as `within` in SQL. Dates are dates, so nothing from outside gets into the text."""
    if is_contiguous(days):
        return f"date >= '{min(days).isoformat()}' AND date <= '{max(days).isoformat()}'"
    return "date IN ({})".format(", ".join(f"'{day.isoformat()}'" for day in sorted(set(days))))
