"""`weathervane coverage weather`: each tenant's join, judged from the lake, and held against a baseline.

Belongs here: reading, writing reports and the baseline file, and the lines to print. Does not belong here: judging
(`weathervane_checks.join_report`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from weathervane_assets.features import open_rebuild
from weathervane_checks.join_report import compare, metrics_of, validate_join, write_join_report
from weathervane_checks.reports import write_atomically
from weathervane_resources.lake import Lake
from weathervane_resources.settings import ConfigurationError
from weathervane_resources.spelling import backfill_command
from weathervane_resources.tenants import Tenant

BASELINE_VERSION = 1


@dataclass(frozen=True)
class Verdict:
    """What is said of one tenant."""

    tenant: str
    status: str
    report: dict[str, Any]

    def line(self) -> str:
        """Return one line: tenant, status, figure, and what is wrong."""
        join = self.report["join"]
        ratio = join["weather_coverage_ratio"]
        shown = "no rows" if ratio is None else f"{ratio:.3f} of {join['feature_rows']} rows have weather"
        wrong = [*self.report["issues"], *self.report.get("baseline", {}).get("regressions", [])]
        first, last = self.report["window"]["start"], self.report["window"]["end"]
        if ratio is None:
            wrong.append(f"bring the days in: {backfill_command(self.tenant, first, last)}")
        return f"{self.status:<8} {self.tenant}  {first}..{last}  {shown}" + (f": {'; '.join(wrong)}" if wrong else "")


def judge_tenants(
    tenants: Sequence[Tenant], lake: Lake, now: datetime, baseline: Path | None = None, write: Path | None = None
) -> list[Verdict]:
    """Return a verdict for each tenant, after writing its report; a regression against `baseline` is a warning.

    Raises: ConfigurationError: the baseline is missing or is not one, or cannot be written; LakeError: a report cannot.
    """
    known = read_baseline(baseline) if baseline else None
    verdicts = [_judge(tenant, lake, now, known) for tenant in tenants]
    for verdict in verdicts:
        write_join_report(lake, verdict.report)
    if write:
        _write_baseline(write, verdicts)
    return verdicts


def _write_baseline(file: Path, verdicts: Sequence[Verdict]) -> None:
    metrics = {verdict.tenant: metrics_of(verdict.report) for verdict in verdicts}
    try:
        write_atomically(file, json.dumps({"version": BASELINE_VERSION, "tenants": metrics}, indent=2) + "\n")
    except OSError as error:
        raise ConfigurationError(
            f"the baseline {file} cannot be written ({error.strerror}); name a file in a folder that can be"
        ) from error


def _judge(tenant: Tenant, lake: Lake, now: datetime, known: dict[str, Any] | None) -> Verdict:
    report = validate_join(tenant, lake, now, open_rebuild)
    if known is None:
        return Verdict(tenant.id, report["status"], report)
    compared = compare(report, known.get(tenant.id))
    is_worse = report["status"] == "ok" and compared["status"] != "ok"
    status = "warning" if is_worse else report["status"]
    return Verdict(tenant.id, status, {**report, "status": status, "baseline": compared})


def read_baseline(file: Path) -> dict[str, Any]:
    """Return the metrics of a baseline file by tenant.

    Raises: ConfigurationError: it is missing, is not JSON, or is not a baseline of ours.
    """
    hint = "make one with `weathervane coverage weather --write-baseline FILE`"
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"the baseline {file} cannot be read; {hint}") from error
    tenants = document.get("tenants") if isinstance(document, dict) else None
    if not isinstance(tenants, dict) or document.get("version") != BASELINE_VERSION:
        raise ConfigurationError(f"{file} is not a baseline of version {BASELINE_VERSION}; {hint}")
    return tenants
