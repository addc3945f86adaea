"""The lake against real Delta tables: one commit a window, and counts that add up."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.resources.lake_rows import MON, MONEY, SCHEMA, SHAPE, T0, TUE, WED, Killed, Row, frame, put, stored
from weathervane_resources.lake import Lake, LakeError, Shape, StubWouldReplaceLive


def test_a_window_is_replaced_in_one_commit_and_the_days_around_it_stay(lake: Lake) -> None:
    """A day written as delete-then-append shows readers an empty day between the two commits."""
    put(lake, frame((MON, "a", "1"), (TUE, "b", "2"), (WED, "c", "3")), [MON, TUE, WED])
    before = lake.version("acme", "orders")
    written = put(lake, frame((TUE, "b", "5"), (TUE, "d", "6")), [TUE])
    assert before is not None
    assert written.version == before + 1
    assert stored(lake).select("date", "row_key", "amount").rows() == [
        (MON, "a", Decimal(1)), (TUE, "b", Decimal(5)), (TUE, "d", Decimal(6)), (WED, "c", Decimal(3)),
    ]  # fmt: skip
    assert stored(lake, [WED])["row_key"].to_list() == ["c"]


def test_writing_the_same_rows_again_changes_nothing_not_even_when_they_were_learnt(lake: Lake) -> None:
    """A retry that gives unchanged rows a new as_of_utc makes old knowledge look new: point-in-time joins lose it."""
    rows: list[Row] = [(MON, "a", "1.10"), (TUE, "b", "2.20")]
    put(lake, frame(*rows), [MON, TUE])
    first = stored(lake)
    again = put(lake, frame(*rows, at=T0 + timedelta(days=3)), [MON, TUE], now=T0 + timedelta(days=3))
    assert stored(lake).equals(first)
    assert again.days.select("row_count", "new_rows", "updated_rows", "removed_rows").rows() == [(1, 0, 0, 0)] * 2


def test_a_changed_row_is_learnt_anew_and_its_neighbours_keep_their_time(lake: Lake) -> None:
    """Restated by the vendor: only the row that says something else was learnt now."""
    later = T0 + timedelta(days=1)
    put(lake, frame((MON, "a", "1"), (MON, "b", "2")), [MON])
    put(lake, frame((MON, "a", "1"), (MON, "b", "3"), at=later), [MON], now=later)
    assert stored(lake).select("row_key", "as_of_utc").rows() == [("a", T0), ("b", later)]


def test_new_updated_and_removed_rows_are_counted_for_each_day(lake: Lake) -> None:
    """A day that lost one row and gained one looked unchanged by its row count."""
    put(lake, frame((MON, "a", "1"), (MON, "b", "2"), (MON, "c", "3"), (TUE, "d", "4")), [MON, TUE])
    written = put(lake, frame((MON, "a", "1"), (MON, "b", "9"), (MON, "x", "5"), (MON, "y", "6")), [MON, TUE])
    counts = written.days.sort("date").select(
        "date", "row_count", "previous_row_count", "new_rows", "updated_rows", "removed_rows"
    )
    assert counts.rows() == [(MON, 4, 3, 2, 1, 1), (TUE, 0, 1, 0, 0, 1)]


def test_a_key_with_null_in_it_is_the_same_key_next_time(lake: Lake) -> None:
    """Google rows have no ad set: compared by SQL's null rule each one counted as removed and as new, every night."""
    put(lake, frame((MON, "a", "1"), part=None), [MON])
    written = put(lake, frame((MON, "a", "2"), part=None), [MON])
    assert written.days.select("new_rows", "updated_rows", "removed_rows").rows() == [(0, 1, 0)]


def test_a_key_that_stands_twice_is_counted_as_the_rows_it_is(lake: Lake) -> None:
    """Duplicates met each other in a join and squared: three rows in the table, five in the ledger."""
    twice = frame((MON, "a", "1"), (MON, "a", "1"), (MON, "b", "1"))
    put(lake, twice, [MON])
    written = put(lake, twice, [MON])
    counts = written.days.select("row_count", "previous_row_count", "new_rows", "updated_rows", "removed_rows")
    assert counts.rows() == [(3, 3, 0, 0, 0)]
    assert stored(lake).height == 3


def test_a_table_of_an_older_contract_is_named_with_what_it_lacks(lake: Lake) -> None:
    """A column was added, and every read failed with a query plan in place of a message."""
    put(lake, frame((MON, "a", "1")), [MON])
    newer = Shape(pl.Schema({**SCHEMA, "channel": pl.String()}), SHAPE.keys)
    with pytest.raises(LakeError, match=r"^the table acme/orders lacks channel: .*run its backfill again$"):
        lake.scan("acme", "orders", newer)


