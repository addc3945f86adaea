"""The report `dq_monitoring.json`: how each of a tenant's datasets stands, kept for the last `history_runs` runs.

Belongs here: what a run of it says, and keeping the file bounded. Does not belong here: judging (`rules/`), Dagster and
pictures (`dq_asset.py`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl
from weathervane_assets.tables import CONTRACTS
from weathervane_resources.credentials import UNREAD
from weathervane_resources.lake import LEDGER_SCHEMA, Lake, LakeError
from weathervane_resources.lake_lost import standing
from weathervane_resources.platform import Platform
from weathervane_resources.tenants import Tenant

from weathervane_checks.dq_rules import FRESHNESS, Verdicts, judge_dataset, judge_rows
from weathervane_checks.evidence import Evidence
from weathervane_checks.findings import RANK, Finding, Severity, worst
from weathervane_checks.reports import FOLDER, write_report
from weathervane_checks.rules.freshness import YEARLY, Freshness, judge_freshness
from weathervane_checks.rules.geocoding import days_needed
from weathervane_checks.thresholds import Thresholds

VERSION = 1
FILE = "dq_monitoring.json"
PICTURE_DAYS = 60
FIGURES = ("row_count", "baseline_median", "baseline_least")
ORDERS = {"date": pl.Date, "order_id": pl.String, "ship_geohash": pl.String, "geo_source": pl.String}
COUNTS = {"date": pl.Date, "orders": pl.Int64, "usual": pl.Float64, "least": pl.Float64, "severity": pl.String}


@dataclass(frozen=True)
class Quality:
    """A tenant's datasets at an instant, from the lake: the run to be kept, and each day's severity for the picture."""

    tenant: Tenant
    run: dict[str, Any]
    days: Sequence[date]
    severities: Mapping[str, Sequence[str | None]]
    """By dataset and day of `days`: `ok`, `warning`, `critical`, or None where nothing was written."""
    counts: pl.DataFrame
    """Orders of the days that were judged: `date`, `orders`, `usual`, `least` (null while warming up), `severity`."""
    orders: pl.DataFrame
    """`date`, `order_id`, `ship_geohash`, `geo_source` of `days`."""


def examine_quality(tenant: Tenant, lake: Lake, now: datetime, platform: Platform | None = None) -> Quality:
    """Return how the tenant's datasets stand; `platform`: where the credentials are, to say which of them end.

    A table that cannot be read, the ledger too, is a verdict and no error.
    """
    limits = Thresholds().for_tenant(tenant.thresholds)
    ledgers, today = _ledgers(tenant, lake), tenant.today(now)
    days = [today - timedelta(days=n) for n in range(PICTURE_DAYS, 0, -1)]
    everything = {
        name: Evidence(name, tenant, dict.fromkeys(days, ""), lake, now, limits, platform=platform)
        for name in CONTRACTS
    }
    orders = _orders(everything["orders"])
    datasets, severities, counts = {}, {}, _counts({})
    for name, evidence in everything.items():
        mine, verdicts, fresh = _judge(evidence, ledgers[name], orders)
        datasets[name] = _dataset(evidence, mine, verdicts, fresh)
        severities[name] = _severities(name, mine, verdicts.by_day, days)
        counts = _counts(verdicts.by_day) if name == "orders" else counts
    run = {
        "timestamp": now.isoformat(),
        "tenant_id": tenant.id,
        "window": {"start": days[0].isoformat(), "end": days[-1].isoformat()},
        "overall_severity": max((d["severity"] for d in datasets.values()), key=RANK.__getitem__),
        "alerts": sorted({code for d in datasets.values() for code in d["alerts"]}),
        "datasets": datasets,
    }
    return Quality(tenant, run, days, severities, counts, _shown(orders, days))


def _ledgers(tenant: Tenant, lake: Lake) -> dict[str, pl.DataFrame | str]:
    """Return each dataset's rows of the ledger, or what to say where they cannot be read: a damaged file has those of one."""
    try:
        ledger = standing(lake, tenant.id, lake.ledger(tenant.id))
    except LakeError:
        return {name: _ledger(tenant, lake, name) for name in CONTRACTS}
    return {name: ledger.filter(pl.col("dataset") == name) for name in CONTRACTS}


