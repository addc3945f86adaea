"""Nights of several tenants at once, each killed again and again: the same rows as undisturbed, and no run that stands as running."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.test_utils import create_test_daemon_workspace_context
from dagster._core.workspace.load_target import EmptyWorkspaceTarget
from dagster._daemon.monitoring.run_monitoring import execute_run_monitoring_iteration

from tests.faults.nights import (
    BEFORE,
    DAGSTER_YAML,
    FILLED_AT,
    NOW,
    ZONES,
    Contents,
    House,
    Night,
    World,
    assert_nothing_is_torn,
    differing,
    start,
    the_night,
)
from weathervane_assets.graph import NODES

ROOT = Path(__file__).parents[2]
GOING = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.NOT_STARTED]
BUDGET_S = 600
"""On a slow machine there are fewer kills; the test says how many."""
LONGEST_S = 5.0
"""Most of an asset's runs are killed within it; one that is done before is not counted."""
pytestmark = pytest.mark.faults


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    with world.sandbox:
        yield world


def monitored() -> str:
    """Return our dagster.yaml with the patience of a test, and the teller of events."""
    config = yaml.safe_load((ROOT / "dagster.yaml").read_text()) | yaml.safe_load(DAGSTER_YAML)
    config["run_launcher"]["config"] = {"quiet_after_seconds": 0}
    config["run_monitoring"]["start_timeout_seconds"] = 1
    return yaml.safe_dump(config)


def kill_often(house: House, tenant: str, kills: int, seed: int, assets: tuple[str, ...]) -> int:
    """Start the night from one of its assets on and kill it, again and again, as re-executions from a failure do; return how often."""
    dice, killed, ends = random.Random(seed), 0, time.monotonic() + BUDGET_S
    while killed < kills and time.monotonic() < ends:
        child = start(house, the_night(tenant, *assets[dice.randrange(len(assets)) :]))
        child.wait_for("", "RUN_START")
        time.sleep(dice.uniform(0, LONGEST_S))
        child.process.kill()
        code = child.end()
        assert code in (-9, 0), f"seed {seed}: {tenant}'s run failed: {child.events[-3:]}"
        killed += code == -9
    assert start(house, the_night(tenant, *assets)).end() == 0, f"seed {seed}"
    return killed


@pytest.mark.parametrize(
    ("tenants", "kills", "assets"),
    [(("acme", "kiwi"), 2, ("orders", "weather_daily")), (tuple(ZONES), 50, tuple(NODES))],
    ids=["few", "all"],
)
def test_tenants_killed_at_once_end_as_undisturbed_and_no_run_stays(
    world: World, tmp_path: Path, tenants: tuple[str, ...], kills: int, assets: tuple[str, ...]
) -> None:
    """Four processes share one Dagster home, one state and the weather of all; a lock that a dead one held stopped the others."""
    seed = random.randrange(2**32)
    house = House(tmp_path / "house", world.sandbox.url).make(monitored())
    for tenant in tenants:
        assert house.run(Night(tenant, *BEFORE, FILLED_AT, assets, alone=True)) == []
    world.now, calm = NOW, house.copy(tmp_path / "calm")
    for tenant in tenants:
        assert calm.run(the_night(tenant, *assets)) == []
    with ThreadPoolExecutor(len(tenants)) as pool:
        done = [pool.submit(kill_often, house, t, kills, seed + n, assets) for n, t in enumerate(tenants)]
        killed = [one.result() for one in done]
    assert_nothing_is_torn(house)
    assert differing(told_once(house.contents()), told_once(calm.contents())) == [], f"seed {seed}"
    ended = end_the_dead(house)
    print(f"seed {seed}: kills {dict(zip(tenants, killed, strict=True))}, {ended} dead runs ended")  # noqa: T201 - the figures are what one runs it for
    assert ended >= min(killed), "a run that was killed is a dead run"


def told_once(contents: Contents) -> Contents:
    """Return the tables with each forecast that two tenants asked for once: whose night came first decides whether it was asked twice."""
    shared = "_weather/versions"
    return contents | {shared: contents[shared].unique(maintain_order=True)}


def end_the_dead(house: House) -> int:
    """Let Dagster's monitoring look once; return how many runs it ended, after which none may be going."""
    with house.instance() as instance:
        dead = instance.get_runs(dg.RunsFilter(statuses=GOING))
        time.sleep(1.1)  # the start timeout of a run that died before it began
        with create_test_daemon_workspace_context(EmptyWorkspaceTarget(), instance) as workspace:
            for error in execute_run_monitoring_iteration(workspace, logging.getLogger("monitor")):
                assert error is None, error
        assert instance.get_runs(dg.RunsFilter(statuses=GOING)) == []
        assert {instance.get_run_by_id(run.run_id).status for run in dead} <= {dg.DagsterRunStatus.FAILURE}
        return len(dead)


def test_two_runs_of_one_partition_at_once_leave_one_answer(world: World, tmp_path: Path) -> None:
    """Someone clicked twice; the queue lets one of a tenant go, but `weathervane backfill` asks no queue."""
    house = House(tmp_path / "house", world.sandbox.url).make()
    assets = ("orders", "meta_ads", "weather_daily")
    assert house.run(Night("acme", *BEFORE, FILLED_AT, assets, alone=True)) == []
    world.now, calm = NOW, house.copy(tmp_path / "calm")
    assert calm.run(the_night("acme", *assets)) == []
    wanted = calm.contents()
    for n in range(20):
        twice = house.copy(tmp_path / str(n))
        both = [start(twice, the_night("acme", *assets)) for _ in range(2)]
        assert [one.end() for one in both] == [0, 0]
        assert_nothing_is_torn(twice)
        assert differing(twice.contents(), wanted) == []
