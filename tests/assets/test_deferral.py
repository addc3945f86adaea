"""Deferred, not failed: a run that a vendor tells to wait frees its slot and starts again when the time has come."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from weathervane_assets.deferral import MOST_PER_TICK, RESUMES_TAG, deferred_runs
from weathervane_resources.clock import Clock
from weathervane_resources.failures import DEFERRED_TAG, DEFERRED_UNTIL_TAG, RESUMED, WAITING, as_failure
from weathervane_resources.http.errors import Deferred
from weathervane_resources.platform import Platform

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
UNTIL = NOW + timedelta(hours=11)
daily = dg.DailyPartitionsDefinition("2024-11-01")
RANGE = {
    "dagster/asset_partition_range_start": "2024-11-03",
    "dagster/asset_partition_range_end": "2024-11-05",
    "weathervane/tenant": "acme",
}
spent = {"is": True}
seen: list[list[str]] = []


@dg.asset(partitions_def=daily, backfill_policy=dg.BackfillPolicy.single_run())
def google_ads(context: dg.AssetExecutionContext) -> None:
    seen.append(list(context.partition_keys))
    with as_failure():
        if spent["is"]:
            raise Deferred("quota spent", until=UNTIL, vendor="google_ads", tenant="acme", window="w")


@dg.asset(partitions_def=daily, backfill_policy=dg.BackfillPolicy.single_run())
def orders() -> None: ...


PLATFORM = Platform(threshold_names=[])
DEFS = dg.Definitions([google_ads, orders], sensors=[deferred_runs], resources={"clock": Clock(), "platform": PLATFORM})


@pytest.fixture(autouse=True)
def tenants(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "tenants.toml"
    file.write_text('[tenants.acme]\ntimezone = "UTC"\ncurrency = "USD"\n')
    monkeypatch.setenv("WEATHERVANE_TENANTS", str(file))
    return file


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    spent["is"] = True
    seen.clear()
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def execute(instance: dg.DagsterInstance, tags: dict[str, str], assets: list[dg.AssetKey]) -> dg.ExecuteInProcessResult:
    job = DEFS.resolve_implicit_global_asset_job_def()
    return job.execute_in_process(instance=instance, tags=tags, asset_selection=assets, raise_on_error=False)


def tick(instance: dg.DagsterInstance, now: datetime) -> list[dg.RunRequest]:
    repository = DEFS.get_repository_def()
    clock = Clock(fixed=now.isoformat())
    with dg.build_sensor_context(
        instance=instance, repository_def=repository, resources={"clock": clock, "platform": PLATFORM}
    ) as context:
        return list(deferred_runs.evaluate_tick(context).run_requests or [])


def defer(instance: dg.DagsterInstance) -> str:
    return execute(instance, RANGE, [google_ads.key]).run_id


def test_a_deferred_run_says_until_when_and_is_not_retried(instance: dg.DagsterInstance) -> None:
    """Google asked for 11.6 hours (pipedream #18715); retries in between only get the same answer."""
    result = execute(instance, RANGE, [google_ads.key])
    run = instance.get_run_by_id(result.run_id)
    assert run is not None
    assert run.status == dg.DagsterRunStatus.FAILURE
    assert run.tags[DEFERRED_UNTIL_TAG] == UNTIL.isoformat()
    assert (run.tags[DEFERRED_TAG], run.tags["dagster/max_retries"]) == (WAITING, "0")
    failure = next(event for event in result.all_events if event.is_step_failure).step_failure_data.user_failure_data
    assert failure is not None
    assert failure.metadata["deferred_until"].value == UNTIL.timestamp()


def test_it_starts_again_when_due_and_exactly_once(instance: dg.DagsterInstance) -> None:
    """Same assets, same partition range, same tenant; not before the time, and not twice."""
    run_id = defer(instance)
    assert tick(instance, UNTIL - timedelta(seconds=1)) == []
    first, second = tick(instance, UNTIL), tick(instance, UNTIL)
    assert [request.run_key for request in first] == [request.run_key for request in second] == [f"resumes {run_id}"]
    [request] = first
    assert request.asset_selection == [google_ads.key]
    assert dict(request.tags) == {**RANGE, RESUMES_TAG: run_id, "dagster/sensor_name": "deferred_runs"}
    spent["is"] = False
    again = execute(instance, dict(request.tags), list(request.asset_selection or []))
    assert again.success
    assert sorted(seen[1]) == sorted(seen[0]) == ["2024-11-03", "2024-11-04", "2024-11-05"]
    assert tick(instance, UNTIL) == []
    run = instance.get_run_by_id(run_id)
    assert run is not None
    assert run.tags[DEFERRED_TAG] == RESUMED
    assert tick(instance, UNTIL + timedelta(days=1)) == []


def test_a_run_that_is_deferred_again_waits_again(instance: dg.DagsterInstance) -> None:
    """A daily quota may take several days to bring in a long history."""
    defer(instance)
    [request] = tick(instance, UNTIL)
    again = execute(instance, dict(request.tags), [google_ads.key])
    assert not again.success
    [third] = tick(instance, UNTIL)
    assert third.run_key == f"resumes {again.run_id}"


def test_a_tick_starts_a_bounded_number(instance: dg.DagsterInstance) -> None:
    """All runs deferred to 00:00 UTC must not start in one second."""
    for _ in range(MOST_PER_TICK + 2):
        defer(instance)
    assert len(tick(instance, UNTIL)) == MOST_PER_TICK


def test_a_plain_failure_is_left_alone(instance: dg.DagsterInstance) -> None:
    """Only the mark counts."""
    with pytest.raises(dg.Failure), as_failure():
        raise Deferred("quota spent", until=UNTIL, vendor="google_ads", tenant="acme")
    assert tick(instance, UNTIL) == []


@pytest.mark.parametrize("tag", ["dagster/backfill", "weathervane/backfill"])
def test_what_a_backfill_began_goes_on_as_a_backfill(instance: dg.DagsterInstance, tag: str) -> None:
    """Thirty tenants' resumed backfills took every slot, and paged people about days of last month."""
    execute(instance, {**RANGE, tag: "everything"}, [google_ads.key])
    [request] = tick(instance, UNTIL)
    assert request.tags["weathervane/backfill"] == "everything"
    assert "dagster/backfill" not in request.tags, "Dagster would look for one that is over"


def test_nothing_of_a_paused_tenant_goes_on_by_itself(instance: dg.DagsterInstance, tenants: Path) -> None:
    """Someone had restored a table and paused the tenant; the run that waited wrote the bad rows back."""
    defer(instance)
    text = tenants.read_text()
    tenants.write_text(f"{text}paused = true\n")
    assert tick(instance, UNTIL) == []
    execute(instance, {**RANGE, "weathervane/backfill": "true"}, [google_ads.key])
    assert len(tick(instance, UNTIL)) == 1, "a backfill is what someone asked for"
    tenants.write_text(text)
    assert len(tick(instance, UNTIL)) == 2
