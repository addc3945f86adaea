"""What an incident is about by its codes: when another matter ends it, and what it explains."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.checks.alerting import Watchtower, Webhook
from weathervane_resources.alert_records import Snooze
from weathervane_resources.alert_store import AlertStore
from weathervane_resources.state import open_state

NIGHTS = tuple(f"2026-11-{day}" for day in range(19, 30))
NIGHT = timedelta(days=1)
RESTATED = 3


def night(tower: Watchtower, n: int, *judged: tuple[str, str, str, str]) -> None:
    """Let the n-th night judge its day and those before it that it reads again: dataset, check, severity and codes."""
    for dataset, check, severity, codes in judged:
        for day in NIGHTS[max(0, n - RESTATED) : n + 1]:
            tower.judge("acme", dataset, check, severity, day, alerts=codes, run_id=f"night {n}")
    tower.tick(after=NIGHT)


STUBS = ("orders", "live_source", "warning", "stub_source")
GUSTLESS = ("weather_daily", "coverage", "warning", "weather_values_missing")
BARE = ("weather_daily", "coverage", "critical", "weather_coverage_critical, weather_values_missing")
SOME_BARE = ("weather_daily", "coverage", "warning", "weather_coverage_warning, weather_values_missing")
UNJOINED = ("features", "weather_join_coverage", "warning", "weather_join_coverage_low")
JOINED = ("features", "weather_join_coverage", "ok", "")


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


def test_a_value_that_is_always_null_hides_no_row_without_weather(tower: Watchtower, hook: Webhook) -> None:
    """A model without gusts keeps `coverage` open for good, and the matrix that had lost its weather was told to nobody."""
    night(tower, 0, GUSTLESS, JOINED)
    night(tower, 1, GUSTLESS, UNJOINED)
    assert [title for title in hook.titles if "join" in title] == [
        "[warning] acme features: weather_join_coverage (2026-11-19, 2026-11-20)"
    ]


def test_rows_without_weather_are_told_once_and_no_longer_explained_when_the_weather_is_back(
    tower: Watchtower, hook: Webhook
) -> None:
    """After a night without weather, gusts that are always null went on as that incident, and explained the matrix for ever."""
    night(tower, 0, BARE, UNJOINED)
    assert hook.titles == ["[critical] acme weather_daily: coverage (2026-11-19)"]
    night(tower, 1, GUSTLESS, UNJOINED)
    assert sorted(hook.titles[1:]) == [
        "[ok] acme weather_daily: coverage is over (2026-11-19)",
        "[warning] acme features: weather_join_coverage (2026-11-19, 2026-11-20)",
    ]
    night(tower, 2, GUSTLESS, JOINED)
    night(tower, 3, GUSTLESS, JOINED)
    assert sorted(title.partition(" (")[0] for title in hook.titles[3:]) == [
        "[ok] acme features: weather_join_coverage is over",
        "[warning] acme weather_daily: coverage",
        "[warning] acme weather_daily: coverage is still so",
    ]


@pytest.mark.parametrize("is_snoozed", [False, True])
def test_places_without_weather_are_told_though_a_value_was_missing_before(
    tower: Watchtower, hook: Webhook, *, is_snoozed: bool
) -> None:
    """Two places of five lost their weather where gusts had always been null: as severe, so it joined what had been told,
    or snoozed. Nothing was said for a week, nor of the matrix, which it explained from then on."""
    night(tower, 0, GUSTLESS, JOINED)
    assert hook.titles == ["[warning] acme weather_daily: coverage (2026-11-19)"]
    if is_snoozed:
        with AlertStore(open_state(tower.state_url)).session() as session:
            (known,) = [incident for incident, _ in session.listed(None)]
            session.snooze(Snooze(tower.now + timedelta(days=90), incident_id=known.id), tower.now)
    night(tower, 1, SOME_BARE, UNJOINED)
    assert hook.titles[1:] == ["[warning] acme weather_daily: coverage (2026-11-19, 2026-11-20)"]
    assert len({body.partition("incident: ")[2][:10] for _, _, body in hook.taken}) == 2
    night(tower, 2, GUSTLESS, JOINED)
    assert hook.titles[2:] == ["[ok] acme weather_daily: coverage is over (2026-11-19, 2026-11-20)"]


def test_a_lesser_matter_of_the_same_night_is_not_told_beside_the_greater_one(tower: Watchtower, hook: Webhook) -> None:
    """One run judged two days: on the first a value was null, on the second places had no weather."""
    for day, one in zip(NIGHTS, (GUSTLESS, SOME_BARE), strict=False):
        tower.judge("acme", *one[:3], day, alerts=one[3], run_id="night")
    tower.tick()
    assert hook.titles == ["[warning] acme weather_daily: coverage (2026-11-20)"]
