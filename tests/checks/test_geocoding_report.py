"""The report of a tenant's places."""

from __future__ import annotations

import json
import os
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner
from deltalake import write_deltalake

from tests.checks.test_catalog import ACME, MON, evidence, order, put
from weathervane_assets.cli import main
from weathervane_checks import catalog
from weathervane_checks.geocoding_report import geocoding_report
from weathervane_checks.reports import write_atomically, write_report
from weathervane_resources.lake import Lake, LakeError

NOW = datetime(2025, 4, 1, 12, tzinfo=UTC)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


@pytest.mark.parametrize(
    ("geocoded", "status", "tags"),
    [
        (10, "ok", []), (8, "ok", ["geo.partial"]), (7, "warning", ["geo.partial"]), (2, "warning", ["geo.partial"]),
        (1, "critical", ["geo.partial"]), (0, "critical", ["geo.missing"]),
    ],
)  # fmt: skip
def test_a_tenants_ratio_has_a_status_and_tags(lake: Lake, geocoded: int, status: str, tags: list[str]) -> None:
    """Ten limits for one ratio: a dashboard was green where the pipeline's mail was red."""
    put(lake, "orders", [order(n, MON, "drt2y" if n < geocoded else None) for n in range(10)])
    report = geocoding_report(ACME, lake, NOW)
    assert (report["version"], report["tenant_id"], report["status"], report["geo_tags"]) == (1, "acme", status, tags)
    assert (report["row_count"], report["geocoded_count"], report["ratio"]) == (10, geocoded, geocoded / 10)
    assert report["details"] == {"path": lake.uri("acme", "orders"), "threshold": 0.8}


def test_no_table_no_rows_and_no_column_are_three_things(lake: Lake) -> None:
    """A tenant that was never fetched had a ratio of 1.0 over nothing."""
    assert geocoding_report(ACME, lake, NOW)["status"] == "missing"
    put(lake, "orders", [])
    empty = geocoding_report(ACME, lake, NOW)
    assert (empty["status"], empty["ratio"], empty["geo_tags"]) == ("empty", None, [])
    old = Lake(f"{lake.root}-old")
    Path(old.root).mkdir()
    write_deltalake(old.uri("acme", "orders"), pl.DataFrame({"order_id": ["1"], "date": [date(2025, 3, 3)]}))
    report = geocoding_report(ACME, old, NOW)
    assert report["status"] == "error"
    assert "ship_geohash" in report["details"]["message"]


@pytest.mark.parametrize(
    ("geocoded", "status", "exits"),
    [(10, "ok", (0, 0)), (7, "warning", (0, 1)), (0, "critical", (1, 1)), (None, "missing", (0, 1))],
)
def test_no_place_at_all_ends_with_1_without_being_asked_to(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, geocoded: int | None, status: str, exits: tuple[int, int]
) -> None:
    """0.000 of the orders had a cell, the line said critical, and the job that looked at the exit code was content."""
    file = Path(lake.root).parent / "tenants.toml"
    file.write_text('[tenants.acme]\ntimezone = "America/New_York"\ncurrency = "USD"\n')
    monkeypatch.setenv("WEATHERVANE_TENANTS", str(file))
    monkeypatch.setenv("WEATHERVANE_LAKE", lake.root)
    if geocoded is not None:
        put(lake, "orders", [order(n, MON, "drt2y" if n < geocoded else None) for n in range(10)])
    plain, strict = (CliRunner().invoke(main, ["coverage", "geocoding", *more]) for more in ([], ["--fail-on-warning"]))
    assert plain.stdout.startswith(f"{status:<8} acme")
    assert (plain.exit_code, strict.exit_code) == exits
    assert CliRunner().invoke(main, ["coverage", "geocoding", "--json"]).exit_code == exits[0]
    assert bool(plain.stderr) == bool(exits[0])


def test_a_table_without_the_column_ends_with_1(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """`error` is less than any ratio: nothing could be counted."""
    monkeypatch.setenv("WEATHERVANE_LAKE", lake.root)
    file = Path(lake.root).parent / "tenants.toml"
    file.write_text('[tenants.acme]\ntimezone = "America/New_York"\ncurrency = "USD"\n')
    monkeypatch.setenv("WEATHERVANE_TENANTS", str(file))
    Path(lake.root).mkdir()
    write_deltalake(lake.uri("acme", "orders"), pl.DataFrame({"order_id": ["1"], "date": [date(2025, 3, 3)]}))
    found = CliRunner().invoke(main, ["coverage", "geocoding"])
    assert (found.stdout[:5], found.exit_code) == ("error", 1)


def test_the_check_writes_the_report_again(lake: Lake) -> None:
    """The file said what was true on the day someone last ran the command."""
    for geocoded in (3, 9):
        put(lake, "orders", [order(n, MON, "drt2y" if n < geocoded else None) for n in range(10)])
        catalog.geocoding_coverage(evidence(lake, "orders"))
        file = Path(lake.root) / "_reports" / "acme" / "geocoding.json"
        assert json.loads(file.read_text())["geocoded_count"] == geocoded
        assert [path.name for path in file.parent.iterdir()] == ["geocoding.json"]


def test_a_report_that_is_cut_off_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk left half a JSON file, and the dashboard showed nothing at all."""
    file = tmp_path / "report.json"
    write_atomically(file, "old")

    def no_space(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="No space"):
        write_atomically(file, "new")
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]
    with pytest.raises(LakeError, match=r"cannot be written \(No space"):
        write_report(Lake(str(tmp_path)), "geocoding.json", {"tenant_id": "acme"})
