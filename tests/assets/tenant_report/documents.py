"""An HTML page read for tests: its elements in order, with their attributes, texts and ancestors; and its colours."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "br", "link", "img", "hr", "input"}
SVG_LEAVES = {"path", "rect", "circle"}


@dataclass
class Element:
    tag: str
    attrs: dict[str, str]
    parents: list[Element]
    pieces: list[str] = field(default_factory=list)
    children: list[Element] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All text within, with single blanks."""
        return " ".join("".join(self.pieces).split())

    def has_parent(self, tag: str) -> bool:
        return any(parent.tag == tag for parent in self.parents)

    def all(self, tag: str) -> list[Element]:
        return [e for child in self.children for e in (child, *child.everything()) if e.tag == tag]

    def everything(self) -> list[Element]:
        return [e for child in self.children for e in (child, *child.everything())]


class Document(HTMLParser):
    """A page, read strictly: each element that is opened is closed, in order."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[Element] = []
        self._open: list[Element] = []
        self.declaration = ""
        self.feed(html)
        self.close()
        assert not self._open, f"not closed: {[e.tag for e in self._open]}"

    def handle_decl(self, decl: str) -> None:
        self.declaration = decl

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs}, list(self._open))
        assert len(element.attrs) == len(attrs), f"an attribute twice: {attrs}"
        self.elements.append(element)
        if self._open:
            self._open[-1].children.append(element)
        if tag == "br":
            self.handle_data(" ")
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in SVG_LEAVES, f"<{tag}/> does not close in HTML"
        self.handle_starttag(tag, attrs)
        self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> closes nothing"
        assert self._open[-1].tag == tag, f"</{tag}> closes <{self._open[-1].tag}>"
        self._open.pop()
        if tag in ("p", "li", "dt", "dd"):
            self.handle_data(" ")

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.pieces.append(data)

    def all(self, *tags: str) -> list[Element]:
        return [e for e in self.elements if e.tag in tags]

    def one(self, tag: str) -> Element:
        (found,) = self.all(tag)
        return found

    def section(self, name: str) -> Element:
        (found,) = [e for e in self.all("section") if e.attrs["aria-labelledby"] == name]
        return found

    def card(self, label: str) -> str:
        """Return the figure of a card of the head."""
        (found,) = [e for e in self.all("dt") if e.text == label and e.parents[-1].tag == "div"]
        return found.parents[-1].children[1].text

    def table(self, caption: str) -> list[dict[str, str]]:
        """Return the rows of the one table whose caption begins so, by the heads of its columns."""
        (table,) = [e.parents[-1] for e in self.all("caption") if e.text.startswith(caption)]
        heads = [e.text for e in table.all("thead")[0].all("th")]
        rows = [[cell.text for cell in row.children] for row in table.all("tbody")[0].all("tr")]
        return [dict(zip(heads, row, strict=True)) for row in rows]


def palettes(css: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return the colours of the light and of the dark page, by name."""
    light, dark = (
        dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block))
        for block in re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    )
    return light, light | dark


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours as WCAG 2.2 defines it."""
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
