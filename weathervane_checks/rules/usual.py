"""What a day usually has: the same weekday of the weeks before (or around), at the level of the last days.

Belongs here: medians, level, month ends and warm-up of counts. Does not belong here: how far chance strays from it
(`chance.py`) and what is wrong with a day (`row_counts.py`).

expected = the same weekday's middle count x level x month end. The level is the mean of the last two weeks of count / usual
count of that day's weekday, the last days weighing most. A season that falls is followed within days; upwards it goes no
further than a twentieth above the median of the last weeks, or the lowest of the last 7 days: a launch is learnt in a week, while a peak
(Black Friday) does not raise what is expected after it.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from math import exp
from typing import Literal

from weathervane_checks.rules.chance import USUAL_CIRCUMSTANCES, Circumstances, Scatter, least_of, median, scatter_of
from weathervane_checks.thresholds import Thresholds

NEAR_DAYS_MIN = 4
LEVEL_DAYS, LEVEL_DAYS_MIN, LEVEL_FADE_DAYS = 14, 3, 7.0
"""The level is a mean over so many days; with fewer than the least in a week it is not raised; a day's weight falls to a
third in the last number of days."""
FADE = [exp(-days / LEVEL_FADE_DAYS) for days in range(LEVEL_DAYS + 1)]
BASE_DAYS, HIGHEST_LEVEL = 28, 1.05
"""The median of so many days is no peak's: the level may rise so far above it; more only where all of the last days were
higher (a launch)."""
ALIKE = 1.6
"""Days of which the highest is less than so many times the lowest stand at one level; a peak's do not."""
HIGH_SPREADS = 2.0
"""A day so many spreads above the lower of the medians of one and two weeks counts as one that high."""
EDGE_DAYS = 2
"""The last and the first so many days of a month are a month end."""
MONTH_END_SWING = 0.15
"""How much month ends differ between shops: what a few month ends say is believed against it."""
HIGHEST_MONTH_END = 1.6

Edge = Literal["", "end", "begin"]


@dataclass(frozen=True)
class Known:
    """The counts that a day is judged by, the nearest first, and how many of the days nearest to it are there and wanted."""

    same_weekday: tuple[int, ...]
    near: tuple[int, ...]
    have: int
    wanted: int


@dataclass(frozen=True)
class Usual:
    """What a day should have. `least` is what chance may leave of it; zero where too few weeks are known to say.

    `level` is that of the last days, `month_end` what such days of a month have more, both 1 where nothing moves. With less
    than `need` days of history the day is not judged.
    """

    expected: float
    least: float
    known: Known
    level: float
    month_end: float
    need: int

    @property
    def is_known(self) -> bool:
        """Whether there is enough history to judge by."""
        return self.known.have >= self.need

    @property
    def warm_up(self) -> str:
        """How far the history is, as `3 of 7 days`."""
        return f"{self.known.have} of {self.need} days"


@dataclass(frozen=True)
class Level:
    """Where the last days are against their weekdays, and from how many days' worth of counts."""

    value: float
    days: float


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
    around: Circumstances = USUAL_CIRCUMSTANCES,
) -> Usual:
    """Return what `day` usually has. Days are ordinals (`date.toordinal`).

    `points`: counts that may be learnt from. `written`: days that have a count, good or not. `quiet`: days that need none.
    """
    window = {offset: points[day + offset] for offset in offsets if day + offset in points}
    reach = int(limits.baseline_days)
    wanted = [day + o for o in offsets if abs(o) <= reach and day + o not in quiet]
    known = Known(
        tuple(count for offset, count in window.items() if offset % 7 == 0),
        tuple(count for offset, count in window.items() if abs(offset) <= reach),
        sum(1 for d in wanted if d in written),
        len(wanted),
    )
    if len(known.same_weekday) < limits.weekday_points_min:
        return _of_a_week(known, list(window.values())[:reach], reach)
    return _of_weeks(day, window, known, limits, around)


