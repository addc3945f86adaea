"""Dagster's event log on SQLite, with its engines kept: the same files, the same answers, less work."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from datetime import date
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sa
from alembic.script import ScriptDirectory
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from sqlalchemy.event import listen

from weathervane_assets import event_log
from weathervane_assets.event_log import LocalEventLogStorage
from weathervane_assets.instance import open_instance
from weathervane_assets.partitions import BACKFILL_POLICY, range_tags, tenant_day
from weathervane_resources.settings import ConfigurationError, read_settings


@dg.asset
def wind() -> dg.MaterializeResult[None]:
    return dg.MaterializeResult(metadata={"gusts": 3})


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_a_home_of_ours_has_it_and_dagsters_own_class_reads_its_files(home: Path) -> None:
    """Who takes the line out of dagster.yaml keeps the history."""
    with open_instance(read_settings({"DAGSTER_HOME": str(home)})) as instance:
        assert isinstance(instance.event_log_storage, LocalEventLogStorage)
        run_id = dg.materialize([wind], instance=instance).run_id
        ours = [record.event_log_entry for record in instance.get_records_for_run(run_id).records]
        newest = instance.get_latest_materialization_event(dg.AssetKey("wind"))
    plain = SqliteEventLogStorage(str(home / "history" / "runs"))
    assert [record.event_log_entry for record in plain.get_records_for_run(run_id).records] == ours
    assert next(iter(plain.get_latest_materialization_events([dg.AssetKey("wind")]).values())) == newest
    assert len(ours) > 5


def test_the_days_of_a_backfill_are_two_commits_planned_and_two_done(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each day by itself was four commits, of which two waited for the disk: half of what 90 days of orders took."""
    commits: list[str] = []
    _watch_engines(monkeypatch, lambda url, engine: listen(engine, "commit", lambda _: commits.append(url)))
    days = dg.DailyPartitionsDefinition("2026-01-01", end_date="2026-04-01")

    @dg.asset(partitions_def=days, backfill_policy=dg.BackfillPolicy.single_run())
    def storms() -> dg.MaterializeResult[None]:
        return dg.MaterializeResult(metadata={"gusts": 3})

    tags = {"dagster/asset_partition_range_start": "2026-01-01", "dagster/asset_partition_range_end": "2026-03-31"}
    with open_instance(read_settings({"DAGSTER_HOME": str(home)})) as instance:
        run_id = dg.materialize([storms], instance=instance, tags=tags).run_id
        written = len(commits)
        found = instance.get_materialized_partitions(dg.AssetKey("storms"))
        ours = [record.event_log_entry for record in instance.get_records_for_run(run_id).records]
    assert found == set(days.get_partition_keys())
    assert written < 60
    plain = SqliteEventLogStorage(str(home / "history" / "runs"))
    assert [record.event_log_entry for record in plain.get_records_for_run(run_id).records] == ours
    assert plain.get_materialized_partitions(dg.AssetKey("storms")) == found


def test_the_newest_day_of_a_backfill_is_the_latest(home: Path) -> None:
    """The page of an asset shows what was stored last; Dagster stored the days of a range in the order of a set."""

    @dg.asset(partitions_def=tenant_day(date(2026, 1, 1)), backfill_policy=BACKFILL_POLICY)
    def storms() -> None:
        """Nothing."""

    tags = range_tags("acme", "2026-01-01|acme", "2026-01-31|acme")
    with open_instance(read_settings({"DAGSTER_HOME": str(home)})) as instance:
        instance.add_dynamic_partitions("tenant", ["acme"])
        dg.materialize([storms], instance=instance, tags=tags)
        newest = instance.get_latest_materialization_event(dg.AssetKey("storms"))
    assert newest
    assert newest.dagster_event
    assert newest.dagster_event.partition == "2026-01-31|acme"


