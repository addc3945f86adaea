"""Normals: what a cell's weather is on a calendar day, from whole years before the year they are used in.

Method (docs/weather.md): means by harmonics fitted to the daily sums of each slot (K=3 from 10 years on, K=2 below),
precipitation and percentiles by a window of +-15 days wrapped over the year's end, nothing below 3 years. The standard
deviation is taken about the fitted mean. Fitting slot sums equals ordinary least squares on the daily values, since
the regressors depend on the slot only.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from functools import partial
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl
from weathervane_resources.tenants import Tenant

from weathervane_assets.transforms.calendar import SLOTS, day_slot, in_calendar_order

HALF_WINDOW = 15
MIN_YEARS = 3
FULL_HARMONIC_YEARS = 10
MIN_DAYS_OF_YEAR = 330
"""A year counts towards `years` if it has at least this many days."""
MIN_DAYS_OF_WINDOW = HALF_WINDOW + 1
"""And a year's window of 31 days, for a variable that ends before the temperature, if it has more than half of them."""

READ = ("temp_c", "temp_max_c", "temp_min_c", "precip_mm")
CELLS_AT_ONCE = 25
"""Cells whose arrays are in memory at once, for each thread."""
THREADS = min(4, os.cpu_count() or 1)

Array = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]
Ranks = npt.NDArray[np.signedinteger[Any]]
Number = TypeVar("Number", bound=np.number[Any])

NORMALS_SCHEMA = pl.Schema(
    {
        "geohash": pl.String,
        "day_of_year": pl.Int16,
        "temp_mean_c": pl.Float64,
        "temp_sd_c": pl.Float64,
        "temp_p10_c": pl.Float64,
        "temp_p90_c": pl.Float64,
        "precip_mean_mm": pl.Float64,
        "precip_sd_mm": pl.Float64,
        "years": pl.Int16,
    }
)


def base_period(tenant: Tenant, year: int) -> tuple[date, date]:
    """Return first and last day of the whole years, all before `year`, that its normals come from.

    The tenant's fixed period serves the years after it only. A year within or before it would be part of its own normals, or
    know later ones: it has the `climatology_years` before it, as all years of a tenant without a fixed period.
    """
    fixed = tenant.climatology_base
    first, last = fixed if fixed and fixed[1] < year else (year - tenant.climatology_years, year - 1)
    return date(first, 1, 1), date(last, 12, 31)


def normals(history: pl.DataFrame) -> pl.DataFrame:
    """Return 366 rows a cell of `NORMALS_SCHEMA`.

    `history`: `geohash`, `date` (one row each), `temp_c`, `temp_max_c`, `temp_min_c`, `precip_mm`, observed only.
    """
    days = in_calendar_order(history.select("geohash", "date", *READ))
    cells = days["geohash"].unique(maintain_order=True)
    if cells.is_empty():
        return pl.DataFrame(schema=NORMALS_SCHEMA)
    groups = [cells.slice(first, CELLS_AT_ONCE) for first in range(0, len(cells), CELLS_AT_ONCE)]
    with ThreadPoolExecutor(THREADS) as pool:  # numpy lets go of the interpreter while it sorts and adds
        return pl.concat(list(pool.map(partial(_normals_of, days), groups)))


def _normals_of(days: pl.DataFrame, cells: pl.Series) -> pl.DataFrame:
    """Return the normals of a few cells, all in one set of arrays."""
    first = days["geohash"].search_sorted(cells[0], side="left")
    last = days["geohash"].search_sorted(cells[-1], side="right")
    mine = days.slice(first, last - first)
    mean, highest, lowest, precip = _by_slot_and_year(mine)
    years = (np.isfinite(mean).sum(axis=1) >= MIN_DAYS_OF_YEAR).sum(axis=1)
    is_enough = years[:, None] >= MIN_YEARS
    temp_mean, temp_sd = _harmonic_fit(mean, np.where(years >= FULL_HARMONIC_YEARS, 3, 2))
    precip_mean, precip_sd = _window_moments(precip)
    is_rain_known = is_enough & _has_enough_years(precip)
    found = {
        "temp_mean_c": (temp_mean, is_enough),
        "temp_sd_c": (temp_sd, is_enough),
        "temp_p10_c": (_window_percentiles(lowest, 0.1), is_enough & _has_enough_years(lowest)),
        "temp_p90_c": (_window_percentiles(highest, 0.9), is_enough & _has_enough_years(highest)),
        "precip_mean_mm": (precip_mean, is_rain_known),
        "precip_sd_mm": (precip_sd, is_rain_known),
    }
    values = {name: np.where(is_known, value, np.nan) for name, (value, is_known) in found.items()}
    return pl.DataFrame(
        {
            "geohash": cells.gather(np.repeat(np.arange(len(cells)), SLOTS)),
            "day_of_year": np.tile(np.arange(1, SLOTS + 1), len(cells)),
            **{name: value.ravel() for name, value in values.items()},
            "years": np.repeat(years, SLOTS),
        },
        schema_overrides=NORMALS_SCHEMA,
        nan_to_null=True,
    )


def _has_enough_years(values: Array) -> npt.NDArray[np.bool_]:
    """Return where (cells, slots) the window of at least `MIN_YEARS` years has values."""
    there = np.isfinite(values).astype(np.int8)
    in_window = _windows(there).sum(axis=-1, dtype=np.int16)
    return np.asarray((in_window >= MIN_DAYS_OF_WINDOW).sum(axis=2) >= MIN_YEARS)


