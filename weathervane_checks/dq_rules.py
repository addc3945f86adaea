"""Which rules the quality report asks of a dataset, and which it leaves to the checks, with the reason.

Belongs here: asking the checks' rules of the last weeks at once, at small cost. Does not belong here: judging (`rules/`)
and what the report says of it (`dq_report.py`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any

import polars as pl
from weathervane_resources.lake import LakeError

from weathervane_checks.catalog import CHECKS, COUNTED, RAW, conservation, contract, coverage
from weathervane_checks.evidence import CONNECTOR_OF, Evidence
from weathervane_checks.findings import Finding
from weathervane_checks.join_evidence import decisions_of, first_forecast_of, is_as_of
from weathervane_checks.join_report import FILE as JOIN_FILE
from weathervane_checks.reports import FOLDER
from weathervane_checks.rules.completeness import Counted, judge_completeness
from weathervane_checks.rules.coverage import judge_join_coverage
from weathervane_checks.rules.freshness import YEARLY
from weathervane_checks.rules.geocoding import days_needed, judge_geocoding
from weathervane_checks.rules.row_counts import judge_row_counts
from weathervane_checks.rules.sources import judge_live_source

FRESHNESS, LEAKAGE = "freshness", "weather_join_leakage"
Judged = tuple[str, list[Finding]]


@dataclass
class Verdicts:
    """What the rules say of one dataset."""

    by_day: dict[date, list[Finding]]
    standing: list[Finding] = field(default_factory=list)
    """What holds of the dataset whatever its newest day is: leakage, and today's forecast."""
    judged: list[str] = field(default_factory=list)
    """The checks whose rule was asked."""
    not_judged: dict[str, str] = field(default_factory=dict)
    """The others, with the reason."""

    def stop(self, why: str, names: Sequence[str], newest: date) -> None:
        """Take in that a table cannot be read: of the checks' `names` those that were not asked yet cannot be.

        It is critical for every day, and where none is known for `newest`.
        """
        self.not_judged = {name: why for name in names if name not in self.judged} | self.not_judged
        said = Finding(max(self.by_day, default=newest), "critical", "cannot be read", None, ("table_unreadable",), why)
        for day, found in self.by_day.items():
            found.append(replace(said, day=day))
        self.standing.append(said)


def judge_dataset(evidence: Evidence, ledger: pl.DataFrame, orders: pl.DataFrame | None) -> Verdicts:
    """Return what the rules say of the days that were written; `ledger`: the dataset's rows.

    A table that cannot be read is critical for what is made of it. `orders`: None where that is theirs.
    """
    names, days = _names(evidence), _days(evidence, ledger)
    if not days:
        return Verdicts({}, not_judged=dict.fromkeys(names, "no day of it was written"))
    verdicts = Verdicts({day: [] for day in days})
    try:
        _ask(verdicts, evidence, ledger, orders)
    except LakeError as error:
        verdicts.stop(str(error), names, max(days))
    return verdicts


def judge_rows(evidence: Evidence, why: str) -> Verdicts:
    """Return what the rules say of a dataset by its rows alone, where its ledger cannot be read: `why`.

    When a day was written, and from where, nobody knows then, so it is critical whatever its rows are like.
    """
    names, newest = [FRESHNESS, *_names(evidence)], evidence.days[-1]
    verdicts = Verdicts({})
    stored = replace(evidence, keys=dict.fromkeys(_window(evidence), ""))
    try:
        verdicts.by_day |= {day: [] for day in sorted(set(stored.frame["date"]))}
        for name, found in _by_rows(stored, has_ledger=False):
            verdicts.judged.append(name)
            for finding in (one for one in found if one.day in verdicts.by_day):
                verdicts.by_day[finding.day].append(finding)
    except LakeError as error:
        verdicts.stop(str(error), _names(evidence), newest)
    verdicts.stop(why, names, newest)
    return verdicts


def _names(evidence: Evidence) -> list[str]:
    return [check.name for check in CHECKS if check.asset == evidence.dataset]


def _ask(verdicts: Verdicts, evidence: Evidence, ledger: pl.DataFrame, orders: pl.DataFrame | None) -> None:
    of_days = replace(evidence, keys=dict.fromkeys(verdicts.by_day, ""))
    for name, found in _by_day(of_days, ledger, orders):
        verdicts.judged.append(name)
        for finding in found:
            verdicts.by_day[finding.day].append(finding)
    if evidence.dataset == "features":
        _add_leakage(verdicts, of_days, ledger)
    if evidence.dataset == "weather_forecast":
        _add_todays_forecast(verdicts, evidence, ledger)
    if evidence.dataset == "features" and "conservation" not in verdicts.judged:
        verdicts.not_judged["conservation"] = "a matrix in join mode as_of is not built again for a report"
    if evidence.dataset in CONNECTOR_OF and evidence.platform is None:
        verdicts.not_judged["credential_ends"] = (
            "only the lake was looked at; `weathervane doctor` looks at credentials"
        )


