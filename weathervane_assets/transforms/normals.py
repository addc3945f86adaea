"""Normals: what a cell's weather is on a calendar day, from whole years before the year they are used in.

Method (docs/weather.md): means by harmonics fitted to the daily sums of each slot (K=3 from 10 years on, K=2 below),
precipitation and percentiles by a window of +-15 days wrapped over the year's end, nothing below 3 years. The standard
deviation is taken about the fitted mean. Fitting slot sums equals ordinary least squares on the daily values, since
the regressors depend on the slot only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date

import numpy as np
import numpy.typing as npt
import polars as pl

from weathervane_assets.transforms.calendar import day_slot

SLOTS = 366
HALF_WINDOW = 15
MIN_YEARS = 3
FULL_HARMONIC_YEARS = 10
MIN_DAYS_OF_YEAR = 330
"""A year counts towards `years` if it has at least this many days."""

Array = npt.NDArray[np.float64]

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


def base_period(year: int, years: int) -> tuple[date, date]:
    """Return first and last day of the `years` whole years before `year`."""
    return date(year - years, 1, 1), date(year - 1, 12, 31)


def normals(history: pl.DataFrame) -> pl.DataFrame:
    """Return 366 rows a cell of `NORMALS_SCHEMA`.

    `history`: `geohash`, `date` (one row each), `temp_c`, `temp_max_c`, `temp_min_c`, `precip_mm`, observed only.
    """
    slotted = history.with_columns(day_slot(pl.col("date")).alias("_slot"), pl.col("date").dt.year().alias("_year"))
    frames = [
        _cell_normals(str(cell), rows)
        for (cell,), rows in slotted.sort("geohash", "date").group_by("geohash", maintain_order=True)
    ]
    return pl.concat(frames) if frames else pl.DataFrame(schema=NORMALS_SCHEMA)


def _cell_normals(cell: str, rows: pl.DataFrame) -> pl.DataFrame:
    columns = ("temp_c", "temp_max_c", "temp_min_c", "precip_mm")
    mean, highest, lowest, precip = _by_slot_and_year(rows, columns)
    years = int((np.isfinite(mean).sum(axis=0) >= MIN_DAYS_OF_YEAR).sum())
    nothing = np.full(SLOTS, np.nan)
    out = dict.fromkeys(
        ("temp_mean_c", "temp_sd_c", "temp_p10_c", "temp_p90_c", "precip_mean_mm", "precip_sd_mm"), nothing
    )
    if years >= MIN_YEARS:
        harmonics = 3 if years >= FULL_HARMONIC_YEARS else 2
        out["temp_mean_c"], out["temp_sd_c"] = _harmonic_fit(mean, harmonics)
        out["temp_p10_c"] = _window(lowest, lambda sample: np.nanpercentile(sample, 10, axis=1))
        out["temp_p90_c"] = _window(highest, lambda sample: np.nanpercentile(sample, 90, axis=1))
        out["precip_mean_mm"] = _window(precip, lambda sample: np.nanmean(sample, axis=1))
        out["precip_sd_mm"] = _window(precip, lambda sample: np.nanstd(sample, axis=1))
    return pl.DataFrame(
        {"geohash": [cell] * SLOTS, "day_of_year": np.arange(1, SLOTS + 1), **out, "years": [years] * SLOTS},
        schema_overrides=NORMALS_SCHEMA,
        nan_to_null=True,
    )


def _by_slot_and_year(rows: pl.DataFrame, columns: tuple[str, ...]) -> Iterator[Array]:
    """Yield each column as an array (366 slots, years), NaN where there is no value."""
    years = rows["_year"].to_numpy()
    slot = rows["_slot"].to_numpy().astype(np.int64) - 1
    for name in columns:
        table = np.full((SLOTS, int(years.max() - years.min()) + 1), np.nan)
        table[slot, years - years.min()] = rows[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
        yield table


def _harmonic_fit(values: Array, harmonics: int) -> tuple[Array, Array]:
    """Return the fitted mean and the standard deviation about it, one of each a slot."""
    angle = 2 * np.pi * (np.arange(SLOTS) + 0.5) / SLOTS
    waves = [wave(k * angle) for k in range(1, harmonics + 1) for wave in (np.cos, np.sin)]
    design = np.column_stack([np.ones(SLOTS), *waves])
    count = np.isfinite(values).sum(axis=1)
    total = np.nansum(values, axis=1)
    root = np.sqrt(count)
    target = np.divide(total, root, out=np.zeros(SLOTS), where=count > 0)
    coefficients, *_ = np.linalg.lstsq(design * root[:, None], target, rcond=None)
    fitted = design @ coefficients
    squares = np.nansum((values - fitted[:, None]) ** 2, axis=1)
    pooled_squares, pooled_count = _pool(squares), _pool(count.astype(np.float64))
    return fitted, np.sqrt(np.divide(pooled_squares, pooled_count, out=np.full(SLOTS, np.nan), where=pooled_count > 0))


def _neighbours() -> npt.NDArray[np.int64]:
    """Return for each slot the indices of the slots within the window, wrapped over the year's end."""
    return (np.arange(SLOTS)[:, None] + np.arange(-HALF_WINDOW, HALF_WINDOW + 1)[None, :]) % SLOTS


def _pool(by_slot: Array) -> Array:
    pooled: Array = by_slot[_neighbours()].sum(axis=1)
    return pooled


def _window(values: Array, statistic: Callable[[Array], Array]) -> Array:
    """Apply `statistic` to all values within +-15 days of each slot; NaN where there is none in reach."""
    sample = values[_neighbours()].reshape(SLOTS, -1)
    is_known = np.isfinite(sample).any(axis=1)
    result = np.full(SLOTS, np.nan)
    if is_known.any():
        result[is_known] = statistic(sample[is_known])
    return result
