"""Pictures as SVG text whose colours are the page's: classes, not values, so that they follow light, dark and paper.

Belongs here: where a value lies in a picture, lines, ticks. Does not belong here: what is drawn (`charts.py`). All text is
escaped where it is put in (`Markup.format`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from markupsafe import Markup

WIDTH, LEFT, RIGHT = 760.0, 46.0, 10.0
MOST_TICKS = 8
NONE = Markup("")
Point = tuple[float, float | None]


@dataclass(frozen=True)
class Chart:
    """A picture with its title, what it says in words (`alt`), and its legend: a swatch and a label each."""

    title: str
    alt: str
    svg: Markup
    legend: Sequence[tuple[Markup, str]] = field(default=())


@dataclass(frozen=True)
class Plot:
    """A plotting area, pixels: x from `first` to `last` (days as ordinals), y from `low` at the bottom to `high`."""

    first: float
    last: float
    low: float
    high: float
    top: float = 8.0
    height: float = 200.0
    left: float = LEFT

    @property
    def right(self) -> float:
        """The right edge."""
        return WIDTH - RIGHT

    @property
    def bottom(self) -> float:
        """The lower edge."""
        return self.top + self.height

    def x(self, value: float) -> float:
        """Return where a value lies across."""
        return self.left + (value - self.first) / ((self.last - self.first) or 1.0) * (self.right - self.left)

    def y(self, value: float) -> float:
        """Return where a value lies down."""
        return self.bottom - (value - self.low) / ((self.high - self.low) or 1.0) * self.height


def picture(height: float, parts: Iterable[Markup], alt: str) -> Markup:
    """Return the whole picture, `WIDTH` by `height` pixels, with what it says for those who do not see it."""
    head = Markup('<svg class="chart" viewBox="0 0 {:.0f} {:.0f}" role="img" aria-label="{}">')
    return head.format(WIDTH, height, alt) + Markup("\n").join(parts) + Markup("</svg>")


def swatch(inner: Markup) -> Markup:
    """Return a small picture for a legend."""
    return Markup('<svg class="swatch" viewBox="0 0 20 12" aria-hidden="true">{}</svg>').format(inner)


def shape(kind: str, d: str, extra: Markup = NONE) -> Markup:
    """Return a path of a class."""
    return Markup('<path class="{}" d="{}"{}/>').format(kind, d, extra)


def text(x: float, y: float, said: str, kind: str = "tick", anchor: str = "middle") -> Markup:
    """Return a line of text."""
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(kind, x, y, anchor, said)


def line(plot: Plot, points: Sequence[Point]) -> str:
    """Return the path of a line that is broken where a value is missing; a point alone is a dot."""
    drawn = []
    for run in runs(points):
        steps = [f"{plot.x(x):.1f} {plot.y(y):.1f}" for x, y in run]
        drawn.append(f"M{'L'.join(steps)}" + ("h0" if len(steps) == 1 else ""))
    return "".join(drawn)


def runs(points: Sequence[Point]) -> Iterator[list[tuple[float, float]]]:
    """Yield the stretches of points that have values."""
    run: list[tuple[float, float]] = []
    for x, y in points:
        if y is not None:
            run.append((x, y))
        elif run:
            yield run
            run = []
    if run:
        yield run


def steps_between(low: float, high: float, about: int = 4) -> list[float]:
    """Return round values from `low` to `high`, about as many as asked for."""
    raw = (high - low or 1.0) / about
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(unit * m for m in (1, 2, 5, 10) if unit * m >= raw)
    return [n * step for n in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def y_axis(plot: Plot, values: Sequence[float], form: str = "{:g}") -> Markup:
    """Return grid lines with their values at the left."""
    grid = "".join(f"M{plot.left:.1f} {plot.y(v):.1f}H{plot.right:.1f}" for v in values)
    labels = [text(plot.left - 6, plot.y(v) + 4, form.format(v).replace("-", "−"), anchor="end") for v in values]
    return shape("grid", grid) + Markup("").join(labels)


def day_axis(plot: Plot) -> Markup:
    """Return the days below: Mondays, one, two or four weeks apart."""
    first, last = date.fromordinal(int(plot.first)), date.fromordinal(int(plot.last))
    monday = first + timedelta(days=-first.weekday() % 7)
    weeks = next(n for n in (1, 2, 4, 8, 16, 52) if (last - monday).days // (7 * n) < MOST_TICKS)
    days = [monday + timedelta(days=n) for n in range(0, (last - monday).days + 1, 7 * weeks)] or [first]
    marks = "".join(f"M{plot.x(day.toordinal()):.1f} {plot.bottom:.1f}v4" for day in days)
    labels = [text(plot.x(d.toordinal()), plot.bottom + 17, f"{d.day} {d:%b}") for d in days]
    base = f"M{plot.left:.1f} {plot.bottom:.1f}H{plot.right:.1f}"
    return shape("axis", base + marks) + Markup("").join(labels)
