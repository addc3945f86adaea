"""How many orders have a cell, against fixed limits and against what the shop itself usually has."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from math import exp, lgamma, log

import polars as pl

from weathervane_checks.findings import Finding, Severity
from weathervane_checks.thresholds import Thresholds


def days_needed(limits: Thresholds) -> int:
    """Return how many days before the first judged one are to be read: a baseline, and how it was itself judged."""
    return 2 * int(limits.geocoded_baseline_days)


def judge_geocoding(orders: pl.DataFrame, days: Sequence[date], limits: Thresholds) -> list[Finding]:
    """Return one finding a day; `orders` has `date`, `order_id`, `ship_geohash`, also of days before them (the baseline).

    A day without orders has no ratio; that it has none is `row_count_drop`'s to judge.
    """
    found = pl.col("ship_geohash").is_not_null()
    by_day = orders.group_by("date").agg(
        pl.len().alias("orders"),
        found.sum().alias("geocoded"),
        pl.col("order_id").filter(~found).sort().head(5).alias("unlocated"),
    )
    rows = {row["date"]: row for row in by_day.sort("date").iter_rows(named=True)}
    falls = _falls(rows, limits)
    return [_judge(day, rows.get(day), falls.get(day), limits) for day in sorted(days)]


def _judge(day: date, row: Mapping[str, object] | None, fall: Fall | None, limits: Thresholds) -> Finding:
    if row is None:
        return Finding(day, "ok", "no orders", note="no orders, so no ratio")
    orders, geocoded = int(str(row["orders"])), int(str(row["geocoded"]))
    ratio = geocoded / orders
    severity, limit = _level(ratio, orders, limits)
    alerts = () if severity == "ok" else (f"geocoded_ratio_{severity}",)
    note = f"{geocoded} of {orders} orders have a cell"
    extra = {"orders": orders, "geocoded": geocoded}
    finding = Finding(day, severity, ratio, limit, alerts, note, extra=extra)
    if fall:
        finding = _with_fall(finding, fall, limits)
    return finding if finding.is_ok else replace(finding, sample_keys=tuple(row["unlocated"]))  # type: ignore[arg-type]


def _with_fall(finding: Finding, fall: Fall, limits: Thresholds) -> Finding:
    note = f"{finding.note}; usually {fall.usual:.3f} ({fall.days} days, {fall.orders} orders)"
    alerts = (*finding.alerts, "geocoded_ratio_drop")
    if finding.is_ok:
        limit = fall.usual - limits.geocoded_drop_warning
        return replace(finding, severity="warning", threshold=limit, alerts=alerts, note=note)
    return replace(finding, alerts=alerts, note=note)


def _level(ratio: float, orders: int, limits: Thresholds) -> tuple[Severity, float]:
    if ratio < limits.geocoded_ratio_critical and orders >= limits.geocoded_orders_min:
        return "critical", limits.geocoded_ratio_critical
    if ratio < limits.geocoded_ratio_warning and not _may_be_chance(ratio, orders, limits):
        return "warning", limits.geocoded_ratio_warning
    return "ok", limits.geocoded_ratio_warning


def _may_be_chance(ratio: float, orders: int, limits: Thresholds) -> bool:
    """Return whether so few orders miss their cell that one order fewer would be within the limit."""
    return orders < limits.geocoded_orders_min and (ratio * orders + 1) / orders >= limits.geocoded_ratio_warning


@dataclass(frozen=True)
class Fall:
    """A ratio below what is usual: the ratio over the baseline's orders, and of how many days and orders that is."""

    usual: float
    days: int
    orders: int


@dataclass
class _Baseline:
    """The last days that were ok, as (orders, geocoded); those that were not wait until there are `patience` in a row."""

    length: int
    patience: int
    days: deque[tuple[int, int]] = field(default_factory=deque)
    held_back: list[tuple[int, int]] = field(default_factory=list)

    def note(self, orders: int, geocoded: int, *, is_ok: bool) -> None:
        """Take in one day."""
        if is_ok:
            self.held_back.clear()
            self._add([(orders, geocoded)])
            return
        self.held_back.append((orders, geocoded))
        if len(self.held_back) >= self.patience:
            self.days.clear()
            self._add(self.held_back)
            self.held_back.clear()

    def _add(self, days: Iterable[tuple[int, int]]) -> None:
        self.days.extend(days)
        while len(self.days) > self.length:
            self.days.popleft()


def _falls(rows: Mapping[date, Mapping[str, object]], limits: Thresholds) -> dict[date, Fall]:
    """Return the days whose ratio fell below what was usual before them, in one walk over the days."""
    baseline = _Baseline(int(limits.geocoded_baseline_days), 7 * int(limits.relearn_weeks))
    falls = {}
    for day, row in rows.items():
        orders, geocoded = int(str(row["orders"])), int(str(row["geocoded"]))
        fall = _fall(orders, geocoded, baseline.days, limits)
        if fall:
            falls[day] = fall
        baseline.note(orders, geocoded, is_ok=not fall and _level(geocoded / orders, orders, limits)[0] == "ok")
    return falls


def _fall(orders: int, geocoded: int, before: Sequence[tuple[int, int]], limits: Thresholds) -> Fall | None:
    """Return the fall, unless it is small or as many orders without a cell may be chance."""
    if len(before) < limits.baseline_days:
        return None
    total, located = sum(n for n, _ in before), sum(n for _, n in before)
    usual = located / total
    if usual - geocoded / orders <= limits.geocoded_drop_warning:
        return None
    missing_ratio = (total - located + 1) / (total + 2)
    if chance_of_at_least(orders - geocoded, orders, missing_ratio) >= limits.geocoded_drop_chance:
        return None
    return Fall(usual, len(before), total)


def chance_of_at_least(count: int, trials: int, ratio: float) -> float:
    """Return the chance that at least `count` of `trials` happen, each by `ratio`; 1 where the count is not above its mean."""
    if count <= trials * ratio:
        return 1.0
    total = 0.0
    for n in range(count, trials + 1):
        ways = lgamma(trials + 1) - lgamma(n + 1) - lgamma(trials - n + 1)
        term = exp(ways + n * log(ratio) + (trials - n) * log(1 - ratio))
        total += term
        if term < total * 1e-9:
            break
    return total