def _by_slot_and_year(days: pl.DataFrame) -> list[Array]:
    """Return each column of `READ` as an array (cells, 366 slots, years), NaN where there is no value."""
    first, last = days.select(pl.col("date").min().alias("first"), pl.col("date").max().alias("last")).row(0)
    width = last.year - first.year + 1
    calendar = pl.DataFrame({"date": pl.date_range(first, last, eager=True)})
    slot, year = day_slot(pl.col("date")).cast(pl.Int64) - 1, pl.col("date").dt.year() - first.year
    place_in_cell = calendar.select(slot * width + year)["date"].to_numpy()
    cell = days.select(pl.col("geohash").rle_id().cast(pl.Int64))["geohash"].to_numpy()
    place = cell * (SLOTS * width) + place_in_cell[(days["date"] - first).dt.total_days().to_numpy()]
    shape = (days["geohash"].n_unique(), SLOTS, width)
    tables = []
    for name in READ:
        table = np.full(shape, np.nan)
        table.reshape(-1)[place] = days[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()
        tables.append(table)
    return tables


def _design(harmonics: int) -> Array:
    angle = 2 * np.pi * (np.arange(SLOTS) + 0.5) / SLOTS
    waves = [wave(k * angle) for k in range(1, harmonics + 1) for wave in (np.cos, np.sin)]
    design: Array = np.column_stack([np.ones(SLOTS), *waves])
    return design


def _harmonic_fit(values: Array, harmonics: Whole) -> tuple[Array, Array]:
    """Return the fitted mean and the standard deviation about it (cells, slots); NaN for a cell without values.

    `harmonics`: how many each cell gets.
    """
    count = np.isfinite(values).sum(axis=2).astype(np.float64)
    total = np.nansum(values, axis=2)
    fitted = np.full(count.shape, np.nan)
    for k in np.unique(harmonics):
        these = np.flatnonzero((harmonics == k) & (count.sum(axis=1) > 0))
        design = _design(int(k))
        root = np.sqrt(count[these])[:, :, None]
        # the pseudo-inverse of the weighted design: least squares also where a season is missing
        target = np.divide(total[these, :, None], root, out=np.zeros(root.shape), where=root > 0)
        fitted[these] = (design @ (np.linalg.pinv(design * root) @ target))[:, :, 0]
    squares = np.nansum((values - fitted[:, :, None]) ** 2, axis=2)
    return fitted, np.sqrt(_ratio(_window_sum(squares), _window_sum(count)))


def _ratio(total: Array, count: Array) -> Array:
    ratio: Array = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return ratio


def _windows(values: npt.NDArray[Number]) -> npt.NDArray[Number]:
    """Return a view with the slots within +-15 days of each slot as its last axis, wrapped over the year's end."""
    wrapped = np.concatenate([values[:, -HALF_WINDOW:], values, values[:, :HALF_WINDOW]], axis=1)
    return np.lib.stride_tricks.sliding_window_view(wrapped, 2 * HALF_WINDOW + 1, axis=1)


def _flat_windows(by_slot_and_year: Ranks, years: int) -> Ranks:
    """Return a view (cells, slots, values of the window): those of neighbouring slots stand side by side."""
    reach = HALF_WINDOW * years
    wrapped = np.concatenate([by_slot_and_year[:, -reach:], by_slot_and_year, by_slot_and_year[:, :reach]], axis=1)
    return np.lib.stride_tricks.sliding_window_view(wrapped, 2 * reach + years, axis=1)[:, ::years]


def _window_sum(by_slot: npt.NDArray[Number]) -> npt.NDArray[Number]:
    total: npt.NDArray[Number] = _windows(by_slot).sum(axis=-1)
    return total


def _window_moments(values: Array) -> tuple[Array, Array]:
    """Return mean and standard deviation of all values in each window.

    From the slots' own sums and squares about their own means: nothing cancels, so that a dry season is exactly 0.
    """
    count = np.isfinite(values).sum(axis=2).astype(np.float64)
    total = np.nansum(values, axis=2)
    slot_mean = np.divide(total, count, out=np.zeros(count.shape), where=count > 0)
    within = np.nansum((values - slot_mean[:, :, None]) ** 2, axis=2)
    pooled = _window_sum(count)
    mean = _ratio(_window_sum(total), pooled)
    between = (_windows(count) * (_windows(slot_mean) - mean[:, :, None]) ** 2).sum(axis=-1)
    return mean, np.sqrt(_ratio(_window_sum(within) + between, pooled))


def _window_percentiles(values: Array, share: float) -> Array:
    """Return the percentile `share` of all values in each window, as numpy's `linear` method has it.

    Ranks are sorted in place of the values: as 16-bit integers that is several times as fast. NaN ranks last.
    """
    known = _window_sum(np.isfinite(values).sum(axis=2))
    ranks, ascending = _ranks(values.reshape(len(values), -1))
    ordered = np.sort(_flat_windows(ranks, values.shape[2]), axis=2)
    at = share * np.maximum(known - 1, 0)
    below = at.astype(np.intp)
    low, high = (
        np.take_along_axis(ascending, np.take_along_axis(ordered, place[:, :, None], axis=2)[:, :, 0], axis=1)
        for place in (below, np.minimum(below + 1, np.maximum(known - 1, 0)))
    )
    found: Array = np.where(known > 0, low + (at - below) * (high - low), np.nan)
    return found


def _ranks(values: Array) -> tuple[Ranks, Array]:
    """Return the rank of each value among those of its row, and the rows in ascending order."""
    order = np.argsort(np.where(np.isnan(values), np.inf, values), axis=1)  # twice as fast as with NaN
    kind = np.int16 if values.shape[1] <= np.iinfo(np.int16).max else np.int32
    ranks: Ranks = np.empty(values.shape, kind)
    np.put_along_axis(ranks, order, np.arange(values.shape[1], dtype=kind)[None, :], axis=1)
    return ranks, np.take_along_axis(values, order, axis=1)