def _ledger(tenant: Tenant, lake: Lake, dataset: str) -> pl.DataFrame | str:
    try:
        return lake.ledger(tenant.id, dataset)
    except LakeError as error:
        return f"the ledger, which says when and from where each day was written, is not there to judge by: {error}"


def _judge(
    evidence: Evidence, ledger: pl.DataFrame | str, orders: pl.DataFrame | None
) -> tuple[pl.DataFrame, Verdicts, Freshness | None]:
    """Return the dataset's rows of the ledger, what the rules say, and whether the due day is there."""
    if isinstance(ledger, str):
        return pl.DataFrame(schema=LEDGER_SCHEMA), judge_rows(evidence, ledger), None
    fresh = judge_freshness(evidence.dataset, evidence.tenant, ledger, evidence.limits, evidence.now)
    return ledger, judge_dataset(evidence, ledger, orders), fresh


def _orders(evidence: Evidence) -> pl.DataFrame | None:
    """Return the orders that judging places takes, or None where they cannot be read: their verdict says so."""
    try:
        return evidence.orders_since(days_needed(evidence.limits))
    except LakeError:
        return None


def _shown(orders: pl.DataFrame | None, days: Sequence[date]) -> pl.DataFrame:
    return pl.DataFrame(schema=ORDERS) if orders is None else orders.filter(pl.col("date").is_in(days))


def _counts(findings: Mapping[date, Sequence[Finding]]) -> pl.DataFrame:
    judged = [f for of_day in findings.values() for f in of_day if "baseline_median" in f.extra]
    rows = [(f.day, *(f.extra[name] for name in FIGURES), f.severity, "not_judged" in f.extra) for f in judged]
    counts = pl.DataFrame(rows, schema={**COUNTS, "is_warming_up": pl.Boolean}, orient="row").sort("date")
    known = pl.when(~pl.col("is_warming_up")).then(pl.col("usual", "least"))
    return counts.with_columns(known).select(*COUNTS)


def _severities(
    dataset: str, ledger: pl.DataFrame, findings: Mapping[date, Sequence[Finding]], days: Sequence[date]
) -> list[str | None]:
    written = set(ledger["date"]) or set(findings)  # without a ledger the days that have rows
    if dataset in YEARLY:
        januaries = [day.replace(month=1, day=1) for day in days]
        return [worst(findings[one]) if one in written else None for one in januaries]
    return [worst(findings.get(day, ())) if day in written else None for day in days]


def _dataset(evidence: Evidence, ledger: pl.DataFrame, verdicts: Verdicts, fresh: Freshness | None) -> dict[str, Any]:
    """Return the entry of one dataset: its newest day that is over, and whether the due one is there."""
    over = ledger.filter(pl.col("date") < evidence.today).sort("date")
    row: dict[str, Any] = over.row(-1, named=True) if over.height else {}
    findings = verdicts.by_day
    of_newest = findings.get(row.get("date", date.min), [])
    said = [f for f in [*of_newest, *(f for f in verdicts.standing if f not in of_newest)] if not f.is_ok]
    severity: Severity = max([worst(said), fresh.severity if fresh else "ok"], key=RANK.__getitem__)
    issues = [f"{f.day}: {f.note}" for f in said]
    if fresh and fresh.severity != "ok":
        issues.append(
            f"{fresh.due} is due; the newest complete day before it is {fresh.newest or 'none'}{_missed(fresh)}"
        )
    codes = {code for f in said for code in f.alerts} | set(fresh.alerts if fresh else ())
    return {
        "status": "unreadable" if FRESHNESS in verdicts.not_judged else _status(row, severity, fresh),
        "severity": severity,
        "alerts": sorted(codes),
        "issues": issues,
        "row_count": row.get("row_count"),
        "previous_row_count": row.get("previous_row_count"),
        "source": row.get("source"),
        "path": evidence.lake.uri(evidence.tenant.id, evidence.dataset),
        "metadata": _metadata(row, fresh),
        "metrics": _metrics(row, over, findings),
        "rules": [name for name in (FRESHNESS, *verdicts.judged) if name not in verdicts.not_judged],
        "not_judged": verdicts.not_judged,
        "history": _history(over, findings, int(evidence.limits.baseline_days)),
    }


