"""The report `weather_join_validation.json`: whether a tenant's weather join can be believed, from what the lake holds.

Belongs here: the numbers of a tenant's newest days, their status, and comparing them with a baseline. Does not belong
here: judging rows (`rules/`) and printing (`weathervane_assets.cli`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl
from weathervane_resources.lake import Lake
from weathervane_resources.lake_ledger import left_over_days, own_days
from weathervane_resources.spelling import backfill_command
from weathervane_resources.tenants import Tenant

from weathervane_checks.evidence import Evidence, OpenRebuild
from weathervane_checks.join_evidence import days_by_mode, gather_join
from weathervane_checks.reports import write_report
from weathervane_checks.rules.leakage import RULES, WARNINGS
from weathervane_checks.rules.local_days import count_other_days
from weathervane_checks.thresholds import Thresholds

VERSION = 1
FILE = "weather_join_validation.json"
NEWEST_DAYS = 90
REGRESSION = 0.02
"""A coverage ratio may fall by this much against its baseline before it is a regression."""
METRICS = ("weather_coverage_ratio", "leakage_rows", "weather_gap_rows")


def validate_join(tenant: Tenant, lake: Lake, now: datetime, open_rebuild: OpenRebuild | None) -> dict[str, Any]:
    """Return the report of the tenant's newest days in the lake. It says `missing` where there is nothing to judge."""
    days = _own_days(tenant, lake, now)
    limits = Thresholds().for_tenant(tenant.thresholds)
    evidence = Evidence("features", tenant, dict.fromkeys(days, ""), lake, now, limits, open_rebuild)
    return _report(evidence)


def _own_days(tenant: Tenant, lake: Lake, now: datetime) -> list[date]:
    """Return the newest days of the matrix, without those that are left over of a demo: their rows are no shop's."""
    orders = lake.ledger(tenant.id, "orders")
    left_over = set(left_over_days(orders))
    written = lake.ledger(tenant.id, "features").filter(pl.col("row_count") > 0)
    last = max(set(written["date"]) - left_over, default=tenant.today(now))
    if last in left_over:  # no matrix was made of the shop's own days yet
        last = max(own_days(orders))
    days = [last - timedelta(days=n) for n in range(NEWEST_DAYS)]
    return [day for day in days if day not in left_over]


def _report(evidence: Evidence) -> dict[str, Any]:
    features, weather = evidence.frame, evidence.table("weather_daily")
    leakage = _leakage(evidence) if features.height else _no_leakage()
    gaps = features.filter(pl.col("is_weather_missing"))
    join = _join(evidence, weather)
    report = {
        "version": VERSION,
        "tenant_id": evidence.tenant.id,
        "generated_at": evidence.now.isoformat(),
        "window": _window(features, evidence.days),
        "join": join,
        "leakage": leakage,
        "weather_gaps": {"rows": gaps.height, "dates": _dates(gaps)},
        "coverage": _coverage(features),
    }
    status, issues = _status(report)
    return {**report, "status": status, "issues": issues}


def _window(features: pl.DataFrame, days: Sequence[date]) -> dict[str, str]:
    there = features["date"].unique().sort().to_list() or sorted(days)
    return {"start": there[0].isoformat(), "end": there[-1].isoformat()}


def _join(evidence: Evidence, weather: pl.DataFrame) -> dict[str, Any]:
    features = evidence.frame
    orders = evidence.own_orders()
    known = features.filter(~pl.col("is_weather_missing"))
    modes = features["join_mode"].unique().sort().to_list()
    sales, others = count_other_days(orders, features, weather)
    return {
        "mode": "date_geohash",
        "join_mode": "+".join(modes) or evidence.tenant.join_mode,
        "geography_level": "geohash",
        "orders_rows": orders.height,
        "weather_rows": weather.height,
        "feature_rows": features.height,
        "observed_target_rows": features.filter(pl.col("orders") > 0).height,
        "geocoded_order_ratio": _share(orders.filter(pl.col("ship_geohash").is_not_null()).height, orders.height),
        "weather_coverage_ratio": _share(known.height, features.height),
        "weather_coverage_threshold": evidence.limits.weather_coverage_warning,
        "geography_fallback_reason": None,
        "other_local_day_sales": others,
        "other_local_day_ratio": _share(others, sales),
        "other_local_day_threshold": evidence.limits.other_local_day_ratio_warning,
        **_other_limits(evidence),
        "other_mode_dates": _dates(_other_modes(evidence)),
    }


