"""A power cut after "done" takes nothing back: what a commit wrote is on the disk before the writer is told so."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable

from tests.resources.lake_rows import MON, TUE, WED, frame, put
from weathervane_resources.lake import Lake
from weathervane_resources.lake_care import tidy_lake
from weathervane_resources.lake_flush import flush_version
from weathervane_resources.purge_lake import _forget_points

NOW = datetime(2025, 6, 1, tzinfo=UTC)


class Disk:
    """What was flushed, and what a power cut would leave undone."""

    def __init__(self) -> None:
        self.flushed: set[Path] = set()
        self._fsync = os.fsync

    def fsync(self, handle: int) -> None:
        self.flushed.add(Path(f"/proc/self/fd/{handle}").readlink())
        self._fsync(handle)

    def lost(self, root: Path) -> list[str]:
        """Return the files and folders below `root` that nobody flushed; folders know the names of what is in them."""
        every = [root, *root.rglob("*")]
        return sorted(str(path) for path in every if path not in self.flushed)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk()
    monkeypatch.setattr(os, "fsync", disk.fsync)
    return disk


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc to tell which file was flushed")
def test_a_write_is_on_the_disk_when_it_returns(disk: Disk, tmp_path: Path) -> None:
    """deltalake leaves it to the kernel: for half a minute the newest version names a file that may come back empty."""
    lake = Lake(str(tmp_path / "lake"))
    for night in range(12):
        put(lake, frame((MON, str(night), "1"), (WED, "c", "3")), [MON, TUE, WED])
    assert list((tmp_path / "lake" / "acme" / "orders" / "_delta_log").glob("*.checkpoint.parquet"))
    assert disk.lost(tmp_path / "lake" / "acme" / "orders") == []
    assert disk.lost(tmp_path / "lake" / "acme" / "_ledger") == []


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc to tell which file was flushed")
def test_what_the_care_of_the_lake_makes_is_on_the_disk_before_what_it_replaces_goes(
    disk: Disk, tmp_path: Path
) -> None:
    """A compaction's file that comes back empty is a month of days, and the files it replaced were removed."""
    lake = Lake(str(tmp_path / "lake"))
    for night in range(3):
        put(lake, frame((TUE + timedelta(days=night), "a", "1")), [TUE + timedelta(days=night)])
    disk.flushed.clear()
    list(tidy_lake(lake, NOW))
    table = DeltaTable(lake.uri("acme", "orders"))
    files = {Path(file) for file in table.file_uris()}
    log = Path(lake.uri("acme", "orders")) / "_delta_log"
    assert len(files) == 1
    assert files | {log, log / "_last_checkpoint", *log.glob("*.checkpoint.parquet")} <= disk.flushed


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc to tell which file was flushed")
def test_what_a_purge_leaves_of_a_shared_table_is_on_the_disk_before_the_rest_goes(
    disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut after one tenant's purge took every tenant's forecasts, which nobody can fetch again."""
    lake = Lake(str(tmp_path / "lake"))
    rows = pl.DataFrame({"point": ["40.7,-74.0", "52.5,13.4"], "valid_year": [2025, 2025]})
    lake.append("_weather", "versions", rows, ["valid_year"])
    disk.flushed.clear()
    flushed: list[set[Path]] = []
    vacuum = DeltaTable.vacuum

    def watched(table: DeltaTable, *rest: Any, **options: Any) -> list[str]:
        flushed.append(disk.flushed.copy())
        return vacuum(table, *rest, **options)

    monkeypatch.setattr(DeltaTable, "vacuum", watched)
    uri = lake.uri("_weather", "versions")
    _forget_points(uri, ("40.7,-74.0",))
    table = DeltaTable(uri)
    assert pl.scan_delta(table).collect()["point"].to_list() == ["52.5,13.4"]
    assert {Path(file) for file in table.file_uris()} | {Path(uri) / "_delta_log"} <= flushed[0]


def test_a_bucket_and_a_version_whose_entry_expired_need_none(tmp_path: Path) -> None:
    """An object store answers when it has stored; a log that was shortened has nothing left to flush."""
    flush_version("s3://bucket/acme/orders", 3)
    lake = Lake(str(tmp_path / "lake"))
    put(lake, frame((MON, "a", "1")), [MON])
    flush_version(lake.uri("acme", "orders"), 99)
