"""How findings become Dagster evaluations: bounded, and never with customers in them."""

from __future__ import annotations

from datetime import date, timedelta

import dagster as dg
import pytest

from weathervane_checks.findings import Finding, Report, Severity, worst

KEY = dg.AssetKey("orders")
FIRST = date(2025, 1, 1)


def days(count: int) -> list[date]:
    return [FIRST + timedelta(days=n) for n in range(count)]


def report(count: int, *, blocking: bool = False) -> Report:
    return Report(KEY, "row_count_drop", "acme", {day: f"{day}|acme" for day in days(count)}, blocking)


def findings(count: int, wrong: dict[int, Severity] | None = None, samples: int = 0) -> list[Finding]:
    found = []
    for n, day in enumerate(days(count)):
        severity = (wrong or {}).get(n, "ok")
        alerts = () if severity == "ok" else (f"row_count_drop_{severity}",)
        keys = tuple(f"order-{n}-{k}" for k in range(samples)) if alerts else ()
        found.append(Finding(day, severity, n / 3, 0.8, alerts, f"{n} rows", keys, {"row_count": n}))
    return found


def split(
    evaluations: list[dg.AssetCheckEvaluation | dg.AssetCheckResult],
) -> tuple[list[dg.AssetCheckEvaluation], dg.AssetCheckResult]:
    (summary,) = [e for e in evaluations if isinstance(e, dg.AssetCheckResult)]
    assert evaluations[-1] is summary
    return [e for e in evaluations if isinstance(e, dg.AssetCheckEvaluation)], summary


def test_up_to_31_partitions_each_have_an_evaluation_of_their_own() -> None:
    """A check of a range was one evaluation without partition: the UI could not say which day was wrong."""
    evaluations, summary = split(list(report(31).evaluations(findings(31, {3: "critical"}))))
    assert [e.partition for e in evaluations] == [f"{day}|acme" for day in days(31)]
    assert [e.passed for e in evaluations] == [n != 3 for n in range(31)]
    assert not summary.passed


def test_beyond_31_only_what_is_not_ok_has_one() -> None:
    """A year of nine assets was a minute of writing events that nobody reads."""
    evaluations, summary = split(list(report(32).evaluations(findings(32, {3: "critical", 30: "warning"}))))
    assert [e.partition for e in evaluations] == ["2025-01-04|acme", "2025-01-31|acme"]
    assert [e.severity for e in evaluations] == [dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN]
    assert not summary.passed
    quiet, summary = split(list(report(365).evaluations(findings(365))))
    assert quiet == []
    assert summary.passed


@pytest.mark.parametrize("severity", ["ok", "warning", "critical"])
def test_each_evaluation_carries_the_promised_metadata(severity: Severity) -> None:
    """Dashboards and alert routes read these keys: a renamed one is an alert that never comes."""
    ((evaluation,), summary) = split(list(report(1).evaluations(findings(1, {0: severity}))))
    for metadata in (evaluation.metadata, summary.metadata):
        assert {"tenant", "window", "observed", "threshold", "severity", "alerts"} <= metadata.keys()
        values = {name: value.value for name, value in metadata.items()}
        assert values["tenant"] == "acme"
        assert values["severity"] == severity
        assert values["alerts"] == ("" if severity == "ok" else f"row_count_drop_{severity}")
        assert values["threshold"] == 0.8
        assert {"offending_days", "sample_keys"} <= metadata.keys() or severity == "ok"
    assert evaluation.metadata["window"].value == "2025-01-01"
    assert evaluation.metadata["row_count"].value == 0
    assert summary.metadata["window"].value == "2025-01-01/2025-01-01"
    assert evaluation.passed == summary.passed == (severity == "ok")


def test_the_summary_leads_with_the_worst_day_and_lists_the_others() -> None:
    """A warning on the first day hid the outage of the second."""
    _, summary = split(
        list(report(40).evaluations(findings(40, {3: "warning", 7: "critical", 9: "critical"}, samples=1)))
    )
    assert summary.severity == dg.AssetCheckSeverity.ERROR
    assert summary.description == "acme: 3 of 40 days not ok; 2025-01-08: 7 rows (threshold 0.8)"
    table = summary.metadata["offending_days"]
    assert isinstance(table, dg.TableMetadataValue)
    assert [record.data["day"] for record in table.records] == ["2025-01-08", "2025-01-10", "2025-01-04"]
    assert summary.metadata["alerts"].value == "row_count_drop_critical, row_count_drop_warning"
    assert (summary.metadata["days_checked"].value, summary.metadata["days_not_ok"].value) == (40, 3)


def test_there_are_never_more_than_five_sample_keys_nor_a_hundred_rows() -> None:
    """A page of order numbers in the event log for every bad night of a year."""
    evaluations, summary = split(
        list(report(200).evaluations(findings(200, dict.fromkeys(range(150), "critical"), samples=9)))
    )
    assert not any("offending_days" in one.metadata for one in evaluations), (
        "the summary has it: 150 tables are a page each"
    )
    for holder in (*evaluations, summary):
        keys = holder.metadata["sample_keys"].value
        assert isinstance(keys, str)
        assert len(keys.split(", ")) == 5
    table = summary.metadata["offending_days"]
    assert isinstance(table, dg.TableMetadataValue)
    assert len(table.records) == 100


def test_a_clean_summary_has_no_list_of_offenders() -> None:
    """An empty table under a green check makes people look for what is missing."""
    _, summary = split(list(report(3).evaluations(findings(3))))
    assert not {"offending_days", "sample_keys"} & (summary.metadata or {}).keys()
    assert summary.description == "acme: 3 days ok"


def test_what_is_not_known_is_said_so_and_not_zero() -> None:
    """Metadata of None raised in Dagster; as 0 it was a number nobody had measured."""
    ((evaluation,), summary) = split(list(report(1).evaluations([Finding(FIRST, "warning", None)])))
    assert evaluation.metadata["observed"].value == summary.metadata["observed"].value == "not known"


def test_a_finding_of_a_day_outside_the_run_is_in_the_summary_only() -> None:
    """An evaluation for a partition the run does not have is refused by Dagster, and with it the whole check."""
    evaluations, summary = split(list(report(1).evaluations(findings(2, {1: "critical"}))))
    assert [e.partition for e in evaluations] == ["2025-01-01|acme"]
    assert not summary.passed


def test_blocking_is_said_on_every_evaluation() -> None:
    """Downstream ran on after a failed leakage check: the per-partition evaluation did not block."""
    evaluations, _ = split(list(report(2, blocking=True).evaluations(findings(2, {1: "critical"}))))
    assert [e.blocking for e in evaluations] == [True, True]


def test_no_findings_at_all_is_a_summary_that_says_nothing_was_seen() -> None:
    """A vacuous pass must be readable as one."""
    _, summary = split(list(report(1).evaluations([])))
    assert summary.metadata["observed"].value == "nothing"
    assert summary.metadata["days_checked"].value == 0


def test_worst_is_the_worst() -> None:
    """Severity by alphabet: critical < ok < warning."""
    assert worst([]) == "ok"
    assert worst(findings(3, {0: "warning"})) == "warning"
    assert worst(findings(3, {0: "warning", 1: "critical"})) == "critical"
