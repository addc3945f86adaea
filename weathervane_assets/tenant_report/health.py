"""The section on data health: each dataset's state, the same by day, and how the nights before stood.

Belongs here: arranging what the rules said. Does not belong here: the rules.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from weathervane_assets.graph import DAILY, NODES
from weathervane_assets.tenant_report.charts import severity_chart
from weathervane_assets.tenant_report.source import Missing, Source
from weathervane_assets.tenant_report.svg import Chart
from weathervane_checks.alert_text import CAUSES
from weathervane_checks.dq_report import read_runs
from weathervane_resources.lake import LakeError

SOURCES = {
    "stub": "made up (sandbox)",
    "not_configured": "not configured",
    "not_kept": "too old for the vendor",
    "shopify_api": "Shopify",
    "meta_api": "Meta",
    "google_ads_api": "Google Ads",
    "klaviyo_api": "Klaviyo",
    "open_meteo": "Open-Meteo",
}


@dataclass(frozen=True)
class DatasetHealth:
    """One dataset: its newest day that is over, what is wrong with it, and what the alert codes mean."""

    name: str
    answers: str
    severity: str
    status: str
    day: date | None
    rows: int | None
    source: str
    alerts: Mapping[str, str]
    issues: Sequence[str]

    @property
    def is_yearly(self) -> bool:
        """Whether its day stands for a year."""
        return self.name not in DAILY


@dataclass(frozen=True)
class Health:
    """The section. `complete_day` is the newest that every daily table has; `runs` counts the kept reports by severity."""

    severity: str
    datasets: Sequence[DatasetHealth]
    complete_day: date | None
    stub: Sequence[str]
    unconfigured: Sequence[str]
    missing: Missing | None
    chart: Chart | None
    first_day: date
    runs: Mapping[str, int]
    first_run_at: datetime | None
    no_runs: str


def examine_health(source: Source) -> Health:
    """Return the section."""
    quality = source.quality
    entries: Mapping[str, Mapping[str, Any]] = quality.run["datasets"]
    newest = [source.newest(name) for name in DAILY]
    runs, no_runs = _kept(source)
    return Health(
        severity=quality.run["overall_severity"],
        datasets=[_dataset(source, name, entry) for name, entry in entries.items()],
        complete_day=None if None in newest else min(day for day in newest if day),
        stub=[name for name, entry in entries.items() if entry["source"] == "stub"],
        unconfigured=[name for name, entry in entries.items() if entry["source"] == "not_configured"],
        missing=source.no_matrix if source.ledger.is_empty() else None,
        chart=None if source.ledger.is_empty() else severity_chart(quality.severities, quality.days),
        first_day=quality.days[0],
        runs=Counter(run["overall_severity"] for run in runs),
        first_run_at=datetime.fromisoformat(runs[0]["timestamp"]) if runs else None,
        no_runs=no_runs,
    )


def _kept(source: Source) -> tuple[list[dict[str, Any]], str]:
    """Return the kept runs of `dq_report`, or why there are none."""
    try:
        runs = read_runs(source.lake, source.tenant.id)
    except LakeError as error:
        return [], f"The earlier quality reports cannot be read: {error}"
    return runs, "" if runs else "No quality report was kept yet: materialise the asset dq_report of this tenant."


def _dataset(source: Source, name: str, entry: Mapping[str, Any]) -> DatasetHealth:
    shown = entry["metadata"]["day"]
    meanings = {**CAUSES, "dataset_stale": source.staleness(name)} if "dataset_stale" in entry["alerts"] else CAUSES
    return DatasetHealth(
        name=name,
        answers=NODES[name].answers,
        severity=entry["severity"],
        status=entry["status"].replace("_", " "),
        day=date.fromisoformat(shown) if shown else None,
        rows=entry["row_count"],
        source=_names(entry["source"] or ""),
        alerts={code: meanings.get(code, "see docs/alerting.md") for code in entry["alerts"]},
        issues=entry["issues"],
    )


def _names(source: str) -> str:
    """Return where rows come from, as people call it; of a table that is made of several, each."""
    return " + ".join(SOURCES.get(part, part) for part in source.split("+") if part) or "nothing written"
