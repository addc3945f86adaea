"""The weather method said plainly and slowly: what the fast one in `weathervane_assets.transforms` must equal."""

from __future__ import annotations

import warnings

import numpy as np
import polars as pl

from weathervane_assets.transforms.calendar import day_slot
from weathervane_assets.transforms.normals import (
    FULL_HARMONIC_YEARS,
    HALF_WINDOW,
    MIN_DAYS_OF_YEAR,
    MIN_YEARS,
    NORMALS_SCHEMA,
    SLOTS,
)
from weathervane_assets.transforms.weather import LAGGED, FlagLimits

NEIGHBOURS = (np.arange(SLOTS)[:, None] + np.arange(-HALF_WINDOW, HALF_WINDOW + 1)[None, :]) % SLOTS


def naive_normals(history: pl.DataFrame) -> pl.DataFrame:
    """Cell by cell: all values of each window gathered, least squares on every single day."""
    frames = [one_cell(cell, rows) for (cell,), rows in history.sort("geohash", "date").group_by("geohash", maintain_order=True)]  # fmt: skip
    return pl.concat(frames) if frames else pl.DataFrame(schema=NORMALS_SCHEMA)


def one_cell(cell: object, rows: pl.DataFrame) -> pl.DataFrame:
    slot = rows.select(day_slot(pl.col("date")))["date"].to_numpy() - 1
    year = rows["date"].dt.year().to_numpy()
    tables = {}
    for name in ("temp_c", "temp_max_c", "temp_min_c", "precip_mm"):
        tables[name] = np.full((SLOTS, int(np.ptp(year)) + 1), np.nan)
        tables[name][slot, year - year.min()] = rows[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
    mean = tables["temp_c"]
    years = int((np.isfinite(mean).sum(axis=0) >= MIN_DAYS_OF_YEAR).sum())
    found = dict.fromkeys(name for name in NORMALS_SCHEMA if name.startswith(("temp", "precip")))
    if years >= MIN_YEARS:
        fitted = fit(mean, 3 if years >= FULL_HARMONIC_YEARS else 2)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # the mean of nothing
            found["temp_mean_c"] = fitted
            found["temp_sd_c"] = np.sqrt(np.nanmean(window((mean - fitted[:, None]) ** 2), axis=1))
            low, high, wet = (known_windows(tables[name]) for name in ("temp_min_c", "temp_max_c", "precip_mm"))
            found["temp_p10_c"] = np.nanpercentile(low, 10, axis=1)
            found["temp_p90_c"] = np.nanpercentile(high, 90, axis=1)
            found["precip_mean_mm"] = np.nanmean(wet, axis=1)
            found["precip_sd_mm"] = np.nanstd(wet, axis=1)
    shared = {"geohash": [str(cell)] * SLOTS, "day_of_year": np.arange(1, SLOTS + 1), "years": [years] * SLOTS}
    nothing = np.full(SLOTS, np.nan)
    values = {name: nothing if value is None else value for name, value in found.items()}
    return pl.DataFrame(shared | values, schema_overrides=NORMALS_SCHEMA, nan_to_null=True).select(
        NORMALS_SCHEMA.names()
    )


def fit(values: np.ndarray, harmonics: int) -> np.ndarray:
    slot, _ = np.nonzero(np.isfinite(values))
    design = np.column_stack(
        [np.ones(SLOTS)]
        + [
            f(2 * np.pi * k * (np.arange(SLOTS) + 0.5) / SLOTS)
            for k in range(1, harmonics + 1)
            for f in (np.cos, np.sin)
        ]
    )
    coefficients, *_ = np.linalg.lstsq(design[slot], values[np.isfinite(values)], rcond=None)
    return design @ coefficients


def window(values: np.ndarray) -> np.ndarray:
    return values[NEIGHBOURS].reshape(SLOTS, -1)


def known_windows(values: np.ndarray) -> np.ndarray:
    """Return the windows, without those of a slot of which fewer than three years have more than half of the days."""
    by_year = np.isfinite(values[NEIGHBOURS]).sum(axis=1)
    return np.where(((by_year > HALF_WINDOW).sum(axis=1) >= MIN_YEARS)[:, None], window(values), np.nan)


def naive_derived(values: pl.DataFrame, normals: pl.DataFrame, limits: FlagLimits) -> pl.DataFrame:
    """Lags and heatwave by joining the table with itself, rolling means by polars' calendar windows."""
    frame = values.sort("geohash", "date").with_columns(
        day_slot(pl.col("date")).cast(pl.Int16).alias("day_of_year"), pl.col("date").dt.year().alias("year")
    )
    frame = frame.join(normals, on=["geohash", "year", "day_of_year"], how="left", validate="m:1")
    for name, rolled in {"temp_c": "temp_roll7", "precip_mm": "precip_roll7"}.items():
        mean = pl.col(name).rolling_mean_by("date", window_size="7d", min_samples=5, closed="left")
        frame = frame.with_columns(mean.over("geohash").alias(rolled))
    hot = (pl.col("temp_max_c") > pl.col("temp_p90_c")) & (pl.col("temp_max_c") >= limits.heat_min_c)
    frame = frame.with_columns(hot.alias("_hot"))
    yesterday = {lag: pl.col(name) for name, lag in LAGGED.items()}
    for days, columns in ((1, yesterday | {"_hot1": pl.col("_hot")}), (2, {"_hot2": pl.col("_hot")})):
        then = frame.select("geohash", pl.col("date").dt.offset_by(f"{days}d"), **columns)
        frame = frame.join(then, on=["geohash", "date"], how="left", validate="1:1")
    flag = pl.when(pl.col("temp_max_c").is_not_null()).then(pl.all_horizontal("_hot", "_hot1", "_hot2"))
    derived = ["temp_roll7", "precip_roll7", *LAGGED.values(), "heatwave_flag"]
    return frame.with_columns(flag.cast(pl.Int8).alias("heatwave_flag")).select("geohash", "date", *derived)
