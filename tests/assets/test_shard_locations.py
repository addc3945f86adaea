"""WEATHERVANE_SHARD: several code locations on one instance, each starting the runs of its own tenants."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from tests.assets.conftest import NOW, Installation
from weathervane_assets.deferral import deferred_runs
from weathervane_assets.definitions import build_defs
from weathervane_assets.doctor import examine
from weathervane_assets.overridable import OVERRIDABLE
from weathervane_assets.partitions import TENANT_PARTITIONS
from weathervane_assets.schedules import active_tenants, build_schedules
from weathervane_resources.clock import Clock
from weathervane_resources.connectors import MetaAdsConnector
from weathervane_resources.failures import DEFERRED_TAG, DEFERRED_UNTIL_TAG, WAITING
from weathervane_resources.partition_keys import TENANT_TAG
from weathervane_resources.platform import Platform
from weathervane_resources.settings import read_settings

OWNERS = {"1/2": {"kiwi"}, "2/2": {"acme"}}
NIGHTLY = next(one for one in build_schedules()[1] if one.name == "nightly_schedule")


def platform() -> Platform:
    return Platform(threshold_names=sorted(OVERRIDABLE))


@pytest.mark.parametrize(("shard", "mine"), OWNERS.items())
def test_schedules_start_runs_of_the_shards_own_tenants(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shard: str, mine: set[str]
) -> None:
    """Two locations that both start a tenant's night spend its quota twice."""
    monkeypatch.setenv("WEATHERVANE_SHARD", shard)
    started = set()
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        instance.add_dynamic_partitions(TENANT_PARTITIONS, ["acme", "kiwi"])
        for zone in ("America/New_York", "Pacific/Auckland"):
            at = datetime(2026, 1, 10, 3, tzinfo=ZoneInfo(zone)).astimezone(UTC)
            with dg.build_schedule_context(
                instance=instance, scheduled_execution_time=at, resources={"platform": platform()}
            ) as context:
                data = NIGHTLY.evaluate_tick(context)
            started |= {request.tags[TENANT_TAG] for request in data.run_requests or []}
        assert {tenant.id for tenant in active_tenants(instance, platform())} == mine
    assert started == mine


@pytest.mark.parametrize(("shard", "mine"), OWNERS.items())
def test_a_deferred_run_is_resumed_by_one_location(
    installation: Installation, monkeypatch: pytest.MonkeyPatch, shard: str, mine: set[str]
) -> None:
    """Both locations have the sensor; a run key is the sensor's own, so it does not keep the two apart."""
    monkeypatch.setenv("WEATHERVANE_SHARD", shard)
    instance, defs = installation.instance, build_defs(os.environ)
    job = defs.resolve_job_def("freshness")
    for tenant in ("acme", "kiwi"):
        tags = {TENANT_TAG: tenant, DEFERRED_TAG: WAITING, DEFERRED_UNTIL_TAG: "2026-11-20T00:00:00+00:00"}
        instance.create_run_for_job(job, status=dg.DagsterRunStatus.FAILURE, tags=tags)
    resources = {"platform": platform(), "clock": Clock(fixed=NOW)}
    with dg.build_sensor_context(
        instance=instance, repository_def=defs.get_repository_def(), resources=resources
    ) as context:
        requests = deferred_runs.evaluate_tick(context).run_requests or []
    assert {request.tags[TENANT_TAG] for request in requests} == mine


def test_what_is_done_once_for_all_tenants_is_the_first_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Freshness judges all tenants in one evaluation: the second location's would replace the first's."""
    first, second = (build_defs({"WEATHERVANE_SHARD": shard}) for shard in OWNERS)
    names = [
        {one.name for one in (*(defs.schedules or ()), *(defs.sensors or ()))}
        for defs in (first, second, build_defs({}))
    ]
    assert names[0] == names[2]
    assert names[0] - names[1] == {"freshness_schedule", "compaction_schedule", "tenant_sync", "alerts"}


def test_a_shard_with_one_tenant_does_not_take_it_for_the_only_one(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token without a tenant's prefix counts where there is one tenant; it must not reach the wrong brand."""
    monkeypatch.setenv("WEATHERVANE_SHARD", "2/2")
    monkeypatch.setenv("META_ACCESS_TOKEN", "PLANTED-shared")
    monkeypatch.setenv("META_AD_ACCOUNT_ID", "1")
    assert MetaAdsConnector().access("acme", platform()).is_stub


def test_doctor_asks_the_sources_of_the_shards_tenants(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each location has the credentials of its own tenants."""
    monkeypatch.setenv("WEATHERVANE_SHARD", "2/2")
    lines = list(examine(read_settings(os.environ), datetime(2026, 11, 20, tzinfo=UTC)))
    text = "\n".join(f"{line.subject} {line.text}" for line in lines)
    assert "shard 2/2: acme" in text
    assert not any("kiwi" in line.subject for line in lines)
    assert any("acme" in line.subject for line in lines)