def test_days_that_are_not_a_range_leave_the_days_between_alone(lake: Lake) -> None:
    """A backfill of Monday and Wednesday written as `between` wipes Tuesday."""
    put(lake, frame((MON, "a", "1"), (TUE, "b", "2"), (WED, "c", "3")), [MON, TUE, WED])
    put(lake, frame((MON, "a", "7")), [WED, MON])
    assert stored(lake).select("row_key", "amount").rows() == [("a", Decimal(7)), ("b", Decimal(2))]
    assert stored(lake, [MON, WED])["row_key"].to_list() == ["a"]


def test_an_empty_day_keeps_the_schema_and_is_in_the_ledger_with_zero_rows(lake: Lake) -> None:
    """An empty frame without columns crashed the next join, and a day never written looked like a day without orders."""
    put(lake, pl.DataFrame(schema=SCHEMA), [MON, TUE])
    assert stored(lake).schema == SCHEMA
    assert stored(lake).is_empty()
    assert lake.ledger("acme", "orders").sort("date").select("date", "row_count", "source").rows() == [
        (MON, 0, "shopify_api"), (TUE, 0, "shopify_api"),
    ]  # fmt: skip
    assert lake.ledger("acme", "ads").is_empty()


def test_a_table_that_was_never_written_reads_as_empty_with_its_schema(lake: Lake) -> None:
    """The first run of a tenant reads tables that nobody has made yet."""
    assert stored(lake).schema == SCHEMA
    assert lake.version("acme", "orders") is None
    assert lake.ledger("acme").is_empty()


def test_the_ledger_says_who_wrote_what_and_holds_one_row_a_day(lake: Lake) -> None:
    """Two ledger rows for one day, and the row-count check compares a day with itself."""
    put(lake, frame((MON, "a", "1")), [MON], run_id="first")
    put(lake, frame((MON, "a", "1"), (MON, "b", "1")), [MON], run_id="second", now=T0 + timedelta(hours=1))
    lake.replace(
        "acme", "promos", frame((MON, "p", "1")), shape=SHAPE, days=[MON], source="klaviyo_api", run_id="third", now=T0
    )
    rows = (
        lake.ledger("acme")
        .sort("dataset")
        .select("dataset", "row_count", "previous_row_count", "source", "run_id", "table_version")
    )
    assert rows.rows() == [("orders", 2, 1, "shopify_api", "second", 1), ("promos", 1, 0, "klaviyo_api", "third", 0)]


@pytest.mark.parametrize("source", ["stub", "not_configured"])
def test_invented_or_missing_data_never_replaces_live_rows(lake: Lake, source: str) -> None:
    """A token expired, the run fell back to sample data, and the sample order stood in the real lake."""
    put(lake, frame((MON, "a", "1"), (TUE, "b", "2")), [MON, TUE])
    rows = frame((TUE, "fake", "99"), source="stub") if source == "stub" else pl.DataFrame(schema=SCHEMA)
    before, version, ledger = stored(lake), lake.version("acme", "orders"), lake.ledger("acme")
    with pytest.raises(StubWouldReplaceLive, match=r"1 rows from a vendor would be replaced.*nothing was written"):
        put(lake, rows, [TUE, WED], source=source)
    assert stored(lake).equals(before)
    assert lake.version("acme", "orders") == version
    assert lake.ledger("acme").equals(ledger)


def test_stub_rows_may_be_written_where_no_live_row_is_and_live_rows_may_replace_them(lake: Lake) -> None:
    """The demo becomes the real thing on the day the credentials are set."""
    put(lake, frame((MON, "a", "1")), [MON])
    put(lake, frame((TUE, "s", "1"), source="stub"), [TUE], source="stub")
    put(lake, frame((TUE, "live", "1")), [TUE])
    assert stored(lake)["source"].to_list() == ["shopify_api", "shopify_api"]
    counts = lake.ledger("acme").sort("date").select("row_count", "previous_row_count")
    assert counts.rows() == [(1, 0), (1, 0)], "a made-up count is none to fall from"


@pytest.mark.parametrize(
    ("spoil", "names"),
    [
        (lambda f: f.drop("amount"), "amount"),
        (lambda f: f.with_columns(email=pl.lit("jane@example.com")), "email"),
        (lambda f: f.with_columns(pl.col("amount").cast(pl.Float64)), "amount"),
        (lambda f: f.select(sorted(f.columns)), "column order"),
    ],
    ids=["a column less", "a column more", "another type", "another order"],
)
def test_a_frame_of_another_shape_is_refused(
    lake: Lake, spoil: Callable[[pl.DataFrame], pl.DataFrame], names: str
) -> None:
    """A float for money, or an e-mail column, reached the disk because the table took its schema from the frame."""
    with pytest.raises(LakeError, match=f"does not have the contract's columns: {names}; mend"):
        put(lake, spoil(frame((MON, "a", "1"))), [MON])
    assert lake.version("acme", "orders") is None


