"""Normals: the calendar, the harmonics, and what is missing."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from weathervane_assets.transforms.calendar import day_slot
from weathervane_assets.transforms.normals import MIN_YEARS, NORMALS_SCHEMA, base_period, normals
from weathervane_resources.tenants import FEWEST_BASE_YEARS, Tenant

ACME = Tenant("acme", "Acme", "America/New_York", "USD", date(2024, 1, 1))
TEMPERATURES = ("temp_mean_c", "temp_sd_c", "temp_p10_c", "temp_p90_c")


def wave(k: int, slot: int) -> float:
    """A pure sinusoid of k periods a year, mean 10, amplitude 8."""
    return 10 + 8 * math.cos(2 * math.pi * k * (slot - 0.5) / 366 + 0.7)


def history(first: int, last: int, value: Callable[[date, int], float | None], cell: str = "u33d8") -> pl.DataFrame:
    """Return whole years of one cell; `value` gets the day and its slot."""
    days = pl.DataFrame({"date": pl.date_range(date(first, 1, 1), date(last, 12, 31), eager=True)})
    slots = days.select(day_slot(pl.col("date")))["date"].to_list()
    temp = [value(day, slot) for day, slot in zip(days["date"].to_list(), slots, strict=True)]
    return days.select(
        pl.lit(cell).alias("geohash"),
        "date",
        pl.Series("temp_c", temp, dtype=pl.Float64),
        (pl.Series(temp, dtype=pl.Float64) + 5).alias("temp_max_c"),
        (pl.Series(temp, dtype=pl.Float64) - 5).alias("temp_min_c"),
        pl.lit(2.0).alias("precip_mm"),
    )


def fitted(frame: pl.DataFrame, column: str = "temp_mean_c") -> np.ndarray:
    return normals(frame).sort("day_of_year")[column].cast(pl.Float64).to_numpy()


def expected(k: int) -> np.ndarray:
    return np.array([wave(k, slot) for slot in range(1, 367)])


def test_the_base_period_ends_before_the_year_it_is_used_in() -> None:
    """trap 3: the normal was built from the target window: the anomaly of each day was measured against itself."""
    assert base_period(ACME, 2025) == (date(2015, 1, 1), date(2024, 12, 31))
    assert base_period(replace(ACME, climatology_years=1), 2025) == (date(2024, 1, 1), date(2024, 12, 31))
    for year in range(1990, 2030):
        first, last = base_period(replace(ACME, climatology_years=7), year)
        assert last < date(year, 1, 1)
        assert last - first >= timedelta(days=7 * 365)


@pytest.mark.parametrize("years", [(1991, 2020), (2018, 2020), (1941, 2020)])
def test_a_fixed_base_period_serves_only_the_years_after_it(years: tuple[int, int]) -> None:
    """The normals of 2015 from 1991-2020 hold 2015 itself, and five years that nobody knew then."""
    fixed = replace(ACME, climatology_base=years)
    for year in (2021, 2026, 2050):
        assert base_period(fixed, year) == (date(years[0], 1, 1), date(2020, 12, 31))
    for year in (1985, 1991, 2015, 2019, 2020):
        assert base_period(fixed, year) == base_period(ACME, year) == (date(year - 10, 1, 1), date(year - 1, 12, 31))


def test_a_fixed_base_period_cannot_be_too_short_for_normals() -> None:
    """A period of two years was taken, and every anomaly was null."""
    assert FEWEST_BASE_YEARS == MIN_YEARS


def test_there_are_366_slots_and_february_29_is_the_sixtieth() -> None:
    """Numbered by ordinal day, every day after February had two normals' worth of days mixed by one."""
    found = normals(history(2019, 2024, lambda day, _: 40.0 if (day.month, day.day) == (3, 1) else 10.0))
    assert found.schema == NORMALS_SCHEMA
    assert found["day_of_year"].to_list() == list(range(1, 367))
    # +-15 days about slot 61 hold the hot day, whether or not the year has a February 29
    hot = found.filter(pl.col("temp_p90_c") != found["temp_p90_c"][200])
    assert hot.is_empty()
    precipitation = history(2019, 2024, lambda *_: 10.0).with_columns(
        precip_mm=pl.when(pl.col("date").dt.month().eq(3) & pl.col("date").dt.day().eq(1)).then(31.0).otherwise(0.0)
    )
    wet = normals(precipitation).filter(pl.col("precip_mean_mm") > 0)["day_of_year"].to_list()
    assert wet == list(range(61 - 15, 61 + 16))