def _other_limits(evidence: Evidence) -> dict[str, Any]:
    """Return the rows whose flags are set by other limits than the tenant has now: no leak, but not comparable with the others."""
    days = list(evidence.rebuild.other_limits) if evidence.rebuild else []
    rows = evidence.frame.filter(pl.col("date").is_in(days) & ~pl.col("is_weather_missing"))
    return {"other_limits_rows": rows.height, "other_limits_dates": _dates(rows)}


def _other_modes(evidence: Evidence) -> pl.DataFrame:
    """Return the days of a matrix that mixes join modes (W14) which are in another mode than the tenant's is now."""
    days = days_by_mode(evidence)
    is_mixed = days["join_mode"].n_unique() > 1
    return days.filter(is_mixed & (pl.col("join_mode") != evidence.tenant.join_mode))


def _leakage(evidence: Evidence) -> dict[str, Any]:
    """Return the rows that break a leakage rule; `forward`: learnt too late, `forecast`: a forecast taken for a fact."""
    join = gather_join(evidence)
    found = {rule: find(join) for rule, find in RULES.items() if rule not in WARNINGS}
    in_window = {rule: rows.filter(pl.col("date").is_between(*_bounds(evidence, rule))) for rule, rows in found.items()}
    forward, forecast = _of(in_window, ("W02", "W16", "W18")), _of(in_window, ("W01", "W03", "W04"))
    everything = _of(in_window, tuple(in_window))
    return {
        "total_rows": everything.height,
        "dates": _dates(everything),
        "forward_rows": forward.height,
        "forward_dates": _dates(forward),
        "forecast_rows": forecast.height,
        "forecast_dates": _dates(forecast),
        "rules": {rule: rows.height for rule, rows in in_window.items() if rows.height},
    }


def _bounds(evidence: Evidence, rule: str) -> tuple[date, date]:
    """Return the days that a rule's rows count for; those of normals lie on January 1 of their year."""
    first, last = evidence.days[0], evidence.days[-1]
    is_yearly = rule in ("W06", "W07")
    return (date(first.year - 1, 1, 1) if is_yearly else first, last)


def _of(found: Mapping[str, pl.DataFrame], rules: Sequence[str]) -> pl.DataFrame:
    keys = [found[rule].select(pl.col("date").cast(pl.Date), pl.col("geohash").cast(pl.String)) for rule in rules]
    return pl.concat(keys).unique()


def _no_leakage() -> dict[str, Any]:
    counts = {"total_rows": 0, "dates": [], "forward_rows": 0, "forward_dates": []}
    return {**counts, "forecast_rows": 0, "forecast_dates": [], "rules": {}}


def _coverage(features: pl.DataFrame) -> dict[str, Any]:
    missing = pl.col("is_weather_missing")
    known = pl.col("weather_known_at_utc")
    cells = (
        features.group_by("geohash")
        .agg(
            pl.len().alias("row_count"),
            (pl.col("orders") > 0).sum().alias("target_rows"),
            pl.col("observation_type").drop_nulls().unique().sort().alias("observation_types"),
            (pl.col("observation_type") == "forecast").sum().alias("forecast_rows"),
            pl.col("date").filter(missing).unique().sort().dt.to_string("iso").alias("missing_weather_dates"),
            known.min().dt.to_string("iso:strict").alias("_min"),
            known.max().dt.to_string("iso:strict").alias("_max"),
        )
        .sort("geohash")
    )
    scopes = [
        {"geo_scope": "geohash", **{k: v for k, v in row.items() if k[0] != "_"}, "as_of_utc": {"min": row["_min"], "max": row["_max"]}}
        for row in cells.iter_rows(named=True)
    ]  # fmt: skip
    names = cells["geohash"].to_list()
    return {
        "geo_scopes": scopes,
        "unique_geo_scope_count": len(names),
        "geohashes": names,
        "unique_geohash_count": len(names),
    }


