"""A sandbox whose clock stands still, and sessions for the clients of its tenants."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from tests.resources.http.scripted import Naps
from weathervane_resources.http.auth import StaticHeaders
from weathervane_resources.http.pacing import Pace
from weathervane_resources.http.session import VendorSession
from weathervane_resources.sandbox import RunningSandbox, SandboxConfig, TenantProfile

NOW = datetime(2026, 11, 20, 15, tzinfo=UTC)
TOKYO, NEW_YORK = "Asia/Tokyo", "America/New_York"
PROFILES = {
    "acme": TenantProfile(NEW_YORK, "USD", orders_per_day=20, places=6),
    "tokyo": TenantProfile(TOKYO, "JPY", orders_per_day=15, places=4),
}
HEADERS = {"X-Shopify-Access-Token": "shpat_planted", "Authorization": "Bearer planted", "developer-token": "planted"}


def config(**changes: Any) -> SandboxConfig:
    return SandboxConfig(tenants=PROFILES, clock=lambda: NOW, **changes)


def base_of(sandbox: RunningSandbox, tenant: str = "acme") -> str:
    return f"{sandbox.url}/t/{tenant}"


@asynccontextmanager
async def reaching(
    sandbox: RunningSandbox, vendor: str, headers: Mapping[str, str] = HEADERS, naps: Naps | None = None
) -> AsyncIterator[VendorSession]:
    pace = Pace(10_000, 10_000)
    session = VendorSession(vendor, "acme", sandbox.url, StaticHeaders(headers), pace, sleep=naps or Naps())
    async with session:
        yield session
