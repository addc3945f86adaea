"""How many orders have a cell, against fixed limits and against what the shop itself usually has."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
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
    return [_judge(day, rows.get(day), _verdict(day, rows, limits), limits) for day in sorted(days)]


def _judge(day: date, row: Mapping[str, object] | None, verdict: Verdict | None, limits: Thresholds) -> Finding:
    if row is None or verdict is None:
        return Finding(day, "ok", "no orders", note="no orders, so no ratio")
    orders, geocoded = _counts(row)
    severity = verdict.severity
    limit = limits.geocoded_ratio_critical if severity == "critical" else limits.geocoded_ratio_warning
    alerts = () if severity == "ok" else (f"geocoded_ratio_{severity}",)
    note = f"{geocoded} of {orders} orders have a cell"
    extra = {"orders": orders, "geocoded": geocoded}
    finding = Finding(day, severity, geocoded / orders, limit, alerts, note, extra=extra)
    if verdict.fell_below:
        finding = _with_fall(finding, verdict.fell_below, limits)
    return finding if finding.is_ok else replace(finding, sample_keys=tuple(row["unlocated"]))  # type: ignore[arg-type]


def _counts(row: Mapping[str, object]) -> tuple[int, int]:
    return int(str(row["orders"])), int(str(row["geocoded"]))


def _with_fall(finding: Finding, usual: Usual, limits: Thresholds) -> Finding:
    note = f"{finding.note}; usually {usual.ratio:.3f} ({usual.days} days, {usual.orders} orders)"
    alerts = (*finding.alerts, "geocoded_ratio_drop")
    if finding.is_ok:
        limit = usual.ratio - limits.geocoded_drop_warning
        return replace(finding, severity="warning", threshold=limit, alerts=alerts, note=note)
    return replace(finding, alerts=alerts, note=note)


def _severity(orders: int, geocoded: int, before: Usual | None, limits: Thresholds) -> Severity:
    """Return how a day stands against the fixed limits."""
    ratio = geocoded / orders
    if ratio < limits.geocoded_ratio_critical and not _is_few_by_chance(
        orders, geocoded, limits.geocoded_ratio_critical, limits
    ):
        return "critical"
    if ratio >= limits.geocoded_ratio_warning or _is_one_too_few(orders, geocoded, limits):
        return "ok"
    return "ok" if _is_usual_chance(orders, geocoded, before, limits) else "warning"


def _is_usual_chance(orders: int, geocoded: int, before: Usual | None, limits: Thresholds) -> bool:
    """Return whether a ratio below the warning is what chance does to what the shop usually has.

    Of a shop without a history few orders are held against the warning itself.
    """
    if before is None:
        return _is_few_by_chance(orders, geocoded, limits.geocoded_ratio_warning, limits)
    is_usual_enough = before.ratio >= limits.geocoded_ratio_warning
    return is_usual_enough and before.chance_of(orders, geocoded) >= limits.geocoded_ratio_chance


def _is_few_by_chance(orders: int, geocoded: int, ratio: float, limits: Thresholds) -> bool:
    """Return whether the orders are few, and chance leaves a shop at `ratio` no more of them with a cell now and then."""
    chance = chance_of_at_least(orders - geocoded, orders, 1 - ratio)
    return orders < limits.geocoded_orders_min and chance >= limits.geocoded_ratio_chance


def _is_one_too_few(orders: int, geocoded: int, limits: Thresholds) -> bool:
    """Return whether so few orders miss their cell that one order fewer would be within the limit."""
    return orders < limits.geocoded_orders_min and (geocoded + 1) / orders >= limits.geocoded_ratio_warning


@dataclass(frozen=True)
class Usual:
    """What the orders of the days before a day had."""

    days: int
    orders: int
    geocoded: int

    @property
    def ratio(self) -> float:
        """Which share of them has a cell."""
        return self.geocoded / self.orders

    def chance_of(self, orders: int, geocoded: int) -> float:
        """Return the chance that of so many orders no more have a cell."""
        missing_ratio = (self.orders - self.geocoded + 1) / (self.orders + 2)
        return chance_of_at_least(orders - geocoded, orders, missing_ratio)


@dataclass(frozen=True)
class Verdict:
    """How a day stands against the fixed limits, and what is usual if it fell below that."""

    severity: Severity
    fell_below: Usual | None


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

    def usual(self, least: float) -> Usual | None:
        """Return what the days had, None of fewer than `least`."""
        if len(self.days) < least:
            return None
        return Usual(len(self.days), sum(n for n, _ in self.days), sum(n for _, n in self.days))

    def _add(self, days: Iterable[tuple[int, int]]) -> None:
        self.days.extend(days)
        while len(self.days) > self.length:
            self.days.popleft()


def _verdict(day: date, rows: Mapping[date, Mapping[str, object]], limits: Thresholds) -> Verdict | None:
    """Return how a day stands against the limits and what was usual before it; None of a day without orders. `rows`: in order of days.

    Each day has a walk of its own over the `days_needed` before it: a night asks of one day, the report of sixty, and both must
    hear the same.
    """
    if day not in rows:
        return None
    since = day - timedelta(days=days_needed(limits))
    baseline = _Baseline(int(limits.geocoded_baseline_days), 7 * int(limits.relearn_weeks))
    for one in (one for one in rows if since <= one <= day):
        orders, geocoded = _counts(rows[one])
        before = baseline.usual(limits.baseline_days)
        fell = before is not None and _is_fall(orders, geocoded, before, limits)
        verdict = Verdict(_severity(orders, geocoded, before, limits), before if fell else None)
        baseline.note(orders, geocoded, is_ok=not fell and verdict.severity == "ok")
    return verdict


def _is_fall(orders: int, geocoded: int, before: Usual, limits: Thresholds) -> bool:
    """Return whether the ratio fell, by more than a little and more than chance brings."""
    is_small = before.ratio - geocoded / orders <= limits.geocoded_drop_warning
    return not is_small and before.chance_of(orders, geocoded) < limits.geocoded_drop_chance


def chance_of_at_least(count: int, trials: int, ratio: float) -> float:
    """Return the chance that at least `count` of `trials` happen, each by `ratio`; 1 where the count is not above its mean."""
    if count <= trials * ratio:
        return 1.0
    if ratio <= 0:
        return 0.0
    total = 0.0
    for n in range(count, trials + 1):
        ways = lgamma(trials + 1) - lgamma(n + 1) - lgamma(trials - n + 1)
        term = exp(ways + n * log(ratio) + (trials - n) * log(1 - ratio))
        total += term
        if term < total * 1e-9:
            break
    return total
