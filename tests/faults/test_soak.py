"""Half an hour of nights back to back in one process, one request in twenty spoiled: flat memory, and the undisturbed rows.

`make soak`; WEATHERVANE_SOAK_MINUTES shortens it. A calm installation goes through the same nights beside it, so each night's
rows are compared as that night left them, and no later night mends what an earlier one lost.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import statistics
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path

import dagster as dg
import pytest

from tests.faults.night_worker import Night, run_night
from tests.faults.nights import ZONES, House, assert_nothing_is_torn, differing
from weathervane_resources.sandbox import RunningSandbox, SandboxConfig, TenantProfile

MINUTES = float(os.environ.get("WEATHERVANE_SOAK_MINUTES", "30"))
FAULT_SHARE, FAULTS = 0.05, "throttle flaky expired"
TENANTS = ("acme",)
"""The one that has credentials for every source: a stub's token is never renewed, and `expired` would end its nights."""
FIRST = date(2026, 8, 1)
WARM_UP = 5
"""Nights until caches and lazily loaded modules are there."""
MOST_GROWTH = 0.05
TRIES = 3
NIGHT_S = 300.0
"""A night's ceiling. It takes about five seconds."""
QUIET = "telemetry: {enabled: false}\n"
pytestmark = [pytest.mark.faults, pytest.mark.soak]


def resident_mib() -> float:
    """Return this process's resident memory, after what is unreachable was collected."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def live(home: str, env: Mapping[str, str], log: Path, nights: Connection) -> None:
    """Run the nights that are asked for until there are no more; answer with what failed and the memory held."""
    os.environ.clear()
    os.environ.update(env)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, 1)
    os.dup2(file, 2)
    with dg.DagsterInstance.from_config(home) as instance:
        while (night := nights.recv()) is not None:
            nights.send((run_night(instance, night), resident_mib()))


@dataclass
class Dweller:
    """An installation, the vendors of its own world, and the process that lives in it."""

    house: House
    sandbox: RunningSandbox
    nights: Connection

    def ask(self, night: Night) -> None:
        self.nights.send(night)

    def answer(self) -> tuple[list[str], float]:
        assert self.nights.poll(NIGHT_S), f"a night was not over after {NIGHT_S:.0f} s"
        failures, mib = self.nights.recv()
        return failures, mib


class Today:
    """What the clock of both worlds says."""

    def __init__(self) -> None:
        self.now = datetime(2026, 8, 1, 15, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@contextmanager
def dwelling(folder: Path, today: Today, faults: str) -> Iterator[Dweller]:
    profiles = {name: TenantProfile(zone, "USD", orders_per_day=12, places=3) for name, zone in ZONES.items()}
    config = SandboxConfig(tenants=profiles, clock=today, faults=faults, fault_share=FAULT_SHARE)
    with RunningSandbox(config) as sandbox:
        house = House(folder, sandbox.url, is_live=True).make(QUIET)
        ours, theirs = multiprocessing.Pipe()
        arguments = (str(house.home), house.environment(), folder / "log", theirs)
        process = multiprocessing.get_context("spawn").Process(target=live, args=arguments, daemon=True)
        process.start()
        theirs.close()
        try:
            yield Dweller(house, sandbox, ours)
            ours.send(None)
            process.join(30)
        finally:
            process.kill()


def test_nights_back_to_back_hold_memory_flat_and_lose_no_row(tmp_path: Path) -> None:
    """What leaks a megabyte a night, or a row a month, is seen by nobody until it is too late to know since when."""
    today, memory, again, nights = Today(), list[float](), 0, 0
    spoiled: Counter[str] = Counter()
    with dwelling(tmp_path / "calm", today, "") as calm, dwelling(tmp_path / "stormy", today, FAULTS) as stormy:
        ends = time.monotonic() + MINUTES * 60
        while time.monotonic() < ends:
            day = FIRST + timedelta(days=nights)
            today.now = datetime(day.year, day.month, day.day, 15, tzinfo=UTC) + timedelta(days=1)
            for tenant in TENANTS:
                night = Night(tenant, day, day, today.now.isoformat())
                calm.ask(night)
                again += _lived_through(stormy, night, memory)
                assert calm.answer()[0] == []
            nights += 1
            spoiled.update(line.fault for line in stormy.sandbox.log if line.fault)
            for sandbox in (calm.sandbox, stormy.sandbox):
                sandbox.log.clear()
        assert_nothing_is_torn(stormy.house)
        assert differing(stormy.house.contents(), calm.house.contents()) == []
    steady = memory[WARM_UP * len(TENANTS) :]
    third = len(steady) // 3
    first, last = statistics.mean(steady[:third]), statistics.mean(steady[-third:])
    print(  # noqa: T201 - the figures are what one runs it for
        f"\n{nights} nights in {MINUTES:g} minutes, {sum(spoiled.values())} requests spoiled {dict(spoiled)}, "
        f"{again} nights run again; {first:.0f} MiB in the first third, {last:.0f} MiB in the last ({last / first - 1:+.1%})"
    )
    assert spoiled
    assert last <= first * (1 + MOST_GROWTH)


def _lived_through(stormy: Dweller, night: Night, memory: list[float]) -> int:
    """Run the night until it succeeds, as re-execution does; return how often it had to be run again."""
    for tried in range(TRIES):
        stormy.ask(night)
        failures, mib = stormy.answer()
        memory.append(mib)
        if not failures:
            return tried
    raise AssertionError(f"{night.tenant} {night.first}: {failures}")
