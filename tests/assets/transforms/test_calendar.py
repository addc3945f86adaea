"""Slots of the year and active cells."""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from weathervane_assets.transforms.calendar import active_cells, day_frame, day_slot, history_start

DAY = date(2025, 3, 1)
SCHEMA = {"date": pl.Date, "geohash": pl.String}


def visits(*rows: tuple[date, str | None]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def slots(*days: date) -> list[int]:
    return pl.DataFrame({"date": days}).select(day_slot(pl.col("date")))["date"].to_list()


def test_march_first_is_slot_61_in_leap_years_and_others() -> None:
    """The ordinal day shifts March to December by one in leap years: normals of another day."""
    assert slots(date(2024, 2, 28), date(2024, 2, 29), date(2024, 3, 1)) == [59, 60, 61]
    assert slots(date(2025, 2, 28), date(2025, 3, 1), date(2025, 12, 31)) == [59, 61, 366]
    assert slots(date(2024, 12, 31), date(1900, 1, 1)) == [366, 1]


def test_days_are_distinct_and_in_order() -> None:
    """Partition keys of a range arrive unordered."""
    assert day_frame([DAY, date(2024, 1, 1), DAY])["date"].to_list() == [date(2024, 1, 1), DAY]
    assert day_frame([]).schema == {"date": pl.Date}


def test_a_cell_stays_active_for_365_days_counting_its_own() -> None:
    """Without days of zero orders a model never learns that rain keeps people from buying."""
    last = DAY + timedelta(days=364)
    found = active_cells(visits((DAY, "u33d8")), [DAY, last, last + timedelta(days=1)])
    assert found.rows() == [(DAY, "u33d8", True), (last, "u33d8", False)]


def test_a_cell_is_not_active_before_its_first_order() -> None:
    """A cell in the matrix the day before its first order tells the model that an order is coming."""
    assert active_cells(visits((DAY, "u33d8")), [DAY - timedelta(days=1)]).is_empty()


def test_a_cell_that_comes_back_after_a_year_starts_again() -> None:
    """It is in the matrix only because of that day's order, so that day says nothing about weather."""
    again = DAY + timedelta(days=365)
    found = active_cells(visits((DAY, "a"), (again, "a"), (DAY, "b"), (again - timedelta(days=1), "b")), [again])
    assert found.rows() == [(again, "a", True), (again, "b", False)]


def test_many_orders_of_one_day_are_one_row_and_unlocated_ones_none() -> None:
    """Two orders to one cell doubled its row, and with it the day's weather and revenue."""
    assert active_cells(visits((DAY, "a"), (DAY, "a"), (DAY, None)), [DAY]).height == 1


def test_nothing_in_gives_nothing_out_with_the_columns() -> None:
    """A tenant's first day has no orders, and the join after it still needs columns."""
    for found in (active_cells(visits(), [DAY]), active_cells(visits((DAY, "a")), [])):
        assert found.schema == {"date": pl.Date, "geohash": pl.String, "is_first_order_day": pl.Boolean}
        assert found.is_empty()


VISITS = st.lists(st.tuples(st.integers(0, 900), st.sampled_from(["a", "b", "c", None])), max_size=12)
ASKED = st.sets(st.integers(0, 950), min_size=1, max_size=8)
ORIGIN = date(2023, 1, 1)


def naive(visited: list[tuple[int, str | None]], days: set[int]) -> list[tuple[date, str, bool]]:
    """Say it once more, day by day."""
    found = []
    for day in sorted(days):
        for cell in sorted({c for _, c in visited if c}):
            mine = {n for n, c in visited if c == cell}
            if any(n in mine for n in range(day - 364, day + 1)):
                is_first = not any(n in mine for n in range(day - 364, day))
                found.append((ORIGIN + timedelta(days=day), cell, is_first))
    return found


@settings(max_examples=80, deadline=None)
@given(VISITS, ASKED)
def test_active_cells_are_what_a_count_by_hand_says(visited: list[tuple[int, str | None]], days: set[int]) -> None:
    """The as-of join and the 365-day rule, against a loop over days."""
    frame = visits(*((ORIGIN + timedelta(days=n), cell) for n, cell in visited))
    found = active_cells(frame, [ORIGIN + timedelta(days=n) for n in days])
    assert found.rows() == naive(visited, days)


@settings(max_examples=40, deadline=None)
@given(VISITS, st.integers(0, 900), st.permutations(range(12)))
def test_orders_after_a_day_change_nothing_about_it(
    visited: list[tuple[int, str | None]], day: int, order: list[int]
) -> None:
    """The choice of cells must not look ahead, and the order of rows must not matter."""
    asked = [ORIGIN + timedelta(days=day)]
    frame = visits(*((ORIGIN + timedelta(days=n), cell) for n, cell in visited))
    shuffled = frame[[n for n in order if n < frame.height]]
    known = frame.filter(pl.col("date") <= asked[0])
    assert active_cells(shuffled, asked).equals(active_cells(known, asked))


@settings(max_examples=40, deadline=None)
@given(VISITS, st.integers(400, 900))
def test_the_history_read_is_enough(visited: list[tuple[int, str | None]], day: int) -> None:
    """Orders before `history_start` are not read: they must not matter."""
    asked = [ORIGIN + timedelta(days=day)]
    frame = visits(*((ORIGIN + timedelta(days=n), cell) for n, cell in visited))
    read = frame.filter(pl.col("date") >= history_start(asked[0]))
    assert active_cells(read, asked).equals(active_cells(frame, asked))
