"""Pictures for the UI: small, readable in the light and the dark theme, drawn once a run.

Belongs here: drawing a frame as an inline Markdown image. Does not belong here: deciding what is unusual.
"""

from collections.abc import Sequence
from datetime import date, timedelta

import polars as pl

from weathervane_assets.drawing import (
    BAND,
    BLUE,
    INK,
    ORANGE,
    canvas,
    date_axis,
    day_canvas,
    image,
    markdown,
    new_axes,
    new_figure,
)

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
    figure, axes = day_canvas("Orders by day")
    located, total = table["located"].to_list(), (table["located"] + table["unlocated"]).to_list()
    edges = (table["date"].cast(pl.Datetime) - ONE_DAY / 2).to_list()
    edges.append(edges[-1] + ONE_DAY)
    axes.stairs(located, edges, fill=True, color=BLUE, label="with a cell")
    axes.stairs(total, edges, baseline=located, fill=True, color=ORANGE, label="without")
    axes.set_ylim(0, 1.25 * max(1, *total))  # room for the legend
    axes.yaxis.get_major_locator().set_params(integer=True)
    date_axis(axes)
    return markdown(figure, axes, f"Orders by day, {min(days)} to {max(days)}")


def against_normal(weather: pl.DataFrame) -> pl.DataFrame:
    """Return `date`, `temp_c`, `normal`, `precip_mm` as means over the cells, and the events of any; one row a day, gaps included.

    Temperature and normal are of the cells that have a normal: a new place, warmer than all others, makes no warm day. Where
    none has one, the temperature is of all.
    """
    compared = pl.col("temp_c").filter(pl.col("temp_anomaly").is_not_null()).mean()
    return (
        weather.group_by("date")
        .agg(
            pl.coalesce(compared, pl.col("temp_c").mean()).alias("temp_c"),
            (pl.col("temp_c") - pl.col("temp_anomaly")).mean().alias("normal"),
            pl.col("precip_mm").mean(),
            pl.col(*EVENTS).max(),
        )
        .sort("date")
        .upsample("date", every="1d")
    )


def weather_picture(weather: pl.DataFrame) -> str:
    """Return the mean temperature over the cells against its normal as a Markdown image; gaps stay gaps."""
    table = against_normal(weather)
    figure, axes = day_canvas("Temperature against its normal, mean of the cells (°C)")
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
    date_axis(axes)
    return markdown(figure, axes, "Temperature against its normal by day")


def drift_picture(drift: pl.DataFrame) -> str | None:
    """Return `spend_change` and `conversions_change` by day as a Markdown image; None where less than two days changed."""
    names = [name for name in DRIFTS if name in drift.columns]
    is_changed = pl.any_horizontal(pl.col(names).fill_null(0) != 0) if names else pl.lit(value=False)
    changed = drift.filter(is_changed).sort("date")
    if changed.height < FEWEST_CHANGED_DAYS:
        return None
    first, last = drift.select(pl.min("date"), pl.max("date").alias("last")).row(0)
    figure = new_figure()
    for place, name in enumerate(names, start=1):
        axes = new_axes(figure, DRIFTS[name], (1, len(names), place))
        axes.bar(changed["date"], changed[name].cast(pl.Float64), color=(BLUE, ORANGE)[place % 2], width=0.9)
        axes.axhline(0, color=INK, linewidth=0.8)
        axes.set_xlim(first - ONE_DAY, last + ONE_DAY)
        date_axis(axes)
    return image(figure, f"Changes against the version before, {first} to {last}")


def sales_picture(by_day: pl.DataFrame) -> str | None:
    """Return orders by the day's temperature anomaly as a Markdown image; None where fewer than `FEWEST_DAYS` have both.

    `by_day`: `date`, `temp_anomaly` (degC, of the tenant), `orders`, one row a day; nulls are not drawn.
    """
    both = by_day.drop_nulls(["temp_anomaly", "orders"]).sort("date")
    if both.height < FEWEST_DAYS:
        return None
    span = f"{both['date'][0]} to {both['date'][-1]}"
    figure, axes = canvas(f"Orders of a day by its temperature anomaly, {span}")
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
    return markdown(figure, axes, "Orders by temperature anomaly")
