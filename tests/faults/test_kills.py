"""kill -9 at random moments of every asset's materialisation: what is there is whole, and the next run makes it as if nothing was."""

from __future__ import annotations

import random
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.nights import (
    BEFORE,
    FILLED_AT,
    NOW,
    House,
    Night,
    Stage,
    World,
    assert_nothing_is_torn,
    differing,
    left_behind,
    neither,
    stages,
    start,
    the_night,
)
from weathervane_assets.graph import NODES

FEW = ("orders",)
BUDGET_S = 900
"""On a slow machine there are fewer kills; the test says how many."""
PHASES = {
    "STEP_OUTPUT": "writing",
    "ASSET_MATERIALIZATION": "noting",
    "HANDLED_OUTPUT": "after",
    "STEP_SUCCESS": "after",
}


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    world = World()
    with world.sandbox:
        yield world


@pytest.fixture(scope="module", params=[FEW, pytest.param(tuple(NODES), marks=pytest.mark.faults)], ids=["few", "all"])
def turns(request: pytest.FixtureRequest, world: World, tmp_path_factory: pytest.TempPathFactory) -> list[Stage]:
    """Each asset's turn twice: where there is no table yet, and where the window replaces rows."""
    folder = tmp_path_factory.mktemp("nights")
    house = House(folder / "house", world.sandbox.url).make()
    world.now = FILLED_AT
    first = stages(folder / "first", Night("acme", *BEFORE, FILLED_AT, request.param, alone=True), house)
    world.now = NOW
    second = stages(folder / "second", the_night("acme", *request.param), house)
    assert any(differing(stage.before, stage.after) for stage in second), "the night brings nothing new"
    return first + second


def kill(stage: Stage, house: House, dice: random.Random) -> str | None:
    """Kill the asset's run at a random moment; return in which phase, or None where the run was done before."""
    kind = dice.choice(["STEP_START", "STEP_OUTPUT", "STEP_OUTPUT"])
    child = start(house, stage.night)
    child.wait_for(stage.asset, kind)
    time.sleep(dice.uniform(0, stage.takes_s[kind]))
    child.process.kill()
    if child.end() != -9:
        return None
    last = [event.kind for event in child.events if event.step == stage.asset]
    return PHASES.get(last[-1], "computing")


def test_an_asset_killed_at_any_moment_is_as_before_or_done_and_the_next_run_completes_it(
    world: World, turns: list[Stage], tmp_path: Path
) -> None:
    """A stock IO manager, killed 25 times while it overwrote a file, left 6 that nobody could read and no older ones."""
    kills = 200 if len(turns) == 2 * len(NODES) else 2
    seed = random.randrange(2**32)
    dice, phases, left = random.Random(seed), Counter[str](), list[str]()
    tries = iter(range(kills * 3))
    ends = time.monotonic() + BUDGET_S
    while phases.total() < kills and time.monotonic() < ends:
        n = next(tries)
        # all turns, one after the other, those that replace rows first
        stage = turns[-1 - n * 5 % len(turns)]
        world.now = stage.night.now
        house = stage.house.copy(tmp_path / str(n))
        phase = kill(stage, house, dice)
        if phase is not None:
            phases[phase] += 1
            print(f"kill {phases.total()}: {stage.asset} while {phase}", flush=True)  # noqa: T201 - it takes a quarter of an hour
            left += judge(stage, house, f"seed {seed}, kill {phases.total()}: {stage.asset} while {phase}")
        shutil.rmtree(house.folder)
    print(f"seed {seed}: {phases.total()} kills, {dict(phases)}")  # noqa: T201 - the figures are what one runs it for
    assert left == []
    if phases.total() > 100:
        assert {"computing", "writing", "noting"} <= set(phases)


def judge(stage: Stage, house: House, where: str) -> list[str]:
    """Look at what the kill left, run the asset again, and look at what has become of it; return what stays for ever."""
    assert_nothing_is_torn(house)
    assert neither(house.contents(), stage.before, stage.after, "acme") == [], where
    assert house.run(stage.night) == [], where
    assert differing(house.contents(), stage.after) == [], where
    return left_behind(house.lake, stage.asset, "_ledger", "_weather")


@pytest.mark.faults
def test_a_whole_night_killed_again_and_again_ends_as_an_undisturbed_one(world: World, tmp_path: Path) -> None:
    """Each kill falls on what the kill before it left."""
    seed, night = random.randrange(2**32), the_night(alone=False)
    dice = random.Random(seed)
    house = House(tmp_path / "house", world.sandbox.url).make()
    world.now = FILLED_AT
    assert house.run(Night("acme", *BEFORE, FILLED_AT)) == []
    world.now, calm = NOW, house.copy(tmp_path / "calm")
    began = time.monotonic()
    assert start(calm, night).end() == 0
    took_s, wanted, killed = time.monotonic() - began, calm.contents(), 0
    ends = time.monotonic() + BUDGET_S / 2
    while killed < 20 and time.monotonic() < ends:
        child = start(house, night)
        child.wait_for("", "RUN_START")
        time.sleep(dice.uniform(0, took_s))
        child.process.kill()
        killed += child.end() == -9
        assert_nothing_is_torn(house)
    print(f"seed {seed}: {killed} kills of a whole night")  # noqa: T201 - the figures are what one runs it for
    assert start(house, night).end() == 0
    assert differing(house.contents(), wanted) == [], f"seed {seed}"
    assert left_behind(house.lake) == []
