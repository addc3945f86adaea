"""An export: every row of every table of one tenant, or nothing."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from tests.resources import lake_writer
from weathervane_assets.cli import main
from weathervane_resources.lake import Lake, LakeError
from weathervane_resources.lake_export import export_tenant
from weathervane_resources.refusals import note_refusal

NOW = datetime(2026, 11, 20, tzinfo=UTC)


@pytest.fixture(params=["folder", "bucket"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Lake:
    """Where a lake may be: each test holds for both."""
    lake = Lake(str(tmp_path / "lake") if request.param == "folder" else str(request.getfixturevalue("bucket")))
    for number in range(2):
        lake_writer.write(lake, number, 15)
    note_refusal(lake, "acme", "promos", lake_writer.window(1), "=cmd|' /C calc'!A0", NOW)
    note_refusal(lake, "kiwi", "promos", lake_writer.window(1), "403", NOW)
    return lake


def test_every_row_of_every_table_is_in_it_with_its_type(lake: Lake, tmp_path: Path) -> None:
    """An export of what the UI shows left out the days that were refused."""
    target = tmp_path / "out" / "acme"
    done = export_tenant(lake, "acme", target, NOW)
    files = sorted(path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file())
    assert files == ["_ledger.parquet", "_refusals/promos.parquet", "manifest.json", "orders.parquet"]
    said = json.loads((target / "manifest.json").read_text())
    assert said["tenant"] == "acme"
    assert [one["table"] for one in said["tables"]] == ["_ledger", "_refusals/promos", "orders"]
    for one in done:
        exported = pl.read_parquet(target / one.file)
        original = pl.read_delta(lake.uri("acme", one.table))
        assert exported.sort(pl.all()).equals(original.sort(pl.all()))
        assert exported.height == one.rows > 0
        assert {name: str(dtype) for name, dtype in exported.schema.items()} == one.schema
    assert said["tables"][2]["table_version"] == lake.version("acme", "orders") == 1
    assert pl.read_parquet(target / "_refusals/promos.parquet")["reason"].to_list() == ["=cmd|' /C calc'!A0"]
    assert list((tmp_path / "out").iterdir()) == [target]


def test_what_fails_on_the_way_leaves_nothing(tmp_path: Path) -> None:
    """Half an export with a manifest of last month was sent to a customer."""
    lake = Lake(str(tmp_path / "lake"))
    lake_writer.write(lake, 0, 3)
    for file in (tmp_path / "lake/acme/orders").rglob("*.parquet"):
        file.unlink()
    with pytest.raises(LakeError, match=r"the export of acme was given up"):
        export_tenant(lake, "acme", tmp_path / "out" / "acme", NOW)
    assert list((tmp_path / "out").iterdir()) == []


def test_it_never_writes_into_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two exports in one folder are neither."""
    lake = Lake(str(tmp_path / "lake"))
    lake_writer.write(lake, 0, 3)
    monkeypatch.setenv("WEATHERVANE_LAKE", lake.root)
    command = ["tenants", "export", "acme", "--to", str(tmp_path / "out")]
    done = CliRunner().invoke(main, [*command, "--json"])
    assert [one["rows"] for one in json.loads(done.output)] == [3, 150]
    again = CliRunner().invoke(main, command)
    assert again.exit_code == 2
    assert "exists; name a folder that does not" in again.output
    nobody = CliRunner().invoke(main, ["tenants", "export", "nobody", "--to", "x"])
    assert nobody.exit_code == 2
    assert "bring it in first (weathervane backfill --tenant nobody --from" in nobody.output, (
        "the list of tenants shows it"
    )
    assert CliRunner().invoke(main, ["tenants", "export", "../x", "--to", "x"]).exit_code == 2
