"""Bringing real tables back: the rows of then, a ledger that agrees, and nothing half done after a crash."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable

from tests.resources.lake_rows import Killed
from weathervane_resources.lake import Lake, LakeError, Shape, StubWouldReplaceLive, VendorCount
from weathervane_resources.lake_care import tidy_lake
from weathervane_resources.lake_history import History
from weathervane_resources.lake_restore import Restoration, plan_restore, restore

SCHEMA = pl.Schema(
    {
        "date": pl.Date(),
        "row_key": pl.String(),
        "amount": pl.Decimal(18, 4),
        "source": pl.String(),
        "as_of_utc": pl.Datetime("us", "UTC"),
    }
)
SHAPE = Shape(SCHEMA, ("row_key",))
MON, TUE, WED, THU = (date(2025, 3, 31) + timedelta(days=n) for n in range(4))
T0 = datetime(2025, 6, 1, 8, tzinfo=UTC)
NOTED = ["date", "row_count", "source", "run_id", "written_at_utc", "expected_rows", "expected_days", "flag_limits"]
Day = tuple[date, dict[str, str]]


@pytest.fixture
def local(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


def put(lake: Lake, night: int, *days: Day, source: str = "shopify_api", dataset: str = "orders") -> int:
    """Write days (day, amount by key) as the run of night `night` does; return the version."""
    at = T0 + timedelta(days=night)
    rows = [(day, key, Decimal(amount), source, at) for day, kept in days for key, amount in kept.items()]
    counted = VendorCount({day: len(kept) for day, kept in days})
    return lake.replace(
        "acme", dataset, pl.DataFrame(rows, schema=SCHEMA, orient="row"), shape=SHAPE, days=[day for day, _ in days],
        source=source, run_id=f"night-{night}", now=at, vendor_count=counted,
    ).version  # fmt: skip


def history_of(lake: Lake) -> History:
    return History(lake, "acme", "orders", SHAPE)


def bring_back(lake: Lake, version: int) -> tuple[Restoration, int]:
    plan = plan_restore(history_of(lake), version)
    return plan, restore(history_of(lake), plan)


def stored(lake: Lake) -> pl.DataFrame:
    return lake.scan("acme", "orders", SHAPE).collect().sort("date", "row_key")


def at_version(lake: Lake, version: int) -> pl.DataFrame:
    return pl.read_delta(lake.uri("acme", "orders"), version=version).select(SCHEMA.names()).sort("date", "row_key")


def ledger(lake: Lake, columns: Sequence[str] = NOTED) -> pl.DataFrame:
    return lake.ledger("acme", "orders").select(columns).sort("date")


def assert_consistent(lake: Lake) -> None:
    """Each day of the table has one row in the ledger, with its count, and of the version that wrote it."""
    counts = dict(stored(lake).group_by("date").len().iter_rows())
    noted = lake.ledger("acme", "orders")
    assert not noted["date"].is_duplicated().any()
    assert {day: count for day, count in noted.select("date", "row_count").iter_rows() if count} == counts
    assert noted["table_version"].max() <= lake.version("acme", "orders")
    for row in noted.iter_rows(named=True):
        assert at_version(lake, row["table_version"]).filter(pl.col("date") == row["date"]).height == row["row_count"]


def three_nights(lake: Lake) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Write two good nights and a bad one; return rows and ledger as they were before the bad one (version 1)."""
    put(lake, 0, (MON, {"a": "1", "b": "2"}), (TUE, {"c": "3"}))
    put(lake, 1, (TUE, {"c": "3", "d": "4"}), (WED, {}))
    put(lake, 1, (MON, {"x": "9"}), dataset="promos")
    good = stored(lake), ledger(lake)
    put(lake, 2, (MON, {"a": "1"}), (TUE, {"c": "33", "d": "4"}), (WED, {"e": "5"}), (THU, {"f": "6"}))
    return good


def test_rows_and_ledger_are_again_what_they_were_and_history_stays(lake: Lake) -> None:
    """Delta's own restore takes the ledger's word for days that it no longer has: counts and freshness were of rows gone."""
    rows, noted = three_nights(lake)
    bad, promos = stored(lake), lake.ledger("acme", "promos")
    plan, version = bring_back(lake, 1)
    assert (plan.current, plan.rows_now, plan.rows_then, version) == (2, 5, 4, 3)
    assert plan.days.select("date", "previous_row_count", "row_count", "new_rows", "updated_rows", "removed_rows").rows() == [
        (MON, 1, 2, 1, 0, 0), (TUE, 2, 2, 0, 1, 0), (WED, 1, 0, 0, 0, 1), (THU, 1, 0, 0, 0, 1)
    ]  # fmt: skip
    assert stored(lake).equals(rows)
    assert ledger(lake).equals(noted)
    assert lake.ledger("acme", "orders")["table_version"].to_list() == [3, 3, 3]
    assert lake.ledger("acme", "promos").equals(promos)
    assert_consistent(lake)
    assert at_version(lake, 2).equals(bad)
    assert plan_restore(history_of(lake), 1).is_empty


