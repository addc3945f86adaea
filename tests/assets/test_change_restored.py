"""An older copy of lake and state, or an older version of a table: what the change sensors had read since is read again."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import dagster as dg
import polars as pl
import pytest
from click.testing import CliRunner

from tests import engines
from tests.assets.conftest import Installation
from tests.assets.test_change_repeats import execute
from tests.assets.test_changes import Daemon, Time, days_of, open_shop, order_of, refund, watching
from tests.assets.test_left_over_demo import go_live
from weathervane_assets import changes
from weathervane_assets.cli import main
from weathervane_assets.cli_lake import WATCHED
from weathervane_resources.change_notes import noted, set_back
from weathervane_resources.sandbox import truth
from weathervane_resources.state import State, open_state


@pytest.fixture
def time() -> Time:
    """The command notes and judges by the machine's time, so the test's time begins at today's."""
    return Time(datetime.now(UTC))


@pytest.fixture
def here(tmp_path: Path, time: Time, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installation]:
    """Files, as the back-up of docs/operating.md copies them."""
    with engines.choose(engines.Embedded()), open_shop(tmp_path, time, monkeypatch) as installation:
        go_live(monkeypatch, installation.sandbox.url)
        yield installation


@pytest.fixture
def day(time: Time) -> date:
    return time.now.date() - timedelta(days=40)


@pytest.fixture
def daemon(here: Installation, time: Time, day: date) -> Daemon:
    """The sensor, of a tenant whose days around `day` are read."""
    assert here.backfill("acme", day - timedelta(days=1), day, "orders", now=time.now.isoformat()).failures == []
    read_on(daemon := watching(here, time), time, hours=4)
    return daemon


def tick(daemon: Daemon) -> list[dg.RunRequest]:
    """Return what is asked for, but for the days that have only just ended: all of their orders are new."""
    lately = f"{daemon.time.now.date() - timedelta(days=9)}"
    return [request for request in daemon.tick() if days_of(request)[0] < lately]


def read_on(daemon: Daemon, time: Time, hours: int) -> list[dg.RunRequest]:
    """Let the sensor look once an hour."""
    asked: list[dg.RunRequest] = []
    for _ in range(hours):
        time.pass_by(hours=1)
        asked += tick(daemon)
    return asked


def back_up(here: Installation) -> None:
    (copy := here.folder / "backup").mkdir()
    with (
        closing(sqlite3.connect(here.folder / "state/weathervane.db")) as state,
        closing(sqlite3.connect(copy / "weathervane.db")) as to,
    ):
        state.backup(to)
    shutil.copytree(here.folder / "lake", copy / "lake")


def put_back(here: Installation) -> None:
    """Leave Dagster as it is, as the docs do."""
    for name in ("lake", "state"):
        shutil.rmtree(here.folder / name)
    shutil.copytree(here.folder / "backup/lake", here.folder / "lake")
    (here.folder / "state").mkdir()
    shutil.copy(here.folder / "backup/weathervane.db", here.folder / "state")


def revenue(here: Installation, day: date) -> Any:
    return here.rows("acme", "orders").filter(pl.col("date") == day)["net_revenue"].sum()


def expected(here: Installation, day: date, time: Time) -> Any:
    return truth.order_day(here.sandbox.config, "acme", day, time.now).net_revenue


def positions(daemon: Daemon, tenant: str = "acme") -> dict[str, Any]:
    return dict(json.loads(str(daemon.cursor))["tenants"][tenant]["orders"])


def state() -> State:
    return open_state(os.environ["WEATHERVANE_STATE_URL"])


@pytest.mark.parametrize("waits_first", [False, True], ids=["after the copy", "before it, in a run that waited"])
def test_a_refund_that_was_read_is_read_again_where_an_older_copy_was_put_back(
    here: Installation, daemon: Daemon, time: Time, day: date, *, waits_first: bool
) -> None:
    """Dagster's cursor was newer than the lake: every refund between copy and restore was lost, and its key was used up."""
    if not waits_first:
        back_up(here)
    refund(here, order_of(here, day))
    (request,) = read_on(daemon, time, hours=1)
    if waits_first:
        back_up(here)
    assert execute(here, request, time).success
    assert revenue(here, day) == expected(here, day, time)
    assert read_on(daemon, time, hours=30) == []
    put_back(here)
    assert revenue(here, day) != expected(here, day, time)
    again = read_on(daemon, time, hours=3)
    assert [days_of(one) for one in again] == [(f"{day}|acme", f"{day}|acme")]
    assert again[0].run_key != request.run_key
    assert execute(here, again[0], time).success
    assert revenue(here, day) == expected(here, day, time)
    assert read_on(daemon, time, hours=3) == []
    assert datetime.fromisoformat(positions(daemon)["until"]) == time.now


def test_the_same_copy_can_be_put_back_twice(here: Installation, daemon: Daemon, time: Time, day: date) -> None:
    """The second time the runs' keys were those of the first."""
    back_up(here)
    refund(here, order_of(here, day))
    keys = {request.run_key for request in read_on(daemon, time, hours=30)}
    for times in (2, 3):
        put_back(here)
        keys |= {request.run_key for request in read_on(daemon, time, hours=3)}
        assert len(keys) == times