def test_february_29_has_a_normal_also_without_one_in_the_base_period() -> None:
    """Three years without a leap day left slot 60 empty, and 29 February 2024 without anomaly."""
    found = normals(history(2021, 2023, lambda _, slot: wave(1, slot))).filter(pl.col("day_of_year") == 60)
    assert found.select(TEMPERATURES).null_count().sum_horizontal().item() == 0
    assert found["temp_mean_c"].item() == pytest.approx(wave(1, 60), abs=1e-6)


@pytest.mark.parametrize("k", [1, 2])
def test_two_harmonics_find_a_pure_wave_from_three_years(k: int) -> None:
    """Raw means of 3 values a day jump by 2 degrees from one day to the next."""
    frame = history(2021, 2023, lambda _, slot: wave(k, slot))
    assert np.allclose(fitted(frame), expected(k), atol=1e-6)
    assert np.allclose(fitted(frame, "temp_sd_c"), 0, atol=1e-6)


def test_a_third_harmonic_is_fitted_from_ten_years_on_and_not_before() -> None:
    """With few years the third harmonic fits the noise (measured: 1.09 against 1.00 degrees at 3 years)."""
    nine = history(2015, 2023, lambda _, slot: wave(3, slot))
    ten = history(2014, 2023, lambda _, slot: wave(3, slot))
    assert np.allclose(fitted(nine), 10, atol=0.1)
    assert np.allclose(fitted(ten), expected(3), atol=1e-6)


def test_below_three_years_there_is_no_normal_but_there_is_a_row() -> None:
    """Two years are an anecdote; a normal made of them turned every day into an anomaly."""
    found = normals(history(2022, 2023, lambda _, slot: wave(1, slot)))
    assert found.height == 366
    values = found.drop("geohash", "day_of_year", "years")
    assert values.null_count().row(0) == (366,) * len(values.columns)
    assert found["years"].unique().to_list() == [2]


def test_a_year_counts_only_if_it_is_nearly_whole() -> None:
    """A cell whose archive begins in December had a 'third year' of one month."""
    frame = history(2021, 2023, lambda _, slot: wave(1, slot))
    partial = frame.filter((pl.col("date").dt.year() != 2021) | (pl.col("date").dt.month() == 12))
    found = normals(partial)
    assert found["years"].unique().to_list() == [2]
    assert found["temp_mean_c"].null_count() == 366


@pytest.mark.parametrize(("days", "years"), [(330, 3), (329, 0)])
def test_a_year_of_330_days_counts_and_one_of_329_does_not(days: int, years: int) -> None:
    """An archive that lacked five weeks of each year left its places without any normal, or with one of the gaps."""
    frame = history(2021, 2023, lambda _, slot: wave(1, slot))
    found = normals(frame.filter(pl.col("date").dt.ordinal_day() <= days))
    assert found["years"].unique().to_list() == [years]
    assert found["temp_mean_c"].null_count() == (0 if years else 366)


@pytest.mark.parametrize(("days", "is_known"), [(16, True), (15, False)])
def test_half_a_window_of_rain_in_three_years_is_enough(days: int, is_known: bool) -> None:
    """A gauge that ran for every second day was no gauge; one that ran for a week made the normal of the month."""
    slot = day_slot(pl.col("date"))
    there = slot.is_between(200 - 15, 200 - 15 + days - 1)
    frame = history(2021, 2023, lambda _, slot: wave(1, slot)).with_columns(
        precip_mm=pl.when(there).then("precip_mm"), temp_max_c=pl.when(there).then("temp_max_c")
    )
    found = normals(frame).filter(pl.col("day_of_year") == 200)
    assert found.select("precip_mean_mm", "precip_sd_mm", "temp_p90_c").null_count().row(0) == (3 * (not is_known,))
    assert found["years"].item() == 3


def test_days_that_are_missing_are_not_days_of_zero_degrees() -> None:
    """A gap in the archive read as 0 degrees pulled January up and July down."""
    whole = history(2019, 2023, lambda _, slot: wave(1, slot))
    some_null = history(2019, 2023, lambda day, slot: None if day.day == 3 else wave(1, slot))
    some_gone = some_null.drop_nulls("temp_c")
    assert np.allclose(fitted(some_null), fitted(whole), atol=1e-6)
    assert np.allclose(fitted(some_gone), fitted(whole), atol=1e-6)


