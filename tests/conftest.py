"""What holds for the whole suite: no planted credential is ever logged."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

MARK = "PLANTED"
"""Tests plant credentials that contain this word; they never say it in a message of their own."""


class _Listener(logging.Handler):
    def __init__(self) -> None:
        super().__init__(level=logging.DEBUG)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        if MARK in text:
            self.heard.append(f"{record.name}: {text[:200]}")


@pytest.fixture(scope="session", autouse=True)
def no_planted_credential_is_logged() -> Iterator[None]:
    """A token in one log line is a token in every log store behind it; tracebacks are formatted as well."""
    listener = _Listener()
    logging.getLogger().addHandler(listener)
    yield
    logging.getLogger().removeHandler(listener)
    assert listener.heard == []
