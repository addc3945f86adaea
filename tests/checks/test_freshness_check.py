"""The evaluation that `freshness` yields for all tenants, and how the alerter reads each tenant from it."""

from __future__ import annotations

import logging
from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from weathervane_checks.alert_evaluations import Judged, observe_evaluations
from weathervane_checks.alert_guard import Unread
from weathervane_checks.freshness import NAME, _ledger, evaluate, is_new
from weathervane_checks.rules.freshness import Freshness
from weathervane_resources.lake import Lake, Shape

ORDERS = dg.AssetKey(["orders"])
NOW = datetime(2026, 11, 20, 20, tzinfo=UTC)
FOUND = [
    Freshness("lazy", "critical", None, date(2026, 11, 18), 322),
    Freshness("kiwi", "warning", date(2026, 11, 18), date(2026, 11, 20), 2),
    Freshness("acme", "ok", date(2026, 11, 30), date(2026, 11, 19), 0),
]


def judged(result: dg.AssetCheckResult, key: dg.AssetKey = ORDERS, job_name: str = NAME) -> Judged:
    evaluation = dg.AssetCheckEvaluation(key, NAME, result.passed, result.metadata, None, result.severity)
    return Judged(7, NOW.timestamp(), "run", evaluation, "", job_name=job_name)


def test_each_tenant_is_read_with_its_own_newest_and_due_day() -> None:
    """One stale tenant's day was told of all: acme was two days late because kiwi was."""
    result = evaluate(ORDERS, FOUND)
    seen = {one.subject.tenant: one for one in observe_evaluations([judged(result)], NOW, Unread())}
    assert {name: (one.severity, one.days) for name, one in seen.items()} == {
        "lazy": ("critical", ("2026-11-18",)),
        "kiwi": ("warning", ("2026-11-20",)),
        "acme": ("ok", ("2026-11-19",)),
    }
    assert {(one.subject.dataset, one.subject.cause, one.event_id) for one in seen.values()} == {("orders", NAME, 7)}
    assert seen["lazy"].facts.note == "newest day none, due 2026-11-18"
    assert seen["kiwi"].facts.note == "newest day 2026-11-18, due 2026-11-20"
    assert (seen["kiwi"].facts.observed, seen["kiwi"].facts.codes) == ("2 days late", ("dataset_stale",))
    assert (seen["lazy"].facts.codes, seen["acme"].facts.codes) == (("dataset_missing",), ())


def test_a_run_that_someone_started_says_only_who_is_fresh() -> None:
    """The UI adds the check to each run of its asset: a click on one tenant, or a backfill, paged that another one was late."""
    result = evaluate(ORDERS, FOUND)
    (seen,) = observe_evaluations([judged(result, job_name="__ASSET_JOB")], NOW, Unread())
    assert (seen.subject.tenant, seen.severity) == ("acme", "ok")


def test_normals_are_late_for_their_year() -> None:
    """`9 days late`, of days `2026-01-01`: a tenant had come nine days before, and its first day was in November."""
    climatology = dg.AssetKey(["climatology"])
    result = evaluate(climatology, [Freshness("kiwi", "warning", None, date(2026, 1, 1), 9, is_new=True)])
    (seen,) = observe_evaluations([judged(result, climatology)], NOW, Unread())
    assert (seen.days, seen.facts.observed) == (("2026",), "9 days without normals")
    assert seen.facts.note == "newest year none, due 2026"


def test_a_ledger_that_cannot_be_read_is_that_tenants_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One tenant's missing file, and nobody's freshness was looked at."""
    lake = Lake(str(tmp_path))
    day = date(2026, 11, 19)
    rows = pl.DataFrame({"date": [day], "a": [1]}).with_columns(
        source=pl.lit("stub"), as_of_utc=pl.lit(NOW).dt.cast_time_unit("us")
    )
    for tenant in ("acme", "kiwi"):
        lake.replace(
            tenant, "orders", rows, shape=Shape(rows.schema, ("a",)), days=[day], source="stub", run_id="r", now=NOW
        )
    for file in (tmp_path / "acme" / "_ledger").rglob("*.parquet"):
        file.unlink()
    assert _ledger(lake, "acme", logging.getLogger()).is_empty()
    assert "acme counts as never written" in caplog.text
    assert not is_new(lake, "acme", _ledger(lake, "acme", logging.getLogger()), NOW), "a lost ledger is no new tenant"
    assert is_new(lake, "newcomer", lake.ledger("newcomer"), NOW)
    assert _ledger(lake, "kiwi", logging.getLogger()).height == 1


def test_the_evaluation_is_as_bad_as_the_worst_and_names_only_who_is_stale() -> None:
    """The summary named every tenant, so the two that were late had to be looked for."""
    result = evaluate(ORDERS, FOUND)
    metadata = {name: getattr(value, "value", value) for name, value in result.metadata.items()}
    assert (result.passed, result.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert (metadata["tenant"], metadata["window"]) == ("lazy, kiwi", "2026-11-18/2026-11-20")
    assert (metadata["observed"], metadata["tenants_checked"], metadata["severity"]) == (322, 3, "critical")
    assert metadata["alerts"] == "dataset_missing, dataset_stale"
    assert result.description is not None
    assert result.description.startswith("2 of 3 tenants stale: lazy 322 days late (newest none); kiwi 2 days late")
    fine = evaluate(ORDERS, FOUND[2:])
    assert (fine.passed, fine.description) == (True, "1 tenant fresh")
    assert "stale_tenants" not in fine.metadata
    assert evaluate(ORDERS, []).description == "no tenant has a day that is due"
