"""How far change sensors have read, as the state database notes it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from weathervane_resources.change_notes import note, noted, set_back
from weathervane_resources.state import open_state

T0 = datetime(2026, 11, 20, 12, 0, 0, 123456, tzinfo=UTC)
LATER, EARLIER = T0 + timedelta(minutes=10), T0 - timedelta(hours=2)
ACME, KIWI = ("acme", "orders"), ("kiwi", "orders")


def test_what_is_noted_is_read_again_to_the_microsecond(state_url: str) -> None:
    """A note a fraction of a second older than the cursor would have set every sensor back at every tick."""
    state = open_state(state_url)
    note(state, "orders", {}, {ACME: T0, KIWI: T0})
    note(state, "promos", {}, {("acme", "email"): T0, ("acme", "email archived"): EARLIER})
    note(state, "orders", noted(state, "orders"), {ACME: LATER})
    assert noted(state, "orders") == {ACME: LATER, KIWI: T0}
    assert noted(state, "promos") == {("acme", "email"): T0, ("acme", "email archived"): EARLIER}


def test_a_note_that_changed_under_a_tick_stays(state_url: str) -> None:
    """A version was brought back while the sensor read; the tick's note came after it, and nothing was read again."""
    state = open_state(state_url)
    note(state, "orders", {}, {ACME: T0, KIWI: T0})
    before = noted(state, "orders")
    assert set_back(state, "acme", "orders", EARLIER)
    note(state, "orders", before, {ACME: LATER, KIWI: LATER})
    assert noted(state, "orders") == {ACME: EARLIER, KIWI: LATER}
    note(state, "orders", {ACME: T0, ("gone", "orders"): T0}, {("gone", "orders"): LATER})
    assert ("gone", "orders") not in noted(state, "orders"), "purged meanwhile"


def test_what_was_not_read_so_far_is_not_set_back(state_url: str) -> None:
    """It would have been said that changes are read again that nobody had read."""
    state = open_state(state_url)
    assert not set_back(state, "acme", "orders", T0)
    note(state, "orders", {}, {ACME: T0})
    note(state, "promos", {}, {("acme", "email"): LATER, ("acme", "sms"): EARLIER})
    assert not set_back(state, "acme", "orders", T0)
    assert set_back(state, "acme", "promos", T0)
    assert noted(state, "promos") == {("acme", "email"): T0, ("acme", "sms"): EARLIER}
    assert noted(state, "orders") == {ACME: T0}


def test_a_state_of_an_earlier_version_gets_the_table(tmp_path: Path) -> None:
    """It was made before positions were noted."""
    with open_state(f"sqlite:///{tmp_path}/state.db").begin() as connection:
        connection.exec_driver_sql("DROP TABLE change_positions")
        connection.exec_driver_sql("UPDATE schema_version SET version = 5")
    assert noted(open_state(f"sqlite:////{tmp_path}/state.db"), "orders") == {}
