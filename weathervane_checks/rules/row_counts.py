"""How many rows a day has, against the version it replaces, what such a day usually has, and zero.

Counts come from the lake's ledger, so a backfill cannot spoil the history: a day has the count last written for it. A day
that was itself not ok teaches nothing, so that an incident does not become what is usual; if its weekday is not ok for
`relearn_weeks`, it is how things are now. Zero is never learnt. A long history costs a walk a quarter, not one a day.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

import polars as pl
from weathervane_resources.credentials import NOT_CONFIGURED, NOT_KEPT, UNREAD
from weathervane_resources.lake_ledger import IS_MADE_UP, lost_days
from weathervane_resources.quiet_days import QuietDays

from weathervane_checks.findings import RANK, Finding, Severity
from weathervane_checks.rules.chance import Circumstances
from weathervane_checks.rules.learnt import Learnt
from weathervane_checks.rules.usual import Usual, days_around, days_before, usual_of
from weathervane_checks.thresholds import Thresholds

WEEKDAYS = ("Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays")
QUARTER_DAYS = 91
"""Walks begin every so many days: one serves many of the report's days, and a night's own is at most so much longer."""
NO_DAYS: frozenset[date] = frozenset()


@dataclass(frozen=True)
class Judgement:
    """What one rule says of one day."""

    severity: Severity
    code: str
    note: str
    observed: float | int
    threshold: float | int


@dataclass(frozen=True)
class Counted:
    """A day's count and what it is held against."""

    day: date
    count: int
    previous: int
    streak: int
    usual: Usual
    is_quiet: bool


def judge_row_counts(
    ledger: pl.DataFrame,
    days: Sequence[date],
    limits: Thresholds,
    today: date,
    quiet: QuietDays | None = None,
    backfilled: Collection[date] = NO_DAYS,
) -> list[Finding]:
    """Return one finding a day.

    `ledger`: `date`, `row_count`, `previous_row_count`, `source`, `written_at_utc` of one tenant and dataset. `today` is the tenant's: a day
    that is not over is not judged. `backfilled` days are judged by the days around them, the others by those before. Made-up
    days say nothing of a shop's own, nor the other way round.
    """
    made_up, asked, findings = set(ledger.filter(IS_MADE_UP)["date"]), set(days), list[Finding]()
    lost = lost_days(ledger)
    for part, mine in ((ledger.filter(~IS_MADE_UP), asked - made_up), (ledger.filter(IS_MADE_UP), asked & made_up)):
        history = History.of(part, limits, today, quiet or QuietDays())
        counted = {**history.around(mine & set(backfilled)), **history.nights(mine - set(backfilled))}
        findings += [_judge_day(day, history, counted.get(day), lost.get(day)) for day in mine]
    return sorted(findings, key=lambda finding: finding.day)


@dataclass(frozen=True)
class History:
    """The counts of one tenant and dataset, by ordinal day; those of days without a source are not in it."""

    rows: Mapping[int, Mapping[str, object]]
    counts: Mapping[int, int]
    streaks: Mapping[int, int]
    quiet: QuietOrdinals
    limits: Thresholds
    today: date

    @classmethod
    def of(cls, ledger: pl.DataFrame, limits: Thresholds, today: date, quiet: QuietDays) -> History:
        """Return the history that a ledger holds."""
        columns = ledger.select("date", "row_count", "previous_row_count", "source")
        rows = {row["date"].toordinal(): row for row in columns.sort("date").iter_rows(named=True)}
        counts = {day: int(row["row_count"]) for day, row in rows.items() if row["source"] not in UNREAD}
        return cls(rows, counts, _streaks(counts, quiet), QuietOrdinals(quiet), limits, today)

    def around(self, days: Collection[date]) -> dict[date, Counted]:
        """Return old days with the counts around them, without those of long incidents as the nights, walked first, tell them."""
        there = [day for day in days if day.toordinal() in self.counts]
        if not there:
            return {}
        offsets, learnt = days_around(self.limits), Learnt(int(self.limits.relearn_weeks))
        first = min(there).toordinal() - max(offsets) - int(self.limits.history_runs)
        for _ in self._walk(first, max(there).toordinal() + max(offsets), learnt):
            pass
        incidents, today = learnt.long_incidents(), self.today.toordinal()
        points = {day: n for day, n in self.counts.items() if n and day < today and day not in incidents}
        points = {day: n for day, n in points.items() if day not in self.quiet}
        return {day: self._counted(day, points, self.counts, offsets) for day in there}

    def nights(self, days: Collection[date]) -> dict[date, Counted]:
        """Return days with the counts before them that can be learnt from.

        What has been learnt is known from where the walk began, so that follows from the day alone: a night asks of one day, the
        report of sixty, and both must hear the same.
        """
        by_start: dict[int, set[date]] = {}
        for day in days:
            by_start.setdefault(self._start(day), set()).add(day)
        found: dict[date, Counted] = {}
        for start, mine in by_start.items():
            walk = self._walk(start, max(mine).toordinal(), Learnt(int(self.limits.relearn_weeks)))
            found |= {counted.day: counted for counted in walk if counted.day in mine}
        return found

    def _start(self, day: date) -> int:
        """Return where the walk to a day begins: `history_runs` days before it, or up to a quarter earlier."""
        return (day.toordinal() - int(self.limits.history_runs)) // QUARTER_DAYS * QUARTER_DAYS

    def _walk(self, first: int, last: int, learnt: Learnt) -> Iterator[Counted]:
        """Go through the nights from the first one to the last, and learn."""
        for ordinal in range(first, last + 1):
            if ordinal in self.counts:
                yield self._night(ordinal, learnt)

    def _night(self, ordinal: int, learnt: Learnt) -> Counted:
        """Return a day with what it is judged by, and take it in.

        Where its weekday has begun anew, and it is ok by what was before (and something was): that was an incident.
        """
        offsets, low_days = days_before(self.limits), learnt.low_days(ordinal - int(self.limits.history_runs))
        day = date.fromordinal(ordinal)
        counted = self._counted(day, learnt.former_points(), learnt.seen, offsets, low_days)
        is_over = day < self.today and not counted.is_quiet
        if ordinal % 7 in learnt.begun:
            if is_over and counted.usual.expected and not any(judgements(counted, self.limits)):
                learnt.come_back(learnt.begun[ordinal % 7])
            else:
                counted = self._counted(day, learnt.usual_points(), learnt.seen, offsets, low_days)
        if is_over:
            learnt.note(ordinal, counted.count, [found.code for found in judgements(counted, self.limits)])
        return counted

    def _counted(
        self, day: date, points: Mapping[int, int], written: Container[int], offsets: Sequence[int], low_days: int = 0
    ) -> Counted:
        ordinal = day.toordinal()
        around = Circumstances(low_days, self.quiet.beside_holiday(ordinal, int(self.limits.holiday_days)))
        usual = usual_of(ordinal, points, written, self.quiet, offsets, self.limits, around)
        previous = int(str(self.rows[ordinal]["previous_row_count"]))
        streak = self.streaks[ordinal]
        return Counted(day, self.counts[ordinal], previous, streak, usual, ordinal in self.quiet)


