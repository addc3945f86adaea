"""What each test of bad text has of its own: our list of strings, and the Big List of Naughty Strings where it is at hand."""

from __future__ import annotations

import json

import pytest

from tests.faults.bad_values import STRINGS
from tests.resources.http.scripted import DATA

BIG_LIST = DATA / "json" / "blns.json"


@pytest.fixture(params=["ours", "a tenth", pytest.param("big list", marks=pytest.mark.faults)])
def texts(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """Strings that people and machines never expect: 51 of ours, 515 of the big list, or each tenth of these."""
    if request.param == "ours":
        return STRINGS
    if not BIG_LIST.exists():
        pytest.skip(f"the Big List of Naughty Strings is not at {BIG_LIST}")
    every = json.loads(BIG_LIST.read_text(encoding="utf-8"))
    return tuple(every if request.param == "big list" else every[::10])
