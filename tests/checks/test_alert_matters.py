"""What an incident is about by its codes: when another matter ends it, and what it explains."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.checks.alerting import Watchtower, Webhook, watchtower, webhook

NIGHTS = tuple(f"2026-11-{day}" for day in range(19, 30))
NIGHT = timedelta(days=1)
RESTATED = 3


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with webhook() as running:
        yield running


@pytest.fixture
def tower(tmp_path: Path, hook: Webhook) -> Iterator[Watchtower]:
    with watchtower(tmp_path, hook) as running:
        running.tick()
        yield running


def night(tower: Watchtower, n: int, *judged: tuple[str, str, str, str]) -> None:
    """Let the n-th night judge its day and those before it that it reads again: dataset, check, severity and codes."""
    for dataset, check, severity, codes in judged:
        for day in NIGHTS[max(0, n - RESTATED) : n + 1]:
            tower.judge("acme", dataset, check, severity, day, alerts=codes, run_id=f"night {n}")
    tower.tick(after=NIGHT)


STUBS = ("orders", "live_source", "warning", "stub_source")


def test_a_matter_is_over_when_all_that_is_left_was_chosen(tower: Watchtower, hook: Webhook) -> None:
    """A shop on stub rows had one day that was never written: for months a reminder came each week of what had ended
    the day after, since its stub rows kept the incident open."""
    night(tower, 0, ("orders", "live_source", "warning", "dataset_missing"))
    for n in range(1, 11):
        night(tower, n, STUBS)
    tower.tick(after=timedelta(days=8))
    assert hook.titles == [
        "[warning] acme orders: live_source (2026-11-19)",
        "[ok] acme orders: live_source is over (2026-11-19)",
    ]
    night(tower, 10, ("orders", "live_source", "warning", "version_sunset"))
    assert len(hook.titles) == 3
