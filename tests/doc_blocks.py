"""The commands that README and docs tell people to type.

A shell or Python block is run as it stands. A comment before it says otherwise, and is part of the page:

    <!-- run: slow -->               with the slow tests: it needs the demo's data, or takes long
    <!-- run: slow, until "text" --> it serves: run until it says so, then ended
    <!-- not run: reason -->         the test is skipped and gives the reason
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
_BLOCK = re.compile(
    r"(?:<!-- (?P<note>(?:not )?run\b[^>]*?) -->\n+)?^```(?P<kind>sh|python|toml)\n(?P<code>.*?)^```",
    re.MULTILINE | re.DOTALL,
)
_SPAN = re.compile(r"(?<!`)`((?:weathervane|make|python -m) [^`]+)`(?!`)")
PAGES_FOLLOWED_ELSEWHERE = {"docs/playbook.md"}
"""Its blocks are steps that build on each other; tests/test_playbook.py takes them."""
SLOW_PAGES = {"README.md"}
"""Pages that people read on their own and that carry no notes: all of their blocks are slow."""


@dataclass(frozen=True)
class Block:
    """One fenced block: where it stands, what it is, what the page says about running it."""

    page: str
    line: int
    kind: str
    code: str
    note: str

    @property
    def is_slow(self) -> bool:
        return "slow" in self.note or self.page in SLOW_PAGES

    @property
    def reason(self) -> str:
        """Return why it is not run, or nothing."""
        return self.note.removeprefix("not run:").strip() if self.note.startswith("not run") else ""

    @property
    def needs(self) -> str:
        """Return the text that a serving command ends with, or nothing."""
        found = re.search(r'until "([^"]+)"', self.note)
        return found[1] if found else ""


def pages() -> list[Path]:
    """Return README and the others at the root, then docs/."""
    found = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
    return [page for page in found if page.name != "CHANGELOG.md"]


def blocks(kinds: tuple[str, ...] = ("sh", "python")) -> list[Block]:
    """Return the blocks of these kinds in the order of reading."""
    return [block for page in pages() for block in _of_page(page) if block.kind in kinds]


def spans() -> list[tuple[str, str]]:
    """Return page and text of every command that stands inside a sentence or a table."""
    return [(_name(page), text) for page in pages() for text in _SPAN.findall(_plain(page.read_text()))]


def _of_page(page: Path) -> list[Block]:
    if _name(page) in PAGES_FOLLOWED_ELSEWHERE:
        return []
    text = page.read_text(encoding="utf-8")
    return [
        Block(_name(page), text.count("\n", 0, m.start("code")), m["kind"], m["code"], (m["note"] or "").strip())
        for m in _BLOCK.finditer(text)
    ]


def _plain(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL).replace("\\|", "|")


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))
