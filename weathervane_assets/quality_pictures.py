"""Pictures of a tenant's data quality over the last weeks, for the newest `dq_report`.

Belongs here: drawing what the report found. Does not belong here: finding it (`weathervane_checks.dq_report`).
"""

from collections.abc import Mapping, Sequence
from datetime import date

import polars as pl

from weathervane_assets.drawing import BAND, BLUE, GREEN, INK, ORANGE, RED, canvas, date_axis, image, markdown
from weathervane_assets.pictures import FEWEST_DAYS
from weathervane_resources.geocoder import centre
from weathervane_resources.quota_use import Spent

SEVERITY_COLOURS = {"ok": GREEN, "warning": "#e3a72f", "critical": RED}
SOURCE_COLOURS = {"address": BLUE, "postal": BAND, "postal_prefix": "#7aa874", "city": "#b7a3d6", "none": ORANGE}
"""How an order's cell was found, from the surest to none."""
NEARLY_SPENT_PERCENT = 80
"""From here on a window's bar is orange: one more backfill may be deferred."""


def severity_picture(severities: Mapping[str, Sequence[str | None]], days: Sequence[date]) -> str:
    """Return datasets x days in the colours of their severity as a Markdown image; what was never written stays empty."""
    from matplotlib.colors import ListedColormap  # noqa: PLC0415 - as in drawing.py
    from matplotlib.patches import Patch  # noqa: PLC0415

    names = list(SEVERITY_COLOURS)
    rows = [[names.index(s) if s else float("nan") for s in of_dataset] for of_dataset in severities.values()]
    figure, axes = canvas("Severity by dataset and day")
    colours = ListedColormap(list(SEVERITY_COLOURS.values()))
    axes.pcolormesh(days, range(len(rows)), rows, cmap=colours, vmin=0, vmax=len(names) - 1, shading="nearest")
    axes.set_yticks(range(len(rows)), list(severities))
    axes.invert_yaxis()
    handles = [Patch(color=colour, label=name) for name, colour in SEVERITY_COLOURS.items()]
    axes.legend(
        handles=handles, frameon=False, fontsize=8, labelcolor=INK, ncols=3, loc="lower right", bbox_to_anchor=(1, 1)
    )
    date_axis(axes)
    return image(figure, f"Severity by dataset and day, {min(days)} to {max(days)}")


def counts_picture(by_day: pl.DataFrame) -> str | None:
    """Return orders by day over what is usual, with the days that alerted, as a Markdown image; None of too few days.

    `by_day`: `date`, `orders`, `usual`, `least` (what chance may leave of it; null while warming up), `severity`.
    """
    if by_day.height < FEWEST_DAYS:
        return None
    days, usual, least = (
        by_day["date"],
        *(by_day[name].cast(pl.Float64).fill_null(float("nan")).to_numpy() for name in ("usual", "least")),
    )
    figure, axes = canvas("Orders by day, over what is usual of such a day")
    axes.fill_between(
        days, least, usual, color=BAND, alpha=0.5, linewidth=0, step="mid", label="usual, down to what chance may leave"
    )
    axes.plot(days, by_day["orders"], color=BLUE, linewidth=1.4, marker=".", markersize=4, label="orders")
    for severity, marker in (("warning", "v"), ("critical", "X")):
        told = by_day.filter(pl.col("severity") == severity)
        if told.height:
            colour = SEVERITY_COLOURS[severity]
            axes.plot(
                told["date"],
                told["orders"],
                linestyle="none",
                marker=marker,
                markersize=8,
                color=colour,
                label=severity,
            )
    axes.set_ylim(0, 1.3 * max(1, *by_day["orders"].to_list()))  # room for the legend
    date_axis(axes)
    return markdown(figure, axes, f"Orders by day over what is usual, {days[0]} to {days[-1]}")