def test_a_batch_that_fails_leaves_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a batch that stays would be there twice."""
    with open_instance(read_settings({"DAGSTER_HOME": str(home)})) as instance:
        run_id = dg.materialize([wind], instance=instance).run_id
        storage = instance.event_log_storage
        assert isinstance(storage, LocalEventLogStorage)
        before = [record.event_log_entry for record in instance.get_records_for_run(run_id).records]
        planned = [entry for entry in before if entry.dagster_event and entry.dagster_event.asset_key]
        monkeypatch.setattr(storage, "_store_asset_event", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            storage.store_event_batch(planned)
        monkeypatch.undo()
        assert [record.event_log_entry for record in instance.get_records_for_run(run_id).records] == before
        instance.report_engine_event("still written", instance.get_run_by_id(run_id))


def test_without_a_home_it_says_what_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A history written into whatever folder one stands in is lost."""
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    with pytest.raises(ConfigurationError, match="set DAGSTER_HOME"):
        LocalEventLogStorage.from_config_value(None, {})
    assert LocalEventLogStorage.from_config_value(None, {"base_dir": str(tmp_path)}).get_all_run_ids() == []


def test_an_engine_is_made_for_a_file_not_for_an_event(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A night of 300 events made 770 engines, and compiled each statement again."""
    made: list[str] = []
    _watch_engines(monkeypatch, lambda url, _: made.append(url))
    with open_instance(read_settings({"DAGSTER_HOME": str(home)})) as instance:
        dg.materialize([wind], instance=instance)
    assert len(made) == len(set(made)) == 2


def test_the_engines_of_old_runs_go_and_come_again(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A webserver that was up for a month would hold one for each run that anybody looked at."""
    monkeypatch.setattr(event_log, "MOST_ENGINES", 2)
    with open_instance(read_settings({"DAGSTER_HOME": str(home)})) as instance:
        runs = [dg.materialize([wind], instance=instance).run_id for _ in range(3)]
        storage = instance.event_log_storage
        assert isinstance(storage, LocalEventLogStorage)
        assert all(instance.get_records_for_run(run).records for run in runs)
        assert len(storage._engines) == 2


def test_the_ui_hears_each_event_of_a_run_while_it_goes_on(home: Path) -> None:
    """It watches the run's file, which SQLite touches only when its last connection closes, and ours stays open."""
    with open_instance(read_settings({"DAGSTER_HOME": str(home)})) as instance:
        run = instance.create_run_for_job(dg.define_asset_job("winds", [wind]).resolve(_graph()))
        instance.report_engine_event("begun", run)
        heard = threading.Semaphore(0)
        instance.watch_event_logs(run.run_id, None, lambda entry, cursor: heard.release())
        for _ in range(3):
            instance.report_engine_event("still going", run)
            assert heard.acquire(timeout=20)
        instance.end_watch_event_logs(run.run_id, next(iter(instance.event_log_storage._watchers[run.run_id])))


def test_a_log_that_another_process_deleted_is_begun_again(home: Path) -> None:
    """Written into a file that has no name any more, the events of a run are nowhere."""
    with open_instance(read_settings({"DAGSTER_HOME": str(home)})) as instance:
        run_id = dg.materialize([wind], instance=instance).run_id
        for file in (home / "history" / "runs").glob(f"{run_id}.db*"):
            file.unlink()
        assert instance.get_records_for_run(run_id).records == []
        instance.report_engine_event("again", instance.get_run_by_id(run_id))
    plain = SqliteEventLogStorage(str(home / "history" / "runs"))
    assert [record.event_log_entry.message for record in plain.get_records_for_run(run_id).records] == ["again"]


def test_reading_a_log_does_not_look_like_writing_it(home: Path) -> None:
    """Whoever watches a file and reads it at each change would do so for ever."""
    with open_instance(read_settings({"DAGSTER_HOME": str(home)})) as instance:
        run_id = dg.materialize([wind], instance=instance).run_id
        file = home / "history" / "runs" / f"{run_id}.db"
        before = file.stat().st_mtime_ns
        assert instance.get_records_for_run(run_id).records
        assert file.stat().st_mtime_ns == before


def test_the_ids_of_a_deleted_run_are_not_given_out_again(home: Path) -> None:
    """A run was deleted in the UI; the alerter had seen its ids, and took the events of the next run for known."""
    with open_instance(read_settings({"DAGSTER_HOME": str(home)})) as instance:
        runs = [dg.materialize([wind], instance=instance).run_id for _ in range(2)]
        before = _ids(instance)
        for run_id in reversed(runs):
            instance.delete_run(run_id)
        assert _ids(instance) == before[-1:]
        dg.materialize([wind], instance=instance)
        assert min(_ids(instance)[1:]) > before[-1]
        assert instance.fetch_materializations(dg.AssetKey("wind"), limit=9).records


def _ids(instance: dg.DagsterInstance) -> list[int]:
    storage = instance.event_log_storage
    assert isinstance(storage, LocalEventLogStorage)
    with storage.index_connection() as connection:
        return list(connection.execute(sa.text("SELECT id FROM event_logs ORDER BY id")).scalars())


def _watch_engines(monkeypatch: pytest.MonkeyPatch, seen: Callable[[str, sa.Engine], object]) -> None:
    """Let `seen` be told of each engine that the event log makes."""
    create = event_log.create_engine

    def watched(url: str, **given: object) -> sa.Engine:
        engine = create(url, **given)
        seen(url, engine)
        return engine

    monkeypatch.setattr(event_log, "create_engine", watched)


def _graph() -> object:
    return dg.Definitions(assets=[wind]).resolve_asset_graph()


def _made(file: Path) -> list[tuple[str, ...]]:
    """Return what a file's tables and indexes are, and its revision."""
    with sqlite3.connect(file) as connection:
        what = connection.execute("SELECT type, name, tbl_name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'")
        columns = connection.execute(
            "SELECT m.name, c.name, c.type, c.pk FROM sqlite_master m, pragma_table_info(m.name) c"
        )
        revision = connection.execute("SELECT version_num FROM alembic_version")
        mode = connection.execute("PRAGMA journal_mode")
        return sorted(map(str, [*what, *columns, *revision, *mode]))


def test_a_new_log_is_the_one_that_dagster_makes_without_reading_its_migrations(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading them costs each process of a night 0.2 CPU seconds."""
    plain = SqliteEventLogStorage(str(home.parent / "plain"))
    with plain.run_connection("wind"):
        pass
    folder = home / "history" / "runs"
    LocalEventLogStorage(str(folder)).dispose()
    monkeypatch.setattr(ScriptDirectory, "from_config", lambda *_: pytest.fail("the migrations are read"))
    ours = LocalEventLogStorage(str(folder))
    with ours.run_connection("wind"), ours.index_connection():
        pass
    ours.dispose()
    assert _made(folder / "wind.db") == _made(home.parent / "plain" / "wind.db")
    assert len(_made(folder / "wind.db")) > 20


def test_a_log_that_another_process_has_half_made_is_finished(home: Path) -> None:
    """As between Dagster's tables and its note of the revision."""
    folder = home / "history" / "runs"
    ours = LocalEventLogStorage(str(folder))
    with sqlite3.connect(folder / "wind.db") as connection:
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
    with ours.run_connection("wind") as log:
        assert log.execute(sa.text("SELECT count(*) FROM event_logs")).scalar() == 0
        assert log.execute(sa.text("SELECT count(*) FROM alembic_version")).scalar() == 1
    ours.dispose()


def test_an_index_without_a_revision_makes_logs_as_dagster_does(home: Path) -> None:
    """Homes of long ago have none."""
    folder = home / "history" / "runs"
    LocalEventLogStorage(str(folder)).dispose()
    with sqlite3.connect(folder / "index.db") as connection:
        connection.execute("DROP TABLE alembic_version")
    ours = LocalEventLogStorage(str(folder))
    with ours.run_connection("wind") as log:
        assert log.execute(sa.text("SELECT count(*) FROM alembic_version")).scalar() == 1
    ours.dispose()
