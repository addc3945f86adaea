"""How a picture for the UI is made: one size, one set of colours that reads in the light and the dark theme, inline Markdown.

Belongs here: canvas, axes and encoding. Does not belong here: what is drawn (`pictures.py`, `quality_pictures.py`).
"""

import base64
import io
import sys
from importlib import import_module
from threading import Thread
from typing import Any, Literal

INK = "#6b7785"
"""A grey with enough contrast on white and on the UI's dark background."""
GREEN, RED = "#3d9a6b", "#c23b3b"
BLUE, ORANGE, BAND = "#2f7fd6", "#d9822b", "#8fb8e8"
SIZE_INCHES = (7.2, 2.6)
DPI = 100
_MODULES = ("matplotlib.figure", "matplotlib.dates", "matplotlib.backends.backend_agg")


def prepare() -> None:
    """Import what draws in a thread, beside the wait for a vendor: half a second that only a run with a picture should pay."""
    if any(name not in sys.modules for name in _MODULES):
        Thread(target=lambda: [import_module(name) for name in _MODULES], name="import of matplotlib").start()


def canvas(title: str) -> tuple[Any, Any]:
    """Return a figure and its only axes."""
    figure = new_figure()
    return figure, new_axes(figure, title, (1, 1, 1))


def day_canvas(title: str) -> tuple[Any, Any]:
    """Return a figure and its only axes, for numbers by day: their labels are short, so the margins need not be searched for."""
    figure = new_figure(layout=None)
    axes = new_axes(figure, title, (1, 1, 1))
    figure.subplots_adjust(left=0.08, right=0.985, top=0.89, bottom=0.17)
    return figure, axes


def new_figure(layout: Literal["constrained"] | None = "constrained") -> Any:
    """Return an empty figure."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - half a second that only a run should pay

    return Figure(figsize=SIZE_INCHES, dpi=DPI, layout=layout)


def new_axes(figure: Any, title: str, place: tuple[int, int, int]) -> Any:
    """Add axes at a place of a grid, titled."""
    axes = figure.add_subplot(*place)
    axes.set_title(title, color=INK, fontsize=9, loc="left")
    axes.tick_params(colors=INK, labelsize=8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(INK)
    return axes


def date_axis(axes: Any) -> None:
    """Let the horizontal axis show days, few and short."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter  # noqa: PLC0415 - as above

    locator = AutoDateLocator(minticks=3, maxticks=9)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    axes.xaxis.get_offset_text().set(color=INK, fontsize=8)


def markdown(figure: Any, axes: Any, title: str) -> str:
    """Return the figure as a Markdown image, with a legend where something is named."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=8, labelcolor=INK, ncols=5, loc="best")
    return image(figure, title)


def image(figure: Any, title: str) -> str:
    """Return the figure as a Markdown image."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", transparent=True)
    return f"![{title}](data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()})"
