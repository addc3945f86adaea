"""Pictures for the UI: small, readable in the light and the dark theme, drawn once a run.

Belongs here: drawing a frame as an inline Markdown image. Does not belong here: deciding what is unusual.
"""

import base64
import io
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import polars as pl

INK = "#6b7785"
"""A grey with enough contrast on white and on the UI's dark background."""
GREEN, RED = "#3d9a6b", "#c23b3b"
SEVERITY_COLOURS = {"ok": GREEN, "warning": "#e3a72f", "critical": RED}
BLUE, ORANGE, BAND = "#2f7fd6", "#d9822b", "#8fb8e8"
SIZE_INCHES = (7.2, 2.6)
DPI = 100
ONE_DAY = timedelta(days=1)
DRIFTS = {
    "spend_change": "Spend: change against the version before",
    "conversions_change": "Conversions: change against the version before",
}
FEWEST_CHANGED_DAYS = 2
"""Of a single day the numbers say it all."""
EVENTS = {
    "heatwave_flag": ("^", "heatwave"),
    "snow_event_flag": ("*", "snow"),
    "high_wind_flag": ("x", "gale"),
}
"""Flags that the weather's picture marks, with their sign and name."""
FEWEST_DAYS = 7
"""Fewer points are no picture."""


def orders_picture(orders: pl.DataFrame, days: Sequence[date]) -> str:
    """Return orders by day, those with and without a cell, as a Markdown image; a day without orders is at zero."""
    found = pl.col("ship_geohash").is_not_null()
    spine = pl.DataFrame({"date": sorted(days)}, schema={"date": pl.Date})
    counts = orders.group_by("date").agg(found.sum().alias("located"), (~found).sum().alias("unlocated"))
    table = spine.join(counts, on="date", how="left", validate="1:1").with_columns(pl.exclude("date").fill_null(0))
    figure, axes = _canvas("Orders by day")
    axes.bar(table["date"], table["located"], color=BLUE, width=0.9, label="with a cell")
    axes.bar(table["date"], table["unlocated"], bottom=table["located"], color=ORANGE, width=0.9, label="without")
    highest = max(table.select((pl.col("located") + pl.col("unlocated")).alias("n"))["n"].to_list())
    axes.set_ylim(0, 1.25 * max(1, highest))  # room for the legend
    _date_axis(axes)
    return _markdown(figure, axes, f"Orders by day, {min(days)} to {max(days)}")


def weather_picture(weather: pl.DataFrame) -> str:
    """Return the mean temperature over the cells against its normal as a Markdown image; gaps stay gaps."""
    table = (
        weather.group_by("date")
        .agg(
            pl.col("temp_c").mean(),
            (pl.col("temp_c") - pl.col("temp_anomaly")).mean().alias("normal"),
            pl.col("precip_mm").mean(),
            pl.col(*EVENTS).max(),
        )
        .sort("date")
        .upsample("date", every="1d")
    )
    figure, axes = _canvas("Temperature against its normal, mean of the cells (°C)")
    axes.plot(table["date"], table["normal"], color=INK, linewidth=1.2, label="normal")
    axes.plot(table["date"], table["temp_c"], color=BLUE, linewidth=1.6, label="temperature")
    temperature, normal = (
        table[name].cast(pl.Float64).fill_null(float("nan")).to_numpy() for name in ("temp_c", "normal")
    )
    axes.fill_between(
        table["date"],
        temperature,
        normal,
        where=temperature > normal,
        color=ORANGE,
        alpha=0.35,
        linewidth=0,
        interpolate=True,
    )
    axes.fill_between(
        table["date"],
        temperature,
        normal,
        where=temperature < normal,
        color=BAND,
        alpha=0.45,
        linewidth=0,
        interpolate=True,
    )
    for flag, (marker, label) in EVENTS.items():
        days = table.filter(pl.col(flag) == 1)
        if days.height:
            axes.plot(
                days["date"], days["temp_c"], linestyle="none", marker=marker, color=INK, label=f"{label} somewhere"
            )
    _date_axis(axes)
    return _markdown(figure, axes, "Temperature against its normal by day")


