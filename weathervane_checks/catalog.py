"""The checks on one screen: which asset, which rule, blocking or not, and how they become Dagster checks.

Belongs here: what is checked. Does not belong here: how it is judged (`rules/`).
"""

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import cast

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationTargetMaterializationData as Target,
)
from weathervane_assets.tables import CONTRACTS
from weathervane_resources import metrics
from weathervane_resources.clock import Clock
from weathervane_resources.failures import refused
from weathervane_resources.partition_keys import BACKFILL_TAGS
from weathervane_resources.platform import Platform

from weathervane_checks.cures import described
from weathervane_checks.evidence import Evidence, OpenRebuild, open_evidence
from weathervane_checks.findings import Finding, Report
from weathervane_checks.geocoding_report import FILE as GEOCODING_FILE
from weathervane_checks.geocoding_report import geocoding_report
from weathervane_checks.join_evidence import decisions_of, first_forecast_of, gather_join, is_as_of
from weathervane_checks.join_report import validate_join, write_join_report
from weathervane_checks.reports import write_report as write_json
from weathervane_checks.rules.completeness import Counted, judge_completeness
from weathervane_checks.rules.conservation import judge_conservation
from weathervane_checks.rules.contract import judge_contract
from weathervane_checks.rules.coverage import ACTIVE_DAYS, judge_coverage, judge_issue_coverage, judge_join_coverage
from weathervane_checks.rules.geocoding import days_needed, judge_geocoding
from weathervane_checks.rules.leakage import judge_leakage
from weathervane_checks.rules.row_counts import judge_row_counts
from weathervane_checks.rules.sources import judge_live_source

RAW = ("orders", "meta_ads", "google_ads", "promos", "climatology", "weather_daily", "weather_forecast")
COUNTED = ("orders", "meta_ads", "google_ads", "ads")


def contract(evidence: Evidence) -> list[Finding]:
    """The stored rows keep the table's contract: columns, nulls, unique keys, physical ranges."""
    return judge_contract(evidence.frame, CONTRACTS[evidence.dataset], evidence.days)


def live_source(evidence: Evidence) -> list[Finding]:
    """The rows come from the vendor, not from the sandbox, in an API version that has more than 60 days to live.

    Warns on stub rows (set the source's credentials), on a source that was live, or was read, in the last 15 days and has none any more,
    on a version that ends (set another one), and on a credential that ends within 14 days and could not be renewed.
    """
    return judge_live_source(evidence.ledger, evidence.days, evidence.dying_version, evidence.ending_credential)


def row_count_drop(evidence: Evidence) -> list[Finding]:
    """The day has about as many rows as the version it replaces and as its weekday usually has, and not zero.

    Old days are judged by the days around them. Quiet days of tenants.toml may have none.
    """
    mine, quiet = evidence.ledger, evidence.tenant.quiet_days
    return judge_row_counts(mine, evidence.days, evidence.limits, evidence.today, quiet, evidence.backfilled)


def geocoding_coverage(evidence: Evidence) -> list[Finding]:
    """Enough orders have a cell, as many as usual; the others are sales without weather. Writes `geocoding.json` again."""
    write_json(evidence.lake, GEOCODING_FILE, geocoding_report(evidence.tenant, evidence.lake, evidence.now))
    orders = evidence.orders_since(days_needed(evidence.limits))
    return judge_geocoding(orders, evidence.days, evidence.limits)


def coverage(evidence: Evidence) -> list[Finding]:
    """Enough of the active cells have weather, and the rows all values; none at all is critical.

    Of forecasts only today's, which can still be had; a cell has one if it has all its days.
    """
    sources = dict(evidence.ledger.select("date", "source").iter_rows())
    shipped = evidence.shipped(ACTIVE_DAYS)
    told = (evidence.frame, shipped, evidence.days, evidence.limits, sources)
    return (
        judge_issue_coverage(*told, evidence.today) if evidence.dataset == "weather_forecast" else judge_coverage(*told)
    )


def completeness(evidence: Evidence) -> list[Finding]:
    """The day has as many orders as Shopify counts; no rows, never fetched and not permitted are told apart."""
    counted = Counted(evidence.ledger, evidence.quarantined, evidence.refusals)
    return judge_completeness(counted, evidence.days, evidence.today)


def weather_join_leakage(evidence: Evidence) -> list[Finding]:
    """The matrix knows nothing of the future: times of knowledge, normals, lags, keys and nulls are recomputed.

    Its weather must be what a host said of the cell and day, its means, anomalies and flags what follows from that; of a heatwave
    only the day itself is looked at.
    In join mode as_of also by the shuffled future: all that was learnt after the newest decision is changed, and the
    matrix that is built again must be the same to the byte.
    """
    return judge_leakage(gather_join(evidence), evidence.days)


def conservation(evidence: Evidence) -> list[Finding]:
    """Orders and revenue are the same before and after the join; nothing is lost or doubled."""
    left_out = evidence.rebuild.left_out if is_as_of(evidence) and evidence.rebuild else None
    orders, currency = evidence.own_orders(), evidence.tenant.currency
    return judge_conservation(orders, evidence.frame, evidence.days, currency, left_out)


