"""A state database of its own for each test: SQLite, and PostgreSQL where WEATHERVANE_TEST_POSTGRES_URL names one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from weathervane_resources.state import open_state
from weathervane_resources.state_tables import quotas, tokens

POSTGRES = os.environ.get("WEATHERVANE_TEST_POSTGRES_URL", "")


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.skipif(not POSTGRES, reason="no server"))])
def state_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/state/weathervane.db"
        return
    with open_state(POSTGRES).begin() as connection:
        for table in (tokens, quotas):
            connection.execute(sa.delete(table))
    yield POSTGRES