def places_picture(orders: pl.DataFrame) -> str | None:
    """Return the share of orders by how their cell was found and by day as a Markdown image; None of too few days.

    `orders`: `date`, `geo_source`.
    """
    counts = orders.group_by("date", "geo_source").len("orders").pivot("geo_source", index="date", values="orders")
    table = counts.sort("date").with_columns(pl.exclude("date").fill_null(0))
    if table.height < FEWEST_DAYS:
        return None
    ways = [way for way in SOURCE_COLOURS if way in table.columns]
    shares = table.with_columns(pl.col(ways) * 100 / pl.sum_horizontal(ways))
    figure, axes = canvas("Orders by how their place was found (% of a day)")
    below = [0.0] * shares.height
    for way in ways:
        axes.bar(
            shares["date"],
            shares[way],
            bottom=below,
            color=SOURCE_COLOURS[way],
            width=0.95,
            label=way.replace("_", " "),
        )
        below = [low + high for low, high in zip(below, shares[way], strict=True)]
    axes.set_ylim(0, 125)  # room for the legend
    axes.set_yticks([0, 50, 100])
    date_axis(axes)
    return markdown(figure, axes, f"Orders by how their place was found, {table['date'][0]} to {table['date'][-1]}")


def cells_picture(orders: pl.DataFrame) -> str | None:
    """Return the cells shipped to, by latitude and longitude and coloured by orders, as a Markdown image; None without any.

    `orders`: `ship_geohash`.
    """
    cells = orders.drop_nulls("ship_geohash").group_by("ship_geohash").len("orders").sort("orders", "ship_geohash")
    if cells.is_empty():
        return None
    latitudes, longitudes = zip(*(centre(cell) for cell in cells["ship_geohash"]), strict=True)
    figure, axes = canvas(f"Where orders went: {cells.height} cells of about 5 km")
    dots = axes.scatter(
        longitudes, latitudes, c=cells["orders"].to_list(), s=26, cmap="viridis", edgecolors=INK, linewidths=0.4
    )
    bar = figure.colorbar(dots, ax=axes, pad=0.01)
    bar.set_label("orders", color=INK, fontsize=8)
    bar.ax.tick_params(colors=INK, labelsize=8)
    axes.set_xlabel("longitude (degrees east)", color=INK, fontsize=8)
    axes.set_ylabel("latitude (degrees north)", color=INK, fontsize=8)
    axes.grid(color=INK, alpha=0.25, linewidth=0.5)
    axes.margins(0.08)
    return image(figure, "Cells shipped to, coloured by orders")


def weight_picture(spent: Sequence[Spent]) -> str | None:
    """Return the call weight spent of each window's quota as a Markdown image; None where there is no quota or no use of it."""
    if not spent:
        return None
    shares, places = [100 * one.share for one in spent], range(len(spent))
    names = [f"{one}\n{one.weight:,.0f} of {one.window.limit:,.0f}" for one in spent]
    figure, axes = canvas("Open-Meteo's call weight, of all tenants (% of the free quota)")
    colours = [ORANGE if share >= NEARLY_SPENT_PERCENT else BLUE for share in shares]
    axes.barh(places, shares, height=0.55, color=colours)
    axes.axvline(100, color=RED, linewidth=1.2, linestyle=":")
    axes.set_yticks(places, names)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.05 * max(100, *shares))
    return image(figure, "Call weight spent against Open-Meteo's free quota")


def quality_pictures(
    severities: Mapping[str, Sequence[str | None]],
    days: Sequence[date],
    counts: pl.DataFrame,
    orders: pl.DataFrame,
    spent: Sequence[Spent],
) -> dict[str, str]:
    """Return the pictures of a report by name; those that would show too little are left out."""
    drawn = {
        "picture": severity_picture(severities, days),
        "orders_against_usual": counts_picture(counts),
        "places_by_day": places_picture(orders),
        "cells": cells_picture(orders),
        "call_weight": weight_picture(spent),
    }
    return {name: picture for name, picture in drawn.items() if picture is not None}
