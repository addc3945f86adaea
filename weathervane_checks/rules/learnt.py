"""What the nights have learnt of a dataset's counts: what is usual, what is held back, and what has begun anew.

Belongs here: which counts teach. Does not belong here: what they make usual (`usual.py`) and what is wrong with a day
(`row_counts.py`).

A day that was not ok teaches nothing. A weekday that was not ok so many weeks in a row has begun anew: it is judged by
its counts since then. What it had before is kept for a while, for two reasons: the weekdays that have not begun anew are
judged by it, since one Friday's low counts say nothing of a Saturday; and once a day is back where it was, what was
learnt from the days between is forgotten, so that a second incident is found like the first.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

LOW = frozenset({"new_rows_low", "new_rows_drop_warning", "new_rows_drop_critical"})
"""The codes of a count that is low against what is usual."""
LONG_DAYS, APART_DAYS = 7, 3
"""An incident of so many days moves what is usual for the days in and beside it; days no further apart are of one incident."""
MOST_WEEKDAYS = 4
"""What was wrong on so many of the seven within a week was of the whole shop."""
DOUBT = 2
"""A new level may turn out to have been an incident for so many times as long as it took to be learnt."""


@dataclass
class Learnt:
    """The counts that were ok, and those of weekdays that were not for so many weeks that they are how things are now.

    `begun`: the day, by weekday (ordinal modulo 7), on which the present level of a weekday began that has begun anew.
    `wrong`: the days that were not ok, with hindsight: those of a level that stayed are none of them, those that were learnt
    from what turned out to be an incident are.
    """

    patience_weeks: int
    seen: set[int] = field(default_factory=set)
    points: dict[int, int] = field(default_factory=dict)
    held_back: dict[int, dict[int, int]] = field(default_factory=dict)
    begun: dict[int, int] = field(default_factory=dict)
    wrong: set[int] = field(default_factory=set)
    low: list[int] = field(default_factory=list)
    last_low: int = 0

    def usual_points(self) -> Mapping[int, int]:
        """Return the counts that weekdays which have begun anew are judged by: of those, none from before."""
        return {day: n for day, n in self.points.items() if day >= self.begun.get(day % 7, day)}

    def former_points(self) -> Mapping[int, int]:
        """Return the counts that the other weekdays are judged by: as if none had begun anew."""
        if not self.begun:
            return self.points
        return {day: n for day, n in self.points.items() if day < self.begun.get(day % 7, day + 1)}

    def come_back(self, start: int) -> None:
        """Forget what was learnt since the weekdays began anew that did so within a week of `start`."""
        ended = {weekday: day for weekday, day in self.begun.items() if abs(day - start) < 7}
        forgotten = {day for day in self.points if day >= ended.get(day % 7, day + 1)}
        self.wrong |= forgotten
        self.points = {day: n for day, n in self.points.items() if day not in forgotten}
        self.begun = {weekday: day for weekday, day in self.begun.items() if weekday not in ended}

    def _was_shop_wide(self, start: int) -> bool:
        """Return whether most weekdays were not ok within a week of `start`: else a weekday speaks for itself alone."""
        firsts = [*(min(held) for held in self.held_back.values() if held), *self.begun.values()]
        return len({day % 7 for day in firsts if abs(day - start) < 7}) >= MOST_WEEKDAYS

    def note(self, ordinal: int, count: int, codes: Sequence[str]) -> None:
        """Take in one day and what is wrong with it. Zero is never learnt, and ends what was held back of its weekday."""
        self.seen.add(ordinal)
        if count and any(code in LOW for code in codes):
            if self.last_low != ordinal - 1:
                self.low.append(ordinal)
            self.last_low = ordinal
        weekday, held = ordinal % 7, self.held_back.setdefault(ordinal % 7, {})
        if codes and count:
            self._hold_back(ordinal, count, held)
        else:
            if held and not codes and self._was_shop_wide(min(held)):
                self.come_back(min(held))
            held.clear()
        if codes:
            self.wrong.add(ordinal)
        else:
            self.points[ordinal] = count
        if ordinal - self.begun.get(weekday, ordinal) >= 7 * DOUBT * self.patience_weeks:
            self._settle(weekday)

    def _hold_back(self, ordinal: int, count: int, held: dict[int, int]) -> None:
        held[ordinal] = count
        if len(held) >= self.patience_weeks:
            self._settle(ordinal % 7)
            self.points.update(held)
            self.begun[ordinal % 7] = min(held)
            held.clear()

    def _settle(self, weekday: int) -> None:
        """Forget what a weekday had before it began anew: what it had since was no incident."""
        start = self.begun.pop(weekday, None)
        if start is not None:
            self.points = {day: n for day, n in self.points.items() if day >= start or day % 7 != weekday}
            self.wrong -= {day for day in self.points if day >= start and day % 7 == weekday}

    def long_incidents(self) -> set[int]:
        """Return the days of incidents of a week or more. Shorter ones move no median; to leave each low day out would."""
        runs: list[list[int]] = []
        for day in sorted(self.wrong):
            if runs and day - runs[-1][-1] <= APART_DAYS:
                runs[-1].append(day)
            else:
                runs.append([day])
        return {day for run in runs if run[-1] - run[0] + 1 >= LONG_DAYS for day in run}

    def low_days(self, since: int) -> int:
        """Return how often counts were low from a day on: days in a row are once. Zero is no low count; it is an outage."""
        return len(self.low) - bisect_left(self.low, since)
