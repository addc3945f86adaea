"""The four pictures of the report. Each says in words what it shows, and nothing is told by colour alone.

Belongs here: which values stand where. Does not belong here: deciding what is unusual, and paths and axes (`svg.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING

import polars as pl
from markupsafe import Markup

from weathervane_assets.tenant_report.svg import (
    WIDTH,
    Chart,
    Plot,
    Point,
    day_axis,
    line,
    picture,
    runs,
    shape,
    steps_between,
    swatch,
    text,
    y_axis,
)
from weathervane_assets.tenant_report.wording import apart, celsius, day, share
from weathervane_checks.thresholds import Thresholds

if TYPE_CHECKING:
    from weathervane_assets.tenant_report.climate import Event

NEAR_NORMAL_C = 2.0
"""Departures up to this count as normal."""
SEVERITY_HEIGHTS = {"ok": 4.0, "warning": 9.0, "critical": 15.0}
"""Pixels: the worse, the taller, so that it is seen without colours too."""
ROW = 18.0
EVENT_MARKS = {"heatwave": "M-4 3L0-4L4 3z", "snow": "M-4 0H4M0-4V4M-3-3L3 3M-3 3L3-3", "gale": "M-4-4L4 4M-4 4L4-4"}


def severity_chart(severities: Mapping[str, Sequence[str | None]], days: Sequence[date]) -> Chart:
    """Return datasets x days, a bar for each day that was written, the taller the worse."""
    ordinals = [one.toordinal() for one in days]
    plot = Plot(ordinals[0] - 0.5, ordinals[-1] + 0.5, 0, 1, height=ROW * len(severities), left=118)
    width = plot.x(1) - plot.x(0) - 1.5
    parts = [day_axis(plot)]
    for row, (name, of_dataset) in enumerate(severities.items()):
        base = plot.top + ROW * (row + 1) - 2
        parts += [text(plot.left - 8, base - 1, name, "tick strong", "end")]
        for severity, height in SEVERITY_HEIGHTS.items():
            at = [x for x, said in zip(ordinals, of_dataset, strict=True) if said == severity]
            bars = "".join(f"M{plot.x(x) - width / 2:.1f} {base:.1f}v{-height:g}h{width:.1f}v{height:g}z" for x in at)
            parts += [shape(f"fill {severity}", bars)] if bars else []
    counted = {s: sum(said == s for of in severities.values() for said in of) for s in SEVERITY_HEIGHTS}
    alt = (
        f"Severity of {len(severities)} datasets by day, {day(days[0])} to {day(days[-1])}: "
        + ", ".join(f"{n} days {s}" for s, n in counted.items())
        + "; the table of datasets says which."
    )
    legend = [(swatch(shape(f"fill {s}", f"M6 12v{-min(h, 12):g}h8v12z")), s) for s, h in SEVERITY_HEIGHTS.items()]
    return Chart(
        "Each dataset by day",
        alt,
        picture(plot.bottom + 24, parts, alt),
        [*legend, (swatch(Markup("")), "empty: nothing written")],
    )


def coverage_chart(by_day: pl.DataFrame, limits: Thresholds) -> Chart:
    """Return the shares of orders with a place and of matrix rows with weather by day, one above the other."""
    panels = (
        ("located_ratio", "Orders with a place", limits.geocoded_ratio_warning, "place"),
        ("weather_ratio", "Rows of the matrix with weather", limits.weather_coverage_warning, "temp"),
    )
    days = [one.toordinal() for one in by_day["date"]]
    lowest = min([0.5, *by_day["located_ratio"].drop_nulls(), *by_day["weather_ratio"].drop_nulls()])
    parts, said, top = [], [], 22.0
    for column, title, limit, kind in panels:
        plot = Plot(days[0], days[-1], 0.0 if lowest < 0.5 else 0.5, 1.0, top=top, height=72)
        points: list[Point] = list(zip(days, by_day[column].to_list(), strict=True))
        limit_line = f"M{plot.left:.1f} {plot.y(limit):.1f}H{plot.right:.1f}"
        parts += [text(plot.left, top - 8, title, "tick strong", "start"), _shares(plot)]
        parts += [shape("stroke limit", limit_line), shape(f"stroke {kind}", line(plot, points))]
        known = by_day[column].drop_nulls()
        said.append(
            f"{title.lower()}, {share(_least(known))} at least on a day" if known.len() else f"{title.lower()}: none"
        )
        top += 112
    parts.append(day_axis(plot))
    alt = f"By day, {day(by_day['date'][0])} to {day(by_day['date'][-1])}: " + "; ".join(said) + "."
    legend = [(swatch(shape("stroke limit", "M0 6H20")), "below this line the check warns")]
    return Chart("Places and weather by day", alt, picture(plot.bottom + 24, parts, alt), legend)


def _shares(plot: Plot) -> Markup:
    values = [plot.low, (plot.low + 1) / 2, 1.0]
    grid = shape("grid", "".join(f"M{plot.left:.1f} {plot.y(v):.1f}H{plot.right:.1f}" for v in values))
    return grid + Markup("").join(text(plot.left - 6, plot.y(v) + 4, f"{100 * v:.0f} %", anchor="end") for v in values)


def temperature_chart(by_day: pl.DataFrame, events: Sequence[Event]) -> Chart:
    """Return the temperature against its normal (`temp_c`, `normal_c` by `date`), warm and cold filled, events marked."""
    days = [one.toordinal() for one in by_day["date"]]
    known = [v for name in ("temp_c", "normal_c") for v in by_day[name].drop_nulls()]
    room = 0.1 * (max(known) - min(known)) + 0.5
    plot = Plot(days[0], days[-1], min(known) - room, max(known) + 1.5 * room, height=230)  # above: marks of events
    temperature: list[Point] = list(zip(days, by_day["temp_c"].to_list(), strict=True))
    normal: list[Point] = list(zip(days, by_day["normal_c"].to_list(), strict=True))
    parts = [
        y_axis(plot, steps_between(plot.low, plot.high, 6), "{:g}°"),
        day_axis(plot),
        *_departures(plot, temperature, normal),
    ]
    parts += [shape("stroke normal", line(plot, normal)), shape("stroke temp", line(plot, temperature))]
    parts += [*_marks(plot, dict(temperature), events), *_hints(plot, by_day)]
    legend = [
        (swatch(shape("stroke temp", "M0 6H20")), "temperature"),
        (swatch(shape("stroke normal", "M0 6H20")), "normal"),
        (swatch(shape("fill warm", "M2 1H18V11H2z")), "warmer than normal"),
        (swatch(shape("fill cold", "M2 1H18V11H2z")), "colder than normal"),
    ]
    names = sorted({event.name for event in events})
    legend += [(swatch(_mark(name, 10, 6)), f"{name} somewhere") for name in names]
    alt = _temperature_said(by_day, names)
    return Chart("Temperature against its normal", alt, picture(plot.bottom + 24, parts, alt), legend)


def _temperature_said(by_day: pl.DataFrame, events: Sequence[str]) -> str:
    low, high = by_day["temp_c"].min(), by_day["temp_c"].max()
    judged = by_day.drop_nulls("temp_anomaly")
    warm, cold = (judged.filter(which).height for which in (pl.col("temp_anomaly") > 0, pl.col("temp_anomaly") < 0))
    against = (
        f" It was warmer than normal on {warm} days, colder on {cold}." if judged.height else " No normals are known."
    )
    marked = f" Marked are days with {', '.join(events)}." if events else ""
    span = f"{day(by_day['date'][0])} to {day(by_day['date'][-1])}"
    return (
        f"Mean temperature by day, {span}, between {celsius(_float(low))} and {celsius(_float(high))}.{against}{marked}"
    )


def _departures(plot: Plot, temperature: Sequence[Point], normal: Sequence[Point]) -> list[Markup]:
    """Return the area between the lines, once cut off below the normal and once above it."""
    both = [(x, t, n) for (x, t), (_, n) in zip(temperature, normal, strict=True)]
    area, above, below = "", "", ""
    for run in runs([(x, None if t is None or n is None else x) for x, t, n in both]):
        inside = [row for row in both if run[0][0] <= row[0] <= run[-1][0]]
        there = "L".join(f"{plot.x(x):.1f} {plot.y(t or 0):.1f}" for x, t, _ in inside)
        along = [f"{plot.x(x):.1f} {plot.y(n or 0):.1f}" for x, _, n in inside]
        area += f"M{there}L{'L'.join(reversed(along))}z"
        left, right = plot.x(inside[0][0]), plot.x(inside[-1][0])
        above += f"M{left:.1f} {plot.top:.1f}L{'L'.join(along)}L{right:.1f} {plot.top:.1f}z"
        below += f"M{left:.1f} {plot.bottom:.1f}L{'L'.join(along)}L{right:.1f} {plot.bottom:.1f}z"
    clip = Markup('<clipPath id="{}"><path d="{}"/></clipPath>')
    cut = Markup(' clip-path="url(#{})"')
    return [
        clip.format("above-normal", above) + clip.format("below-normal", below),
        shape("fill warm", area, cut.format("above-normal")),
        shape("fill cold", area, cut.format("below-normal")),
    ]


def _marks(plot: Plot, temperature: Mapping[float, float | None], events: Sequence[Event]) -> list[Markup]:
    """Return the events' marks, above the line, one for each day that has a temperature."""
    marks = []
    for event in events:
        for ordinal in range(event.first.toordinal(), event.last.toordinal() + 1):
            at = temperature.get(ordinal)
            if at is not None:
                marks.append(_mark(event.name, plot.x(ordinal), plot.y(at) - 12))
    return marks


