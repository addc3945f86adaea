"""The smallest drop of one night that is found on at least 95% of the days, by size of a steady shop.

`python -m bench.smallest_drop`. A steady shop has no season, sale or launch, and days that scatter by 7% beyond counting.
"""

from __future__ import annotations

import sys
from datetime import date, timedelta

import numpy as np
import polars as pl

from weathervane_checks.rules.row_counts import History
from weathervane_checks.thresholds import Thresholds
from weathervane_resources.quiet_days import QuietDays

SIZES, SHOPS, DAYS, WARM_UP, NOISE, FOUND, SEED = (30, 60, 120, 250, 500, 1_000, 5_000), 10, 300, 80, 0.07, 0.95, 7
FIRST = date(2026, 1, 1)


def limits_of(counts: np.ndarray, limits: Thresholds) -> np.ndarray:
    """Return for each day after the warm-up how few rows do not alarm, over the day's own count."""
    days = [FIRST + timedelta(days=n) for n in range(len(counts))]
    ledger = pl.DataFrame({"date": days, "row_count": counts, "previous_row_count": 0, "source": "shopify_api"})
    nights = History.of(ledger, limits, days[-1] + timedelta(days=1), QuietDays()).nights(days)
    judged = [nights[day] for day in days[WARM_UP:]]
    least = [max(n.usual.least, limits.new_rows_ratio_warning * n.usual.expected) for n in judged]
    return np.array(least) / [n.count for n in judged]


def main() -> int:
    """Print a line a size: the smallest drop found, and the share of days that alarm without one."""
    for drop_min in (Thresholds().unusual_drop_min, 0.2):
        limits = Thresholds().for_tenant({"unusual_drop_min": drop_min})
        rng = np.random.default_rng(SEED)
        for size in SIZES:
            noise = rng.gamma(1 / NOISE**2, NOISE**2, (SHOPS, DAYS))
            shape = rng.uniform(0.9, 1.1, (SHOPS, 7))[:, np.arange(DAYS) % 7]
            ratios = np.concatenate([limits_of(counts, limits) for counts in rng.poisson(size * shape * noise)])
            smallest = 1 - np.quantile(ratios, 1 - FOUND)
            false = (ratios > 1).mean() * 365.25 / 4
            print(
                f"unusual_drop_min {drop_min}: {size:5} a day: {smallest:.0%} found, {false:.2f} days a quarter alarm"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
