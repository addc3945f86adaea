"""How many orders have a cell."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import polars as pl

from weathervane_checks.findings import Finding, Severity
from weathervane_checks.thresholds import Thresholds


def judge_geocoding(orders: pl.DataFrame, days: Sequence[date], limits: Thresholds) -> list[Finding]:
    """Return one finding a day; `orders` has `date`, `order_id`, `ship_geohash`, `geo_source`.

    A day without orders has no ratio; that it has none is `row_count_drop`'s to judge.
    """
    found = pl.col("ship_geohash").is_not_null()
    by_day = orders.group_by("date").agg(
        pl.len().alias("orders"),
        found.sum().alias("geocoded"),
        pl.col("order_id").filter(~found).sort().head(5).alias("unlocated"),
    )
    rows = {row["date"]: row for row in by_day.iter_rows(named=True)}
    return [_judge(day, rows.get(day), limits) for day in sorted(days)]


def _judge(day: date, row: dict[str, object] | None, limits: Thresholds) -> Finding:
    if row is None:
        return Finding(day, "ok", "no orders", note="no orders, so no ratio")
    orders, geocoded = int(str(row["orders"])), int(str(row["geocoded"]))
    ratio = geocoded / orders
    severity, limit = _level(ratio, orders, limits)
    alerts = () if severity == "ok" else (f"geocoded_ratio_{severity}",)
    note = f"{geocoded} of {orders} orders have a cell"
    sample = () if severity == "ok" else tuple(row["unlocated"])  # type: ignore[arg-type]
    extra = {"orders": orders, "geocoded": geocoded}
    return Finding(day, severity, ratio, limit, alerts, note, sample, extra)


def _level(ratio: float, orders: int, limits: Thresholds) -> tuple[Severity, float]:
    if ratio < limits.geocoded_ratio_critical and orders >= limits.geocoded_orders_min:
        return "critical", limits.geocoded_ratio_critical
    if ratio < limits.geocoded_ratio_warning and not _may_be_chance(ratio, orders, limits):
        return "warning", limits.geocoded_ratio_warning
    return "ok", limits.geocoded_ratio_warning


def _may_be_chance(ratio: float, orders: int, limits: Thresholds) -> bool:
    """Return whether so few orders miss their cell that one order fewer would be within the limit."""
    return orders < limits.geocoded_orders_min and (ratio * orders + 1) / orders >= limits.geocoded_ratio_warning
