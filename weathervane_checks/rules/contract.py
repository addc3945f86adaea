"""Whether stored rows keep their table's contract."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import pandera.polars as pa
import polars as pl
from pandera.errors import SchemaErrors

from weathervane_checks.findings import Finding


def judge_contract(frame: pl.DataFrame, contract: type[pa.DataFrameModel], days: Sequence[date]) -> list[Finding]:
    """Return one finding a day; a violation is critical. It names columns and rules, never values."""
    violations = _violations(frame, contract)
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
    return pl.DataFrame(schema={"rule": pl.String, "row": pl.UInt32, "date": pl.Date})


def _judge(day: date, violations: pl.DataFrame, rows: int) -> Finding:
    is_of_day = (pl.col("date") == day) | pl.col("date").is_null()
    mine = violations.filter(is_of_day) if violations.height else violations
    if mine.is_empty():
        return Finding(day, "ok", 0, 0, note=f"{rows} rows keep the contract", extra={"rows": rows})
    rules = mine.group_by("rule").len().sort("len", "rule", descending=[True, False])
    note = "; ".join(f"{rule} ({count})" for rule, count in rules.head(5).iter_rows())
    return Finding(day, "critical", mine.height, 0, ("contract_broken",), note, extra={"rows": rows})