def _status(report: Mapping[str, Any]) -> tuple[str, list[str]]:
    join, leakage, gaps = report["join"], report["leakage"], report["weather_gaps"]
    ratio, threshold = join["weather_coverage_ratio"], join["weather_coverage_threshold"]
    issues = []
    if leakage["total_rows"]:
        rules = ", ".join(leakage["rules"])
        issues.append(f"{leakage['total_rows']} rows know the future or are of another day ({rules})")
    if join["weather_rows"] == 0:
        issues.append("there is no weather in the window")
    if gaps["rows"]:
        issues.append(f"{gaps['rows']} of {join['feature_rows']} rows have no weather ({_span(gaps['dates'])})")
    if ratio is None:
        issues.append("weather coverage is not known")
    elif ratio < threshold:
        issues.append(f"weather coverage is {ratio:.3f}, below {threshold:g}")
    if (join["other_local_day_ratio"] or 0) > join["other_local_day_threshold"]:
        issues.append(
            f"{join['other_local_day_ratio']:.3f} of the sales were made on another date where they go, "
            f"above {join['other_local_day_threshold']:g}; their weather is of the shop's date"
        )
    issues += _to_make_again(report["tenant_id"], join)
    if leakage["total_rows"]:
        return "error", issues
    if join["weather_rows"] == 0:
        return "missing", issues
    return ("warning" if issues else "ok"), issues


def _to_make_again(tenant_id: str, join: Mapping[str, Any]) -> list[str]:
    """Return what to say of rows that are right in themselves, but made by other settings than the others."""
    limits = [_made_with_other_limits(tenant_id, join)] if join["other_limits_rows"] else []
    modes = [_made_in_other_mode(tenant_id, join["other_mode_dates"])] if join["other_mode_dates"] else []
    return limits + modes


def _made_with_other_limits(tenant_id: str, join: Mapping[str, Any]) -> str:
    days = join["other_limits_dates"]
    command = backfill_command(tenant_id, days[0], days[-1], "weather_daily", "features")
    return (
        f"{join['other_limits_rows']} of {join['feature_rows']} rows have flags by other limits than tenants.toml has now "
        f"({_span(days)}); make them again: `{command}`"
    )


def _made_in_other_mode(tenant_id: str, days: Sequence[str]) -> str:
    command = backfill_command(tenant_id, days[0], days[-1], "features")
    return f"the matrix mixes join modes; {_span(days)} in another mode than tenants.toml has now; make them again: `{command}`"


def _span(days: Sequence[str]) -> str:
    return days[0] if len(days) == 1 else f"{len(days)} days, {days[0]} to {days[-1]}"


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 6) if whole else None


def _dates(rows: pl.DataFrame) -> list[str]:
    return [day.isoformat() for day in rows["date"].unique().sort().to_list()]


def metrics_of(report: Mapping[str, Any]) -> dict[str, float | None]:
    """Return what a baseline keeps of a report."""
    return dict(
        zip(
            METRICS,
            (report["join"]["weather_coverage_ratio"], report["leakage"]["total_rows"], report["weather_gaps"]["rows"]),
            strict=True,
        )
    )


def compare(report: Mapping[str, Any], baseline: Mapping[str, float | None] | None) -> dict[str, Any]:
    """Return how a report stands against its baseline: status missing, ok or regression, and each metric's change."""
    current = metrics_of(report)
    if baseline is None:
        return {"status": "missing", "regressions": [], "warnings": ["the baseline has no such tenant"], "metrics": {}}
    changes = {
        name: {"current": now, "baseline": (then := baseline.get(name)), "delta": _delta(now, then)}
        for name, now in current.items()
    }
    worse = [name for name, change in changes.items() if _is_worse(name, change)]
    regressions = [f"{name}: {changes[name]['current']} after {changes[name]['baseline']}" for name in worse]
    status = "regression" if regressions else "ok"
    return {"status": status, "regressions": regressions, "warnings": [], "metrics": changes}


def _delta(now: float | None, then: float | None) -> float | None:
    return None if now is None or then is None else round(now - then, 6)


def _is_worse(name: str, change: Mapping[str, float | None]) -> bool:
    if name == "weather_coverage_ratio":
        lost = change["current"] is None and change["baseline"] is not None
        return lost or (change["delta"] is not None and change["delta"] < -REGRESSION)
    return name == "leakage_rows" and (change["delta"] or 0) > 0


def write_join_report(lake: Lake, report: Mapping[str, Any]) -> str:
    """Write the report beside the lake's tables, whole or not at all; return where it is.

    Raises: LakeError: it cannot be written.
    """
    return write_report(lake, FILE, report)
