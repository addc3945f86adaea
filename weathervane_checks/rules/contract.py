"""Whether stored rows keep their table's contract."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any

import pandera.polars as pa
import polars as pl
from pandera.errors import SchemaErrors

from weathervane_checks.findings import Finding

NONE = pl.DataFrame(schema={"rule": pl.String, "row": pl.UInt32, "date": pl.Date})
_KEPT: Mapping[str, Callable[[pl.Expr, Mapping[str, Any]], pl.Expr]] = {
    "greater_than_or_equal_to": lambda value, limit: value >= limit["min_value"],
    "less_than_or_equal_to": lambda value, limit: value <= limit["max_value"],
    "isin": lambda value, limit: value.is_in(limit["allowed_values"]),
    "str_matches": lambda value, limit: value.str.contains(f"^(?:{limit['pattern']})"),
}
"""pandera's checks as expressions; of null they say nothing, as pandera's do."""


def judge_contract(frame: pl.DataFrame, contract: type[pa.DataFrameModel], days: Sequence[date]) -> list[Finding]:
    """Return one finding a day; a violation is critical. It names columns and rules, never values."""
    violations = NONE if is_kept(frame, contract) else _violations(frame, contract)
    rows: dict[date, int] = dict(frame.group_by("date").len().iter_rows())
    return [_judge(day, violations, rows.get(day, 0)) for day in sorted(days)]


def _violations(frame: pl.DataFrame, contract: type[pa.DataFrameModel]) -> pl.DataFrame:
    """Return `date` (null: the whole table), `rule` and `row` of each violation."""
    try:
        contract.validate(frame, lazy=True)
    except SchemaErrors as errors:
        cases = errors.failure_cases.select(
            pl.format("{}: {}", pl.col("column").fill_null("table"), "check").alias("rule"),
            pl.col("index").cast(pl.UInt32).alias("row"),
        )
        dated = frame.select("date").with_row_index("row")
        found: pl.DataFrame = cases.join(dated, on="row", how="left", validate="m:1")
        return found
    return NONE


def is_kept(frame: pl.DataFrame, contract: type[pa.DataFrameModel]) -> bool:
    """Return whether rows surely keep the contract, in one pass over them; False also where only pandera can tell.

    pandera goes over the rows twice for each rule: a tenth of a night's CPU time, and nearly always to find nothing.
    """
    schema = contract.to_schema()
    types = {name: column.dtype.type for name, column in schema.columns.items()}
    if frame.columns != list(types) or frame.schema != types or schema.checks:
        return False
    rules = [rule for name, column in schema.columns.items() for rule in _rules(name, column)]
    if any(rule is None for rule in rules):
        return False
    kept = frame.select(rule.all().alias(str(n)) for n, rule in enumerate(rules) if rule is not None)
    return all(kept.row(0)) and not (schema.unique and frame.select(schema.unique).is_duplicated().any())


def _rules(name: str, column: pa.Column) -> Iterator[pl.Expr | None]:
    """Yield what each value of a column must be; None for what only pandera can tell."""
    value = pl.col(name)
    if not column.nullable:
        yield value.is_not_null()
        if column.dtype.type.is_float():
            yield value.is_not_nan()
    for check in column.checks:
        yield _KEPT[check.name](value, check.statistics) if check.name in _KEPT else None
    if column.unique:
        yield None


def _judge(day: date, violations: pl.DataFrame, rows: int) -> Finding:
    is_of_day = (pl.col("date") == day) | pl.col("date").is_null()
    mine = violations.filter(is_of_day) if violations.height else violations
    if mine.is_empty():
        return Finding(day, "ok", 0, 0, note=f"{rows} rows keep the contract", extra={"rows": rows})
    rules = mine.group_by("rule").len().sort("len", "rule", descending=[True, False])
    note = "; ".join(f"{rule} ({count})" for rule, count in rules.head(5).iter_rows())
    return Finding(day, "critical", mine.height, 0, ("contract_broken",), note, extra={"rows": rows})
