"""A receiver of alerts over loopback, and an alerter that tells it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.checks.alerting import Watchtower, Webhook, watchtower, webhook


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with webhook() as running:
        yield running


@pytest.fixture
def tower(tmp_path: Path, hook: Webhook) -> Iterator[Watchtower]:
    with watchtower(tmp_path, hook) as running:
        running.tick()
        yield running
