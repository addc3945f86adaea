"""The fast method equals the plain one, on whatever is missing."""

from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from tests.assets.transforms.naive_weather import naive_derived, naive_normals
from weathervane_assets.tables import WEATHER_VALUES
from weathervane_assets.transforms import normals as fast
from weathervane_assets.transforms.normals import normals
from weathervane_assets.transforms.weather import FlagLimits, describe_days

EXACT = {"check_exact": False, "abs_tol": 1e-9, "rel_tol": 0}


def history(seed: int, cells: int, first: int, last: int, missing: float) -> pl.DataFrame:
    """Return whole years of rough weather: dry spells, ties (one decimal), days gone, single values null."""
    rng = np.random.default_rng(seed)
    days = pl.date_range(date(first, 1, 1), date(last, 12, 31), eager=True)
    frames = []
    for cell in range(cells):
        season = -10 * np.cos(2 * np.pi * np.arange(len(days)) / 365.25)
        frame = pl.DataFrame({"date": days}).with_columns(
            pl.Series(name, np.round(season + rng.normal(10, 5, len(days)), 1)) for name in WEATHER_VALUES
        )
        rain = np.where(rng.random(len(days)) < 0.3, rng.gamma(1, 4, len(days)), 0.0) * (season > 0)
        frame = frame.with_columns(pl.Series("precip_mm", rain), geohash=pl.lit(f"u33d{cell}"))
        frame = frame.filter(pl.Series(rng.random(len(days)) >= missing * (cell % 2)))
        holes = {name: pl.Series(rng.random(frame.height) < missing / 2) for name in WEATHER_VALUES}
        frames.append(frame.with_columns(pl.when(~hole).then(name).alias(name) for name, hole in holes.items()))
    return pl.concat(frames)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([2, 3, 5, 10, 11]), st.sampled_from([0.0, 0.02, 0.3]))
def test_normals_equal_the_plain_method(seed: int, years: int, missing: float) -> None:
    """A faster percentile that counts missing days, or sums that cancel, would move every anomaly a little."""
    frame = history(seed, 3, 2025 - years, 2024, missing)
    assert_frame_equal(normals(frame), naive_normals(frame), **EXACT)


def test_a_window_that_is_always_dry_has_no_deviation_at_all() -> None:
    """Mean of squares minus square of the mean: 3e-8 mm of rain in the desert."""
    frame = history(1, 1, 2015, 2024, 0.0).with_columns(
        precip_mm=pl.when(pl.col("date").dt.month().is_in([6, 7, 8])).then(0.1).otherwise(7.3)
    )
    found = normals(frame).filter(pl.col("day_of_year").is_between(175, 220))
    assert found["precip_sd_mm"].max() == pytest.approx(0, abs=1e-12)


def test_cells_are_computed_in_groups_that_do_not_touch(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last cell of a group took its neighbour's years for its own."""
    early, late = history(1, 4, 2010, 2016, 0.1), history(2, 3, 2015, 2024, 0.1)
    frame = pl.concat([early, late.with_columns(geohash="z" + pl.col("geohash").str.tail(4))])
    whole = normals(frame)
    monkeypatch.setattr(fast, "CELLS_AT_ONCE", 2)
    assert_frame_equal(normals(frame), whole, **EXACT)
    assert_frame_equal(whole, naive_normals(frame), **EXACT)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.1, 0.5]))
def test_days_equal_the_plain_method(seed: int, missing: float) -> None:
    """A shift takes the row before for yesterday; only where it is yesterday may it be taken."""
    frame = history(seed, 3, 2023, 2024, missing).with_columns(
        observation_type=pl.lit("observed"), source_model=pl.lit("era5_seamless"), source=pl.lit("open_meteo"),
        as_of_utc=datetime(2025, 1, 1, tzinfo=UTC),
    )  # fmt: skip
    usual = (
        frame.select("geohash").unique().join(pl.DataFrame({"year": [2024]}, schema={"year": pl.Int32}), how="cross")
    )
    usual = usual.join(pl.DataFrame({"day_of_year": range(1, 367)}, schema={"day_of_year": pl.Int16}), how="cross")
    usual = usual.with_columns(temp_mean_c=10.0, precip_mean_mm=1.0, temp_p90_c=11.0)
    cells = frame.select("geohash").unique().with_columns(timezone=pl.lit("UTC"), lst_offset_hours=pl.lit(0, pl.Int8))
    limits = FlagLimits(heat_min_c=12.0)
    active = frame.select("date", "geohash")
    found = describe_days(frame.sample(fraction=1.0, shuffle=True, seed=seed), usual, active, cells, limits)
    expected = naive_derived(frame, usual, limits)
    assert_frame_equal(found.select(expected.columns).sort("geohash", "date"), expected, **EXACT)
    assert found["heatwave_flag"].sum() > 0