@dataclass(frozen=True)
class QuietOrdinals:
    """Quiet days, asked by ordinal."""

    days: QuietDays

    def __contains__(self, ordinal: object) -> bool:
        return isinstance(ordinal, int) and date.fromordinal(ordinal) in self.days

    def beside_holiday(self, ordinal: int, reach: int) -> bool:
        """Return whether a holiday of two quiet days or more is at most `reach` days away. A weekly weekend is none."""
        if not (self.days.yearly or self.days.dates):
            return False
        days = [date.fromordinal(day) for day in range(ordinal - reach - 1, ordinal + reach + 2)]
        return any(
            one in self.days and other in self.days and (self.days.is_holiday(one) or self.days.is_holiday(other))
            for one, other in pairwise(days)
        )


def _streaks(counts: Mapping[int, int], quiet: QuietDays) -> dict[int, int]:
    """Return for each day how many days in a row, up to it, have no row; a quiet day neither counts nor ends it."""
    streaks: dict[int, int] = {}
    length, before = 0, None
    for ordinal, count in counts.items():
        is_quiet = date.fromordinal(ordinal) in quiet
        if before is not None and ordinal != before + 1:
            length = 0
        if not is_quiet:
            length = 0 if count else length + 1
        streaks[ordinal] = 0 if count or is_quiet else length
        before = ordinal
    return streaks


def _judge_day(day: date, history: History, counted: Counted | None, lost: date | None) -> Finding:
    row = history.rows.get(day.toordinal())
    if row is None:
        return Finding(day, "critical", "never written", alerts=("dataset_missing",), note="the day was never written")
    if row["source"] == NOT_KEPT:
        return Finding(
            day, "ok", NOT_KEPT, note="the vendor keeps no numbers of so old a day; there is nothing to count"
        )
    if counted is None:
        return _not_configured(day, lost)
    if day >= history.today:
        return Finding(
            day, "ok", counted.count, note="the day is not over; not judged yet", extra={"not_judged": "not over"}
        )
    return _combine(counted, list(judgements(counted, history.limits)), history.limits)


def _not_configured(day: date, last: date | None) -> Finding:
    if last:
        note = f"the source was configured until {last}"
        return Finding(day, "warning", NOT_CONFIGURED, alerts=("dataset_missing",), note=note)
    return Finding(day, "ok", NOT_CONFIGURED, note="the source is not configured; there is nothing to count")


def judgements(counted: Counted, limits: Thresholds) -> Iterable[Judgement]:
    """Yield what each rule says of the day, where it says something."""
    if not counted.is_quiet:
        yield from _of_zero(counted, limits)
    yield from _of_restatement(counted, limits)
    if _has_a_usual(counted, limits):
        yield from _of_usual(counted, limits)


