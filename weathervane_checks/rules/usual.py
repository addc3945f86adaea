"""What a day usually has: the same weekday of the weeks before (or around), at the level of the last days.

Belongs here: medians, spread and warm-up of counts. Does not belong here: what is wrong with a day (`row_counts.py`).

expected = the same weekday's middle count x level. The level is the median over the last 7 days of count / usual count of
that day's weekday. A season that falls is followed within days; one that rises by a tenth at most, or as far as the lowest
of the last 7 days: a launch is learnt in a week, while a peak (Black Friday) does not raise what is expected after it.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

from weathervane_checks.thresholds import Thresholds

MAD_TO_SD = 1.4826
"""A normal distribution's standard deviation over its median absolute deviation."""
NEAR_DAYS_MIN = 4
LEVEL_DAYS_MIN = 3
HIGHEST_LEVEL = 1.1
"""As far as a few good days raise what is expected; more only where all of the last days were higher (a launch)."""
LOCAL_DAYS = 3


@dataclass(frozen=True)
class Usual:
    """What a day should have. `least` is what chance may leave of it; zero where too few weeks are known to say.

    `same_weekday` and `near` are the counts it was made from, the nearest day first. `have` of `need` days of history are
    there; with less the day is not judged.
    """

    expected: float
    least: float
    same_weekday: tuple[int, ...]
    near: tuple[int, ...]
    level: float
    have: int
    need: int

    @property
    def is_known(self) -> bool:
        """Whether there is enough history to judge by."""
        return self.have >= self.need

    @property
    def warm_up(self) -> str:
        """How far the history is, as `3 of 7 days`."""
        return f"{self.have} of {self.need} days"


def days_before(limits: Thresholds) -> Sequence[int]:
    """Return the offsets of the days that a night is judged by, nearest first."""
    return [-n for n in range(1, 7 * int(limits.weekday_weeks) + 1)]


def days_around(limits: Thresholds) -> Sequence[int]:
    """Return the offsets of the days that an old day is judged by: as many, before and after it, nearest first."""
    reach = 7 * max(1, int(limits.weekday_weeks) // 2)
    return [sign * n for n in range(1, reach + 1) for sign in (-1, 1)]


def usual_of(
    day: int,
    points: Mapping[int, int],
    written: Container[int],
    quiet: Container[int],
    offsets: Sequence[int],
    limits: Thresholds,
) -> Usual:
    """Return what `day` usually has. Days are ordinals (`date.toordinal`).

    `points`: counts that may be learnt from. `written`: days that have a count, good or not. `quiet`: days that need none.
    """
    window = [(offset, points[day + offset]) for offset in offsets if day + offset in points]
    by_weekday: dict[int, list[int]] = {}
    for offset, count in window:
        by_weekday.setdefault(offset % 7, []).append(count)
    medians = {weekday: middle(counts) for weekday, counts in by_weekday.items()}
    reach = int(limits.baseline_days)
    near = tuple((offset, count) for offset, count in window if abs(offset) <= reach)
    wanted = [day + o for o in offsets if abs(o) <= reach and day + o not in quiet]
    have = sum(1 for d in wanted if d in written)
    alike = tuple(by_weekday.get(0, ()))
    counts = tuple(count for _, count in near)
    if len(alike) < limits.weekday_points_min:
        need = min(len(wanted), reach)
        expected = min(median(counts), medians.get(0, median(counts)))
        return Usual(expected, 0.0, alike, counts, 1.0, have, max(need, 1))
    ratios = {offset: count / medians[offset % 7] for offset, count in window}
    level = _level([ratios[offset] for offset, _ in near])
    expected = medians[0] * level
    least = _least(expected, ratios, limits)
    return Usual(expected, least, alike, counts, level, have, min(NEAR_DAYS_MIN, max(1, len(wanted))))


def _level(near: Sequence[float]) -> float:
    """Return the level of the last days: their median, above 1 only a little or as far as the lowest of them."""
    return max(min(HIGHEST_LEVEL, median(near)), min(near)) if len(near) >= LEVEL_DAYS_MIN else 1.0


def _least(expected: float, ratios: Mapping[int, float], limits: Thresholds) -> float:
    """Return how few rows chance may leave: what scatters about weekday and local level, and never less than counting does."""
    deviations = []
    for offset, ratio in ratios.items():
        local = median([ratios[n] for n in range(offset - LOCAL_DAYS, offset + LOCAL_DAYS + 1) if n in ratios])
        deviations.append(abs(ratio / local - 1))
    spread = max(MAD_TO_SD * median(deviations), 1 / sqrt(expected))
    by_chance = max(0.0, 1 - limits.unusual_spreads * spread / 2) ** 2
    return expected * min(1 - limits.unusual_drop_min, by_chance)


def middle(values: Sequence[float]) -> float:
    """Return the mean of the middle half: as deaf to a few odd days as the median, and steadier."""
    ordered, cut = sorted(values), len(values) // 4
    kept = ordered[cut : len(ordered) - cut]
    return sum(kept) / len(kept)


def median(values: Sequence[float]) -> float:
    """Return the median, 0 of nothing."""
    if not values:
        return 0.0
    ordered, half = sorted(values), len(values) // 2
    return float(ordered[half]) if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2
