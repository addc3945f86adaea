"""The alerter is killed at random points while evaluations arrive: nothing is missed, and what comes twice has one key."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from multiprocessing.context import ForkServerContext
from pathlib import Path

import dagster as dg
import pytest

from tests.checks import alert_worker
from tests.checks.alerting import Webhook, watchtower
from tests.forks import forks

CHECKS = 5
MOST_CALLS = 60_000
"""A tick makes some 10,000 calls, a message some 2,000: the points lie in the first few ticks."""


@pytest.fixture(scope="module")
def processes() -> ForkServerContext:
    return forks()


@pytest.mark.parametrize(("kills", "evaluations"), [(3, 20), pytest.param(50, 500, marks=pytest.mark.slow)])
def test_killed_at_random_points_it_misses_nothing(
    tmp_path: Path, hook: Webhook, processes: ForkServerContext, kills: int, evaluations: int
) -> None:
    """Killed between the receiver's answer and our note of it, or between cursor and message."""
    seed = random.randrange(2**32)
    dice = random.Random(seed)
    home = tmp_path / "dagster"
    home.mkdir()
    state_url = f"sqlite:///{tmp_path}/state/weathervane.db"
    with dg.DagsterInstance.local_temp(str(home)) as instance, watchtower(tmp_path, hook, instance=instance) as tower:
        tower.now = datetime.now(UTC)
        day = tower.now.date().isoformat()
        killed, written = 0, 0
        while killed < kills:
            upto = evaluations * (killed + 1) // kills
            process = processes.Process(
                target=alert_worker.run, args=(str(home), state_url, hook.url, dice.randint(1, MOST_CALLS))
            )
            process.start()
            for n in range(written, upto):
                tower.judge(f"t{n // CHECKS}", "orders", f"check_{n % CHECKS}", "critical", day, run_id=f"r{n // 100}")
            written = upto
            process.join(60)
            assert process.exitcode == -9, f"seed {seed}"
            killed += 1
        last = processes.Process(target=alert_worker.run, args=(str(home), state_url, hook.url, 0))
        last.start()
        last.join(120)
        assert last.exitcode == 0
    expected = {f"[critical] t{n // CHECKS} orders: check_{n % CHECKS} ({day})" for n in range(evaluations)}
    by_key = dict.fromkeys((key, title) for key, title, _ in hook.taken)
    again = len(hook.taken) - len(by_key)
    figures = f"{kills} kills, {evaluations} evaluations, {len(hook.taken)} received, {again} of them again"
    print(f"seed {seed}: {figures}")  # noqa: T201 - the figures are what one runs it for
    assert {title for _, title in by_key} == expected, f"seed {seed}"
    assert len(by_key) == len({key for key, _ in by_key}) == evaluations, f"seed {seed}"
