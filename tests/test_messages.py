"""What is said when something goes wrong: every message has a next step, and the docs know it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.messages import HOLE, OPERATORS_ERRORS, VENDOR_ERRORS, Said, said
from weathervane_resources.http import errors

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
NEXT_STEP = re.compile(
    r"; \S|\. [A-Z]|must (be|match) |: (write|pip install) |: it was written under another contract; "
)
PASSED_ON = {"weathervane_assets/cli_configuration.py", "weathervane_assets/dev.py", "weathervane_resources/failures.py"} | {
    "weathervane_assets/backfill.py", "weathervane_assets/window.py", "weathervane_resources/state.py", "weathervane_resources/tenants.py"
}  # fmt: skip
"""Where a message is another error's or another line's whole text, which is judged there."""
ALL = said()


def leaves() -> list[type[errors.VendorError]]:
    """Return the classes of the tree that can be raised."""
    return [getattr(errors, name) for name in sorted(VENDOR_ERRORS - {"VendorError"})]


def problem(one: Said) -> str:
    """Return what the message says before its next step."""
    return one.template.split("; ")[0]


def is_passed_on(one: Said) -> bool:
    return not re.search(r"\w", one.template.replace(HOLE, ""))


def test_the_walk_finds_the_messages() -> None:
    """If the walk over the sources found nothing, everything below would hold."""
    assert len(ALL) > 80
    assert {one.error for one in ALL} <= OPERATORS_ERRORS | VENDOR_ERRORS
    assert sum(is_passed_on(one) for one in ALL) < len(ALL) / 5


@pytest.mark.parametrize("kind", leaves(), ids=lambda kind: kind.__name__)
def test_every_vendor_error_says_what_where_why_and_what_next(kind: type[errors.VendorError]) -> None:
    """`RuntimeError: HTTP request failed` was all that an operator once got at three in the morning."""
    until = {"until": errors.datetime.fromisoformat("2026-11-02T00:00:00+00:00")} if kind is errors.Deferred else {}
    error = kind("GET /orders: broken", vendor="shopify", tenant="acme", window="2026-11-01", status=400, **until)
    text = str(error)
    for part in ("shopify", "acme", "2026-11-01", "GET /orders: broken", "HTTP 400"):
        assert part in text
    assert text.endswith(f" What to do: {kind.next_step}")
    assert len(kind.next_step) > 15
    assert str(kind("x", vendor="v", tenant="t", hint="mine", **until)).endswith(" What to do: mine")


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    """The drawing is what one reads first."""
    drawn = set(re.findall(r"[├└]── (\w+)(?= )", errors.__doc__ or ""))
    assert drawn - {"transient", "permanent"} == {kind.__name__ for kind in leaves()}
    transient = set(re.findall(r"│   [├└]── (\w+)", errors.__doc__ or ""))
    assert transient == {kind.__name__ for kind in leaves() if kind.is_transient}


@pytest.mark.parametrize("one", [one for one in ALL if one.error in OPERATORS_ERRORS], ids=lambda one: one.where)
def test_every_message_to_an_operator_has_a_next_step(one: Said) -> None:
    """ "cannot be written" leaves someone alone with a machine; the next words must say what to do."""
    if is_passed_on(one):
        assert one.where.rpartition(":")[0] in PASSED_ON, f"{one.where}: say what is wrong in words of its own"
    else:
        assert NEXT_STEP.search(one.template), f"{one.where} says what is wrong, but not what to do: {one.template!r}"


def test_troubleshooting_lists_every_message_to_an_operator() -> None:
    """Someone who searches the docs for the message on the screen must find it."""
    wanted = {problem(one) for one in ALL if one.error in OPERATORS_ERRORS and not is_passed_on(one)}
    missing = sorted(text for text in wanted if f"`{text}`" not in PAGE)
    assert not missing, "add these to docs/troubleshooting.md, with why and what to do"


def test_troubleshooting_lists_nothing_that_is_not_said_any_more() -> None:
    """A page that explains messages of last year is not read twice."""
    known = {problem(one) for one in ALL}
    rows = re.findall(r"^\| `([^`]+)` \|", PAGE, re.MULTILINE)
    items = [
        text for line in re.findall(r"^- `.*$", PAGE, re.MULTILINE) for text in re.findall(r"`([^`]*…[^`]*)`", line)
    ]
    assert len(rows) > 40
    assert not [text for text in (*rows, *items) if text not in known]


def test_troubleshooting_explains_every_vendor_error() -> None:
    """The name of the error stands in the run's page; it must stand in the docs."""
    assert set(re.findall(r"^### (\w+)$", PAGE, re.MULTILINE)) == {kind.__name__ for kind in leaves()}
