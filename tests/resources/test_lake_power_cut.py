"""A power cut between a commit and its flush: the newest file is not whole, which is seen, and the version before comes back."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable

from tests.resources.lake_rows import MON, TUE, frame, put, stored
from weathervane_resources import lake as lake_module
from weathervane_resources.lake import Lake, LakeError
from weathervane_resources.lake_tables import OpenTables

KEYS = 50


def night(number: int) -> pl.DataFrame:
    """Return the rows of two months, each with the night's number."""
    return frame(*((day, f"row-{n}", str(number)) for day in (MON, TUE) for n in range(KEYS)))


def newest(table: Path, part: str) -> Path:
    """Return the file that was written last, of the log or of the rows."""
    if part == "log":
        return max((table / "_delta_log").glob("*.json"))
    return max(table.glob("month=*/*.parquet"), key=lambda file: file.stat().st_mtime_ns)


def damage(file: Path, how: str) -> None:
    """Leave of the file what was not flushed."""
    body = file.read_bytes()
    if how == "gone":
        file.unlink()
    else:
        file.write_bytes({"empty": b"", "half": body[: len(body) // 2], "zeros": b"\0" * len(body)}[how])


def bring_back(table: Path, part: str) -> None:
    """Do what docs/reliability.md says."""
    if part == "log":
        newest(table, "log").rename(table / "moved.json")
    else:
        delta = DeltaTable(table)
        delta.restore(delta.version() - 1)


@pytest.mark.parametrize("how", ["empty", "half", "zeros", "gone"])
@pytest.mark.parametrize("part", ["log", "rows"])
def test_a_newest_file_that_is_not_whole_is_no_part_of_a_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str, how: str
) -> None:
    """A file cut short ended the run by a panic that no `except Exception` sees, without a word on which table."""
    lake = Lake(str(tmp_path / "lake"))
    put(lake, night(1), [MON, TUE])
    put(lake, night(2), [MON, TUE])
    table = Path(lake.uri("acme", "orders"))
    damage(newest(table, part), how)
    monkeypatch.setattr(lake_module, "OPEN_TABLES", OpenTables())  # the machine was off: it is another process
    if part == "log" and how in ("empty", "gone"):
        assert stored(lake)["amount"].unique().to_list() == [1]
    else:
        said = "cannot be read .*Json error" if part == "log" else "is gone or damaged"
        with pytest.raises(LakeError, match=said):
            put(lake, night(3), [MON, TUE])
        bring_back(table, part)
        assert stored(lake)["amount"].unique().to_list() == [1]
    put(lake, night(3), [MON, TUE])
    rows = stored(lake)
    assert (rows.height, rows["amount"].unique().to_list()) == (2 * KEYS, [3])
    assert lake.ledger("acme", "orders")["row_count"].to_list() == [KEYS, KEYS]