@pytest.mark.parametrize("stray", [WED, None])
def test_a_row_outside_the_window_is_refused(lake: Lake, stray: date | None) -> None:
    """A row of another day would be appended by every run, since no run's predicate removes it."""
    rows = frame((MON, "a", "1"), (MON, "b", "1")).with_columns(
        date=pl.when(pl.col("row_key") == "b").then(pl.lit(stray, pl.Date)).otherwise("date")
    )
    with pytest.raises(LakeError, match="1 rows fall outside the window 2025-03-31 to 2025-04-01"):
        put(lake, rows, [MON, TUE])
    assert lake.version("acme", "orders") is None


def test_tenants_and_lakes_do_not_see_each_other(lake: Lake) -> None:
    """One tenant's table is another folder, so no filter can be forgotten."""
    put(lake, frame((MON, "a", "1")), [MON])
    assert lake.scan("other", "orders", SHAPE).collect().is_empty()
    assert lake.ledger("other").is_empty()


OPERATION = st.tuples(
    st.sets(st.integers(0, 5), min_size=1),
    st.lists(st.tuples(st.integers(0, 5), st.sampled_from("abc"), st.integers(0, 3)), max_size=8),
)


@settings(max_examples=12, deadline=None)
@given(st.lists(OPERATION, min_size=1, max_size=4))
def test_any_sequence_of_replacements_ends_as_a_dictionary_would(
    operations: list[tuple[set[int], list[tuple[int, str, int]]]],
) -> None:
    """Whatever the order of backfills, holes and reruns: a day holds what was last written for it, and the counts agree."""
    days = [date(2025, 1, 29) + timedelta(days=n) for n in range(6)]
    model: dict[date, dict[str, Decimal]] = {}
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(folder)
        for step, (indices, drawn) in enumerate(operations):
            chosen = {days[n] for n in indices}
            fresh: dict[date, dict[str, Decimal]] = {day: {} for day in chosen}
            for n, key, amount in drawn:
                if days[n] in chosen:
                    fresh[days[n]][key] = Decimal(amount)
            rows = frame(*((day, key, str(amount)) for day, kept in fresh.items() for key, amount in kept.items()))
            written = put(lake, rows, sorted(chosen), now=T0 + timedelta(hours=step))
            for row in written.days.iter_rows(named=True):
                old, new = model.get(row["date"], {}), fresh[row["date"]]
                assert row["row_count"] == len(new)
                assert row["previous_row_count"] == len(old)
                assert row["new_rows"] == len(new.keys() - old.keys())
                assert row["removed_rows"] == len(old.keys() - new.keys())
                assert row["updated_rows"] == sum(old[key] != new[key] for key in old.keys() & new.keys())
            model |= fresh
        expected = sorted((day, key, amount) for day, kept in model.items() for key, amount in kept.items())
        assert stored(lake).select("date", "row_key", "amount").rows() == expected
        ledger = lake.ledger("acme", "orders")
        assert dict(ledger.select("date", "row_count").iter_rows()) == {day: len(kept) for day, kept in model.items()}
        assert ledger["date"].is_duplicated().sum() == 0


SECRET = "jane.doe@example.com"


def test_error_messages_say_which_table_and_never_quote_a_row(tmp_path: Path, lake: Lake) -> None:
    """A parser's error carried the line it failed on into the event log: names and addresses of customers."""
    rows = frame((MON, SECRET, "1"))
    messages = []
    for attempt in (
        lambda: put(lake, rows.with_columns(extra=pl.lit(SECRET)), [MON]),
        lambda: put(lake, rows, [TUE]),
        lambda: put(Lake(str(tmp_path / "file")), rows, [MON]),
    ):
        (tmp_path / "file").write_text("in the way")
        with pytest.raises(LakeError) as caught:
            attempt()
        messages.append(str(caught.value))
    put(lake, rows, [MON])
    lake.files.write(
        "acme/orders/_delta_log/00000000000000000001.json", f'{{"add": {{"path": "{SECRET}", "size": broken\n'
    )
    for attempt in (lambda: put(lake, rows, [MON]), lambda: stored(lake)):
        with pytest.raises(LakeError) as caught:
            attempt()
        messages.append(str(caught.value))
    assert all(SECRET not in message and "\n" not in message for message in messages), messages
    assert "acme/orders" in messages[-1]


def test_a_lake_that_cannot_be_written_says_which_variable_to_set(tmp_path: Path) -> None:
    """Found at the first commit, an hour into the run."""
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(LakeError, match=r"cannot be written .* set WEATHERVANE_LAKE"):
        Lake(str(tmp_path / "file")).check_usable()
    Lake(str(tmp_path / "fine")).check_usable()
    assert list((tmp_path / "fine").iterdir()) == []


