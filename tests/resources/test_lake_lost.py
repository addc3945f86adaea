"""A table that is gone takes its days out of the ledger: else they count as read for ever."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import pytest

from tests.resources.lake_rows import MON, SHAPE, T0, TUE, WED, frame, put
from weathervane_resources import lake_lost
from weathervane_resources.lake import Lake
from weathervane_resources.lake_lost import lost_tables, standing


def noted(lake: Lake, dataset: str = "orders") -> list[date]:
    return lake.ledger("acme", dataset)["date"].sort().to_list()


def remove(lake: Lake, dataset: str = "orders") -> None:
    shutil.rmtree(Path(lake.root) / "acme" / dataset)


def test_days_of_a_table_that_is_gone_are_forgotten_with_the_first_that_is_written(tmp_path: Path) -> None:
    """A table was moved away, as the docs say, and a night came before its backfill: nine days were listed and not there."""
    lake = Lake(str(tmp_path))
    put(lake, frame((MON, "a", "1"), (TUE, "b", "2")), [MON, TUE])
    lake.replace(
        "acme", "refunds", frame((MON, "a", "1")), shape=SHAPE, days=[MON], source="shopify_api", run_id="r", now=T0
    )
    remove(lake)
    assert noted(lake) == [MON, TUE]
    put(lake, frame((WED, "c", "3")), [WED])
    assert noted(lake) == [WED]
    assert noted(lake, "refunds") == [MON]


def test_a_table_that_is_there_keeps_its_days(tmp_path: Path) -> None:
    """Each night would begin the ledger anew."""
    lake = Lake(str(tmp_path))
    for day in (MON, TUE, WED):
        put(lake, frame((day, "a", "1")), [day])
    assert noted(lake) == [MON, TUE, WED]


def test_what_another_writer_has_noted_meanwhile_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two backfills began the table anew at once, and one forgot what the other had just written."""
    lake = Lake(str(tmp_path))
    put(lake, frame((MON, "a", "1")), [MON])
    remove(lake)
    really, asked = lake_lost.is_table, list[str]()

    def late(uri: str) -> bool:
        """The other writer is faster: it begins the table between our two looks."""
        asked.append(uri)
        if len(asked) == 2:
            put(Lake(str(tmp_path)), frame((WED, "c", "3")), [WED])
        return really(uri)

    monkeypatch.setattr(lake_lost, "is_table", late)
    put(lake, frame((TUE, "b", "2")), [TUE])
    assert noted(lake) == [TUE, WED]


def test_a_ledger_stands_without_tables_that_are_gone(tmp_path: Path) -> None:
    """What is judged by the ledger alone found a lake without orders in good order."""
    lake = Lake(str(tmp_path))
    put(lake, frame((MON, "a", "1")), [MON])
    ledger = lake.ledger("acme")
    assert lost_tables(lake, "acme", ledger) == []
    assert standing(lake, "acme", ledger).height == 1
    remove(lake)
    assert lost_tables(lake, "acme", ledger) == ["orders"]
    assert standing(lake, "acme", ledger).is_empty()
