"""A state database of its own for each test: SQLite, and PostgreSQL where it is installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engines import name_of


@pytest.fixture(params=["sqlite", "postgres"])
def state_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/state/weathervane.db"
    return str(request.getfixturevalue("databases").named(name_of(tmp_path, "state")))
