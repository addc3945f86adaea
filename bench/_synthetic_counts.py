"""Synthetic daily counts of shops, and incidents planted in them: what the row-count rules are measured on.

A shop has a size (log-normal, median 300 orders a day, at least 30), a weekday shape, growth, a season, month ends, sales,
a launch, Black Friday with its run-up and the fall after it, a Christmas slump, closures, and negative-binomial noise.
Closures and 24-26 December are in the shop's calendar of quiet days; nothing else is known to the rules.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import polars as pl

from weathervane_resources.quiet_days import QuietDays

FIRST = date(2024, 7, 1)
WARM_UP_DAYS = 60
APART_DAYS = 10
PLANTED = {"30%": 4, "50%": 4, "100%": 2, "flat": 2}
"""Incidents of each kind in two years; `flat` is three days without a row."""


@dataclass(frozen=True)
class Shop:
    """One shop's two years. `planted`: each day with an incident and its kind; of a flat line all three days."""

    size: float
    days: list[date]
    counts: np.ndarray
    quiet: QuietDays
    planted: dict[date, str]

    def ledger(self) -> pl.DataFrame:
        """Return the counts as the lake's ledger has them."""
        return pl.DataFrame(
            {"date": self.days, "row_count": self.counts, "previous_row_count": 0, "source": "shopify_api"},
            schema={"date": pl.Date, "row_count": pl.Int64, "previous_row_count": pl.Int64, "source": pl.String},
        )


def make_shop(seed: int, length: int) -> Shop:
    """Return the shop of a seed, over `length` days."""
    rng = np.random.default_rng(seed)
    days = [FIRST + timedelta(days=n) for n in range(length)]
    size = float(np.clip(np.exp(rng.normal(np.log(300), 1.1)), 30, 20_000))
    level, is_special = _level(rng, days)
    quiet, is_closed = _closures(rng, days)
    expected = size * level
    shape = 1 / rng.uniform(0.04, 0.12) ** 2
    counts = np.where(is_closed, 0, rng.poisson(expected * rng.gamma(shape, 1 / shape, length)))
    fit = [
        n for n in range(WARM_UP_DAYS, length - 3) if not is_special[n] and not any(d in quiet for d in days[n : n + 3])
    ]
    planted = _plant(rng, counts, days, fit, length)
    return Shop(size, days, counts, quiet, planted)


def _level(rng: np.random.Generator, days: list[date]) -> tuple[np.ndarray, np.ndarray]:
    """Return each day's level (1 is usual), and whether it belongs to a sale or to Black Friday's days."""
    length = len(days)
    shape = _weekday_shape(rng)
    level = np.array([shape[day.weekday()] for day in days])
    level *= np.exp(rng.normal(0.15, 0.25) / 365 * np.arange(length))
    level *= 1 + 0.15 * np.sin(2 * np.pi * (np.arange(length) / 365 + rng.uniform()))
    end, begin = 1 + rng.uniform(0, 0.3), 1 + rng.uniform(0, 0.15)
    level *= [end if (day + timedelta(days=2)).day <= 2 else begin if day.day <= 2 else 1.0 for day in days]
    if rng.uniform() < 0.5:
        level[int(rng.integers(60, length)) :] *= rng.uniform(1.2, 2.0)
    is_special = np.zeros(length, dtype=bool)
    for _ in range(round(4 * length / 365)):
        start, last = int(rng.integers(0, length)), int(rng.integers(2, 6))
        level[start : start + last] *= rng.uniform(1.3, 2.5)
        level[start + last : start + last + 2] *= 0.9
        is_special[start : start + last] = True
    return _season_of_gifts(rng, days, level, is_special)


def _weekday_shape(rng: np.random.Generator) -> np.ndarray:
    weekend = rng.choice([rng.uniform(0.9, 1.1), rng.uniform(1.2, 1.5), rng.uniform(0.3, 0.6)])
    return np.array([*rng.uniform(0.9, 1.1, 5), weekend * rng.uniform(0.9, 1.1), weekend])


def _season_of_gifts(
    rng: np.random.Generator, days: list[date], level: np.ndarray, is_special: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Put in Black Friday (with Thursday to Tuesday), two weeks before and one after, December, and its slump."""
    peak, eve, before, december, slump = rng.uniform([1.5, 1.2, 1.0, 1.0, 0.65], [6.0, 2.0, 1.4, 1.3, 0.9])
    monday = peak * rng.uniform(0.7, 1.0)
    around = {-1: eve, 0: peak, 1: (peak + 1) / 2, 2: (peak + 1) / 2, 3: monday, 4: (monday + 1) / 2}
    for n, day in enumerate(days):
        friday = _black_friday(day.year)
        offset = (day - friday).days
        if offset in around:
            level[n] *= around[offset]
            is_special[n] = True
        elif -14 <= offset < 0:
            level[n] *= 1 + (before - 1) * (offset + 15) / 14
        elif offset > 4 and (day.month, day.day) <= (12, 18):
            level[n] *= december
        elif day.month == 12 and day.day > 18:
            level[n] *= max(slump, december - (december - slump) * (day.day - 18) / 6)
    return level, is_special


def _black_friday(year: int) -> date:
    first = date(year, 11, 1)
    thursday = first + timedelta(days=(3 - first.weekday()) % 7 + 21)
    return thursday + timedelta(days=1)


def _closures(rng: np.random.Generator, days: list[date]) -> tuple[QuietDays, np.ndarray]:
    """Return the shop's calendar, and the days on which it is closed; 24-26 December and New Year are quiet, not closed."""
    weekdays = frozenset({6}) if rng.uniform() < 0.1 else frozenset()
    is_closing = rng.uniform() < 0.4
    chosen = rng.choice(len(days), size=round(3 * len(days) / 365), replace=False) if is_closing else []
    dates = frozenset(days[n] for n in chosen)
    quiet = QuietDays(weekdays, frozenset({(12, 24), (12, 25), (12, 26), (1, 1)}), dates)
    return quiet, np.array([day in dates or day.weekday() in weekdays for day in days])


def _plant(
    rng: np.random.Generator, counts: np.ndarray, days: list[date], fit: list[int], length: int
) -> dict[date, str]:
    """Lose rows on some days, far enough apart; return which."""
    planted: dict[date, str] = {}
    taken: list[int] = []
    for kind, number in PLANTED.items():
        for _ in range(max(1, round(number * length / 730))):
            free = [n for n in fit if all(abs(n - other) >= APART_DAYS for other in taken)]
            if not free:
                return planted
            start = int(rng.choice(free))
            taken.append(start)
            for n in range(start, start + (3 if kind == "flat" else 1)):
                kept = {"30%": 0.7, "50%": 0.5}.get(kind, 0.0)
                counts[n] = rng.binomial(counts[n], kept)
                planted[days[n]] = kind
    return planted
