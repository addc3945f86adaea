"""Last night's run on a lake with one and with ten years of history. Aim: the tenth year makes it at most 10% slower.

`python -m bench.history [YEARS ...]`. Both lakes are made from the same month (`_history_lake.py`); a night is the job
`nightly` for yesterday, all daily assets with their checks, on an instance in SQLite whose partitions begin with the
history, in a process of its own on a fresh copy of the lake, the lakes in turns. What counts is the run: imports, which
are the same for all, are left out.
"""

from __future__ import annotations

import cProfile
import json
import logging
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

import dagster as dg

from bench._history_lake import TENANT, Home, grow, make_month
from weathervane_assets import partitions
from weathervane_assets.definitions import build_defs
from weathervane_resources.sandbox import RunningSandbox

ROUNDS, MOST_RATIO = 3, 1.10
PROFILE = "WEATHERVANE_BENCH_PROFILE"
"""Where a night leaves its profile (`pstats`), if set."""


def night(folder: Path, start: date, day: date) -> dict[str, float]:
    """Run the job `nightly` once; return wall and CPU seconds, peak MiB, and seconds of each step."""
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore", dg.BetaWarning)
    instance = Home(folder).open(start)
    key = partitions.day_key(TENANT, day)
    job = build_defs(os.environ).resolve_job_def("nightly")
    wall, cpu = time.perf_counter(), time.process_time()
    with _profiled():
        result = job.execute_in_process(instance=instance, tags=partitions.range_tags(TENANT, key, key))
    figures = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    figures["mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    steps = {e.step_key: e.step_success_data.duration_ms / 1000 for e in result.all_events if e.is_step_success}
    return figures | {f"  {step}": seconds for step, seconds in steps.items()}


@contextmanager
def _profiled() -> Iterator[None]:
    path = os.environ.get(PROFILE)
    if not path:
        yield
        return
    with cProfile.Profile() as profile:
        yield
    profile.dump_stats(path)


def main(years: Sequence[int] = (1, 10)) -> int:
    """Make the lakes, run the nights in turns, print medians and the ratio; return 1 above the aim."""
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore", dg.BetaWarning)
    yesterday = date.fromordinal(date.today().toordinal() - 1)  # noqa: DTZ011 - the sandbox lives in the present
    last = yesterday - timedelta(days=1)
    with tempfile.TemporaryDirectory() as name, RunningSandbox() as sandbox:
        os.environ["WEATHERVANE_SANDBOX_URL"] = sandbox.url
        root = Path(name)
        make_month(Home(root / "month"), last)
        for n in years:
            begun = time.perf_counter()
            grow(Home(root / "month"), Home(root / f"years{n}"), last, n)
            print(f"{n} years of history written in {time.perf_counter() - begun:.0f} s", flush=True)
        figures = {n: [] for n in years}
        for _ in range(ROUNDS):
            for n in years:
                figures[n].append(_night_apart(root / f"years{n}", last - timedelta(days=365 * n), yesterday))
    return _report({n: _medians(rows) for n, rows in figures.items()})


def _night_apart(lake: Path, start: date, day: date) -> dict[str, float]:
    copy = lake.with_name("night")
    shutil.copytree(lake, copy)
    command = [sys.executable, "-m", "bench.history", "--night", str(copy), start.isoformat(), day.isoformat()]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    shutil.rmtree(copy)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def _medians(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(row[name] for row in rows) for name in rows[0]}


def _report(medians: dict[int, dict[str, float]]) -> int:
    print(f"{'medians of ' + str(ROUNDS):28}" + "".join(f"{n:>10} y" for n in medians))
    few, many = medians[min(medians)], medians[max(medians)]
    for name in few:
        print(f"{name:28}" + "".join(f"{m[name]:12.2f}" for m in medians.values()) + f"{many[name] / few[name]:8.2f}")
    ratio = many["cpu"] / few["cpu"]
    print(f"{max(medians)} years: {ratio:.2f} times the CPU of {min(medians)} (aim {MOST_RATIO})")
    return int(ratio > MOST_RATIO)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--night"]:
        print(json.dumps(night(Path(sys.argv[2]), date.fromisoformat(sys.argv[3]), date.fromisoformat(sys.argv[4]))))
        sys.exit(0)
    sys.exit(main(tuple(int(argument) for argument in sys.argv[1:]) or (1, 10)))
