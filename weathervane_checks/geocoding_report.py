"""The report `geocoding.json`: how many of a tenant's orders have a cell, over all that the lake holds.

Belongs here: a tenant's numbers and their status. Does not belong here: judging a day (`rules/geocoding.py`), writing
files (`reports.py`) and printing.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import polars as pl
from weathervane_resources.geocoder import geo_tags
from weathervane_resources.lake import Lake, LakeError, Shape, whole
from weathervane_resources.tenants import Tenant

from weathervane_checks.rules.geocoding import days_needed, judge_geocoding
from weathervane_checks.thresholds import Thresholds

VERSION = 1
FILE = "geocoding.json"
CELLS = Shape(pl.Schema({"date": pl.Date(), "order_id": pl.String(), "ship_geohash": pl.String()}), ())
RECENT_DAYS = 7


def geocoding_report(tenant: Tenant, lake: Lake, now: datetime) -> dict[str, Any]:
    """Return the report. Status: ok, warning, critical, missing (no table), empty (no orders), error (no such column)."""
    limits = Thresholds().for_tenant(tenant.thresholds)
    details: dict[str, Any] = {"path": lake.uri(tenant.id, "orders"), "threshold": limits.geocoded_ratio_floor}
    rows = geocoded = 0
    fallen: list[dict[str, Any]] = []
    try:
        is_there = lake.version(tenant.id, "orders") is not None
        rows, geocoded = _filled(tenant, lake)
        status = _status(rows, geocoded, limits) if is_there else "missing"
        fallen = _fallen(tenant, lake, limits, tenant.today(now))
        is_low = any(
            "geocoded_ratio_drop" in day["alerts"] or day["ratio"] < limits.geocoded_ratio_floor for day in fallen
        )
        status = "warning" if status == "ok" and is_low else status
    except LakeError as error:
        status, details["message"] = "error", str(error)
    return {
        "version": VERSION,
        "generated_at": now.isoformat(),
        "tenant_id": tenant.id,
        "row_count": rows,
        "geocoded_count": geocoded,
        "ratio": round(geocoded / rows, 6) if rows else None,
        "status": status,
        "geo_tags": geo_tags(rows, geocoded),
        "recent": {"days": RECENT_DAYS, "fallen": fallen},
        "details": details,
    }


def _filled(tenant: Tenant, lake: Lake) -> tuple[int, int]:
    """Return how many orders there are, and how many have a cell; rows are read only where some are left over of a demo."""
    if not lake.left_over_days(tenant.id, "orders"):
        return lake.filled(tenant.id, "orders", "ship_geohash")
    counts = lake.scan_own(tenant.id, "orders", CELLS).select(pl.len(), pl.col("ship_geohash").count().alias("filled"))
    rows, filled = whole(counts, lake.uri(tenant.id, "orders")).row(0)
    return rows, filled


def _fallen(tenant: Tenant, lake: Lake, limits: Thresholds, today: date) -> list[dict[str, Any]]:
    """Return the newest days that the check would not call ok: over all orders a recent fall is not to be seen."""
    days = [today - timedelta(days=n) for n in range(1, RECENT_DAYS + 1)]
    since = days[-1] - timedelta(days=days_needed(limits))
    rows = lake.scan_own(tenant.id, "orders", CELLS).filter(pl.col("date").is_between(since, days[0]))
    orders = whole(rows, lake.uri(tenant.id, "orders"))
    wrong = [f for f in judge_geocoding(orders, days, limits) if not f.is_ok]
    return [
        {
            "date": f.day.isoformat(),
            "ratio": f.observed,
            "severity": f.severity,
            "alerts": list(f.alerts),
            "note": f.note,
        }
        for f in wrong
    ]


def _status(rows: int, geocoded: int, limits: Thresholds) -> str:
    if not rows:
        return "empty"
    ratio = geocoded / rows
    if ratio < limits.geocoded_ratio_broken:
        return "critical"
    return "warning" if ratio < limits.geocoded_ratio_floor else "ok"