def _mark(name: str, x: float, y: float) -> Markup:
    return shape("mark", EVENT_MARKS[name], Markup(' transform="translate({:.1f} {:.1f})"').format(x, y))


def _hints(plot: Plot, by_day: pl.DataFrame) -> list[Markup]:
    """Return unseen stripes that say a day's figures to the mouse."""
    stripe = Markup('<rect class="hint" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"><title>{}</title></rect>')
    width = plot.x(1) - plot.x(0)
    return [
        stripe.format(
            plot.x(one.toordinal()) - width / 2,
            plot.top,
            width,
            plot.height,
            f"{day(one)}: {celsius(t)}, {apart(a)} from normal",
        )
        for one, t, a in by_day.select("date", "temp_c", "temp_anomaly").iter_rows()
        if t is not None
    ]


def sales_chart(by_day: pl.DataFrame) -> Chart:
    """Return orders by temperature anomaly (`date`, `temp_anomaly`, `orders`): a dot on a weekday, a triangle on a weekend."""
    days = by_day.drop_nulls("temp_anomaly").sort("date")
    reach = max(NEAR_NORMAL_C + 1, *(abs(a) for a in days["temp_anomaly"])) * 1.05
    ticks = steps_between(0, max(1, *days["orders"].to_list()) * 1.1)
    plot = Plot(-reach, reach, 0, ticks[-1] * 1.08 or 1, height=210)
    near = f"M{plot.x(-NEAR_NORMAL_C):.1f} {plot.top:.1f}H{plot.x(NEAR_NORMAL_C):.1f}V{plot.bottom:.1f}H{plot.x(-NEAR_NORMAL_C):.1f}z"
    parts = [shape("fill near", near), y_axis(plot, ticks), _departure_axis(plot, reach)]
    parts += [_dot(plot, *row) for row in days.select("date", "temp_anomaly", "orders").iter_rows()]
    legend = [
        (swatch(Markup('<circle class="dot" cx="10" cy="6" r="4"/>')), "Monday to Friday"),
        (swatch(shape("dot weekend", "M10 1l5 9h-10z")), "weekend"),
        (swatch(shape("fill near", "M2 1H18V11H2z")), f"within {NEAR_NORMAL_C:g} °C of normal"),
    ]
    alt = (
        f"Orders of {days.height} days by the day's departure from the normal temperature, from {apart(_float(days['temp_anomaly'].min()))} "
        f"to {apart(_float(days['temp_anomaly'].max()))}; the table below gives the means."
    )
    return Chart(
        "Orders of a day by how unusual its temperature was", alt, picture(plot.bottom + 42, parts, alt), legend
    )


