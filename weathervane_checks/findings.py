"""Findings, and how they become Dagster check evaluations.

A finding is what a rule says of one day. In a run of at most 31 partitions every partition gets an evaluation of its own;
in a longer range only those that are not ok do; and one summary without partition always names the offending days. Left
alone, Dagster records a check of a range as a single evaluation without partition (docs/decisions/0003).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

import dagster as dg
from weathervane_resources.spelling import counted

Severity = Literal["ok", "warning", "critical"]
RANK: Mapping[Severity, int] = {"ok": 0, "warning": 1, "critical": 2}
EVERY_PARTITION_UP_TO = 31
MOST_SAMPLE_KEYS = 5
MOST_TABLE_ROWS = 100


@dataclass(frozen=True)
class Finding:
    """What a rule says of one day.

    `observed` and `threshold` are numbers or short texts; `alerts` are stable codes that routing relies on;
    `sample_keys` identify rows (never personal data).
    """

    day: date
    severity: Severity
    observed: float | int | str | None
    threshold: float | int | str | None = None
    alerts: tuple[str, ...] = ()
    note: str = ""
    sample_keys: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_ok(self) -> bool:
        """Whether there is nothing to say."""
        return self.severity == "ok"


def worst(findings: Sequence[Finding]) -> Severity:
    """Return the worst severity among findings; `ok` only says that no rule objected."""
    return max((finding.severity for finding in findings), key=RANK.__getitem__, default="ok")


@dataclass(frozen=True)
class Report:
    """A check's findings over the days of a run, ready to be yielded."""

    asset_key: dg.AssetKey
    check_name: str
    tenant: str
    keys: Mapping[date, str]
    """The partition key of each day."""
    is_blocking: bool = False
    backfilled: frozenset[date] = frozenset()
    """The days judged as history; `judged_as` of what is said of them is `backfill`, else `nightly`."""

    @property
    def is_short(self) -> bool:
        """Whether each partition is told of at length; of a long range the summary has what a year of warnings would store 365 times."""
        return len(self.keys) <= EVERY_PARTITION_UP_TO

    def evaluations(self, findings: Sequence[Finding]) -> Iterator[dg.AssetCheckEvaluation | dg.AssetCheckResult]:
        """Yield one evaluation a partition within bounds, then the summary."""
        for finding in sorted(findings, key=lambda f: f.day):
            if (self.is_short or not finding.is_ok) and finding.day in self.keys:
                yield self._of_partition(finding)
        yield self._summary(findings)

    def _of_partition(self, finding: Finding) -> dg.AssetCheckEvaluation:
        return dg.AssetCheckEvaluation(
            asset_key=self.asset_key,
            check_name=self.check_name,
            passed=finding.is_ok,
            partition=self.keys[finding.day],
            severity=dagster_severity(finding.severity),
            description=_describe(finding),
            metadata={
                name: dg.MetadataValue.text(v) if isinstance(v, str) else v for name, v in self._facts(finding).items()
            },
            blocking=self.is_blocking,
        )

    def _facts(self, finding: Finding) -> dict[str, Any]:
        facts: dict[str, Any] = {
            "tenant": self.tenant,
            "window": finding.day.isoformat(),
            "observed": _shown(finding.observed),
            "threshold": _shown(finding.threshold),
            "severity": finding.severity,
            "alerts": ", ".join(finding.alerts),
            "judged_as": self._judged_as([finding.day]),
            **finding.extra,
        }
        if finding.is_ok:
            return facts
        if self.is_short:
            facts["offending_days"] = _table([finding])
        if self.is_short or finding.sample_keys:
            facts["sample_keys"] = _keys([finding])
        return facts

    def _judged_as(self, days: Collection[date]) -> str:
        return "backfill" if days and self.backfilled.issuperset(days) else "nightly"

    def _summary(self, findings: Sequence[Finding]) -> dg.AssetCheckResult:
        wrong = sorted((f for f in findings if not f.is_ok), key=lambda f: (-RANK[f.severity], f.day))
        severity = worst(findings)
        days = sorted(self.keys)
        leading = wrong[0] if wrong else max(findings, key=lambda f: f.day, default=None)
        metadata: dict[str, Any] = {
            "tenant": self.tenant,
            "window": f"{days[0]}/{days[-1]}" if days else "",
            "observed": _shown(leading.observed) if leading else "nothing",
            "threshold": _shown(leading.threshold) if leading else "",
            "severity": severity,
            "alerts": ", ".join(sorted({code for f in wrong for code in f.alerts})),
            "judged_as": self._judged_as([f.day for f in wrong] or days),
            "days_checked": len(findings),
            "days_not_ok": len(wrong),
            "days_not_judged": sum("not_judged" in f.extra for f in findings),
        }
        if wrong:
            metadata["offending_days"] = _table(wrong)
            metadata["sample_keys"] = _keys(wrong)
        return dg.AssetCheckResult(
            asset_key=self.asset_key,
            check_name=self.check_name,
            passed=severity == "ok",
            severity=dagster_severity(severity),
            description=_summarise(self.tenant, wrong, findings),
            metadata=metadata,
        )


def dagster_severity(severity: Severity) -> dg.AssetCheckSeverity:
    """Return what Dagster calls a severity; it has no word for ok, which `passed` says."""
    return dg.AssetCheckSeverity.ERROR if severity == "critical" else dg.AssetCheckSeverity.WARN


def _shown(value: float | str | None) -> float | int | str:
    if value is None:
        return "not known"
    return round(value, 4) if isinstance(value, float) else value


def _describe(finding: Finding) -> str:
    limit = "" if finding.threshold is None or finding.is_ok else f" (threshold {_shown(finding.threshold)})"
    return f"{finding.day}: {finding.note or _shown(finding.observed)}{limit}"


def _summarise(tenant: str, wrong: Sequence[Finding], findings: Sequence[Finding]) -> str:
    if wrong:
        return f"{tenant}: {len(wrong)} of {counted(len(findings), 'day')} not ok; {_describe(wrong[0])}"
    open_days = [f for f in findings if "not_judged" in f.extra]
    if open_days:
        latest = max(open_days, key=lambda f: f.day)
        fine = len(findings) - len(open_days)
        return f"{tenant}: {counted(fine, 'day')} ok, {len(open_days)} not judged ({latest.extra['not_judged']})"
    return f"{tenant}: {counted(len(findings), 'day')} ok"


def _keys(findings: Sequence[Finding]) -> str:
    return ", ".join([key for f in findings for key in f.sample_keys][:MOST_SAMPLE_KEYS])


def _table(findings: Sequence[Finding]) -> dg.TableMetadataValue:
    columns = ("day", "severity", "observed", "threshold", "alerts", "note")
    records = [
        dg.TableRecord(
            {
                "day": f.day.isoformat(),
                "severity": f.severity,
                "observed": str(_shown(f.observed)),
                "threshold": str(_shown(f.threshold)) if f.threshold is not None else "",
                "alerts": ", ".join(f.alerts),
                "note": f.note,
            }
        )
        for f in findings[:MOST_TABLE_ROWS]
    ]
    return dg.TableMetadataValue(records, schema=dg.TableSchema([dg.TableColumn(name) for name in columns]))