def test_a_restore_can_be_taken_back(local: Lake) -> None:
    """The wrong version was brought back: what stood before it, and what was known of it, must come back as well."""
    three_nights(local)
    rows, noted = stored(local), ledger(local)
    bring_back(local, 1)
    assert not ledger(local).equals(noted)
    bring_back(local, 2)
    assert stored(local).equals(rows)
    assert ledger(local).equals(noted)
    assert_consistent(local)


def test_a_point_in_time_read_gives_the_same_before_and_after(local: Lake) -> None:
    """Rows brought back as if learnt today were unknown to every decision before today."""
    three_nights(local)
    versions = [at_version(local, version) for version in range(3)]
    bring_back(local, 0)
    assert all(at_version(local, version).equals(rows) for version, rows in enumerate(versions))
    assert stored(local).equals(versions[0])
    assert stored(local)["as_of_utc"].unique().to_list() == [T0]


def test_days_that_say_the_same_keep_what_was_noted_since(local: Lake) -> None:
    """A day confirmed by last night's read was called stale again, though nothing of it had changed."""
    put(local, 0, (MON, {"a": "1"}), (TUE, {"c": "3"}))
    put(local, 1, (MON, {"a": "1"}), (TUE, {"c": "4"}))
    plan, _ = bring_back(local, 0)
    assert plan.days["date"].to_list() == [TUE]
    assert ledger(local, ["date", "run_id"]).rows() == [(MON, "night-1"), (TUE, "night-0")]
    assert_consistent(local)


def test_a_day_that_had_not_been_read_is_one_that_was_not_read(local: Lake) -> None:
    """A ledger row of zero rows says that the day was read and empty: the matrix would take it for a day without sales."""
    put(local, 0, (MON, {"a": "1"}), (TUE, {}))
    put(local, 1, (TUE, {"c": "3"}), (WED, {"e": "5"}))
    bring_back(local, 0)
    assert ledger(local, ["date", "row_count"]).rows() == [(MON, 1), (TUE, 0)]


def test_compaction_between_changes_nothing(local: Lake) -> None:
    """Every file is another after `weathervane optimize`: days compared by their files would all differ."""
    rows, noted = three_nights(local)
    list(tidy_lake(local, datetime.now(UTC)))
    plan, _ = bring_back(local, 1)
    assert plan.days["date"].to_list() == [MON, TUE, WED, THU]
    assert stored(local).equals(rows)
    assert ledger(local).equals(noted)
    list(tidy_lake(local, datetime.now(UTC)))
    assert_consistent(local)


@pytest.mark.parametrize("version", [3, 99])
def test_a_version_that_never_was_is_refused(local: Lake, version: int) -> None:
    """A typing error brought back the newest version that the reader could find."""
    three_nights(local)
    with pytest.raises(LakeError, match=rf"^the table acme/orders has no version {version}; choose one of 0 to 2$"):
        plan_restore(history_of(local), version)
    with pytest.raises(LakeError, match=r"^the lake has no table kiwi/orders; run its backfill first$"):
        plan_restore(History(local, "kiwi", "orders", SHAPE), 0)


def test_a_version_whose_files_are_gone_is_refused_and_nothing_is_written(lake: Lake) -> None:
    """The log still knew the version, its files were vacuumed: half of the days came back empty."""
    three_nights(lake)
    DeltaTable(lake.uri("acme", "orders")).vacuum(0, dry_run=False, enforce_retention_duration=False)
    before, noted, version = stored(lake), lake.ledger("acme"), lake.version("acme", "orders")
    with pytest.raises(
        LakeError, match=r"^version 0 of .*acme/orders cannot be read any more .*choose a later version"
    ):
        plan_restore(history_of(lake), 0)
    assert stored(lake).equals(before)
    assert lake.ledger("acme").equals(noted)
    assert lake.version("acme", "orders") == version


def test_a_version_that_the_log_dropped_is_refused(local: Lake) -> None:
    """What the weekly care took from the log was reported as a damaged table."""
    three_nights(local)
    DeltaTable(local.uri("acme", "orders")).create_checkpoint()
    (Path(local.root) / "acme/orders/_delta_log/00000000000000000000.json").unlink()
    with pytest.raises(LakeError, match=r"^version 0 of the table acme/orders cannot be read any more"):
        plan_restore(history_of(local), 0)
    assert bring_back(local, 2)[0].is_empty


def test_made_up_rows_do_not_replace_a_vendors(local: Lake) -> None:
    """The version before the credentials were set holds stub rows; brought back, they stood among real ones."""
    put(local, 0, (MON, {"s": "1"}), source="stub")
    put(local, 1, (MON, {"a": "1"}))
    plan = plan_restore(history_of(local), 0)
    with pytest.raises(StubWouldReplaceLive, match="nothing was written"):
        restore(history_of(local), plan)
    assert local.version("acme", "orders") == 1


