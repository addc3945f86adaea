"""The state database: opened by anyone at any time, private, and clear about what is wrong."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.resources.test_lake_full_disk import files_at_most
from weathervane_resources.file_lock import file_lock
from weathervane_resources.state import State, StateError, open_state
from weathervane_resources.state_tables import SCHEMA_VERSION, schema_version


def test_a_local_file_and_its_folders_are_private(tmp_path: Path) -> None:
    """It holds credentials, if encrypted ones."""
    open_state(f"sqlite:///{tmp_path}/a/b/w.db")
    modes = [stat.S_IMODE((tmp_path / part).stat().st_mode) for part in ("a", "a/b", "a/b/w.db", "a/b/w.db.lock")]
    assert modes == [0o700, 0o700, 0o600, 0o600]


def test_a_new_folder_is_on_the_disk_before_anything_is_promised_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite flushes the folder of its files; that the folder is in the one above was left to the kernel."""
    flushed: list[Path] = []
    monkeypatch.setattr("weathervane_resources.state.flush", flushed.append)
    open_state(f"sqlite:///{tmp_path}/a/b/w.db")
    assert flushed == [tmp_path, tmp_path / "a"]


def test_a_file_that_was_readable_by_all_is_no_more(tmp_path: Path) -> None:
    """A copied database keeps the mode it was copied with."""
    path = tmp_path / "w.db"
    path.touch(0o644)
    path.chmod(0o644)
    open_state(f"sqlite:///{path}")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_token_commit_is_synced_to_the_disk(tmp_path: Path) -> None:
    """WAL with synchronous=NORMAL loses the last commits on a power cut: a rotated refresh token is one of them."""
    state = open_state(f"sqlite:///{tmp_path}/w.db")
    with state.begin() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
    with state.begin(durable=False) as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 1


def test_a_database_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    """Writing to it with the old tables could lose what the newer one keeps."""
    path = tmp_path / "w.db"
    with open_state(f"sqlite:///{path}").begin() as connection:
        connection.execute(sa.update(schema_version).values(version=SCHEMA_VERSION + 1))
    with pytest.raises(StateError, match="newer Weathervane"):
        open_state(f"sqlite:///{tmp_path}/./w.db")


def test_dagsters_database_is_not_ours_too(state_url: str) -> None:
    """Both have a table `jobs`: whoever came second failed at its first schedule, or its first bulk job."""
    engine = sa.create_engine(state_url.replace("postgresql:", "postgresql+psycopg:"))
    Path(engine.url.database or "").parent.mkdir(exist_ok=True) if "sqlite" in state_url else None
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE event_logs (id INTEGER)")
    engine.dispose()
    with pytest.raises(StateError, match="Dagster's database"):
        open_state(state_url)


@pytest.mark.parametrize(
    ("url", "said", "is_transient"),
    [
        ("postgresql://u:planted-pw@127.0.0.1:1/x", "Connection refused", True),
        ("mysql://u:planted-pw@h/x", "sqlite:///path", False),
        ("sqlite://", "sqlite:///path", False),
        ("planted-pw", "not a URL", False),
        ("sqlite:////proc/planted/w.db", "cannot be made or opened", False),
    ],
)
def test_an_unusable_url_is_one_clear_line_without_the_password(url: str, said: str, is_transient: bool) -> None:
    """SQLAlchemy's own errors show the statement and its values."""
    with pytest.raises(StateError, match=said) as raised:
        open_state(url)
    assert raised.value.is_transient is is_transient
    assert "planted-pw" not in str(raised.value)
    assert "\n" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_something_else_under_that_name_is_reported(tmp_path: Path) -> None:
    """It is told as a damaged one, which it may be: both need a back-up, or another name."""
    (tmp_path / "bad.db").write_bytes(b"garbage" * 500)
    with pytest.raises(StateError, match=r"damaged, or is none .*not a database.*put a back-up there"):
        open_state(f"sqlite:///{tmp_path}/bad.db")


def test_where_it_is_is_said_without_who_enters() -> None:
    """Doctor printed a repr; the user of a database server is half a credential."""
    server = State(sa.make_url("postgresql+psycopg://planted:pw@db.internal:5433/weathervane?password=planted"))
    assert server.address == "postgresql+psycopg://db.internal:5433/weathervane"
    assert State(sa.make_url("sqlite:////var/weathervane.db")).address == "/var/weathervane.db"


def test_damage_that_nobody_has_met_yet_is_found_by_the_doctor(state_url: str) -> None:
    """A page that is read once a quarter is found when its back-up is long overwritten."""
    state = open_state(state_url)
    state.check_whole()
    if state.path is None:
        return
    with state.begin() as connection:
        page = connection.exec_driver_sql(
            "SELECT rootpage FROM sqlite_master WHERE name = 'alert_snoozes'"
        ).scalar_one()
    content = bytearray(state.path.read_bytes())
    content[(page - 1) * 4096 : page * 4096] = b"\x7f" * 4096
    state.path.write_bytes(content)
    with pytest.raises(StateError, match="is damaged, or is none") as raised:
        state.check_whole()
    assert not raised.value.is_transient
    assert "\n" not in str(raised.value)


def test_a_busy_database_is_a_passing_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A retry may help, so the run may be retried."""
    monkeypatch.setattr("weathervane_resources.state.BUSY_TIMEOUT_MS", 10)
    state = open_state(f"sqlite:///{tmp_path}/w.db")
    other = sqlite3.connect(tmp_path / "w.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StateError, match="locked") as raised, state.begin():
        pass
    other.close()
    assert raised.value.is_transient


def test_a_full_disk_under_the_state_is_a_passing_failure(tmp_path: Path) -> None:
    """The message asked whether the file was a database of ours, and the run was not tried again."""
    url = f"sqlite:///{tmp_path}/state.db"
    with files_at_most(0), pytest.raises(StateError, match="check WEATHERVANE_STATE_URL and the disk") as raised:
        open_state(url)
    assert raised.value.is_transient
    with open_state(url).begin() as connection:
        connection.execute(sa.text("SELECT 1"))


def test_a_failed_transaction_leaves_nothing(state_url: str) -> None:
    """Half a quota or half a pair would be worse than none."""
    state = open_state(state_url)
    with pytest.raises(ZeroDivisionError), state.begin() as connection:
        connection.execute(sa.update(schema_version).values(version=0))
        raise ZeroDivisionError
    with state.begin() as connection:
        assert connection.execute(sa.select(schema_version.c.version)).scalar() == SCHEMA_VERSION


def test_a_lock_excludes_tasks_of_one_process_too_and_gives_up_in_time(state_url: str) -> None:
    """Two connectors of one run share a credential."""
    state = open_state(state_url)

    async def second() -> None:
        async with state.exclusive("x", patience_s=0.05):
            pytest.fail("two holders")

    async def main() -> None:
        async with state.exclusive("x"), state.exclusive("y"):
            with pytest.raises(StateError, match=r"lock|locked"):
                await second()

    asyncio.run(main())


def test_the_blocking_lock_opens_after_an_error(tmp_path: Path) -> None:
    """A crash while making the tables must not lock out everyone else."""
    with pytest.raises(ZeroDivisionError), file_lock(tmp_path / "l"):
        raise ZeroDivisionError
    with file_lock(tmp_path / "l", patience_s=0):
        pass
