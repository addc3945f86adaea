"""What each test has of its own: a state database (SQLite, and PostgreSQL where it is installed), and a lake."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engines import name_of
from tests.resources.connecting import Bench, installed
from weathervane_resources.lake import Lake


@pytest.fixture(params=["sqlite", "postgres"])
def state_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/state/weathervane.db"
    return str(request.getfixturevalue("databases").named(name_of(tmp_path, "state")))


@pytest.fixture(params=["folder", "bucket"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a lake may be: each test holds for both."""
    return str(tmp_path / "lake") if request.param == "folder" else str(request.getfixturevalue("bucket"))


@pytest.fixture
def lake(root: str) -> Lake:
    return Lake(root)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    with installed(tmp_path, monkeypatch) as running:
        yield running