def _days(evidence: Evidence, ledger: pl.DataFrame) -> list[date]:
    written = set(ledger["date"])
    if evidence.dataset == "features":  # made of what is left over of a demo, and not made again since
        written -= set(evidence.lake.left_over_days(evidence.tenant.id, "orders"))
    return sorted(written & _window(evidence))


def _window(evidence: Evidence) -> set[date]:
    return {day.replace(month=1, day=1) if evidence.dataset in YEARLY else day for day in evidence.days}


def _by_day(evidence: Evidence, ledger: pl.DataFrame, orders: pl.DataFrame | None) -> Iterator[Judged]:
    """Yield each rule that judges by day, by the name of its check; first those that read no rows, which may be damaged.

    What a matrix in join mode as_of leaves out is not built again for a report: of it conservation is the check's alone.
    """
    name, days, limits = evidence.dataset, evidence.days, evidence.limits
    if name in RAW:
        yield "live_source", judge_live_source(ledger, days, evidence.dying_version, evidence.ending_credential)
    if name in COUNTED:
        yield "row_count_drop", judge_row_counts(ledger, days, limits, evidence.today, evidence.tenant.quiet_days)
    if name == "orders":
        counted = Counted(ledger, evidence.quarantined, evidence.refusals)
        yield "completeness", judge_completeness(counted, days, evidence.today)
        known = evidence.orders_since(days_needed(limits)) if orders is None else orders
        yield "geocoding_coverage", judge_geocoding(known, days, limits)
    yield from _by_rows(evidence, has_ledger=True)
    if name == "weather_daily":
        yield "coverage", coverage(evidence)
    if name == "features" and not is_as_of(evidence):
        yield "conservation", conservation(evidence)


def _by_rows(evidence: Evidence, *, has_ledger: bool) -> Iterator[Judged]:
    """Yield the rules that the dataset's own rows answer; without a ledger nobody knows when the first forecast was kept."""
    yield "contract", contract(evidence)
    if evidence.dataset == "features":
        first = first_forecast_of(evidence) if has_ledger else None
        judged = judge_join_coverage(evidence.frame, evidence.days, evidence.limits, decisions_of(evidence), first)
        yield "weather_join_coverage", judged


def _add_todays_forecast(verdicts: Verdicts, evidence: Evidence, ledger: pl.DataFrame) -> None:
    if evidence.today not in set(ledger["date"]):
        verdicts.not_judged["coverage"] = "the forecast of today was not written; older ones cannot be had any more"
        return
    verdicts.judged.append("coverage")
    verdicts.standing += coverage(replace(evidence, keys={evidence.today: ""}))


def _add_leakage(verdicts: Verdicts, evidence: Evidence, ledger: pl.DataFrame) -> None:
    """Take what the newest report of the join says: its rules build parts of the matrix again, which costs more than a report."""
    said = _read_join_report(evidence)
    if isinstance(said, str):
        verdicts.not_judged[LEAKAGE] = said
        return
    leakage = said["leakage"]
    if not leakage["total_rows"] and said["generated_at"] < ledger["written_at_utc"].max():
        at = said["generated_at"].isoformat()
        verdicts.not_judged[LEAKAGE] = (
            f"{JOIN_FILE} is of {at}, before the matrix was last written; {_advice(evidence)}"
        )
        return
    verdicts.judged.append(LEAKAGE)
    if leakage["total_rows"]:
        found = _leaks(said)
        verdicts.standing.append(found[-1])
        for finding in found:
            verdicts.by_day.setdefault(finding.day, []).append(finding)


def _leaks(said: Mapping[str, Any]) -> Sequence[Finding]:
    """Return a finding for each day with rows that know the future; which rule they break is known of all days together."""
    leakage, rules = said["leakage"], sorted(said["leakage"]["rules"])
    count, at = leakage["total_rows"], said["generated_at"].isoformat(timespec="minutes")
    note = f"{count} of the rows know the future or are of another day ({', '.join(rules)}), by {JOIN_FILE} of {at}"
    codes = tuple(f"leakage_{rule}" for rule in rules)
    days = [date.fromisoformat(day) for day in leakage["dates"]]
    return [Finding(day, "critical", count, 0, codes, note) for day in sorted(days)]


def _read_join_report(evidence: Evidence) -> dict[str, Any] | str:
    """Return the newest report of the join with its instant, or why there is none to go by."""
    content = evidence.lake.files.read(f"{FOLDER}/{evidence.tenant.id}/{JOIN_FILE}")
    if content is None:
        return f"{JOIN_FILE} was never written; {_advice(evidence)}"
    try:
        document = json.loads(content)
        known = {"leakage": document["leakage"], "generated_at": datetime.fromisoformat(document["generated_at"])}
    except (ValueError, KeyError, TypeError):
        return f"{JOIN_FILE} is not a report of the join; {_advice(evidence)}"
    return known


def _advice(evidence: Evidence) -> str:
    return f"run `weathervane coverage weather --tenant {evidence.tenant.id}`"
