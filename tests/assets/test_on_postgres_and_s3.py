"""The same days on PostgreSQL and a bucket as on SQLite and a folder; `make test-engines` runs the whole suite so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.assets.conftest import Installation, write_environment
from tests.engines import Databases, Embedded, PostgresS3, choose
from weathervane_assets.graph import NODES
from weathervane_assets.partitions import TENANT_PARTITIONS
from weathervane_resources.sandbox import RunningSandbox

DAY = date(2026, 11, 19)


@dataclass
class Kept:
    """What a backfill left behind."""

    rows: dict[str, pl.DataFrame]
    ledger: pl.DataFrame
    checks: Mapping[str, Any]
    reports: list[str]


COMMERCE = ("orders", "meta_ads", "google_ads", "ads", "promos")


def bring_in(engine: Embedded, folder: Path, sandbox: RunningSandbox, assets: tuple[str, ...]) -> Kept:
    with pytest.MonkeyPatch.context() as patch, choose(engine), engine.instance() as instance:
        folder.mkdir()
        write_environment(patch, folder, sandbox.url)
        instance.add_dynamic_partitions(TENANT_PARTITIONS, ["acme"])
        here = Installation(folder, instance, sandbox)
        outcome = here.backfill("acme", DAY, DAY, *assets)
        assert outcome.failures == []
        ledger = here.lake.ledger("acme").drop("run_id", "written_at_utc").sort("dataset", "date")
        rows = {name: here.rows("acme", name).drop("as_of_utc") for name in assets}
        return Kept(rows, ledger, outcome.checks, here.lake.files.paths("_reports"))


@pytest.mark.parametrize(
    ("assets", "reports"),
    [
        (COMMERCE, ["geocoding.json"]),
        pytest.param(tuple(NODES), ["geocoding.json", "weather_join_validation.json"], marks=pytest.mark.slow),
    ],
)
def test_a_backfill_leaves_the_same_rows_checks_and_reports(
    assets: tuple[str, ...], reports: list[str], tmp_path: Path, sandbox: RunningSandbox, databases: Databases, s3: None
) -> None:
    """What runs on a laptop must be what runs in the deployment."""
    mine = bring_in(Embedded(), tmp_path / "local", sandbox, assets)
    theirs = bring_in(PostgresS3(databases), tmp_path / "deployed", sandbox, assets)
    for name, rows in mine.rows.items():
        keys = [column for column, kind in rows.schema.items() if kind != pl.Float64]
        assert theirs.rows[name].sort(keys).equals(rows.sort(keys)), name
    assert {name for name, rows in mine.rows.items() if rows.is_empty()} <= {"promos"}
    assert theirs.ledger.equals(mine.ledger)
    assert theirs.checks == mine.checks
    assert theirs.reports == mine.reports
    assert {f"_reports/acme/{name}" for name in reports} <= set(mine.reports)
