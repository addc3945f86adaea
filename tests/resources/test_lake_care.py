"""Care of real tables: fewer files and the same rows, versions in reach stay, and a writer beside it loses nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from tests.resources import lake_writer
from tests.resources.lake_writer import SHAPE
from weathervane_resources.lake import Lake, LakeError
from weathervane_resources.lake_care import optimize, table_paths, tidy_lake, tidy_table, total
from weathervane_resources.quarantine import read_quarantine, replace_quarantine
from weathervane_resources.refusals import note_refusal, read_refusals

WRITER = Path(lake_writer.__file__)
NOW = datetime.now(UTC)
DAYS = lake_writer.window(12)


def put(lake: Lake, day: date, number: int = 0) -> None:
    """Write one day, as a night does."""
    rows = lake_writer.rows(number, len(DAYS)).filter(pl.col("date") == day)
    lake.replace(
        "acme", "orders", rows, shape=SHAPE, days=[day], source="shopify_api", run_id="r", now=NOW
    )  # fmt: skip


def stored(lake: Lake) -> pl.DataFrame:
    return lake.scan("acme", "orders", SHAPE).collect().sort("date", "row_key")


def at_version(lake: Lake, version: int) -> pl.DataFrame:
    return (
        pl.read_delta(lake.uri("acme", "orders"), version=version).select(SHAPE.schema.names()).sort("date", "row_key")
    )


def parquet(lake: Lake, table: str) -> list[str]:
    return [path for path in lake.files.paths(table) if path.endswith(".parquet") and "_delta_log" not in path]


def age(lake: Lake, table: str, by: timedelta) -> None:
    """Make what was deleted from a table look as if that was long ago: in its log, and on the disk."""
    root = Path(lake.root) / table
    for entry in sorted((root / "_delta_log").glob("*.json")):
        lines = [json.loads(line) for line in entry.read_text().splitlines()]
        for line in lines:
            if "remove" in line:
                line["remove"]["deletionTimestamp"] -= int(by.total_seconds() * 1000)
        entry.write_text("\n".join(json.dumps(line) for line in lines) + "\n")
    for file in root.rglob("*"):
        seconds = file.stat().st_mtime - by.total_seconds()
        os.utime(file, (seconds, seconds))


def test_single_days_become_one_file_a_month_and_no_row_changes(lake: Lake) -> None:
    """A lake of single-day commits had 40,000 files after a year, and listing them took longer than reading."""
    for day in DAYS:
        put(lake, day)
    before, ledger, version = stored(lake), lake.ledger("acme").sort("date"), lake.version("acme", "orders")
    done = {one.table: one for one in tidy_lake(lake, NOW)}
    orders = done["acme/orders"]
    assert (orders.files_before, orders.files_after, orders.vacuumed) == (12, 1, 0)
    assert 0 < orders.bytes_after < orders.bytes_before
    assert done["acme/_ledger"].files_before > done["acme/_ledger"].files_after == 1
    assert stored(lake).equals(before)
    assert lake.ledger("acme").sort("date").equals(ledger)
    assert version is not None
    assert at_version(lake, version).equals(before)
    assert at_version(lake, 3).height == 4 * lake_writer.ROWS_A_DAY
    assert any(path.endswith(".checkpoint.parquet") for path in lake.files.paths("acme/orders/_delta_log"))
    again = tidy_table(lake, "acme/orders", NOW)
    assert (again.files_before, again.files_after) == (1, 1)


def test_what_was_replaced_lately_stays_and_what_was_replaced_long_ago_goes(tmp_path: Path) -> None:
    """Vacuumed at once, the version that an alert speaks of could not be looked at the next morning."""
    lake = Lake(str(tmp_path / "lake"))
    put(lake, DAYS[0], 1)
    put(lake, DAYS[0], 2)
    age(lake, "acme/orders", timedelta(days=31))
    put(lake, DAYS[0], 3)
    assert len(parquet(lake, "acme/orders")) == 3
    done = tidy_table(lake, "acme/orders", NOW)
    assert done.vacuumed == 1
    assert len(parquet(lake, "acme/orders")) == 2
    assert at_version(lake, 1)["amount"].unique().to_list() == [2]
    assert stored(lake)["amount"].unique().to_list() == [3]
    with pytest.raises(Exception, match=r"NotFound|No such file|not found"):
        at_version(lake, 0)


def test_the_retention_counts_back_from_the_given_instant(tmp_path: Path) -> None:
    """A job that was started late must not judge by another day than the one it says."""
    lake = Lake(str(tmp_path / "lake"))
    put(lake, DAYS[0], 1)
    put(lake, DAYS[0], 2)
    age(lake, "acme/orders", timedelta(days=31))
    assert tidy_table(lake, "acme/orders", NOW - timedelta(days=2)).vacuumed == 0
    assert tidy_table(lake, "acme/orders", NOW - timedelta(days=2), retention_days=20).vacuumed == 1


def test_what_a_crash_left_behind_goes_too(tmp_path: Path) -> None:
    """A run killed between the file and the commit leaves a file that no log knows; nobody else ever finds it."""
    lake = Lake(str(tmp_path / "lake"))
    put(lake, DAYS[0])
    old, young = (tmp_path / "lake/acme/orders/month=2025-01" / name for name in ("lost.parquet", "coming.parquet"))
    old.write_bytes(b"torn")
    age(lake, "acme/orders", timedelta(days=31))
    young.write_bytes(b"in the making")
    tidy_table(lake, "acme/orders", NOW)
    assert not old.exists()
    assert young.exists()


def test_every_kind_of_table_is_tidied(lake: Lake) -> None:
    """The ledger grows by a file with each write; it was the slowest table of all."""
    put(lake, DAYS[0])
    for day in DAYS[:3]:
        note_refusal(lake, "acme", "orders", [day], "403", NOW)
        rejects = pl.DataFrame({"date": [day], "key": ["1"], "reason": ["no day"]})
        replace_quarantine(lake, "acme", "orders", rejects, days=[day], source="s", run_id="r", now=NOW)
        lake.append("_weather", "versions", pl.DataFrame({"point": ["1,1"], "valid_year": [2025]}), ["valid_year"])
    lake.files.write("_reports/acme/geocoding.json", "{}")
    names = ["_weather/versions", "acme/_ledger", "acme/_quarantine/orders", "acme/_refusals/orders", "acme/orders"]
    assert table_paths(lake) == names
    assert table_paths(lake, "acme") == names[1:]
    lines = list(optimize(lake, NOW))
    assert [line.partition(":")[0] for line in lines] == [*names, "5 tables"]
    assert all(one.files_after == 1 for one in tidy_lake(lake, NOW))
    assert read_quarantine(lake, "acme", "orders").height == 3
    assert read_refusals(lake, "acme", "orders").height == 3


def test_a_table_that_cannot_be_read_is_said_after_the_others_are_tidied(tmp_path: Path) -> None:
    """What came after it in the alphabet was never compacted again."""
    lake = Lake(str(tmp_path))
    for tenant in ("acme", "kiwi"):
        lake.append(tenant, "extra", pl.DataFrame({"a": [1]}), [])
    (log,) = (tmp_path / "acme" / "extra" / "_delta_log").glob("*.json")
    log.write_text("{")
    done = []
    with pytest.raises(LakeError, match=r"acme/extra cannot be tidied"):
        done.extend(one.table for one in tidy_lake(lake, datetime.now(UTC)))
    assert done == ["kiwi/extra"]


def test_totals_are_sums(lake: Lake) -> None:
    """A total that leaves a table out hides the one that grows."""
    for day in DAYS[:3]:
        put(lake, day)
    done = list(tidy_lake(lake, NOW))
    everything = total(done)
    assert everything.table == "2 tables"
    assert everything.files_before == sum(one.files_before for one in done) == 6
    assert everything.bytes_after == sum(one.bytes_after for one in done)


def test_a_writer_beside_it_loses_nothing(tmp_path: Path) -> None:
    """Two that replace the same files at once: without a conflict check one's rows come back beside the other's."""
    lake = Lake(str(tmp_path / "lake"))
    for number in range(3):
        lake_writer.write(lake, number, 30)
    writes = 25
    command = [sys.executable, str(WRITER), lake.root, "3", str(3 + writes), "30"]
    rounds = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        while process.poll() is None:
            put_other(lake, rounds)
            skipped = [one.skipped for one in tidy_lake(lake, NOW) if one.skipped]
            assert all("lost against other writers" in why for why in skipped)
            rounds += 1
        said = process.stdout.read().split()
    assert process.returncode == 0
    assert said == [str(number) for number in range(3, 3 + writes)]
    assert rounds > 1, "the two did not meet"
    rows = stored(lake).filter(pl.col("date") < date(2026, 1, 1))
    assert rows["amount"].unique().to_list() == [2 + writes]
    assert rows.height == 30 * lake_writer.ROWS_A_DAY
    other = stored(lake).filter(pl.col("date") >= date(2026, 1, 1))
    assert other.height == rounds


def put_other(lake: Lake, number: int) -> None:
    """Write a day of a month that the other process does not touch."""
    day = date(2026, 1, 1) + timedelta(days=number)
    rows = lake_writer.rows(0, 1).head(1).with_columns(date=pl.lit(day))
    lake.replace("acme", "orders", rows, shape=SHAPE, days=[day], source="shopify_api", run_id="o", now=NOW)


@pytest.mark.parametrize(
    "name",
    ["acme/orders/_delta_log/00000000000000000009.json#1", "acme/orders/month=2025-01/part-0.parquet#2",
     "_reports/acme/.dq_monitoring.json.x1_bcd9z"],
)  # fmt: skip
def test_what_a_kill_left_half_written_goes_when_it_is_old(tmp_path: Path, name: str) -> None:
    """An object store does not list its own halves of files, so no vacuum finds them: a kill a night, and they stay for ever."""
    lake = Lake(str(tmp_path))
    put(lake, DAYS[0])
    rows = stored(lake)
    half = tmp_path / name
    half.parent.mkdir(parents=True, exist_ok=True)
    half.write_text("{")
    list(tidy_lake(lake, NOW))
    assert half.exists(), "someone may be writing it"
    list(tidy_lake(lake, NOW + timedelta(days=31)))
    assert not half.exists()
    assert stored(lake).equals(rows)
