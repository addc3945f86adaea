"""The check `freshness`: of each asset, over all tenants, on a schedule of its own (docs/decisions/0007).

Belongs here: reading the ledgers and one evaluation an asset. Does not belong here: when a day is due (`rules/freshness.py`).
"""

import inspect
import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import dagster as dg
import polars as pl
from weathervane_assets.tables import CONTRACTS
from weathervane_resources import metrics
from weathervane_resources.clock import Clock
from weathervane_resources.lake import LEDGER_SCHEMA, Lake, LakeError
from weathervane_resources.lake_lost import standing
from weathervane_resources.platform import Platform
from weathervane_resources.spelling import counted
from weathervane_resources.tenants import Tenant

from weathervane_checks.cures import described
from weathervane_checks.findings import RANK, Severity, dagster_severity
from weathervane_checks.rules.freshness import FIRST_BACKFILL, YEARLY, Freshness, freshness_by_tenant

NAME = "freshness"


def freshness() -> None:
    """Each tenant's newest due day is there: the day before, once `freshness_grace_hours` of the tenant's day have passed.

    One evaluation for all tenants that are not paused, by a schedule of its own.
    """


def build_freshness(assets: Sequence[str]) -> dg.AssetChecksDefinition:
    """Return the definition that judges all assets, or those asked for."""
    description = described(NAME, inspect.getdoc(freshness) or "")
    specs = [dg.AssetCheckSpec(NAME, asset=name, description=description) for name in assets]

    @dg.multi_asset_check(specs=specs, name="freshness_checks", can_subset=True)
    def run_freshness(
        context: dg.AssetCheckExecutionContext, platform: Platform, clock: Clock
    ) -> Iterator[dg.AssetCheckResult]:
        lake, now = platform.lake(), clock.now()
        tenants = {name: one for name, one in platform.tenants().items() if not one.paused}
        ledgers = {name: _ledger(lake, name, context.log) for name in tenants}
        new = {name for name, ledger in ledgers.items() if is_new(lake, name, ledger, now)}
        for key in sorted(context.selected_asset_check_keys):
            found = freshness_by_tenant(key.asset_key.path[-1], ledgers, tenants, now, new)
            _measure(key.asset_key.path[-1], found, tenants, now)
            yield evaluate(key.asset_key, found)

    return run_freshness


def _ledger(lake: Lake, tenant_id: str, log: logging.Logger) -> pl.DataFrame:
    """Return a tenant's ledger, without tables that are gone.

    Where it cannot be read, one in which nothing was ever written: the others are judged all the same.
    """
    try:
        return standing(lake, tenant_id, lake.ledger(tenant_id))
    except LakeError as error:
        log.warning("%s counts as never written: %s", tenant_id, error)
        return pl.DataFrame(schema=LEDGER_SCHEMA)


def is_new(lake: Lake, tenant_id: str, ledger: pl.DataFrame, now: datetime) -> bool:
    """Return whether a tenant's first backfill may still run, or be still to start. `ledger`: of all its datasets.

    One whose ledger got lost is not new: it has tables.
    """
    first = ledger["written_at_utc"].min()
    if isinstance(first, datetime):
        return now - first < FIRST_BACKFILL
    try:
        return all(lake.version(tenant_id, dataset) is None for dataset in CONTRACTS)
    except LakeError:
        return False


def _measure(dataset: str, found: Sequence[Freshness], tenants: Mapping[str, Tenant], now: datetime) -> None:
    """Say how old each tenant's newest complete day is; normals are of a year, and have no age in days."""
    for one in found:
        if one.newest and dataset not in YEARLY:
            over_at = tenants[one.tenant].day_start(one.newest + timedelta(days=1))
            lag_s = max((now - over_at).total_seconds(), 0.0)
            metrics.level(metrics.DATASET_LAG, lag_s, tenant=one.tenant, dataset=dataset)


def evaluate(asset_key: dg.AssetKey, found: Sequence[Freshness]) -> dg.AssetCheckResult:
    """Return the evaluation of one asset; `found` has every tenant that is due, the worst first."""
    stale = [one for one in found if one.severity != "ok"]
    severity: Severity = max((one.severity for one in found), key=RANK.__getitem__, default="ok")
    metrics.count(metrics.CHECKS_EVALUATED, 1, dataset=asset_key.path[-1], severity=severity)
    return dg.AssetCheckResult(
        asset_key=asset_key,
        check_name=NAME,
        passed=not stale,
        severity=dagster_severity(severity),
        description=_describe(found, stale),
        metadata=_metadata(found, stale, severity),
    )


def _metadata(found: Sequence[Freshness], stale: Sequence[Freshness], severity: Severity) -> dict[str, Any]:
    due = sorted({one.due.isoformat() for one in stale or found})
    metadata: dict[str, Any] = {
        "tenant": ", ".join(one.tenant for one in stale or found),
        "window": "/".join(due[:1] + due[1:][-1:]),
        "observed": stale[0].days_late if stale else 0,
        "threshold": 0,
        "severity": severity,
        "alerts": ", ".join(sorted({code for one in stale for code in one.alerts})),
        "judged_as": "nightly",
        "tenants_checked": len(found),
        "by_tenant": {one.tenant: _plain(one) for one in found},
    }
    if stale:
        metadata["stale_tenants"] = _table(stale)
    return metadata


def _describe(found: Sequence[Freshness], stale: Sequence[Freshness]) -> str:
    if not found:
        return "no tenant has a day that is due"
    if not stale:
        return f"{counted(len(found), 'tenant')} fresh"
    shown = "; ".join(
        f"{one.tenant} {counted(one.days_late, 'day')} late (newest {one.newest or 'none'})" for one in stale[:3]
    )
    return f"{len(stale)} of {counted(len(found), 'tenant')} stale: {shown}"


def _plain(one: Freshness) -> dict[str, Any]:
    return {
        "severity": one.severity,
        "newest": one.newest.isoformat() if one.newest else None,
        "due": one.due.isoformat(),
        "days_late": one.days_late,
        "alerts": list(one.alerts),
    }


def _table(stale: Sequence[Freshness]) -> dg.TableMetadataValue:
    columns = ("tenant", "severity", "newest", "due", "days_late")
    records = [
        dg.TableRecord({"tenant": one.tenant} | {name: str(_plain(one)[name]) for name in columns[1:]}) for one in stale
    ]
    return dg.TableMetadataValue(records, schema=dg.TableSchema([dg.TableColumn(name) for name in columns]))