def test_the_tables_open_in_duckdb_and_polars_without_weathervane(lake: Lake) -> None:
    """The lake belongs to its readers: whoever needs our code to read it does not own the data."""
    put(lake, frame((MON, "a", "1.25"), (TUE, "b", "2.50")), [MON, TUE])
    put(lake, frame((TUE, "c", "4.0001")), [TUE])
    orders = DeltaTable(lake.uri("acme", "orders")).to_pyarrow_dataset()
    with duckdb.connect() as connection:
        connection.register("orders", orders)
        found = connection.sql("select month, row_key, amount from orders order by row_key").fetchall()
    assert found == [("2025-03", "a", Decimal("1.2500")), ("2025-04", "c", Decimal("4.0001"))]
    opened = pl.read_delta(lake.uri("acme", "orders"))
    assert opened["amount"].dtype == MONEY
    assert opened["amount"].sum() == Decimal("5.2501")


def test_the_version_before_a_replacement_can_still_be_read(lake: Lake) -> None:
    """'Which revenue did the model see last Tuesday?' has an answer only if versions stay."""
    first = put(lake, frame((MON, "a", "1")), [MON])
    put(lake, frame((MON, "a", "2")), [MON])
    assert pl.read_delta(first.uri, version=first.version)["amount"].to_list() == [Decimal(1)]


def test_what_a_table_holds_is_counted_without_opening_a_file_of_rows(tmp_path: Path) -> None:
    """The report of places read ten years of orders every night, to say one ratio."""
    lake = Lake(str(tmp_path / "lake"))
    assert lake.filled("acme", "orders", "part") == (0, 0)
    put(lake, frame((MON, "a", "1"), (MON, "b", "2"), part="x"), [MON])
    put(lake, frame((TUE, "c", "1"), (WED, "d", "2")), [TUE, WED])
    put(lake, frame((MON, "a", "1"), part="x"), [MON])
    assert lake.filled("acme", "orders", "part") == (3, 1)
    for file in Path(lake.uri("acme", "orders")).rglob("*.parquet"):
        file.unlink()
    assert lake.filled("acme", "orders", "part") == (3, 1)
    with pytest.raises(LakeError, match="acme/orders lacks city"):
        lake.filled("acme", "orders", "city")


def test_a_table_whose_log_has_no_statistics_is_counted_by_its_rows(tmp_path: Path) -> None:
    """Another tool wrote the table and left out what it found needless; nothing is not zero."""
    lake = Lake(str(tmp_path / "lake"))
    rows = frame((MON, "a", "1"), (TUE, "b", "2"), part="x")
    bare = {"delta.dataSkippingNumIndexedCols": "0"}
    write_deltalake(lake.uri("acme", "orders"), rows, configuration=bare)
    assert "null_count.part" not in pl.DataFrame(DeltaTable(lake.uri("acme", "orders")).get_add_actions(flatten=True))
    assert lake.filled("acme", "orders", "part") == (2, 2)


def test_opening_a_table_reads_a_checkpoint_and_at_most_ten_commits(tmp_path: Path) -> None:
    """A night opens a hundred tables; with a checkpoint every hundred commits each of them replayed sixty."""
    lake = Lake(str(tmp_path / "lake"))
    for night in range(23):
        put(lake, frame((MON, f"n{night}", "1"), part="x"), [MON])
    log = Path(lake.uri("acme", "orders")) / "_delta_log"
    newest = max(int(file.name.split(".")[0]) for file in log.glob("*.checkpoint*.parquet"))
    assert 0 <= 22 - newest <= 10
    assert lake.filled("acme", "orders", "part") == (1, 1)
    assert "null_count.part" in pl.DataFrame(DeltaTable(str(log.parent)).get_add_actions(flatten=True)).columns


def test_a_run_killed_before_its_notes_hides_no_drop_from_the_next(lake: Lake) -> None:
    """The table held the fall already, so the rerun noted "as many as before" and the check said nothing."""
    put(lake, frame((MON, "a", "1"), (MON, "b", "2"), (TUE, "c", "3")), [MON, TUE])
    fallen = frame((MON, "a", "1"), (TUE, "c", "3"))
    with pytest.raises(KeyboardInterrupt):
        put(Killed(lake.root), fallen, [MON, TUE])
    days = put(lake, fallen, [MON, TUE]).days.sort("date")
    assert days.select("date", "row_count", "previous_row_count").rows() == [(MON, 1, 2), (TUE, 1, 1)]
    again = put(lake, fallen, [MON, TUE]).days
    assert again["previous_row_count"].to_list() == [1, 1]