def _missed(fresh: Freshness) -> str:
    return "; no forecast was issued on it: let `issue_forecasts_schedule` run" if fresh.was_missed else ""


def _status(row: Mapping[str, Any], severity: Severity, fresh: Freshness | None) -> str:
    if not row:
        return "missing" if fresh else "ok"
    if fresh and fresh.severity != "ok":
        return "stale"
    if row["row_count"] == 0 and row["source"] not in UNREAD:
        return "empty"
    return "ok" if severity == "ok" else "needs_attention"


def _metadata(row: Mapping[str, Any], fresh: Freshness | None) -> dict[str, Any]:
    return {
        "day": row["date"].isoformat() if row else None,
        "written_at": row["written_at_utc"].isoformat() if row else None,
        "table_version": row.get("table_version"),
        "due": fresh.due.isoformat() if fresh else None,
        "days_late": fresh.days_late if fresh else None,
    }


def _metrics(
    row: Mapping[str, Any], over: pl.DataFrame, findings: Mapping[date, Sequence[Finding]]
) -> dict[str, float | int | None]:
    before = over.row(-2, named=True) if over.height > 1 else {}
    return {
        "row_count_change_pct": _change(row.get("row_count"), row.get("previous_row_count")),
        "geocoded_ratio": _located(findings.get(row.get("date", date.min), ())),
        "new_rows": row.get("new_rows"),
        "new_rows_change_pct": _change(row.get("new_rows"), before.get("new_rows")),
        "updated_rows": row.get("updated_rows"),
    }


def _change(count: int | None, before: int | None) -> float | None:
    """Return the change in per cent, None where there is nothing to compare with."""
    return None if count is None or not before else round(100 * (count - before) / before, 2)


def _located(findings: Sequence[Finding]) -> float | None:
    """Return the ratio of orders with a cell, where it was judged and there were orders."""
    counted = [f.extra for f in findings if "geocoded" in f.extra]
    return round(counted[0]["geocoded"] / counted[0]["orders"], 6) if counted else None


def _history(over: pl.DataFrame, findings: Mapping[date, Sequence[Finding]], length: int) -> dict[str, list[Any]]:
    """Return the last days' figures, the newest last."""
    rows = over.tail(length)
    return {
        "row_count": rows["row_count"].to_list(),
        "geocoded_ratio": [_located(findings.get(day, ())) for day in rows["date"]],
        "new_rows": rows["new_rows"].to_list(),
    }


def keep_run(lake: Lake, quality: Quality) -> dict[str, Any]:
    """Add the run to the tenant's file, without the oldest beyond `history_runs`; return what the file says now.

    Raises: LakeError: the file there is not a report of ours, or it cannot be written.
    """
    most = int(Thresholds().for_tenant(quality.tenant.thresholds).history_runs)
    runs = [*read_runs(lake, quality.tenant.id), quality.run][-max(1, most) :]
    latest = quality.run
    report = {
        "version": VERSION,
        "tenant_id": quality.tenant.id,
        "generated_at": latest["timestamp"],
        "overall_severity": latest["overall_severity"],
        "runs": runs,
    }
    write_report(lake, FILE, report)
    return report


def read_runs(lake: Lake, tenant: str) -> list[dict[str, Any]]:
    """Return the runs that the tenant's file keeps, the newest last.

    Raises: LakeError: the file there is not a report of ours, or it cannot be read.
    """
    path = f"{FOLDER}/{tenant}/{FILE}"
    hint = "move it away; the next run begins a new one"
    content = lake.files.read(path)
    if content is None:
        return []
    try:
        document = json.loads(content)
    except ValueError as error:
        raise LakeError(f"the report {lake.files.address(path)} cannot be read; {hint}") from error
    runs = document.get("runs") if isinstance(document, dict) else None
    if not isinstance(runs, list) or document.get("version") != VERSION:
        raise LakeError(f"{lake.files.address(path)} is not a report of version {VERSION}; {hint}")
    return runs
