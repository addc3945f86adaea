"""1,000 cells x 3,650 days: normals, anomalies, rolling means, lags and flags to Parquet, in 4 s and 800 MiB.

`python -m bench.weather_method [--cells N]`. The same with plain pandas for the ratio, if WEATHERVANE_BENCH_PANDAS names
a Python that has pandas and pyarrow (they are no dependencies of ours):

    python -m venv peer && peer/bin/pip install pandas pyarrow
    WEATHERVANE_BENCH_PANDAS=peer/bin/python python -m bench.weather_method

Each side runs in a process of its own: reads the same Parquet file in parts of 50 cells, writes a file for each part. Time is from
after the imports to the last file; memory is the most that the process ever had.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

CELLS, CELLS_A_PART, RUNS = 1_000, 50, 3
FIRST, LAST = date(2015, 1, 1), date(2024, 12, 28)
MOST_SECONDS, MOST_MIB = 4.0, 800.0


def make_days(folder: Path, cells: int) -> None:
    """Write made-up weather, one file for each part."""
    import numpy as np
    import polars as pl

    from weathervane_assets.tables import WEATHER_VALUES

    rng = np.random.default_rng(1)
    days = pl.date_range(FIRST, LAST, eager=True)
    season = -10 * np.cos(2 * np.pi * days.dt.ordinal_day().to_numpy() / 365.25)
    for part, first in enumerate(range(0, cells, CELLS_A_PART)):
        names = [f"u{cell:04d}" for cell in range(first, min(cells, first + CELLS_A_PART))]
        values = {
            v: np.round(np.tile(season, len(names)) + rng.normal(12, 4, len(names) * len(days)), 1)
            for v in WEATHER_VALUES
        }
        frame = (
            pl.DataFrame({"geohash": names})
            .join(pl.DataFrame({"date": days}), how="cross")
            .with_columns(
                **values,
                observation_type=pl.lit("observed"),
                source_model=pl.lit("era5_seamless"),
                source=pl.lit("open_meteo"),
                as_of_utc=pl.lit(datetime(2026, 1, 1, tzinfo=UTC)),
            )
        )
        rain = pl.Series(np.where(rng.random(frame.height) < 0.3, rng.gamma(1, 4, frame.height), 0.0))
        frame.with_columns(rain.alias("precip_mm")).write_parquet(folder / f"days-{part}.parquet")


def ours(folder: Path) -> None:
    """Take each part through the transforms that the assets use."""
    import polars as pl

    from weathervane_assets.tables import WeatherDaily, conform
    from weathervane_assets.transforms.normals import normals
    from weathervane_assets.transforms.weather import FlagLimits, describe_days

    years = pl.DataFrame({"year": range(FIRST.year, LAST.year + 1)}, schema={"year": pl.Int32})

    def one_part(path: Path) -> None:
        days = pl.read_parquet(path)
        usual = normals(days)
        usual.write_parquet(folder / f"normals-{path.name}", compression="lz4")
        active = days.select("date", "geohash")
        cells = (
            days.select("geohash").unique().with_columns(timezone=pl.lit("UTC"), lst_offset_hours=pl.lit(0, pl.Int8))
        )
        described = describe_days(days, usual.join(years, how="cross"), active, cells, FlagLimits())
        table = conform(described.with_columns(tenant_id=pl.lit("acme")), WeatherDaily)
        table.write_parquet(folder / f"ours-{path.name}", compression="lz4")

    begun = (time.perf_counter(), time.process_time())
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(one_part, sorted(folder.glob("days-*.parquet"))))
    _report(begun)


def plain_pandas(folder: Path) -> None:
    """Say the same in pandas with less: simple means by day of year, percentiles of the day, rows taken for days."""
    import pandas as pd

    begun = (time.perf_counter(), time.process_time())
    for path in sorted(folder.glob("days-*.parquet")):
        days = pd.read_parquet(path).sort_values(["geohash", "date"])
        days["date"] = pd.to_datetime(days["date"])
        days["day_of_year"] = days["date"].dt.dayofyear
        by_slot = days.groupby(["geohash", "day_of_year"])
        usual = by_slot.agg(
            temp_mean_c=("temp_c", "mean"),
            temp_sd_c=("temp_c", "std"),
            precip_mean_mm=("precip_mm", "mean"),
            precip_sd_mm=("precip_mm", "std"),
        )
        usual["temp_p10_c"] = by_slot["temp_min_c"].quantile(0.1)
        usual["temp_p90_c"] = by_slot["temp_max_c"].quantile(0.9)
        usual.reset_index().to_parquet(folder / f"normals-pandas-{path.name}", compression="lz4")
        days = days.merge(usual.reset_index(), on=["geohash", "day_of_year"], how="left")
        _describe_in_pandas(days).to_parquet(folder / f"pandas-{path.name}", compression="lz4")
    _report(begun)


def _describe_in_pandas(days: Any) -> Any:
    days["temp_anomaly"] = days["temp_c"] - days["temp_mean_c"]
    days["precip_anomaly"] = days["precip_mm"] - days["precip_mean_mm"]
    by_cell = days.groupby("geohash")
    for name in ("temp_c", "precip_mm"):
        before = by_cell[name].shift(1)
        days[f"{name}_roll7"] = before.groupby(days["geohash"]).rolling(7, min_periods=5).mean().to_numpy()
    for name in ("temp_c", "precip_mm", "uv_index_max", "precip_probability", "humidity_mean"):
        days[f"{name}_lag1"] = by_cell[name].shift(1)
    hot = (days["temp_max_c"] > days["temp_p90_c"]) & (days["temp_max_c"] >= 25)
    by_hot = hot.groupby(days["geohash"])
    days["heatwave_flag"] = (hot & by_hot.shift(1, fill_value=False) & by_hot.shift(2, fill_value=False)).astype("int8")
    limits = {
        "temp_min_c": 0.0,
        "snowfall_cm": 1.0,
        "wind_gust_max_kmh": 62.0,
        "uv_index_max": 8.0,
        "precip_probability": 0.7,
    }
    for name, limit in limits.items():
        days[f"{name}_flag"] = ((days[name] <= limit) if name == "temp_min_c" else (days[name] >= limit)).astype("int8")
    return days


def _report(begun: tuple[float, float]) -> None:
    seconds, cpu_seconds = time.perf_counter() - begun[0], time.process_time() - begun[1]
    mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"s": seconds, "cpu_s": cpu_seconds, "mib": mib}))


def measure(python: str, side: str, folder: Path) -> tuple[float, float, float]:
    """Return seconds and CPU seconds (medians of the runs), and MiB (most of the runs)."""
    runs = []
    for _ in range(RUNS):
        done = subprocess.run(
            [python, __file__, "--side", side, str(folder)],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        )
        if done.returncode:
            raise SystemExit(f"{side} failed:\n{done.stderr}")
        runs.append(json.loads(done.stdout.splitlines()[-1]))
    seconds, cpu_seconds = (sorted(run[name] for run in runs)[RUNS // 2] for name in ("s", "cpu_s"))
    return seconds, cpu_seconds, max(run["mib"] for run in runs)


def compare(cells: int) -> int:
    """Print the figures; return 1 if ours miss the aim."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_days(folder, cells)
        seconds, cpu, mib = measure(sys.executable, "ours", folder)
        print(
            f"weather_method: {cells:,} cells x {(LAST - FIRST).days + 1:,} days: median {seconds:.2f} s of {RUNS} ({cpu:.1f} s CPU), peak {mib:.0f} MiB on {os.cpu_count()} cores"
        )
        peer = os.environ.get("WEATHERVANE_BENCH_PANDAS")
        if peer is None:
            print("pandas: skipped, WEATHERVANE_BENCH_PANDAS names no Python that has it")
        else:
            theirs, their_cpu, their_mib = measure(peer, "pandas", folder)
            print(
                f"pandas (simple means): median {theirs:.2f} s ({their_cpu:.1f} s CPU), peak {their_mib:.0f} MiB; ratio {theirs / seconds:.1f} in time, {their_mib / mib:.1f} in memory"
            )
    return int(seconds > MOST_SECONDS or mib > MOST_MIB)


def main() -> int:
    """Read the arguments."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cells", type=int, default=CELLS)
    parser.add_argument("--side", nargs=2, metavar=("SIDE", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        side, folder = arguments.side
        {"ours": ours, "pandas": plain_pandas}[side](Path(folder))
        return 0
    return compare(arguments.cells)


if __name__ == "__main__":
    sys.exit(main())
