"""A purge that was interrupted: the next one finds all that is left, whatever was done when it ended."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
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
from weathervane_resources.sandbox import RunningSandbox

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


@dg.asset
def one() -> int:
    """An asset."""
    return 1


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
