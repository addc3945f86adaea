"""How far from what is usual chance brings a day: what counting brings, and what a shop's own days scatter beyond that.

Belongs here: over-dispersion and how few rows chance may leave. Does not belong here: what is usual (`usual.py`).

Counts of n scatter by 1 / sqrt(n) even if nothing ever changes (Poisson); a shop's days scatter more, by its over-dispersion.
A large shop's scatter is nearly all its own, a small one's nearly all counting, so the two are told apart.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, sqrt

from weathervane_checks.thresholds import Thresholds

MAD_TO_SD = 1.4826
"""A normal distribution's standard deviation over its median absolute deviation."""
LOCAL_DAYS = 3
LEAST_OVER_DISPERSION = 0.05
"""No shop's days are steadier than this, whatever a lucky quarter says."""
ODD_SPREADS = 2.5
"""A day further off than this many spreads (a sale, an incident) counts as one that far off."""
FITTED = 1.15
"""What the odd days' cut and the local median, which each day is part of, take from the mean square."""
MIDDLE_NOISE = 1.3
"""The middle of n counts scatters by sqrt(1.3 / n) of what one does."""
MOST_LOW_DAYS = 4
"""More low days than this do not widen the limit further: a source that fails each week must not become what is usual."""


@dataclass(frozen=True)
class Circumstances:
    """What widens the limit of a day: how often the counts were low of late and stayed so, and a holiday beside it."""

    low_days: int = 0
    beside_holiday: bool = False


USUAL_CIRCUMSTANCES = Circumstances()


@dataclass(frozen=True)
class Scatter:
    """A window's days. `ratios`: count / usual count of the weekday, by offset; `local`: the ratios' median over the week around.

    `over_dispersion` is the variance of the ratio that counting does not explain.
    """

    ratios: Mapping[int, float]
    local: Mapping[int, float]
    over_dispersion: float

    def spread(self, expected: float, same_weekdays: float = inf, level_days: float = inf) -> float:
        """Return the standard deviation of count / expected, for an expectation learnt from so many days."""
        learnt = MIDDLE_NOISE / same_weekdays + 1 / level_days
        return sqrt((self.over_dispersion + 1 / expected) * (1 + learnt))


def scatter_of(window: Mapping[int, int], middles: Mapping[int, float]) -> Scatter:
    """Return how the counts of a window, by offset, scatter about weekday (`middles`, by offset modulo 7) and local level."""
    ratios = {offset: count / middles[offset % 7] for offset, count in window.items()}
    local = _local_medians(ratios)
    squares = [(ratio / local[offset] - 1) ** 2 for offset, ratio in ratios.items()]
    counting = [1 / (local[offset] * middles[offset % 7]) for offset in ratios]
    typical = MAD_TO_SD**2 * median(squares) - median(counting)
    first = max(typical, LEAST_OVER_DISPERSION**2)
    cut = ODD_SPREADS**2
    beyond = [FITTED * min(square, cut * (first + by)) - by for square, by in zip(squares, counting, strict=True)]
    return Scatter(ratios, local, max(sum(beyond) / len(beyond), LEAST_OVER_DISPERSION**2))


def _local_medians(ratios: Mapping[int, float]) -> dict[int, float]:
    """Return for each offset the median of the ratios at most LOCAL_DAYS away, by a window that moves and stays sorted."""
    offsets = sorted(ratios)
    window: list[float] = []
    found: dict[int, float] = {}
    entered = left = 0
    for offset in offsets:
        while entered < len(offsets) and offsets[entered] <= offset + LOCAL_DAYS:
            insort(window, ratios[offsets[entered]])
            entered += 1
        while offsets[left] < offset - LOCAL_DAYS:
            window.remove(ratios[offsets[left]])
            left += 1
        found[offset] = _median_of_sorted(window)
    return found


def least_of(expected: float, spread: float, limits: Thresholds, around: Circumstances) -> float:
    """Return how few rows chance may leave of what is expected, which has a standard deviation of `spread` x expected."""
    spreads = limits.unusual_spreads * (1 + limits.unusual_widening * min(around.low_days, MOST_LOW_DAYS))
    by_chance = max(0.0, 1 - spreads * spread / 2) ** 2
    ratio = min(1 - limits.unusual_drop_min, by_chance)
    return expected * (min(ratio, 1 - limits.holiday_drop_min) if around.beside_holiday else ratio)


def median(values: Sequence[float]) -> float:
    """Return the median, 0 of nothing."""
    return _median_of_sorted(sorted(values)) if values else 0.0


def _median_of_sorted(ordered: Sequence[float]) -> float:
    half = len(ordered) // 2
    return float(ordered[half]) if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2
