"""What the lake knows of a table's columns, and how they may change once there is a table.

Belongs here: the one change that an existing table takes (a new column that may be null), and the refusal of every other.
Does not belong here: reading and writing tables (`lake.py`), and what a column means (`weathervane_assets.tables`).

Delta's own schema holds every column of ours as one that may be null, so a table's description keeps which may not be.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl
from deltalake import DeltaTable

from weathervane_resources.lake_days import MONTH, within
from weathervane_resources.lake_errors import LakeError

REQUIRED = "never null: "
ADVICE = (
    "keep the contract, or migrate: move the table away and run its backfill again (docs/decisions/0009-lake-care.md)"
)


@dataclass(frozen=True)
class Shape:
    """What the lake needs to know of a table.

    Its columns in order, what identifies a row within its day, the columns whose sum of a day is restated, and those that
    may be null.
    """

    schema: pl.Schema
    keys: tuple[str, ...]
    restated: tuple[str, ...] = ()
    optional: frozenset[str] = frozenset()

    @property
    def required(self) -> frozenset[str]:
        """The columns that are never null."""
        return frozenset(self.schema) - self.optional


def any_may_be_null(schema: pl.Schema) -> Shape:
    """Return the shape of a table of which only the columns are agreed."""
    return Shape(schema, (), optional=frozenset(schema))


def as_shaped(rows: pl.LazyFrame, name: str, shape: Shape) -> pl.LazyFrame:
    """Return the rows with exactly the shape's columns; one that the table does not have yet and that may be null is null.

    Raises: LakeError: the table lacks a column that is never null, or has one of another type.
    """
    known = rows.collect_schema()
    absent = [column for column in shape.schema if column not in known]
    refuse_absent(name, [column for column in absent if column in shape.required])
    refuse_other_types(name, known, shape.schema)
    return rows.with_columns(pl.lit(None, shape.schema[column]).alias(column) for column in absent).select(
        shape.schema.names()
    )


def refuse_absent(name: str, columns: Collection[str]) -> None:
    """Raise LakeError if there are columns that a table lacks and cannot do without."""
    if columns:
        hint = "it was written under another contract; delete the table and run its backfill again"
        raise LakeError(f"the table {name} lacks {', '.join(columns)}: {hint}")


def refuse_other_types(name: str, known: pl.Schema, wanted: pl.Schema) -> None:
    """Raise LakeError if a column of both has another type in the table."""
    for column, dtype in wanted.items():
        if column in known and known[column] != dtype:
            raise LakeError(
                f"the table {name} has the column {column} as {known[column]}, the contract as {dtype}; {ADVICE}"
            )


def refuse_change(table: DeltaTable, name: str, shape: Shape) -> None:
    """Raise LakeError unless rows of `shape` change no more of the table's columns than to add some that may be null."""
    known = pl.scan_delta(table).collect_schema()
    refuse_other_types(name, known, shape.schema)
    for column, dtype in known.items():
        if column not in shape.schema and column != MONTH:
            raise LakeError(f"the table {name} has the column {column} as {dtype}, the contract has none; {ADVICE}")
    before = required_of(table)
    for column, dtype in shape.schema.items():
        if column in shape.required and column not in known:
            raise LakeError(
                f"the table {name} has no column {column}, the contract has it as {dtype}, never null; {ADVICE}"
            )
        if column in shape.required and before is not None and column not in before:
            raise LakeError(
                f"the table {name} has the column {column} as {dtype}, null or not, the contract as {dtype}, never null; {ADVICE}"
            )


def required_of(table: DeltaTable) -> frozenset[str] | None:
    """Return which columns of a table are never null; None where it does not say."""
    description = table.metadata().description or ""
    if not description.startswith(REQUIRED):
        return None
    return frozenset(description.removeprefix(REQUIRED).split(", "))


def described(required: Collection[str]) -> str | None:
    """Return the description by which a table says it; None where no column is meant."""
    return REQUIRED + ", ".join(sorted(required)) if required else None


def check_frame(frame: pl.DataFrame, dataset: str, shape: Shape, days: Sequence[date]) -> None:
    """Raise LakeError unless a frame has the shape's columns and no row outside of `days`."""
    if frame.schema != shape.schema:
        wrong = [n for n in {*frame.schema, *shape.schema} if frame.schema.get(n) != shape.schema.get(n)] or [
            "column order"
        ]
        raise LakeError(
            f"{dataset}: the frame does not have the contract's columns: {', '.join(sorted(wrong))}; mend the asset that made it"
        )
    strays = frame.select(within(days).not_().fill_null(value=True).sum()).item()
    if strays:
        raise LakeError(
            f"{dataset}: {strays} rows fall outside the window {min(days)} to {max(days)}; mend the asset that made them"
        )