def _of_a_week(known: Known, nearest: Sequence[int], reach: int) -> Usual:
    """Return what is usual where too few of the same weekday are known: the last week's median, if their own is not less.

    Where no day of the last week was ok, the nearest that were stand for it: an outage of a week must not be usual after it.
    """
    week = median(known.near or nearest)
    expected = min(week, middle(known.same_weekday)) if known.same_weekday else week
    return Usual(expected, 0.0, known, 1.0, 1.0, max(min(known.wanted, reach), 1))


def _of_weeks(day: int, window: Mapping[int, int], known: Known, limits: Thresholds, around: Circumstances) -> Usual:
    by_weekday: dict[int, list[int]] = {}
    for offset, count in window.items():
        by_weekday.setdefault(offset % 7, []).append(count)
    middles = {weekday: middle(counts) for weekday, counts in by_weekday.items()}
    scatter = scatter_of(window, middles)
    edges = {offset: edge for offset in window if (edge := edge_of_month(day + offset))}
    month_ends = _month_ends(edges, scatter, scatter.spread(middles[0]))
    evened = {o: ratio / month_ends[edges[o]] if o in edges else ratio for o, ratio in scatter.ratios.items()}
    level = _level(evened, middles, scatter)
    month_end = month_ends.get(edge_of_month(day), 1.0)
    expected = middles[0] * level.value * month_end
    spread = scatter.spread(expected, len(known.same_weekday), level.days)
    least = least_of(expected, spread, limits, around)
    return Usual(expected, least, known, level.value, month_end, min(NEAR_DAYS_MIN, max(1, known.wanted)))


def _level(ratios: Mapping[int, float], middles: Mapping[int, float], scatter: Scatter) -> Level:
    """Return the level of the last days; `ratios` nearest first, without what month ends add."""
    near = {offset: ratio for offset, ratio in ratios.items() if abs(offset) <= LEVEL_DAYS}
    week = [ratio for offset, ratio in near.items() if abs(offset) <= LEVEL_DAYS // 2]
    base = max(median([r for o, r in ratios.items() if abs(o) <= BASE_DAYS]), median(list(ratios.values())))
    if not near:
        return Level(base, 1.0)
    one_day = scatter.spread(middles[0] * base)
    lower = min(median(list(near.values())), median(week)) if week else median(list(near.values()))
    top = lower * (1 + HIGH_SPREADS * one_day)
    weights = {offset: middles[offset % 7] * FADE[abs(offset)] for offset in near}
    mean = sum(weights[offset] * min(ratio, top) for offset, ratio in near.items()) / sum(weights.values())
    most = HIGHEST_LEVEL * base if len(week) >= LEVEL_DAYS_MIN else base
    if len(week) >= LEVEL_DAYS_MIN and max(week) < ALIKE * min(week):
        most = max(most, min(week))
    value = min(mean, most)
    days = sum(weights.values()) ** 2 / sum(weight * weight for weight in weights.values())
    return Level(value, days)


def _month_ends(edges: Mapping[int, Edge], scatter: Scatter, one_day: float) -> dict[Edge, float]:
    """Return what the last two and the first two days of a month have more than those around them, by the window's."""
    found: dict[Edge, float] = {}
    for edge in set(edges.values()):
        more = [min(scatter.ratios[o] / scatter.local[o], HIGHEST_MONTH_END) - 1 for o, e in edges.items() if e == edge]
        belief = len(more) * MONTH_END_SWING**2 / (len(more) * MONTH_END_SWING**2 + one_day**2)
        found[edge] = 1 + max(0.0, sum(more) / len(more)) * belief
    return found


@lru_cache(maxsize=4096)
def edge_of_month(ordinal: int) -> Edge:
    """Return whether a day is one of the last two or of the first two of its month."""
    if date.fromordinal(ordinal).day <= EDGE_DAYS:
        return "begin"
    return "end" if (date.fromordinal(ordinal) + timedelta(days=EDGE_DAYS)).day <= EDGE_DAYS else ""


def middle(values: Sequence[float]) -> float:
    """Return the mean of the middle half: as deaf to a few odd days as the median, and steadier."""
    ordered, cut = sorted(values), len(values) // 4
    kept = ordered[cut : len(ordered) - cut]
    return sum(kept) / len(kept)
