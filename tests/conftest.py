"""What holds for the whole suite: no planted credential is ever logged; and the engines that it runs on."""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Iterator, Mapping

import pytest
from cryptography.fernet import Fernet

from tests.engines import Databases, PostgresS3, choose
from tests.servers import BUCKET, postgres_programs, running_postgres, running_s3
from weathervane_resources import state

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


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--engine",
        choices=["embedded", "postgres-s3"],
        default="embedded",
        help="what the end-to-end tests keep their lake, state and Dagster instance on",
    )


@pytest.fixture(scope="session")
def databases() -> Iterator[Databases]:
    """A PostgreSQL server: the one that WEATHERVANE_TEST_POSTGRES_URL names, or one of our own."""
    given = os.environ.get("WEATHERVANE_TEST_POSTGRES_URL")
    if given:
        yield Databases(given, prefix=uuid.uuid4().hex[:8])
        return
    if not postgres_programs():
        pytest.skip("PostgreSQL is not installed (no initdb); apt-get install postgresql")
    with running_postgres() as url:
        yield Databases(url)
        for opened in state._open_states.values():
            opened.close()


@pytest.fixture(scope="session")
def s3_environment() -> Iterator[Mapping[str, str]]:
    with running_s3() as environment:
        yield environment


@pytest.fixture
def s3(s3_environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables by which the S3-compatible store is reached."""
    for name, value in s3_environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def bucket(s3: None) -> str:
    """An empty place in a bucket, as a lake's root."""
    return f"s3://{BUCKET}/{uuid.uuid4().hex}/lake"


@pytest.fixture(scope="session", autouse=True)
def engine(request: pytest.FixtureRequest) -> Iterator[None]:
    """What installations are kept on. The store's variables stay set for the whole session."""
    if request.config.getoption("--engine") == "embedded":
        yield
        return
    server = PostgresS3(request.getfixturevalue("databases"))
    with pytest.MonkeyPatch.context() as patch, choose(server):
        for name, value in request.getfixturevalue("s3_environment").items():
            patch.setenv(name, value)
        patch.setenv("WEATHERVANE_TOKEN_KEY", Fernet.generate_key().decode())
        yield
