"""A running sandbox and a plain client for it: every test here speaks real HTTP over loopback."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import aiohttp
import msgspec
import pytest

from weathervane_resources.sandbox import RunningSandbox, SandboxConfig, TenantProfile

NOW = datetime(2025, 6, 30, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def data(self) -> Any:
        """The body as JSON."""
        return msgspec.json.decode(self.body)


async def _ask(method: str, url: str, options: dict[str, Any]) -> Answer:
    async with aiohttp.ClientSession() as session, session.request(method, url, **options) as response:
        return Answer(response.status, dict(response.headers), await response.read())


def ask(url: str, method: str = "GET", **options: Any) -> Answer:
    """Send one request and return its answer."""
    return asyncio.run(_ask(method, url, options))


@pytest.fixture(scope="session")
def config() -> SandboxConfig:
    """Two tenants far apart, a clock that stands still."""
    tenants = {
        "acme": TenantProfile(),
        "tokyo": TenantProfile(timezone="Asia/Tokyo", currency="JPY", orders_per_day=25, places=5),
    }
    return SandboxConfig(seed=7, tenants=tenants, clock=lambda: NOW)


@pytest.fixture(scope="session")
def sandbox(config: SandboxConfig) -> Iterator[RunningSandbox]:
    """The sandbox that most tests share."""
    with RunningSandbox(config) as running:
        yield running


@pytest.fixture(scope="session")
def get() -> Callable[..., Answer]:
    """The client."""
    return ask
