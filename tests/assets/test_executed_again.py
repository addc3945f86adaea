"""A run that a person executes again in the UI: how the old one ended says nothing of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from dagster._core.execution.plan.resume_retry import ReexecutionStrategy
from dagster._core.test_utils import in_process_test_workspace
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import BaseWorkspaceRequestContext

from tests.assets.test_deferral import tenants, tick
from weathervane_assets.change_repeats import _has_failed_for_good
from weathervane_assets.run_queue import TenantRunCoordinator
from weathervane_checks.alert_events import read_events
from weathervane_resources.failures import DEFERRED_TAG, NOT_DEFERRED, RESUMED, WAITING, as_failure, needs_someone
from weathervane_resources.http.errors import Deferred
from weathervane_resources.partition_keys import BACKFILL_TAG

__all__ = ["tenants"]
UNTIL = datetime(2026, 11, 20, 23, 0, tzinfo=UTC)
MAX_RETRIES = "dagster/max_retries"
COORDINATOR = {"module": TenantRunCoordinator.__module__, "class": TenantRunCoordinator.__name__}


@dg.asset
def dead() -> None:
    raise needs_someone("the token is dead")


@dg.asset
def spent() -> None:
    with as_failure():
        raise Deferred("quota spent", until=UNTIL, vendor="google_ads", tenant="acme", window="w")


defs = dg.Definitions([dead, spent])


@pytest.fixture(scope="module")
def instance() -> Iterator[dg.DagsterInstance]:
    retries = {"enabled": True, "max_retries": 2}
    with dg.instance_for_test(overrides={"run_retries": retries, "run_coordinator": COORDINATOR}) as instance:
        yield instance


@pytest.fixture(scope="module")
def workspace(instance: dg.DagsterInstance) -> Iterator[BaseWorkspaceRequestContext]:
    origin = LoadableTargetOrigin(module_name=__name__, attribute="defs")
    with in_process_test_workspace(instance, origin) as workspace:
        yield workspace


def fail(instance: dg.DagsterInstance, asset: dg.AssetsDefinition, **tags: str) -> dg.DagsterRun:
    """Let a run of an asset fail."""
    job = defs.resolve_implicit_global_asset_job_def()
    tags = {"weathervane/tenant": "acme", **{name.replace("__", "/"): value for name, value in tags.items()}}
    done = job.execute_in_process(instance=instance, tags=tags, asset_selection=[asset.key], raise_on_error=False)
    return run_of(instance, done.run_id)


def run_of(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRun:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run


def again(workspace: BaseWorkspaceRequestContext, parent: dg.DagsterRun, **tags: str) -> dg.DagsterRun:
    """Execute a run again as the webserver and the daemon's retries do: with all of its tags, through the queue."""
    (location,) = workspace.code_locations
    (repository,) = location.get_repositories().values()
    run = workspace.instance.create_reexecuted_run(
        parent_run=parent,
        request_context=workspace,
        code_location=location,
        remote_job=repository.get_full_job(parent.job_name),
        strategy=ReexecutionStrategy.ALL_STEPS,
        extra_tags={name.replace("__", "/"): value for name, value in tags.items()},
        use_parent_run_tags=True,
    )
    return workspace.instance.submit_run(run.run_id, workspace)


def test_a_run_after_a_dead_token_is_retried_as_any_other(
    instance: dg.DagsterInstance, workspace: BaseWorkspaceRequestContext
) -> None:
    """The token was mended and the run started again in the UI: it met one HTTP 503, and Dagster did not try again."""
    old = fail(instance, dead)
    assert old.tags[MAX_RETRIES] == "0"
    new = again(workspace, old)
    assert new.status == dg.DagsterRunStatus.QUEUED
    instance.report_run_failed(new)
    assert run_of(instance, new.run_id).tags["dagster/will_retry"] == "true"


@pytest.mark.parametrize("allowed", ["0", "5"])
def test_how_often_a_person_lets_a_run_be_retried_holds_for_the_next_one_too(
    instance: dg.DagsterInstance, workspace: BaseWorkspaceRequestContext, allowed: str
) -> None:
    """What a failure wrote over it is not what was asked for; nor is it taken back where someone says so anew."""
    old = fail(instance, dead, dagster__max_retries=allowed)
    assert old.tags[MAX_RETRIES] == "0"
    assert again(workspace, old).tags[MAX_RETRIES] == allowed
    assert again(workspace, old, dagster__max_retries="1").tags[MAX_RETRIES] == "1"
    assert again(workspace, again(workspace, old)).tags[MAX_RETRIES] == allowed


def test_dagsters_own_retry_keeps_its_number(
    instance: dg.DagsterInstance, workspace: BaseWorkspaceRequestContext
) -> None:
    """It comes through the queue as a person's run does."""
    job = defs.resolve_implicit_global_asset_job_def()
    old = instance.create_run_for_job(job, tags={MAX_RETRIES: "5"}, status=dg.DagsterRunStatus.FAILURE)
    tags = again(workspace, old, dagster__retry_number="1").tags
    assert (tags["dagster/retry_number"], tags[MAX_RETRIES]) == ("1", "5")
    assert DEFERRED_TAG not in tags


def test_a_deferred_run_that_a_person_starts_again_waits_no_more_and_is_started_once(
    instance: dg.DagsterInstance, workspace: BaseWorkspaceRequestContext
) -> None:
    """The new run said `waiting` before it had begun: both were started again when the time had come."""
    old = fail(instance, spent)
    assert old.tags[DEFERRED_TAG] == WAITING
    new = again(workspace, old)
    assert new.tags[DEFERRED_TAG] == new.tags["weathervane/deferred_until"] == NOT_DEFERRED
    instance.report_run_failed(new)
    assert tick(instance, UNTIL) == []
    assert run_of(instance, old.run_id).tags[DEFERRED_TAG] == RESUMED


def test_what_then_fails_for_another_reason_is_told_and_asked_for_again(
    instance: dg.DagsterInstance, workspace: BaseWorkspaceRequestContext
) -> None:
    """It passed for deferred: nobody was told, and no sensor asked for its days."""
    new = again(workspace, fail(instance, spent))
    instance.add_run_tags(new.run_id, {MAX_RETRIES: "0"})
    instance.report_run_failed(new)
    read = read_events(instance, None, set(), datetime.now(UTC) + timedelta(minutes=1))
    assert [seen.severity for seen in read.observations if seen.facts.run_id == new.run_id] == ["critical"]
    assert _has_failed_for_good(run_of(instance, new.run_id))


@pytest.mark.parametrize("tag", ["dagster__backfill", BACKFILL_TAG.replace("/", "__")])
def test_a_run_of_a_backfill_stays_one(
    instance: dg.DagsterInstance, workspace: BaseWorkspaceRequestContext, tag: str
) -> None:
    """Dagster drops the name of a backfill that is over: its days of last month paged."""
    assert again(workspace, fail(instance, dead, **{tag: "everything"})).tags[BACKFILL_TAG] == "everything"
    assert BACKFILL_TAG not in again(workspace, fail(instance, dead)).tags
