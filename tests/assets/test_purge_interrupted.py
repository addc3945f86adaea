"""A purge that was interrupted: the next one finds all that is left, whatever was done when it ended."""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
import sqlalchemy as sa

from tests.assets.test_purge import (
    FRESHNESS,
    GOES,
    LAST,
    SHOP,
    STAYS,
    TOKEN,
    Town,
    hits,
    open_town,
    plant_alerts,
    plant_daemon,
    plant_tokens,
    run_of_all,
)
from tests.assets.test_purge import events as events_of
from tests.engines import Databases, instance_on
from weathervane_assets.partitions import TENANT_TAG
from weathervane_assets.purge_dagster import find_in_dagster, open_storage, remove_from_dagster
from weathervane_resources.lake import Lake
from weathervane_resources.lake_errors import LakeError
from weathervane_resources.purge_lake import find_in_lake, remove_from_lake
from weathervane_resources.sandbox import RunningSandbox
from weathervane_resources.state import State
from weathervane_resources.weather_cache import point_of

CHANGES = re.compile(r"\s*(DELETE|UPDATE|INSERT)\b", re.IGNORECASE)
MOST_CHANGES = 400


class Interrupted(Exception):
    """Ends a purge where a signal would."""


@pytest.fixture
def town(tmp_path: Path, sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Town]:
    """An installation of two tenants, one short run of each, one run of both, and what alerts, tokens and a daemon leave."""
    folder = tmp_path / "town"
    folder.mkdir()
    with open_town(folder, sandbox, monkeypatch) as opened:
        monkeypatch.delenv("ZANZIBAR_Q7__SHOPIFY_SHOP_DOMAIN")
        for tenant in (STAYS, GOES):
            assert not opened.here.backfill(tenant, LAST, LAST, "promos").failures
        run_of_all(opened.here, FRESHNESS)
        monkeypatch.setenv("ZANZIBAR_Q7__SHOPIFY_SHOP_DOMAIN", SHOP)
        plant_alerts(opened.state)
        opened.secret = plant_tokens(opened.state)
        plant_daemon(opened.instance)
        yield opened


@contextmanager
def interrupted_before(change: int) -> Iterator[list[str]]:
    """Raise before the database change of that number; yields the changes that were asked for."""
    asked: list[str] = []

    def count(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if CHANGES.match(statement):
            asked.append(statement)
            if len(asked) == change:
                raise Interrupted(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", count)
    try:
        yield asked
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", count)


@pytest.mark.slow
def test_whatever_was_done_when_it_ended_the_next_purge_finds_the_rest(town: Town, tmp_path: Path) -> None:
    """A run's row went first: with it went what its events were found by, and they stayed for good."""
    folder, kept = town.here.folder, tmp_path / "kept"
    needles = (GOES.encode(), TOKEN.encode(), town.secret, SHOP.encode())
    assert len(hits(folder, *needles)) > 20
    others = events_of(town.instance, STAYS)
    shutil.copytree(folder, kept)
    for change in range(1, MOST_CHANGES):
        with interrupted_before(change) as asked:
            done = town.purge(GOES, "--yes")
        if done.exit_code == 0:
            break
        assert isinstance(done.exception, Interrupted), done.output
        again = town.purge(GOES, "--yes")
        assert again.exit_code == 0, again.output
        (folder / "tenants.toml").unlink()
        assert hits(folder, *needles) == {}, f"interrupted before {asked[-1]}"
        assert events_of(town.instance, STAYS) == others
        shutil.rmtree(folder)
        shutil.copytree(kept, folder)
    assert 20 < change < MOST_CHANGES - 1, "it was interrupted at every change, and at last was not"


@pytest.mark.parametrize("file", ["state/weathervane.db", "dagster/history/runs/index.db"])
@pytest.mark.parametrize("holds", ["BEGIN IMMEDIATE", "BEGIN"], ids=["writer", "reader"])
def test_what_could_not_be_rewritten_is_rewritten_by_the_next_purge(
    town: Town, monkeypatch: pytest.MonkeyPatch, file: str, holds: str
) -> None:
    """The file was in use; the second run said that there is nothing, and the deleted rows stayed in its free pages."""
    folder, needles = town.here.folder, (GOES.encode(), TOKEN.encode(), town.secret, SHOP.encode())
    holder = sqlite3.connect(folder / file, isolation_level=None)

    def hold(_state: State, _newest: int) -> None:
        holder.execute(holds)
        holder.execute("SELECT count(*) FROM sqlite_master").fetchone()

    with monkeypatch.context() as patch, closing(holder):
        patch.setattr("weathervane_resources.sqlite_rewrite.BUSY_TIMEOUT_MS", 100)
        patch.setattr("weathervane_assets.purge.forget_events_after", hold)  # the last step before the files
        failed = town.purge(GOES, "--yes")
    assert failed.exit_code == 2
    assert f"{file} cannot be rewritten" in failed.output
    (folder / "tenants.toml").unlink()
    assert hits(folder, *needles)

    done = town.purge(GOES, "--yes")
    assert done.exit_code == 0, done.output
    assert f"{file}: deleted rows that an interrupted purge left in it" in done.output
    assert hits(folder, *needles) == {}
    assert town.purge(GOES).output.startswith(f"there is nothing of {GOES}: ")


def test_a_table_of_which_a_part_is_gone_is_removed_and_no_other_tenants_is_judged_by_it(tmp_path: Path) -> None:
    """A folder goes file by file; the half of a table that was left could not be read, and every later purge fell over it."""
    lake = Lake(str(tmp_path))
    for tenant, cell in ((GOES, "dr5ru"), (STAYS, "9q8yy")):
        for _ in range(2):
            pl.DataFrame({"ship_geohash": [cell]}).write_delta(lake.uri(tenant, "orders"), mode="append")
    (tmp_path / GOES / "orders/_delta_log/00000000000000000000.json").unlink()
    with pytest.raises(LakeError, match=rf"{GOES}/orders cannot be read .*purge its tenant"):
        find_in_lake(lake, STAYS)
    held = find_in_lake(lake, GOES)
    assert list(held.lines())[-1].startswith(f"lake: {GOES}/orders is not whole")
    remove_from_lake(lake, held)
    assert find_in_lake(lake, GOES).is_empty
    assert find_in_lake(lake, STAYS).points == (point_of("9q8yy"),)


@dg.asset
def one() -> int:
    """An asset."""
    return 1


@pytest.mark.slow
def test_on_a_server_the_events_of_a_run_go_before_its_tags(databases: Databases) -> None:
    """PostgreSQL removes a run's tags with its row; its events were still there, and the next purge said that there is nothing."""
    with instance_on(databases.named("interrupted")) as instance:
        storage = open_storage(instance)
        for change in range(1, MOST_CHANGES):
            run_id = dg.materialize([one], instance=instance, tags={TENANT_TAG: GOES}).run_id
            try:
                with interrupted_before(change):
                    remove_from_dagster(storage, GOES, find_in_dagster(storage, GOES))
            except Interrupted:
                remove_from_dagster(storage, GOES, find_in_dagster(storage, GOES))
            else:
                break
            assert instance.all_logs(run_id) == []
        assert 3 < change < MOST_CHANGES - 1
