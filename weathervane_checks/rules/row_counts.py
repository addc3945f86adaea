"""How many rows a day has, against the version it replaces, the days before it, and zero.

Counts come from the lake's ledger, so a backfill cannot spoil the history: a day has the count last written for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl
from weathervane_resources.credentials import NOT_CONFIGURED

from weathervane_checks.findings import RANK, Finding, Severity
from weathervane_checks.thresholds import Thresholds


@dataclass(frozen=True)
class Judgement:
    """What one rule says of one day."""

    severity: Severity
    code: str
    note: str
    observed: float | int
    threshold: float | int


def judge_row_counts(ledger: pl.DataFrame, days: Sequence[date], limits: Thresholds, today: date) -> list[Finding]:
    """Return one finding a day.

    `ledger`: `date`, `row_count`, `previous_row_count`, `source` of one tenant and dataset. `today` is the tenant's: a day
    that is not over is not judged.
    """
    rows = {row["date"]: row for row in ledger.iter_rows(named=True)}
    counts = {day: int(row["row_count"]) for day, row in rows.items() if row["source"] != NOT_CONFIGURED}
    return [_judge_day(day, rows.get(day), counts, limits, today) for day in sorted(days)]


def _judge_day(
    day: date, row: dict[str, object] | None, counts: dict[date, int], limits: Thresholds, today: date
) -> Finding:
    if row is None:
        return Finding(day, "critical", "never written", alerts=("dataset_missing",), note="the day was never written")
    if row["source"] == NOT_CONFIGURED:
        return _not_configured(day, counts)
    if day >= today:
        return Finding(day, "ok", counts[day], note="the day is not over; not judged yet")
    before = [counts[d] for n in range(1, int(limits.baseline_days) + 1) if (d := day - timedelta(days=n)) in counts]
    judgements = list(
        _judgements(counts[day], int(str(row["previous_row_count"])), before, _streak(day, counts), limits)
    )
    return _combine(day, counts[day], judgements, before, limits)


def _not_configured(day: date, counts: dict[date, int]) -> Finding:
    if any(earlier < day for earlier in counts):
        return Finding(
            day, "warning", NOT_CONFIGURED, alerts=("dataset_missing",), note="the source was configured before"
        )
    return Finding(day, "ok", NOT_CONFIGURED, note="the source is not configured; there is nothing to count")


def _streak(day: date, counts: dict[date, int]) -> int:
    """Return how many days in a row, up to this one, have no row."""
    length = 0
    while counts.get(day - timedelta(days=length)) == 0:
        length += 1
    return length


def _judgements(
    count: int, previous: int, before: Sequence[int], streak: int, limits: Thresholds
) -> Iterable[Judgement]:
    median = _median(before)
    has_history = len(before) >= limits.baseline_days
    if count == 0:
        severity: Severity = "critical" if previous > 0 or median >= limits.new_rows_median_min else "warning"
        yield Judgement(severity, "row_count_zero", f"no rows (before: {previous}; usual: {median:g})", 0, 1)
    if streak >= limits.zero_rows_streak_warning:
        level, limit = _level(-streak, -limits.zero_rows_streak_warning + 1, -limits.zero_rows_streak_critical + 1)
        yield Judgement(
            level, f"new_rows_zero_streak_{level}", f"{streak} days in a row without a row", streak, -limit + 1
        )
    if previous > 0:
        ratio = count / previous
        level, limit = _level(ratio, limits.row_count_ratio_warning, limits.row_count_ratio_critical)
        if level != "ok":
            yield Judgement(level, f"row_count_drop_{level}", f"{count} rows replace {previous}", ratio, limit)
    if has_history and median >= limits.new_rows_median_min:
        ratio = count / median
        level, limit = _level(ratio, limits.new_rows_ratio_warning, limits.new_rows_ratio_critical)
        if level != "ok":
            points = ", ".join(str(n) for n in before)
            note = f"{count} rows, usually {median:g} (days before, newest first: {points})"
            yield Judgement(level, f"new_rows_drop_{level}", note, ratio, limit)


def _level(value: float, warning: float, critical: float) -> tuple[Severity, float]:
    if value < critical:
        return "critical", critical
    return ("warning", warning) if value < warning else ("ok", warning)


def _median(values: Sequence[int]) -> float:
    if not values:
        return 0.0
    ordered, half = sorted(values), len(values) // 2
    return float(ordered[half]) if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def _combine(
    day: date, count: int, judgements: Sequence[Judgement], before: Sequence[int], limits: Thresholds
) -> Finding:
    extra = {"row_count": count, "baseline_median": _median(before), "baseline_days": len(before)}
    if not judgements:
        enough = len(before) >= limits.baseline_days
        note = (
            f"{count} rows" if enough else f"{count} rows; warming up, {len(before)} of {limits.baseline_days:g} days"
        )
        return Finding(day, "ok", count, note=note, extra=extra)
    lead = max(judgements, key=lambda j: RANK[j.severity])
    codes = tuple(j.code for j in judgements)
    return Finding(day, lead.severity, lead.observed, lead.threshold, codes, lead.note, extra=extra)
