"""What a replaced window changed, day by day: rows against the version before, and sums that vendors restate.

Belongs here: comparing two versions of a table's days, pure. Does not belong here: reading and writing them (`lake.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date

import polars as pl

EXACT = pl.Decimal(38, 6)
"""Sums are compared as decimals: in floats a day that says the same in another order of rows would have changed."""
DECIMALS = 6


def content(schema: pl.Schema) -> pl.Expr:
    """Return what a row says, as one number: everything but when it was learnt.

    Floats to six decimals: the last bits of a mean are the processor's, and another one says the same.
    """
    said = [name for name in schema.names() if name != "as_of_utc"]
    # with zero added, -0.0 is 0.0
    return pl.struct(
        pl.col(name).round(DECIMALS) + 0.0 if schema[name].is_float() else pl.col(name) for name in said
    ).hash(seed=7)


def row_changes(after: pl.DataFrame, before: pl.DataFrame, keys: Sequence[str], days: Collection[date]) -> pl.DataFrame:
    """Return for each day: row_count, previous_row_count, new_rows, updated_rows, removed_rows.

    `keys`: what identifies a row within its day. Both versions have the same columns.
    """
    keys, said = ["date", *keys], content(after.schema)
    # rows are counted before the join: a key that stands twice must not multiply them
    sizes = [after.group_by("date").len("row_count"), before.group_by("date").len("previous_row_count")]
    old = before.select(*keys, said.alias("_old")).unique(keys)
    new = after.select(*keys, said.alias("_new")).unique(keys)
    both = new.join(old, on=keys, how="full", coalesce=True, nulls_equal=True, validate="1:1")
    is_old, is_new = pl.col("_old").is_not_null(), pl.col("_new").is_not_null()
    changes = both.group_by("date").agg(
        (is_new & ~is_old).sum().alias("new_rows"),
        (is_new & is_old & (pl.col("_old") != pl.col("_new"))).sum().alias("updated_rows"),
        (is_old & ~is_new).sum().alias("removed_rows"),
    )
    spine = pl.DataFrame({"date": sorted(set(days))}, schema={"date": pl.Date})
    for counts in (*sizes, changes):
        spine = spine.join(counts, on="date", how="left", validate="1:1")
    return spine.with_columns(pl.exclude("date").fill_null(0))


def sum_changes(
    after: pl.DataFrame, before: pl.DataFrame, columns: Sequence[str], days: Collection[date]
) -> pl.DataFrame:
    """Return for each day `<column>_change`: the sum of what is reported now minus that of what was reported before.

    Null where neither version reports a number: nothing is known to have changed, which is not the same as zero.
    """
    names = [f"{column}_change" for column in columns]
    spine = pl.DataFrame({"date": sorted(set(days))}, schema={"date": pl.Date})
    now, then = (_sums(frame, columns) for frame in (after, before))
    both = spine.join(now, on="date", how="left", validate="1:1").join(
        then, on="date", how="left", validate="1:1", suffix="_before"
    )
    changes = [
        pl.when(pl.col(column).is_not_null() | pl.col(f"{column}_before").is_not_null())
        .then(pl.col(column).fill_null(0) - pl.col(f"{column}_before").fill_null(0))
        .alias(name)
        for column, name in zip(columns, names, strict=True)
    ]
    return both.select("date", *changes)


def _sums(frame: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """Return the day's sum of each column; null where no row has a number."""
    exact = [pl.col(column).cast(EXACT) for column in columns]
    sums = [
        pl.when(value.count() > 0).then(value.sum()).alias(name) for value, name in zip(exact, columns, strict=True)
    ]
    return frame.group_by("date").agg(sums)
