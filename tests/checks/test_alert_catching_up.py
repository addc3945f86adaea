"""An alerter that has much to read: it catches up in one tick, and says that it is behind only where it stays so."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.checks.alerting import Watchtower, Webhook
from weathervane_checks import alert_events, alerter

DAYS = [f"2026-11-{day}" for day in range(10, 20)]
LONG_AGO = timedelta(minutes=25)


@pytest.fixture
def burst(tower: Watchtower, monkeypatch: pytest.MonkeyPatch) -> Watchtower:
    """Three times as many events as one read takes, of a time before the alerter was there; the last one is a finding."""
    monkeypatch.setattr(alert_events, "MOST_EVENTS", len(DAYS))
    for check in ("contract", "freshness", "coverage"):
        for day in DAYS:
            is_last = (check, day) == ("coverage", DAYS[-1])
            tower.judge("acme", "orders", check, "critical" if is_last else "ok", day, run_id=check)
    tower.now += LONG_AGO
    return tower


def test_a_first_start_reads_what_there_is_and_does_not_complain_of_itself(burst: Watchtower, hook: Webhook) -> None:
    """Whoever backfilled and then started alerting was told first of all that the alerter is 23 minutes behind."""
    ticked = burst.tick()
    assert (ticked.events, ticked.are_more) == (3 * len(DAYS), False)
    assert hook.titles == [f"[critical] acme orders: coverage ({DAYS[-1]})"]


@pytest.mark.parametrize(("limit", "least"), [("MOST_READS", 1), ("MOST_SECONDS", -1.0)])
def test_one_that_cannot_keep_up_says_so_until_it_can(
    burst: Watchtower, hook: Webhook, monkeypatch: pytest.MonkeyPatch, limit: str, least: float
) -> None:
    """Dagster ends a sensor after a minute: reads that took that long left no time to send."""
    with monkeypatch.context() as short:
        short.setattr(alerter, limit, least)
        assert burst.tick().events == len(DAYS)
    assert hook.titles == ["[warning] this installation alerts: alerter_behind"]
    burst.tick(after=timedelta(minutes=1))
    assert hook.titles[1:] == [
        f"[critical] acme orders: coverage ({DAYS[-1]})",
        "[ok] this installation alerts: alerter_behind is over",
    ]