@pytest.mark.parametrize("lake", ["folder", pytest.param("bucket", marks=pytest.mark.slow)], indirect=True)
def test_a_crash_before_the_ledgers_commit_heals_on_rerun(lake: Lake, tmp_path: Path) -> None:
    """The rows were back, the ledger told of the bad night, and a second restore found nothing to do."""
    rows, _ = three_nights(lake)
    plan = plan_restore(history_of(lake), 1)
    with pytest.raises(KeyboardInterrupt):
        restore(history_of(Killed(lake.root)), plan)
    assert stored(lake).equals(rows)
    rerun = plan_restore(history_of(lake), 1)
    assert (rerun.days.height, rerun.unnoted, rerun.is_empty) == (0, (3,), False)
    assert "interrupted" in next(rerun.lines())
    assert restore(history_of(lake), rerun) == 3
    undisturbed = Lake(str(tmp_path / "undisturbed"))
    three_nights(undisturbed)
    bring_back(undisturbed, 1)
    assert lake.ledger("acme", "orders").sort("date").equals(undisturbed.ledger("acme", "orders").sort("date"))
    assert plan_restore(history_of(lake), 1).is_empty
    assert_consistent(lake)


def test_a_night_that_comes_before_the_rerun_keeps_its_notes(local: Lake) -> None:
    """Healed a day later, the ledger's newest days were put back under it."""
    three_nights(local)
    with pytest.raises(KeyboardInterrupt):
        restore(history_of(Killed(local.root)), plan_restore(history_of(local), 1))
    put(local, 3, (WED, {"e": "7"}))
    plan, _ = bring_back(local, 4)
    assert plan.unnoted == (3,)
    assert ledger(local, ["date", "run_id", "table_version"]).rows() == [
        (MON, "night-0", 3), (TUE, "night-1", 3), (WED, "night-3", 4)
    ]  # fmt: skip
    assert_consistent(local)


def test_a_process_killed_at_that_moment_heals_too(local: Lake) -> None:
    """An exception unwinds; kill -9 does not."""
    three_nights(local)
    program = (
        "import os, sys; from tests.resources import test_lake_restore as t\n"
        "t.Lake.note = lambda *a, **k: os._exit(9)\n"
        "t.bring_back(t.Lake(sys.argv[1]), 1)"
    )
    died = subprocess.run([sys.executable, "-c", program, local.root], check=False, cwd=Path(__file__).parents[2])
    assert died.returncode == 9
    assert bring_back(local, 1)[0].unnoted == (3,)
    assert_consistent(local)


def test_days_noted_late_are_found(local: Lake) -> None:
    """Two runs wrote versions 0 and 1 and noted them the other way round: version 0's days were not known at version 0."""
    put(local, 0, (MON, {"a": "1"}))
    first = local.ledger("acme", "orders")
    shutil.rmtree(local.uri("acme", "_ledger"))
    put(local, 1, (TUE, {"b": "1"}))
    local.note("acme", "orders", first, days=[MON], version=0)
    put(local, 2, (MON, {"a": "2"}), (TUE, {"b": "2"}))
    bring_back(local, 0)
    assert ledger(local, ["date", "run_id"]).rows() == [(MON, "night-0")]


def test_where_the_ledger_of_that_time_is_gone_rows_speak_for_themselves(local: Lake) -> None:
    """Days without a ledger row are not in the matrix; refusing the restore would leave the bad rows in."""
    put(local, 0, (MON, {"a": "1"}), (TUE, {}))
    shutil.rmtree(local.uri("acme", "_ledger"))
    put(local, 1, (MON, {"a": "2"}), (TUE, {"b": "1"}))
    bring_back(local, 0)
    assert ledger(local, ["date", "row_count", "source", "run_id", "written_at_utc"]).rows() == [
        (MON, 1, "shopify_api", "restore", T0)
    ]  # fmt: skip


def test_a_column_that_came_since_is_null_in_rows_brought_back(local: Lake) -> None:
    """Version 0 has no `channel`; the table of today cannot lose it again."""
    put(local, 0, (MON, {"a": "1"}))
    newer = Shape(pl.Schema({**SCHEMA, "channel": pl.String()}), ("row_key",), optional=frozenset({"channel"}))
    rows = stored(local).with_columns(amount=pl.lit(Decimal(2), pl.Decimal(18, 4)), channel=pl.lit("web"))
    local.replace("acme", "orders", rows, shape=newer, days=[MON], source="shopify_api", run_id="r", now=T0)
    history = History(local, "acme", "orders", newer)
    restore(history, plan_restore(history, 0))
    found = local.scan("acme", "orders", newer).collect()
    assert found.select("amount", "channel").rows() == [(Decimal(1), None)]