def test_a_daemon_that_dies_while_it_reads_again_asks_under_the_same_key(
    here: Installation, daemon: Daemon, time: Time, day: date
) -> None:
    """The state was ahead by then, and the place to read on from another."""
    back_up(here)
    time.pass_by(minutes=5)
    refund(here, order_of(here, day))
    read_on(daemon, time, hours=30)
    put_back(here)
    for _ in ("the day before the copy", "the day after it"):
        first = daemon.evaluate()
        time.pass_by(seconds=1)
        again = daemon.tick()
        assert [one.run_key for one in again] == [request.run_key for request in first.run_requests or ()]
    assert (f"{day}|acme", f"{day}|acme") in [days_of(one) for one in again]


def test_ticks_of_every_day_note_what_the_cursor_says_and_go_only_forward(
    here: Installation, daemon: Daemon, time: Time, day: date
) -> None:
    """A sensor that is set back by its own notes would read the last day at every tick."""
    for number in range(4):
        before = positions(daemon)
        refund(here, order_of(here, day, number=number % 2))
        assert len(read_on(daemon, time, hours=1)) == 1
        now = positions(daemon)
        assert datetime.fromisoformat(now["until"]) == time.now > datetime.fromisoformat(before["until"])
        assert noted(state(), "orders") == {("acme", "orders"): time.now, ("kiwi", "orders"): time.now}
        assert "left_at" not in now
        assert tick(daemon) == []


def test_a_note_that_is_left_over_does_not_count_without_a_cursor(
    here: Installation, daemon: Daemon, time: Time
) -> None:
    """DAGSTER_HOME was lost: the sensor begins where the days were read, whatever was noted in another life."""
    set_back(state(), "acme", "orders", time.now - timedelta(days=60))
    begun = watching(here, time)
    assert datetime.fromisoformat(positions(begun)["until"]) > time.now - timedelta(hours=8)
    assert noted(state(), "orders")["acme", "orders"] == datetime.fromisoformat(positions(begun)["until"])
    begun.tick()
    assert "left_at" not in positions(begun)


def test_without_a_state_database_the_cursor_is_enough(
    here: Installation, daemon: Daemon, time: Time, day: date, capfd: pytest.CaptureFixture[str]
) -> None:
    """A damaged file held up the changes of every tenant, those that need no token of it too."""
    (here.folder / "bad.db").write_text("no database" * 999)
    refund(here, order_of(here, day, "kiwi"), "kiwi")
    with pytest.MonkeyPatch.context() as broken:
        broken.setenv("WEATHERVANE_STATE_URL", f"sqlite:///{here.folder}/bad.db")
        (request,) = read_on(daemon, time, hours=1)
    assert days_of(request) == (f"{day}|kiwi", f"{day}|kiwi")
    assert "the cursor does: the state database" in capfd.readouterr().err
    read_on(daemon, time, hours=2)
    assert noted(state(), "orders") == {("acme", "orders"): time.now, ("kiwi", "orders"): time.now}


def test_a_state_database_that_does_not_answer_costs_a_tick_little(
    here: Installation, daemon: Daemon, time: Time, day: date, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thirty seconds of a busy file, twice, were more than Dagster gives a tick."""
    answers = Event()
    refund(here, order_of(here, day))
    with monkeypatch.context() as slow:
        slow.setattr(changes, "STATE_SECONDS", 0.2)
        slow.setattr(changes, "open_state", lambda _url: answers.wait(60))
        (request,) = read_on(daemon, time, hours=1)
    assert not answers.is_set()
    answers.set()
    assert days_of(request) == (f"{day}|acme", f"{day}|acme")


def test_the_tables_whose_changes_are_read_have_the_sensors_that_the_command_names() -> None:
    """It would send people to a sensor that there is not."""
    assert {"orders": changes.changed_orders.name, "promos": changes.changed_campaigns.name} == WATCHED


def restore(*arguments: str) -> str:
    command = ["restore", "--tenant", "acme", "--table", "orders", "--version", "0", "--yes", *arguments]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_a_version_that_is_brought_back_has_its_changes_read_again(
    here: Installation, daemon: Daemon, time: Time, day: date
) -> None:
    """The version before the bad night knew no refund of the week after it, and the sensor had read them all."""
    read_at = here.lake.ledger("acme", "orders")["written_at_utc"].min()
    assert isinstance(read_at, datetime)
    refund(here, order_of(here, day))
    (request,) = read_on(daemon, time, hours=1)
    assert execute(here, request, time).success
    assert read_on(daemon, time, hours=1) == []
    since = read_at - timedelta(hours=2)
    assert f"changes since {since:%Y-%m-%d %H:%M} UTC are read again by the sensor changed_orders" in restore()
    assert noted(state(), "orders") == {("acme", "orders"): since, ("kiwi", "orders"): time.now}
    assert revenue(here, day) != expected(here, day, time)
    (again,) = read_on(daemon, time, hours=3)
    assert days_of(again) == (f"{day}|acme", f"{day}|acme")
    assert execute(here, again, time).success
    assert revenue(here, day) == expected(here, day, time)
    assert "left_at" not in positions(daemon, "kiwi")


def test_a_machine_is_told_since_when(here: Installation, daemon: Daemon, time: Time, day: date) -> None:
    """Null where nothing is read again."""
    refund(here, order_of(here, day))
    (request,) = read_on(daemon, time, hours=1)
    assert execute(here, request, time).success
    said = json.loads(restore("--json"))
    assert datetime.fromisoformat(said["changes_read_again_since"]) < time.now - timedelta(hours=5)
    assert json.loads(restore("--json"))["changes_read_again_since"] is None
