"""Tables that are opened once a version."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable

from tests.resources.lake_rows import MON, SHAPE, frame, put, stored
from weathervane_resources import lake_tables
from weathervane_resources.lake import Lake
from weathervane_resources.lake_history import History
from weathervane_resources.lake_tables import OPEN_TABLES, OpenTables


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the addresses of orders tables that are opened from now on to be read."""
    found: list[str] = []
    really = lake_tables.open_table

    def counted(uri: str) -> object:
        found.extend([uri] * uri.endswith("orders"))
        return really(uri)

    monkeypatch.setattr(lake_tables, "open_table", counted)
    return found


def amount(lake: Lake) -> list[int]:
    return [int(value) for value in stored(lake)["amount"].to_list()]


def test_a_version_is_opened_once_and_another_writers_is_seen(tmp_path: Path, opened: list[str]) -> None:
    """A night of 100 openings spent a sixth of its processor reading the same logs again."""
    lake = Lake(str(tmp_path))
    put(lake, frame((MON, "a", "1")), [MON])
    opened.clear()
    assert [amount(lake) for _ in range(3)] == [[1]] * 3
    assert len(opened) == 1
    put(lake, frame((MON, "a", "2")), [MON])
    assert amount(lake) == [2]
    assert len(opened) == 1, "what this process wrote is known to it"
    other = OpenTables()
    assert other.newest(lake.uri("acme", "orders")) is not None
    put(lake, frame((MON, "a", "3")), [MON])
    before = len(opened)
    table = other.newest(lake.uri("acme", "orders"))
    assert table is not None
    assert table.version() == 2
    assert len(opened) == before + 1


def test_rows_that_are_read_later_are_those_of_the_version_that_was_asked_for(tmp_path: Path) -> None:
    """A handle that moved on with the next commit gave a frame rows that its plan had never seen."""
    lake = Lake(str(tmp_path))
    put(lake, frame((MON, "a", "1")), [MON])
    later = lake.scan_shared("acme", "orders", frame().schema)
    put(lake, frame((MON, "a", "2")), [MON])
    assert [int(value) for value in later.collect()["amount"]] == [1]
    assert amount(lake) == [2]


def test_a_table_that_is_gone_is_gone_and_one_that_comes_back_is_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A purged tenant came back at the very version that was remembered, with files that no longer were."""
    lake = Lake(str(tmp_path))
    put(lake, frame((MON, "a", "1")), [MON])
    put(lake, frame((MON, "a", "2")), [MON])
    assert amount(lake) == [2]
    shutil.rmtree(tmp_path / "acme")
    assert amount(lake) == []
    put(lake, frame((MON, "b", "3")), [MON])
    assert amount(lake) == [3]
    remembered = OpenTables()
    assert remembered.newest(lake.uri("acme", "orders")) is not None
    shutil.rmtree(tmp_path / "acme")
    OPEN_TABLES.hold(lake.uri("acme", "orders"), None)
    OPEN_TABLES.hold(lake.uri("acme", "_ledger"), None)
    put(lake, frame((MON, "b", "4")), [MON])
    clock = lake_tables.time.monotonic() + lake_tables.MOST_AGE_S + 1
    monkeypatch.setattr(lake_tables.time, "monotonic", lambda: clock)
    table = remembered.newest(lake.uri("acme", "orders"))
    assert table is not None
    assert table.version() == 0
    assert table.file_uris() == (lake.table("acme", "orders") or table).file_uris()
    assert Path(table.file_uris()[0].removeprefix("file://")).exists()


def test_a_ledger_is_read_once_a_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forty times a night the same few rows were read from the disk."""
    lake, read = Lake(str(tmp_path)), list[str | None]()
    really = Lake.ledger_of

    def counted(self: Lake, table: DeltaTable | None, tenant: str, dataset: str | None = None) -> pl.DataFrame:
        read.append(dataset)
        return really(self, table, tenant, dataset)

    put(lake, frame((MON, "a", "1")), [MON])
    put(lake, frame((MON, "a", "2")), [MON])
    monkeypatch.setattr(Lake, "ledger_of", counted)
    assert [lake.ledger("acme", "orders").height for _ in range(3)] == [1, 1, 1]
    assert lake.ledger("acme").height == 1
    assert read == ["orders", None]
    put(lake, frame((MON, "a", "3"), (MON, "b", "3")), [MON])
    read.clear()
    assert lake.ledger("acme", "orders")["row_count"].to_list() == [2]
    assert read == ["orders"]
    assert lake.ledger("nobody").is_empty()


def test_so_many_tables_are_held_and_no_more(tmp_path: Path) -> None:
    """A daemon of a hundred tenants held every log it had ever read."""
    lake, held = Lake(str(tmp_path)), OpenTables()
    put(lake, frame((MON, "a", "1")), [MON])
    table = held.newest(lake.uri("acme", "orders"))
    for number in range(lake_tables.MOST_TABLES + 5):
        held.hold(f"table-{number}", table)
    assert len(held._held) == lake_tables.MOST_TABLES
    assert "table-0" not in held._held


@pytest.mark.parametrize("folder", ["my shops", "jörg", "50% off #1", "a+b {c}"])
def test_a_lake_may_be_in_any_folder(tmp_path: Path, folder: str) -> None:
    """A clone below `/home/jörg`, or in `my shops`, wrote its tables and could read none of them: no file was found."""
    lake = Lake(str(tmp_path / folder))
    put(lake, frame((MON, "a", "1")), [MON])
    put(lake, frame((MON, "a", "2")), [MON])
    assert amount(lake) == [2]
    earlier = History(lake, "acme", "orders", SHAPE)
    assert earlier.rows(0, [MON])["amount"].to_list() == [1]
