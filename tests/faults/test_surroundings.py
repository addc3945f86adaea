"""A night whose surroundings fail: the disk, the lake's rights, the clock, the databases, the vendors.

Afterwards tables are as before or as they should be, the message says what to do, and the next run completes them.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import yaml
from yarl import URL

from tests.engines import Databases
from tests.faults.nights import (
    BEFORE,
    DAGSTER_YAML,
    FILLED_AT,
    NOW,
    House,
    Night,
    World,
    assert_nothing_is_torn,
    differing,
    start,
    the_night,
)
from tests.faults.tcp_proxy import Fault, running_between
from tests.servers import postgres_programs, restart_postgres, running_postgres
from weathervane_resources import state
from weathervane_resources.http.retry import OUTAGE_S

ASSETS = ("orders", "meta_ads", "weather_daily")
CEILING_S = 90.0
MIB = 2**20


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    world = World()
    with world.sandbox:
        yield world


@pytest.fixture(scope="module")
def pair(world: World, tmp_path_factory: pytest.TempPathFactory) -> tuple[House, House]:
    """An installation before the night, and the same after it."""
    folder = tmp_path_factory.mktemp("pair")
    before = House(folder / "before", world.sandbox.url).make()
    world.now = FILLED_AT
    assert before.run(Night("acme", *BEFORE, FILLED_AT, ASSETS, alone=True)) == []
    world.now, after = NOW, before.copy(folder / "after")
    assert after.run(the_night("acme", *ASSETS)) == []
    return before, after


@contextmanager
def mounted(folder: Path, size: int) -> Iterator[Path]:
    """Yield the folder with a file system of its own, of `size` bytes."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a file system")
    folder.mkdir(parents=True, exist_ok=True)
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", folder], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip(f"no file system can be mounted here: {made.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)


def fill_up(folder: Path, but: int) -> None:
    """Leave so many bytes free."""
    free = os.statvfs(folder)
    (folder / "full").write_bytes(b"\0" * max(0, free.f_bavail * free.f_frsize - but))


@pytest.mark.faults
@pytest.mark.parametrize("free_bytes", [n * 8_192 for n in range(20)])
def test_a_full_disk_is_said_and_the_day_is_as_before(
    pair: tuple[House, House], tmp_path: Path, free_bytes: int
) -> None:
    """A table half written because the disk was full looks like a day with few orders."""
    before, after = pair
    house = replace(before, folder=tmp_path)
    with mounted(tmp_path / "lake", 32 * MIB):
        before.copy(tmp_path)
        fill_up(tmp_path / "lake", free_bytes)
        failures = house.run(the_night("acme", *ASSETS))
        assert_nothing_is_torn(house)
        assert free_bytes > 16_384 or failures, "there was space enough"
        assert all("check permissions and free space" in failure for failure in failures), failures
        untouched = {"acme/orders"} if failures and free_bytes == 0 else set()
        assert not untouched & set(differing(house.contents(), before.contents()))
        (tmp_path / "lake" / "full").unlink()
        assert house.run(the_night("acme", *ASSETS)) == []
        assert differing(house.contents(), after.contents()) == []


@pytest.mark.faults
@pytest.mark.parametrize("free_bytes", [0, 4_096, 16_384, 65_536])
@pytest.mark.parametrize("folder", ["state", "dagster"])
def test_a_disk_that_is_full_under_the_state_or_dagsters_home_costs_the_run_and_no_row(
    live: House, tmp_path: Path, folder: str, free_bytes: int
) -> None:
    """Event logs grow until nothing can be noted; what was brought in by then is whole, and the rest comes with the next run."""
    night = the_night("acme", "orders")
    calm = live.copy(tmp_path / "calm")
    assert calm.run(night) == []
    kept = live.copy(tmp_path / "kept")
    with mounted(live.folder / folder, 32 * MIB) as full:
        shutil.copytree(kept.folder / folder, full, dirs_exist_ok=True)
        fill_up(full, free_bytes)
        child, began = start(live, night), time.monotonic()
        code = child.end(CEILING_S)
        print(f"{folder}, {free_bytes} bytes free: exit {code} after {time.monotonic() - began:.0f} s")  # noqa: T201 - the figures are what one runs it for
        (full / "full").unlink()
        assert_nothing_is_torn(live)
        assert set(differing(live.contents("acme"), calm.contents("acme"))) <= {
            "acme/orders",
            "acme/_ledger",
            "acme/_quarantine",
        }
        assert start(live, night).end(CEILING_S) == 0
        assert differing(live.contents("acme"), calm.contents("acme")) == []


@pytest.mark.faults
def test_a_lake_that_became_read_only_is_said_and_nothing_is_changed(pair: tuple[House, House], tmp_path: Path) -> None:
    """A file system with an error is mounted read-only by the kernel, at night."""
    before, after = pair
    house = replace(before, folder=tmp_path)
    with mounted(tmp_path / "lake", 32 * MIB) as lake:
        before.copy(tmp_path)
        remount(lake, "ro")
        (failure,) = house.run(the_night("acme", *ASSETS))
        assert "Read-only file system" in failure
        assert "check permissions and free space" in failure
        assert differing(house.contents(), before.contents()) == []
        remount(lake, "rw")
        assert house.run(the_night("acme", *ASSETS)) == []
        assert differing(house.contents(), after.contents()) == []