def weather_join_coverage(evidence: Evidence) -> list[Finding]:
    """Enough rows of the matrix have weather, fresh at the decision in join mode as_of; writes the report of the join.

    `other_local_day_ratio`: of the newest 90 days, the share of sales that were made on another date where they go.
    `other_limits_rows`: of the same days, the rows whose flags are set by other limits than the tenant has now.
    """
    report = validate_join(evidence.tenant, evidence.lake, evidence.now, evidence.open_rebuild)
    write_join_report(evidence.lake, report)
    shown = {name: report["join"][name] for name in ("other_local_day_ratio", "other_limits_rows")}
    told = {name: value for name, value in shown.items() if value is not None}
    decisions, first_forecast = decisions_of(evidence), first_forecast_of(evidence)
    found = judge_join_coverage(evidence.frame, evidence.days, evidence.limits, decisions, first_forecast)
    return [replace(finding, extra={**finding.extra, **told}) for finding in found]


@dataclass(frozen=True)
class Check:
    """One check of one asset."""

    asset: str
    rule: Callable[[Evidence], list[Finding]]
    is_blocking: bool = False

    @property
    def name(self) -> str:
        """The check's name."""
        return self.rule.__name__


CHECKS: tuple[Check, ...] = (
    *(Check(asset, contract, is_blocking=True) for asset in CONTRACTS),
    *(Check(asset, live_source) for asset in RAW),
    *(Check(asset, row_count_drop) for asset in COUNTED),
    Check("orders", geocoding_coverage),
    Check("orders", completeness),
    *(Check(asset, coverage) for asset in ("weather_daily", "weather_forecast")),
    Check("features", weather_join_coverage),
    Check("features", weather_join_leakage, is_blocking=True),
    Check("features", conservation, is_blocking=True),
)


def build_checks(
    assets: Sequence[dg.AssetsDefinition], open_rebuild: OpenRebuild | None = None
) -> list[dg.AssetChecksDefinition]:
    """Return one definition an asset, which runs all of its checks together, after the asset.

    One that could be run alone the UI would start alone, and without the days that it judges.
    `open_rebuild` builds the matrix again for the shuffled future; without it that rule judges nothing.
    """
    partitions = {asset.key.path[-1]: asset for asset in assets}
    return [_checks_of(name, open_rebuild) for name in partitions]


def _checks_of(asset: str, open_rebuild: OpenRebuild | None) -> dg.AssetChecksDefinition:
    mine = {check.name: check for check in CHECKS if check.asset == asset}
    specs = [
        dg.AssetCheckSpec(
            name, asset=asset, description=described(name, inspect.getdoc(check.rule) or ""), blocking=check.is_blocking
        )
        for name, check in mine.items()
    ]

    outputs = {spec.name: spec.get_python_identifier() for spec in specs}

    @dg.multi_asset_check(specs=specs, name=f"{asset}_checks")
    def run_checks(
        context: dg.AssetCheckExecutionContext, platform: Platform, clock: Clock
    ) -> Iterator[dg.AssetCheckEvaluation | dg.Output[None]]:
        is_backfill = any(context.run.tags.get(tag) for tag in BACKFILL_TAGS)
        keys = _partition_keys(context, asset)
        judged = _judged(context, asset, keys)
        evidence = open_evidence(asset, keys, platform, clock, open_rebuild, is_backfill=is_backfill)
        for key in sorted(context.selected_asset_check_keys, key=lambda k: k.name):
            check = mine[key.name]
            report = Report(
                key.asset_key, key.name, evidence.tenant.id, evidence.keys, check.is_blocking, evidence.backfilled
            )
            for said in report.evaluations(check.rule(evidence)):
                if isinstance(said, dg.AssetCheckResult):
                    severity = str(said.metadata["severity"].value)
                    metrics.count(metrics.CHECKS_EVALUATED, 1, dataset=asset, severity=severity)
                    yield dg.Output(None, outputs[key.name])
                    yield _evaluation(said, judged, is_blocking=check.is_blocking)
                else:
                    yield said

    return run_checks


def _judged(context: dg.AssetCheckExecutionContext, asset: str, keys: Sequence[str]) -> Target | None:
    """Return the materialization that is judged: the newest of the last partition."""
    chosen = dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset), asset_partitions=[max(keys)])
    found = context.instance.fetch_materializations(chosen, limit=1).records
    return (
        Target(storage_id=found[0].storage_id, run_id=found[0].run_id, timestamp=found[0].timestamp) if found else None
    )


def _evaluation(said: dg.AssetCheckResult, judged: Target | None, *, is_blocking: bool) -> dg.AssetCheckEvaluation:
    """Return the evaluation that Dagster would make of a result.

    Its own way to the judged materialization lists every partition key of every tenant, once an asset: at 100 tenants 8 of
    13 CPU seconds of a night.
    """
    return dg.AssetCheckEvaluation(
        asset_key=cast("dg.AssetKey", said.asset_key),
        check_name=str(said.check_name),
        passed=said.passed,
        metadata=said.metadata,
        target_materialization_data=judged,
        severity=said.severity,
        description=said.description,
        blocking=is_blocking,
    )


def _partition_keys(context: dg.AssetCheckExecutionContext, asset: str) -> Sequence[str]:
    run = context.op_execution_context
    if not run.has_partitions:
        raise refused(
            f"checks judge days of a tenant, and this run has none; materialize {asset} for the days, and its checks run with them"
        )
    return run.partition_keys
