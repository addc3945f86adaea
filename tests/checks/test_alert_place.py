"""The alerter's place in the event log, when that log is another one than before, or an older one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sa

from tests.checks.alerting import NOW, Watchtower, Webhook, run_named
from weathervane_checks.alert_events import OVERLAP
from weathervane_checks.alert_place import Place, find_place
from weathervane_resources.alert_store import AlertStore, Watch
from weathervane_resources.state import open_state
from weathervane_resources.state_tables import SCHEMA_VERSION, alert_watch

DAY, NEXT = "2026-11-19", "2026-11-20"
HOUR = timedelta(hours=1)


def drop(tower: Watchtower, severity: str, day: str, run: str) -> None:
    tower.judge("acme", "orders", "row_count_drop", severity, day, run_id=run)


def titles(hook: Webhook) -> list[str]:
    return [title.replace("acme orders: row_count_drop", "drop") for title in hook.titles]


@pytest.fixture
def fresh() -> Iterator[dg.DagsterInstance]:
    """Another Dagster: a new DAGSTER_HOME, or PostgreSQL where SQLite was."""
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def renumber(tower: Watchtower, event_id: int) -> None:
    """Let the newest event, and so those that follow, have greater numbers."""
    with tower.instance.event_log_storage.index_connection() as connection:  # type: ignore[attr-defined]
        newest = "UPDATE event_logs SET id = :id WHERE id = (SELECT max(id) FROM event_logs)"
        connection.execute(sa.text(newest), {"id": event_id})


@pytest.fixture
def old(tower: Watchtower) -> Watchtower:
    """A tower that has read more events than are read again."""
    drop(tower, "ok", DAY, "earlier")
    renumber(tower, 10 * OVERLAP)
    tower.tick(after=timedelta(seconds=30))
    return tower


def test_in_another_storage_all_is_told_from_the_first_event_on(
    old: Watchtower, hook: Webhook, fresh: dg.DagsterInstance
) -> None:
    """Dagster moved to a new home, where events are counted from 1: nothing was told until the count was in the hundreds again,
    which took weeks, and doctor said that the alerter was well."""
    old.instance = fresh
    for n, day in enumerate(("2026-11-16", "2026-11-17", "2026-11-18")):
        drop(old, "ok" if n else "critical", day, f"new {n}")
    old.tick(after=HOUR)
    drop(old, "critical", DAY, "new 3")
    old.tick(after=HOUR)
    assert titles(hook) == [
        "[critical] drop (2026-11-16)", "[ok] drop is over (2026-11-16)", f"[critical] drop ({DAY})"
    ]  # fmt: skip


def test_what_was_told_before_the_move_is_not_told_again_and_goes_on(
    old: Watchtower, hook: Webhook, fresh: dg.DagsterInstance
) -> None:
    """The verdicts on its days were of greater events than any of the new storage: nothing could end it, or make it worse."""
    drop(old, "warning", DAY, "before")
    old.tick(after=HOUR)
    old.instance = fresh
    drop(old, "warning", DAY, "restated")
    old.tick(after=HOUR)
    assert titles(hook) == [f"[warning] drop ({DAY})"]
    drop(old, "critical", DAY, "worse")
    old.tick(after=HOUR)
    drop(old, "ok", DAY, "mended")
    old.tick(after=HOUR)
    assert titles(hook)[1:] == [f"[critical] drop got worse ({DAY})", f"[ok] drop is over ({DAY})"]
    assert old.tick(after=HOUR).events == 0


def test_another_storage_that_is_as_long_already_is_known_for_another(
    tower: Watchtower, hook: Webhook, fresh: dg.DagsterInstance
) -> None:
    """A first backfill was through before the sensor was switched on: its numbers had passed the cursor."""
    drop(tower, "ok", DAY, "before")
    tower.tick(after=HOUR)
    tower.instance = fresh
    drop(tower, "critical", DAY, "new")
    tower.judge("acme", "ads", "row_count_drop", "ok", DAY, run_id="long after")
    renumber(tower, 10 * OVERLAP)
    tower.tick(after=HOUR)
    assert titles(hook) == [f"[critical] drop ({DAY})"]


def test_a_first_look_into_another_storage_goes_a_day_back(
    tower: Watchtower, hook: Webhook, fresh: dg.DagsterInstance
) -> None:
    """A storage with a year in it was put in place of a damaged one."""
    drop(tower, "ok", DAY, "before")
    tower.tick(after=HOUR)
    tower.instance = fresh
    tower.judge("acme", "orders", "old", "critical", DAY, at=NOW - timedelta(days=3))
    drop(tower, "critical", DAY, "new")
    tower.tick(after=HOUR)
    assert titles(hook) == [f"[critical] drop ({DAY})"]


def test_the_same_number_of_another_storage_is_another_incident(
    tower: Watchtower, hook: Webhook, fresh: dg.DagsterInstance
) -> None:
    """The first event of the new home was of the same check as the first of the old one: its message had that one's key."""
    drop(tower, "critical", DAY, "before")
    drop(tower, "ok", DAY, "mended")
    tower.tick(after=HOUR)
    tower.instance = fresh
    drop(tower, "critical", NEXT, "new")
    tower.tick(after=HOUR)
    assert titles(hook) == [f"[critical] drop ({DAY})", f"[ok] drop is over ({DAY})", f"[critical] drop ({NEXT})"]
    assert len({key for key, _, _ in hook.taken}) == 3