def _has_a_usual(counted: Counted, limits: Thresholds) -> bool:
    """Return whether the count is held against what is usual: enough is known, and it is enough to judge by a ratio."""
    usual = counted.usual
    return not counted.is_quiet and usual.is_known and usual.expected >= limits.new_rows_median_min


def _of_zero(counted: Counted, limits: Thresholds) -> Iterable[Judgement]:
    if counted.count:
        return
    is_missed = counted.previous > 0 or counted.usual.expected >= limits.new_rows_median_min
    severity: Severity = "critical" if is_missed else "warning"
    note = f"no rows{_held_against(counted)}; if the shop is closed on such days, say so in quiet_days"
    yield Judgement(severity, "row_count_zero", note, 0, 1)
    if counted.streak >= limits.zero_rows_streak_warning:
        level, limit = _level(
            -counted.streak, -limits.zero_rows_streak_warning + 1, -limits.zero_rows_streak_critical + 1
        )
        note = f"{counted.streak} days in a row without a row"
        yield Judgement(level, f"new_rows_zero_streak_{level}", note, counted.streak, -limit + 1)


def _held_against(counted: Counted) -> str:
    """Say what there was and what is usual, as far as there is either: the ledger has 0 for a day that was never written."""
    before = [f"before: {counted.previous}"] if counted.previous > 0 else []
    usual = [f"usual: {counted.usual.expected:g}"] if counted.usual.known.have else []
    return f" ({'; '.join(both)})" if (both := before + usual) else ""


def _of_restatement(counted: Counted, limits: Thresholds) -> Iterable[Judgement]:
    if counted.previous <= 0:
        return
    ratio = counted.count / counted.previous
    level, limit = _level(ratio, limits.row_count_ratio_warning, limits.row_count_ratio_critical)
    if level != "ok":
        yield Judgement(
            level, f"row_count_drop_{level}", f"{counted.count} rows replace {counted.previous}", ratio, limit
        )


def _of_usual(counted: Counted, limits: Thresholds) -> Iterable[Judgement]:
    usual = counted.usual
    ratio = counted.count / usual.expected
    level, limit = _level(ratio, limits.new_rows_ratio_warning, limits.new_rows_ratio_critical)
    if level != "ok":
        yield Judgement(level, f"new_rows_drop_{level}", _against(counted), ratio, limit)
    elif counted.count < usual.least:
        least = usual.least / usual.expected
        yield Judgement("warning", "new_rows_low", _against(counted), ratio, round(least, 4))


def _against(counted: Counted) -> str:
    """Say what was expected and by which counts."""
    usual = counted.usual
    alike = ", ".join(map(str, usual.known.same_weekday)) or "none"
    near = ", ".join(map(str, usual.known.near)) or "none"
    name = WEEKDAYS[counted.day.weekday()]
    level = f", at {usual.level:.0%} of their level in the last days" if usual.level < 1 else ""
    level += f", x {usual.month_end:.2f} as at month ends" if usual.month_end > 1 else ""
    return f"{counted.count} rows, usually {usual.expected:.4g} ({name}, nearest first: {alike}{level}; nearest days: {near})"


def _level(value: float, warning: float, critical: float) -> tuple[Severity, float]:
    if value < critical:
        return "critical", critical
    return ("warning", warning) if value < warning else ("ok", warning)


def _combine(counted: Counted, found: Sequence[Judgement], limits: Thresholds) -> Finding:
    usual = counted.usual
    extra: dict[str, object] = {
        "row_count": counted.count,
        "baseline_median": round(usual.expected, 2),
        "baseline_least": round(usual.least, 2),
        "baseline_days": len(usual.known.near),
        "baseline_weekdays": len(usual.known.same_weekday),
    }
    if not found:
        note = _calm(counted, limits, extra)
        return Finding(counted.day, "ok", counted.count, _fewest(counted, limits), note=note, extra=extra)
    lead = max(found, key=lambda j: RANK[j.severity])
    codes = tuple(j.code for j in found)
    return Finding(counted.day, lead.severity, lead.observed, lead.threshold, codes, lead.note, extra=extra)


def _fewest(counted: Counted, limits: Thresholds) -> float | None:
    """Return how few rows would have been ok: by chance and by the fixed ratio; None where neither is asked."""
    if not _has_a_usual(counted, limits):
        return None
    usual = counted.usual
    return round(max(usual.least, limits.new_rows_ratio_warning * usual.expected), 2)


def _calm(counted: Counted, limits: Thresholds, extra: dict[str, object]) -> str:
    """Say why nothing is wrong; what could not be judged is said in `extra` as well."""
    if counted.is_quiet:
        return f"{counted.count} rows on a quiet day of tenants.toml"
    if not counted.usual.is_known:
        extra["not_judged"] = f"warming up, {counted.usual.warm_up}"
        return f"{counted.count} rows; warming up, {counted.usual.warm_up}"
    if counted.usual.expected < limits.new_rows_median_min:
        return f"{counted.count} rows; too few a day ({counted.usual.expected:g}) to judge by a ratio"
    return f"{counted.count} rows, usually {counted.usual.expected:.4g}"