def test_an_uneven_number_of_days_is_weighted_as_days_not_as_means() -> None:
    """Least squares on the mean of each day of the year is not least squares on the days."""
    frame = history(2019, 2023, lambda day, slot: wave(1, slot) + 3 * (day.year == 2019)).filter(
        (pl.col("date").dt.year() != 2019) | (pl.col("date").dt.month() < 12)
    )
    slot = frame.select(day_slot(pl.col("date")))["date"].to_numpy()
    angle = 2 * np.pi * (slot - 0.5) / 366
    design = np.column_stack([np.ones(len(slot)), *(f(k * angle) for k in (1, 2) for f in (np.cos, np.sin))])
    by_day, *_ = np.linalg.lstsq(design, frame["temp_c"].to_numpy(), rcond=None)
    all_angles = 2 * np.pi * (np.arange(366) + 0.5) / 366
    wanted = np.column_stack([np.ones(366), *(f(k * all_angles) for k in (1, 2) for f in (np.cos, np.sin))]) @ by_day
    assert np.allclose(fitted(frame), wanted, atol=1e-9)


def test_the_order_of_rows_and_other_cells_do_not_matter() -> None:
    """Sorted by day of year, the fit of one cell took in its neighbour's days."""
    berlin = history(2019, 2023, lambda day, slot: wave(1, slot) + day.toordinal() % 7)
    boston = history(2020, 2023, lambda _, slot: wave(2, slot) - 20, cell="drt2y")
    together = pl.concat([boston, berlin]).sample(fraction=1.0, shuffle=True, seed=3)
    assert normals(together).equals(pl.concat([normals(boston), normals(berlin)]))


def test_a_variable_the_archive_never_had_is_null_and_the_others_are_there() -> None:
    """One absent variable took the whole cell's normals with it."""
    frame = history(2019, 2023, lambda _, slot: wave(1, slot)).with_columns(precip_mm=pl.lit(None, pl.Float64))
    found = normals(frame)
    assert found["precip_mean_mm"].null_count() == found["precip_sd_mm"].null_count() == 366
    assert found.select(TEMPERATURES).null_count().row(0) == (0, 0, 0, 0)


def test_each_variable_needs_its_own_three_years() -> None:
    """Ten years of temperatures and one of rain: the normal of rain was one year's, and said that it was of ten."""
    one_year = pl.when(pl.col("date").dt.year() == 2023)
    frame = history(2014, 2023, lambda _, slot: wave(1, slot)).with_columns(
        one_year.then("precip_mm").alias("precip_mm"), one_year.then("temp_max_c").alias("temp_max_c")
    )
    found = normals(frame)
    assert found["years"].unique().to_list() == [10]
    nulls = {
        name: found[name].null_count() for name in NORMALS_SCHEMA if name not in ("geohash", "day_of_year", "years")
    }
    unknown = {"precip_mean_mm", "precip_sd_mm", "temp_p90_c"}
    assert nulls == {name: 366 if name in unknown else 0 for name in nulls}


def test_a_season_a_variable_never_had_is_null_only_there_and_warns_nobody() -> None:
    """A rain gauge closed every winter: the mean of nothing is no number, and not a page of warnings either."""
    frame = history(2019, 2023, lambda _, slot: wave(1, slot)).with_columns(
        precip_mm=pl.when(pl.col("date").dt.month().is_in([6, 7, 8, 9])).then(2.0),
        temp_max_c=pl.when(pl.col("date").dt.month().is_in([6, 7, 8, 9])).then("temp_max_c"),
    )
    found = normals(frame)
    assert found.filter(pl.col("day_of_year") == 200).select("precip_mean_mm", "temp_p90_c").null_count().row(0) == (
        0,
        0,
    )
    january = found.filter(pl.col("day_of_year") == 15).select("precip_mean_mm", "precip_sd_mm", "temp_p90_c")
    assert january.row(0) == (None, None, None)


def test_the_percentiles_are_of_extremes_within_fifteen_days_and_wrap_over_new_year() -> None:
    """A window cut off at December 31 gave January 1 half a window, and jumps of its own."""
    frame = history(2019, 2023, lambda _, slot: wave(1, slot))
    found = normals(frame).filter(pl.col("day_of_year") == 1)
    window = [wave(1, (slot - 1) % 366 + 1) for slot in range(1 - 15, 1 + 16)]
    near = sorted(value for value in window for _ in range(5))
    assert found["temp_p90_c"].item() == pytest.approx(np.percentile(near, 90) + 5, abs=0.2)
    assert found["temp_p10_c"].item() == pytest.approx(np.percentile(near, 10) - 5, abs=0.2)


def test_no_history_is_a_frame_with_the_schema() -> None:
    """A tenant without located orders has no cells."""
    assert normals(history(2019, 2019, lambda *_: 1.0).clear()).schema == NORMALS_SCHEMA