def drift_picture(drift: pl.DataFrame) -> str | None:
    """Return `spend_change` and `conversions_change` by day as a Markdown image; None where less than two days changed."""
    names = [name for name in DRIFTS if name in drift.columns]
    is_changed = pl.any_horizontal(pl.col(names).fill_null(0) != 0) if names else pl.lit(value=False)
    changed = drift.filter(is_changed).sort("date")
    if changed.height < FEWEST_CHANGED_DAYS:
        return None
    first, last = drift.select(pl.min("date"), pl.max("date").alias("last")).row(0)
    figure = _figure()
    for place, name in enumerate(names, start=1):
        axes = _axes(figure, DRIFTS[name], (1, len(names), place))
        axes.bar(changed["date"], changed[name].cast(pl.Float64), color=(BLUE, ORANGE)[place % 2], width=0.9)
        axes.axhline(0, color=INK, linewidth=0.8)
        axes.set_xlim(first - ONE_DAY, last + ONE_DAY)
        _date_axis(axes)
    return _image(figure, f"Changes against the version before, {first} to {last}")


def sales_picture(by_day: pl.DataFrame) -> str | None:
    """Return orders by the day's temperature anomaly as a Markdown image; None where fewer than `FEWEST_DAYS` have both.

    `by_day`: `date`, `temp_anomaly` (degC, of the tenant), `orders`, one row a day; nulls are not drawn.
    """
    both = by_day.drop_nulls(["temp_anomaly", "orders"]).sort("date")
    if both.height < FEWEST_DAYS:
        return None
    span = f"{both['date'][0]} to {both['date'][-1]}"
    figure, axes = _canvas(f"Orders of a day by its temperature anomaly, {span}")
    is_weekend = pl.col("date").dt.weekday() > 5
    for label, color, marker, days in (
        ("Monday to Friday", BLUE, "o", both.filter(~is_weekend)),
        ("weekend", ORANGE, "^", both.filter(is_weekend)),
    ):
        axes.scatter(days["temp_anomaly"], days["orders"], s=18, color=color, marker=marker, alpha=0.8, label=label)
    axes.axvline(0, color=INK, linewidth=0.8, linestyle=":")
    axes.set_ylim(0, 1.3 * max(1, *both["orders"].to_list()))  # room for the legend
    axes.set_xlabel("warmer or colder than normal (°C), cells weighted by earlier orders", color=INK, fontsize=8)
    axes.set_ylabel("orders", color=INK, fontsize=8)
    return _markdown(figure, axes, "Orders by temperature anomaly")


def severity_picture(severities: Mapping[str, Sequence[str | None]], days: Sequence[date]) -> str:
    """Return datasets x days in the colours of their severity as a Markdown image; what was never written stays empty."""
    from matplotlib.colors import ListedColormap  # noqa: PLC0415 - as below
    from matplotlib.patches import Patch  # noqa: PLC0415

    names = list(SEVERITY_COLOURS)
    rows = [[names.index(s) if s else float("nan") for s in of_dataset] for of_dataset in severities.values()]
    figure, axes = _canvas("Severity by dataset and day")
    colours = ListedColormap(list(SEVERITY_COLOURS.values()))
    axes.pcolormesh(days, range(len(rows)), rows, cmap=colours, vmin=0, vmax=len(names) - 1, shading="nearest")
    axes.set_yticks(range(len(rows)), list(severities))
    axes.invert_yaxis()
    handles = [Patch(color=colour, label=name) for name, colour in SEVERITY_COLOURS.items()]
    axes.legend(
        handles=handles, frameon=False, fontsize=8, labelcolor=INK, ncols=3, loc="lower right", bbox_to_anchor=(1, 1)
    )
    _date_axis(axes)
    return _image(figure, f"Severity by dataset and day, {min(days)} to {max(days)}")


def _canvas(title: str) -> tuple[Any, Any]:
    figure = _figure()
    return figure, _axes(figure, title, (1, 1, 1))


def _figure() -> Any:
    from matplotlib.figure import Figure  # noqa: PLC0415 - half a second that only a run should pay

    return Figure(figsize=SIZE_INCHES, dpi=DPI, layout="constrained")


def _axes(figure: Any, title: str, place: tuple[int, int, int]) -> Any:
    axes = figure.add_subplot(*place)
    axes.set_title(title, color=INK, fontsize=9, loc="left")
    axes.tick_params(colors=INK, labelsize=8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(INK)
    return axes


def _date_axis(axes: Any) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter  # noqa: PLC0415 - as above

    locator = AutoDateLocator(minticks=3, maxticks=9)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    axes.xaxis.get_offset_text().set(color=INK, fontsize=8)


def _markdown(figure: Any, axes: Any, title: str) -> str:
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=8, labelcolor=INK, ncols=5, loc="best")
    return _image(figure, title)


def _image(figure: Any, title: str) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", transparent=True)
    return f"![{title}](data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()})"
