"""Whether a day has as many rows as the vendor says it has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any

import polars as pl
from weathervane_resources.credentials import NOT_CONFIGURED

from weathervane_checks.findings import Finding

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Counted:
    """What is known of a dataset's days: the ledger, rows set aside by day, and the days that were refused."""

    ledger: pl.DataFrame
    """`date`, `row_count`, `source`, `run_id`, `written_at_utc`, `expected_rows` over `expected_days` days."""
    quarantined: Mapping[date, int]
    refusals: pl.DataFrame
    """`date`, `reason`, `seen_at_utc`."""

    @cached_property
    def by_run(self) -> dict[str | None, tuple[int, int]]:
        """How many days the ledger has of each run, and how many rows came for them."""
        found: dict[str | None, tuple[int, int]] = {}
        for run_id, day, rows in self.ledger.select("run_id", "date", "row_count").iter_rows():
            days, came = found.get(run_id, (0, 0))
            found[run_id] = (days + 1, came + rows + self.quarantined.get(day, 0))
        return found

    @cached_property
    def came(self) -> dict[date, int]:
        """How many rows came for each day, those set aside included.

        A row whose day cannot be read is filed under the first day of its run; it fills the first gap among that run's days,
        whichever of them are judged.
        """
        found: dict[date, int] = {}
        for run in self.ledger.sort("date").partition_by("run_id"):
            found |= _came(list(run.iter_rows(named=True)), self.quarantined)
        return found


def judge_completeness(counted: Counted, days: Sequence[date], today: date) -> list[Finding]:
    """Return one finding a day. A row in the quarantine came, so it counts.

    `today` is the tenant's: a day that is not over is not judged. A window that was counted as a whole is judged as a
    whole; which of its days lack rows is not known, so all of them are named.
    """
    rows = {row["date"]: row for row in counted.ledger.iter_rows(named=True)}
    refused = {row["date"]: row for row in counted.refusals.iter_rows(named=True)}
    return [_judge(day, rows.get(day), refused.get(day), today) or _compare(rows[day], counted) for day in sorted(days)]


def _came(rows: Sequence[Row], quarantined: Mapping[date, int]) -> dict[date, int]:
    """Return how many rows came for each of one run's days; what the first has beyond its own fills the gaps, in order."""
    came = {row["date"]: row["row_count"] + quarantined.get(row["date"], 0) for row in rows}
    by_day = [row for row in rows if row["expected_days"] == 1]
    if not by_day:
        return came
    first = by_day[0]["date"]
    spare = min(quarantined.get(first, 0), max(0, came[first] - by_day[0]["expected_rows"]))
    for row in by_day[1:]:
        moved = min(spare, max(0, row["expected_rows"] - came[row["date"]]))
        spare -= moved
        came[first] -= moved
        came[row["date"]] += moved
    return came


def _judge(day: date, row: Row | None, refusal: Row | None, today: date) -> Finding | None:
    """Return what there is to say of a day that cannot be compared, else None."""
    if refusal and (row is None or refusal["seen_at_utc"] > row["written_at_utc"]):
        return Finding(day, "critical", "not permitted", alerts=("not_permitted",), note=refusal["reason"])
    if row is None:
        note = "the day was never fetched"
        return Finding(day, "critical", "never fetched", alerts=("dataset_missing",), note=note)
    if row["source"] == NOT_CONFIGURED:
        return Finding(day, "ok", NOT_CONFIGURED, note="the source is not configured; nothing was asked")
    if day >= today:
        return Finding(day, "ok", row["row_count"], note="the day is not over; not judged yet")
    if row["expected_rows"] is None:
        note = "the vendor was not asked how many rows it has; run the day again"
        return Finding(day, "warning", row["row_count"], alerts=("vendor_count_missing",), note=note)
    return None


def _compare(row: Row, counted: Counted) -> Finding:
    day, expected = row["date"], row["expected_rows"]
    if row["expected_days"] == 1:
        return _say(day, counted.came[day], expected, "day")
    days, total = counted.by_run[row["run_id"]]
    if days != row["expected_days"]:
        note = f"counted with {row['expected_days']} days, some of which were read again since; not judged"
        return Finding(day, "ok", row["row_count"], note=note)
    return _say(day, total, expected, f"window of {days} days")


def _say(day: date, came: int, expected: int, span: str) -> Finding:
    extra = {"expected_rows": expected}
    if came < expected:
        note = f"{expected - came} of the {expected} rows that the vendor counts for the {span} are missing"
        return Finding(day, "critical", came, expected, ("rows_missing",), note, extra=extra)
    if came > expected:
        note = f"{came} rows; the vendor counted {expected} for the {span} a moment before, so more have come since"
        return Finding(day, "ok", came, expected, note=note, extra=extra)
    note = f"all {expected} rows of the {span}" if expected else f"no rows, and the vendor counts none for the {span}"
    return Finding(day, "ok", came, expected, note=note, extra=extra)