def test_a_storage_that_lost_its_newest_events_is_read_on_and_nothing_is_told_twice(
    old: Watchtower, hook: Webhook
) -> None:
    """A back-up of the night before was put back, or the newest run was deleted: its numbers were given out again, and skipped."""
    drop(old, "critical", DAY, "evening")
    old.tick(after=HOUR)
    drop(old, "ok", DAY, "mended")
    old.tick(after=HOUR)
    drop(old, "critical", "2026-11-18", "lost")
    drop(old, "ok", "2026-11-18", "lost")
    old.tick(after=HOUR)
    told = list(hook.titles)
    old.instance.delete_run(run_named("lost"))
    assert old.tick(after=HOUR).notices == 0
    drop(old, "warning", NEXT, "new")
    old.tick(after=HOUR)
    assert hook.titles[len(told) :] == [f"[warning] acme orders: row_count_drop ({NEXT})"]


def test_a_much_older_storage_is_looked_into_for_a_day(tower: Watchtower) -> None:
    """What ran between putting the back-up back and the first tick may be more than the overlap."""
    drop(tower, "ok", DAY, "night")
    store = find_place(tower.instance, None).store
    assert find_place(tower.instance, Watch(1 + OVERLAP, NOW, 0.0, store)) == Place(store, 1, newest=2)
    assert find_place(tower.instance, Watch(2 + OVERLAP, NOW, 0.0, store)) == Place(store, None, newest=2)


def test_after_an_upgrade_the_cursor_is_taken_to_be_of_the_storage_that_is_there(
    tower: Watchtower, hook: Webhook
) -> None:
    """A state of an earlier version does not say whose cursor it has; it would have told a day's events again."""
    drop(tower, "critical", DAY, "before")
    tower.tick(after=HOUR)
    state = open_state(tower.state_url)
    with state.begin() as connection:
        connection.execute(sa.update(alert_watch).values(store=None))
    assert (tower.tick(after=HOUR).events, len(hook.taken)) == (0, 1)
    with AlertStore(state).session() as session:
        watch = session.watch()
    assert watch is not None
    assert find_place(tower.instance, watch) == Place(watch.store, watch.cursor)
    assert len(watch.store) == 36


def test_a_state_of_an_earlier_version_gets_the_column(tmp_path: Path) -> None:
    """It was made before the alerter noted the storage."""
    url = f"sqlite:///{tmp_path}/state.db"
    state = open_state(url)
    with state.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE alert_watch DROP COLUMN store")
        connection.exec_driver_sql("UPDATE schema_version SET version = 4")
        connection.exec_driver_sql(
            f"INSERT INTO alert_watch (id, cursor, beat_at, lag_s) VALUES (1, 7, '{NOW:%F %T}', 0)"
        )
    with AlertStore(open_state(f"sqlite:////{tmp_path}/state.db")).session() as session:
        assert session.watch() == Watch(7, NOW, 0.0)
        assert session.connection.exec_driver_sql("SELECT version FROM schema_version").scalar() == SCHEMA_VERSION


def test_a_home_keeps_the_id_of_its_storage_and_another_has_another(tmp_path: Path) -> None:
    """The contract with Dagster's storage on disk; over processes, as the daemon restarts every day."""
    found = []
    for name in ("a", "a", "b"):
        (tmp_path / name).mkdir(exist_ok=True)
        with dg.DagsterInstance.local_temp(str(tmp_path / name)) as instance:
            found.append(find_place(instance, None).store)
    assert found[0] == found[1] != found[2]
    assert all(found)