@pytest.mark.faults
@pytest.mark.parametrize("hours", [(0, 5, -5), (-9, 9), (7, -1, 3)])
def test_a_clock_that_jumps_by_hours_in_the_night_leaves_no_gap(
    pair: tuple[House, House], tmp_path: Path, hours: tuple[int, ...]
) -> None:
    """A virtual machine woke with yesterday's time, and was set right in the middle of the run."""
    before, after = pair
    house = before.copy(tmp_path)
    for n, asset in enumerate(ASSETS):
        now = datetime.fromisoformat(NOW) + timedelta(hours=hours[n % len(hours)])
        assert house.run(replace(the_night("acme", asset), now=now.isoformat())) == []
    assert house.run(the_night("acme", *ASSETS)) == []
    assert differing(house.contents("acme"), after.contents("acme")) == []


@contextmanager
def write_locked(database: Path, seconds: float) -> Iterator[None]:
    """Hold the write lock of an SQLite file for so long, or until the block ends."""
    done, held = threading.Event(), threading.Event()

    def hold() -> None:
        with closing(sqlite3.connect(database, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            held.set()
            done.wait(seconds)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(10)
    try:
        yield
    finally:
        done.set()
        thread.join()


@pytest.fixture
def live(world: World, tmp_path: Path) -> House:
    """An installation with credentials: its vendors' quotas are in the state database."""
    house = House(tmp_path / "house", world.sandbox.url, is_live=True).make()
    world.now = NOW
    state.open_state(house.environment()["WEATHERVANE_STATE_URL"]).close()
    return house


@pytest.mark.faults
@pytest.mark.parametrize(
    ("file", "seconds"),
    [("state/weathervane.db", 20), ("dagster/history/runs.db", 3), ("dagster/history/runs/index.db", 3)],
)
def test_a_database_that_another_process_writes_is_waited_for(
    live: House, tmp_path: Path, file: str, seconds: float
) -> None:
    """`database is locked` ended a night that had only to wait for a backup."""
    calm, began = live.copy(tmp_path / "calm"), time.monotonic()
    assert calm.run(the_night("acme", "orders")) == []
    with write_locked(live.folder / file, seconds):
        failures = live.run(the_night("acme", "orders"))
    assert failures == []
    assert time.monotonic() - began > seconds, "nobody waited"
    assert differing(live.contents("acme"), calm.contents("acme")) == []


def test_a_state_that_stays_locked_is_said(live: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run ends in words, not in a traceback of the driver, and in time."""
    monkeypatch.setattr(state, "BUSY_TIMEOUT_MS", 200)
    began = time.monotonic()
    with write_locked(live.folder / "state" / "weathervane.db", CEILING_S):
        (failure,) = live.run(the_night("acme", "orders"))
    assert time.monotonic() - began < CEILING_S
    assert "database is locked" in failure
    assert "check WEATHERVANE_STATE_URL, the server and the disk" in failure
    assert "acme/orders" not in live.contents()
    assert live.run(the_night("acme", "orders")) == []


@pytest.mark.faults
def test_postgresql_restarted_in_the_night_costs_the_run_and_no_row(pair: tuple[House, House], tmp_path: Path) -> None:
    """A minor upgrade of the database server at three in the morning."""
    if not postgres_programs():
        pytest.skip("PostgreSQL is not installed (no initdb); apt-get install postgresql")
    before, after = pair
    with running_postgres() as url:
        databases = Databases(url)
        storage = {
            "postgres": {"postgres_url": databases.named("dagster").replace("postgresql:", "postgresql+psycopg2:")}
        }
        house = replace(before, folder=tmp_path / "house", state=databases.named("state"))
        house.make(yaml.safe_dump(yaml.safe_load(DAGSTER_YAML) | {"storage": storage}))
        for n in range(6):
            shutil.rmtree(house.folder / "lake", ignore_errors=True)
            shutil.copytree(before.folder / "lake", house.folder / "lake")
            child = start(house, the_night("acme", *ASSETS))
            child.wait_for(ASSETS[n % len(ASSETS)], "STEP_START" if n % 2 else "STEP_OUTPUT")
            restart_postgres(url)
            child.end(CEILING_S)
            assert start(house, the_night("acme", *ASSETS)).end(CEILING_S) == 0
            assert differing(house.contents("acme"), after.contents("acme")) == []


@pytest.mark.faults
@pytest.mark.parametrize("seconds", [1.0, 40.0, 150.0])
def test_vendors_that_are_gone_for_a_while_cost_time_or_the_run_and_no_row(
    pair: tuple[House, House], tmp_path: Path, seconds: float
) -> None:
    """An outage of less than a minute is waited out; a longer one fails in words, and the next run is whole."""
    before, after = pair
    house, began = before.copy(tmp_path), time.monotonic()
    with vendors_gone(house, seconds) as away:
        failures = away.run(the_night("acme", *ASSETS))
    assert time.monotonic() - began < CEILING_S + 2 * OUTAGE_S
    assert (failures == []) == (seconds < OUTAGE_S), failures
    assert all("shopify for tenant acme, window" in failure and "What to do:" in failure for failure in failures)
    assert house.run(the_night("acme", *ASSETS)) == []
    assert differing(house.contents("acme"), after.contents("acme")) == []


@contextmanager
def vendors_gone(house: House, seconds: float) -> Iterator[House]:
    """Yield the installation behind a door that cuts every connection, and opens after so many seconds."""
    door = Fault("reset", 0, times=10**6)
    with running_between(door, URL(house.url).port or 0) as proxy:
        opening = threading.Timer(seconds, lambda: setattr(door, "times", 0))
        opening.start()
        try:
            yield replace(house, url=proxy.url)
        finally:
            opening.cancel()
