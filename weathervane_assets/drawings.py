"""The two pictures of docs/architecture.md as SVG text: the graph of assets, and the layers of the code.

Belongs here: where a box stands and how an arrow runs. Colours are chosen to be read on a light and on a dark page.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from weathervane_assets.architecture import Layer
from weathervane_assets.graph import GRAPH, Node

TINTS = {"commerce": "#cfe8d5", "ads": "#f6dcc0", "weather": "#cde0f5", "features": "#e4d5f2"}
INK, LINE = "#1c2733", "#7d8b99"
FONT = "font-family='system-ui, sans-serif'"


@dataclass(frozen=True)
class Box:
    """A rectangle with a title and a line below it; `x`, `y` are its upper left corner, in pixels."""

    x: int
    y: int
    width: int
    height: int
    title: str
    below: str
    tint: str

    def svg(self) -> str:
        """Return the box as SVG."""
        middle = self.x + self.width // 2
        return (
            f"<rect x='{self.x}' y='{self.y}' width='{self.width}' height='{self.height}' rx='6' fill='{self.tint}' "
            f"stroke='{LINE}'/>\n"
            f"<text x='{middle}' y='{self.y + 20}' text-anchor='middle' font-size='14' font-weight='600' "
            f"fill='{INK}'>{escape(self.title)}</text>\n"
            f"<text x='{middle}' y='{self.y + 37}' text-anchor='middle' font-size='11' fill='{INK}'>"
            f"{escape(self.below)}</text>\n"
        )


def draw_graph() -> str:
    """Return the assets, each to the right of what it hangs on. A dashed arrow: it comes later, but reads the lake itself."""
    boxes = _asset_boxes()
    lines = []
    for node in GRAPH:
        for upstream in (*node.reads, *node.follows):
            dash = "" if upstream in node.reads else " stroke-dasharray='5 4'"
            lines.append(_across(boxes[upstream], boxes[node.name], dash))
    sources = (f"{node.name} from {', '.join((*node.reads, *node.follows)) or 'a vendor'}" for node in GRAPH)
    return _page(boxes.values(), lines, f"The asset graph: {'; '.join(sources)}")


def draw_layers(layers: Sequence[Layer], arrows: Iterable[tuple[Layer, Layer]]) -> str:
    """Return the layers, the highest on top, with an arrow from what imports to what it imports."""
    boxes = _layer_boxes(layers)
    pairs = sorted(arrows, key=lambda pair: (-pair[0].level, pair[0].name, -pair[1].level, pair[1].name))
    lines = [_down(boxes[above], boxes[below]) for above, below in pairs]
    label = "Layers of the code: " + "; ".join(f"{above.name} imports {below.name}" for above, below in pairs)
    return _page(boxes.values(), lines, label)


def _asset_boxes() -> dict[str, Box]:
    depth: dict[str, int] = {}
    for node in GRAPH:  # upstream first: the order of the table
        depth[node.name] = max((depth[name] + 1 for name in (*node.reads, *node.follows)), default=0)
    return {node.name: _asset_box(node, depth[node.name], row) for row, node in enumerate(GRAPH)}


def _asset_box(node: Node, column: int, row: int) -> Box:
    """Return the box of an asset: a row of its own, so that an arrow along the row meets no other box."""
    below = f"{node.group}, {node.layer}"
    return Box(10 + column * 200, 10 + row * 58, 150, 48, node.name, below, TINTS[node.group])


def _layer_boxes(layers: Sequence[Layer]) -> dict[Layer, Box]:
    top = max(layer.level for layer in layers)
    tint = ("#cde0f5", "#cde0f5", "#cde0f5", "#e4d5f2", "#e4d5f2", "#e4d5f2", "#f6dcc0")
    boxes = {}
    for level in range(top + 1):
        row = [layer for layer in layers if layer.level == level]
        for place, layer in enumerate(row):
            x = 10 + place * 330 if len(row) > 1 else 175
            boxes[layer] = Box(x, 10 + (top - level) * 84, 290, 48, layer.name, layer.says, tint[level])
    return boxes


def _across(start: Box, end: Box, dash: str) -> str:
    """Return an arrow that runs along the row of its start and turns in the gap before the column of its end."""
    x1, y1, x2, y2 = start.x + start.width, start.y + start.height // 2, end.x, end.y + end.height // 2
    return _path(f"M{x1},{y1} H{x2 - 45} C{x2 - 20},{y1} {x2 - 40},{y2} {x2 - 7},{y2}", dash)


def _down(start: Box, end: Box) -> str:
    x1, y1, x2, y2 = start.x + start.width // 2, start.y + start.height, end.x + end.width // 2, end.y
    bend = (y2 - y1) // 2
    return _path(f"M{x1},{y1} C{x1},{y1 + bend} {x2},{y2 - bend} {x2},{y2 - 7}", "")


def _path(route: str, dash: str) -> str:
    return f"<path d='{route}' fill='none' stroke='{LINE}' stroke-width='1.5'{dash} marker-end='url(#tip)'/>\n"


def _page(boxes: Iterable[Box], lines: Sequence[str], label: str) -> str:
    drawn = list(boxes)
    width = max(box.x + box.width for box in drawn) + 10
    height = max(box.y + box.height for box in drawn) + 10
    tip = (
        "<defs><marker id='tip' viewBox='0 0 8 8' refX='1' refY='4' markerWidth='7' markerHeight='7' orient='auto'>"
        f"<path d='M0,0 L8,4 L0,8 z' fill='{LINE}'/></marker></defs>\n"
    )
    head = (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' width='{width}' role='img' {FONT}>\n"
    )
    return f"{head}<title>{escape(label)}</title>\n{tip}{''.join(lines)}{''.join(b.svg() for b in drawn)}</svg>\n"


def edges_table(arrows: Iterable[tuple[Layer, Layer]]) -> Mapping[str, list[str]]:
    """Return for each layer the names of those that it imports, the highest first."""
    table: dict[str, list[str]] = {}
    for above, below in sorted(arrows, key=lambda pair: (-pair[0].level, pair[0].name, -pair[1].level, pair[1].name)):
        table.setdefault(above.name, []).append(below.name)
    return table