def _departure_axis(plot: Plot, reach: float) -> Markup:
    values = steps_between(-reach, reach, 8)
    marks = "".join(f"M{plot.x(v):.1f} {plot.bottom:.1f}v4" for v in values)
    axis = shape("axis", f"M{plot.left:.1f} {plot.bottom:.1f}H{plot.right:.1f}{marks}")
    labels = [text(plot.x(v), plot.bottom + 17, f"{v:+g}°".replace("-", "−").replace("+0°", "0°")) for v in values]
    said = text(
        (plot.left + WIDTH) / 2, plot.bottom + 36, "colder ← departure from the normal temperature, °C → warmer", "tick"
    )
    return axis + Markup("").join(labels) + said


def _dot(plot: Plot, on: date, anomaly: float, orders: int) -> Markup:
    x, y, said = plot.x(anomaly), plot.y(orders), f"{on:%a} {day(on)}: {orders} orders, {apart(anomaly)}"
    if on.weekday() >= 5:
        return Markup('<path class="dot weekend" d="M{:.1f} {:.1f}l5 9h-10z"><title>{}</title></path>').format(
            x, y - 5, said
        )
    return Markup('<circle class="dot" cx="{:.1f}" cy="{:.1f}" r="4"><title>{}</title></circle>').format(x, y, said)


def _least(values: pl.Series) -> float | None:
    return _float(values.min())


def _float(value: object) -> float | None:
    return float(value) if isinstance(value, float) else None
