"""The asset `dq_report`: a tenant's data quality as a table and a picture, and its file (docs/decisions/0007).

Belongs here: the asset, its check and how they look in the UI. Does not belong here: what the report says (`dq_report.py`).
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

import dagster as dg
import polars as pl
from weathervane_assets.tables import CONTRACTS
from weathervane_resources.clock import Clock
from weathervane_resources.connectors import OpenMeteoConnector
from weathervane_resources.platform import Platform
from weathervane_resources.quota_use import Spent, spent_metadata

from weathervane_checks.alert_text import clean
from weathervane_checks.cures import described
from weathervane_checks.dq_report import FILE, Quality, examine_quality, keep_run

Draw = Callable[
    [Mapping[str, Sequence[str | None]], Sequence[date], pl.DataFrame, pl.DataFrame, Sequence[Spent]], Mapping[str, str]
]
COLUMNS = ("dataset", "severity", "status", "row_count", "day", "days_late", "alerts")
"""What fits into a line of the run's page; the sentences stand below the table."""


def build_dq_report(tenants: dg.PartitionsDefinition, draw: Draw, owner: str) -> dg.AssetsDefinition:
    """Return the asset with its check; `draw` makes pictures, by name, of severities by dataset and day, counts, orders and quotas."""

    # no type argument: Dagster takes one for the type of an output
    @dg.asset(
        name="dq_report",
        group_name="quality",
        partitions_def=tenants,
        deps=["features"],
        owners=[owner],
        kinds={"json"},
        tags={"layer": "report", "pii": "none", "source": "derived"},
        metadata={"docs": dg.MetadataValue.path("docs/checks.md")},
        check_specs=[
            dg.AssetCheckSpec(
                "kept", asset="dq_report", description=described("kept", "The run just made is the newest of the file.")
            )
        ],
    )
    def dq_report(
        context: dg.AssetExecutionContext, platform: Platform, clock: Clock, open_meteo: OpenMeteoConnector
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]
        """How each dataset of a tenant stands, by the rules of the checks; `not_judged` names those that were not asked.

        One report a tenant, not one a day: it looks at the last 60 days of the lake, and for leakage at the newest
        `weather_join_validation.json`. Kept in `dq_monitoring.json`, bounded to 90 runs. It judges nothing anew, so it
        wakes nobody: that is the checks' to do. Where the tenant's weather comes
        from Open-Meteo's free hosts, it also shows how much of their quota was spent.
        """
        tenant, lake = platform.tenants()[context.partition_key], platform.lake()
        quality = examine_quality(tenant, lake, clock.now(), platform)
        report = keep_run(lake, quality)
        metadata = _metadata(quality, report, draw, _spent(context, platform, open_meteo))
        return dg.MaterializeResult(metadata=metadata, check_results=[_kept(quality, report)])

    return dq_report


def _spent(context: dg.AssetExecutionContext, platform: Platform, open_meteo: OpenMeteoConnector) -> list[Spent]:
    """Return what was spent of the weather's quota. Half-set credentials are the weather assets' to fail of, not the report's."""
    try:
        return open_meteo.spent(open_meteo.access(context.partition_key, platform), platform)
    except dg.Failure as failure:
        context.log.warning(f"what was spent of the weather's quota is not shown: {failure.description}")
        return []


def _kept(quality: Quality, report: Mapping[str, Any]) -> dg.AssetCheckResult:
    is_kept = report["runs"][-1] == quality.run and set(quality.run["datasets"]) == set(CONTRACTS)
    return dg.AssetCheckResult(
        check_name="kept",
        passed=is_kept,
        metadata={
            "tenant": quality.tenant.id,
            "window": "/".join(quality.run["window"].values()),
            "observed": len(quality.run["datasets"]),
            "threshold": len(CONTRACTS),
            "severity": "ok" if is_kept else "critical",
            "alerts": "" if is_kept else "report_not_kept",
        },
    )


def _metadata(quality: Quality, report: Mapping[str, Any], draw: Draw, spent: Sequence[Spent]) -> dict[str, Any]:
    pictures = draw(quality.severities, quality.days, quality.counts, quality.orders, spent)
    return {
        "overall_severity": quality.run["overall_severity"],
        "alerts": ", ".join(quality.run["alerts"]),
        "runs": len(report["runs"]),
        "file": FILE,
        "datasets": _table(quality.run["datasets"]),
        **_sentences(quality.run["datasets"]),
        **spent_metadata(spent),
        **{name: dg.MetadataValue.md(one) for name, one in pictures.items()},
    }


def _table(datasets: Mapping[str, Mapping[str, Any]]) -> dg.TableMetadataValue:
    records = []
    for name, entry in datasets.items():
        shown = {**entry, **entry["metadata"], "dataset": name, "alerts": ", ".join(entry["alerts"])}
        records.append(dg.TableRecord({key: _text(shown[key]) for key in COLUMNS}))
    return dg.TableMetadataValue(records, schema=dg.TableSchema([dg.TableColumn(name) for name in COLUMNS]))


def _sentences(datasets: Mapping[str, Mapping[str, Any]]) -> dict[str, dg.MarkdownMetadataValue]:
    """Return a list of what is wrong with the datasets, and one of the checks that were not asked and why, where there is any."""
    issues = [f"- {name}: {clean(one)}" for name, entry in datasets.items() for one in entry["issues"]]
    unasked = [
        f"- {n}: {check}: {clean(why)}" for n, entry in datasets.items() for check, why in entry["not_judged"].items()
    ]
    return {
        name: dg.MetadataValue.md("\n".join(said))
        for name, said in (("issues", issues), ("not_judged", unasked))
        if said
    }


def _text(value: object) -> str:
    return "" if value is None else str(value)
