"""Checks that are started by themselves, as the UI does it: without a partition."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import dagster as dg
import pytest

from tests.assets.conftest import Installation
from weathervane_assets.definitions import build_defs
from weathervane_assets.graph import NODES
from weathervane_checks.alert_runs import ENDS, observe_end
from weathervane_checks.catalog import CHECKS
from weathervane_checks.freshness import freshness


def execute(installation: Installation, asset: str, tags: dict[str, str] | None = None) -> dg.DagsterRun:
    """Run all checks of an asset as the UI's button does; return the run."""
    checks = {dg.AssetCheckKey(dg.AssetKey(asset), check.name) for check in CHECKS if check.asset == asset}
    job = build_defs(os.environ).resolve_implicit_global_asset_job_def()
    alone = job.get_subset(asset_selection=set(), asset_check_selection=checks)
    done = alone.execute_in_process(instance=installation.instance, raise_on_error=False, tags=tags)
    run = installation.instance.get_run_by_id(done.run_id)
    assert run is not None
    return run


def observed(instance: dg.DagsterInstance, run: dg.DagsterRun) -> list[object]:
    [end] = instance.get_records_for_run(run.run_id, of_type=set(ENDS)).records
    return list(observe_end(instance, end, datetime.now(UTC)))


@pytest.mark.parametrize("asset", ["orders", "features"])
def test_checks_without_days_say_what_to_do_once_and_tell_nobody(installation: Installation, asset: str) -> None:
    """A click on Execute was three red runs, `Cannot access partition_key for a non-partitioned run`, and a critical alert about the
    installation that nothing could end: no run without a tenant ever succeeds."""
    run = execute(installation, asset)
    assert run.status == dg.DagsterRunStatus.FAILURE
    assert run.tags["dagster/max_retries"] == "0"
    failed = dg.DagsterEventType.STEP_FAILURE
    [said] = installation.instance.get_records_for_run(run.run_id, of_type=failed).records
    told = said.event_log_entry.dagster_event.step_failure_data.user_failure_data.description
    assert told == (
        f"checks judge days of a tenant, and this run has none; materialize {asset} for the days, and its checks run with them"
    )
    assert not observed(installation.instance, run)


def test_a_run_that_is_started_from_a_refused_one_is_heard(installation: Installation) -> None:
    """Re-execute in the UI inherits every tag: once refused, a run's failures would be silent for ever."""
    tags = {**execute(installation, "orders").tags, "dagster/partition": "2026-11-01|nobody"}
    run = execute(installation, "orders", tags)
    assert run.status == dg.DagsterRunStatus.FAILURE
    assert observed(installation.instance, run)


def test_the_ui_offers_no_button_for_what_is_refused() -> None:
    """It greys out a check that cannot do without its siblings; freshness, which needs no days, is what Execute all runs."""
    graph = build_defs({}).resolve_asset_graph()
    for key in graph.asset_check_keys:
        alone = len(graph.get_execution_set_asset_and_check_keys(key)) == 1
        assert alone == (key.name == freshness.__name__), key
    assert {key.asset_key.path[-1] for key in graph.asset_check_keys} >= set(NODES)
