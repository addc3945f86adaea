"""A running sandbox and a plain client for it: every test here speaks real HTTP over loopback."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import aiohttp
import msgspec
import pytest

from weathervane_resources.sandbox import RunningSandbox, SandboxConfig, TenantProfile

NOW = datetime(2025, 6, 30, 12, tzinfo=UTC)
GAQL = "SELECT campaign.id, segments.date, metrics.clicks FROM campaign WHERE segments.date BETWEEN '{0}' AND '{1}'"
SINCE, UNTIL = "2025-06-01", "2025-06-20"
GOOGLE = {
    "headers": {"Authorization": "Bearer a", "developer-token": "d"},
    "json": {"query": GAQL.format(SINCE, UNTIL)},
}
ORDERS = """{ orders(first: 20, query: "created_at:>='2025-06-01' created_at:<'2025-06-20'") {
  pageInfo { hasNextPage endCursor } nodes { legacyResourceId name createdAt } } }"""
CALLS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "shopify": (
        "GET",
        "/admin/api/2026-07/orders.json?status=any&limit=20&created_at_max=2025-06-20T00:00:00Z",
        {"headers": {"X-Shopify-Access-Token": "any"}},
    ),
    "shopify_graphql": (
        "POST",
        "/admin/api/2026-07/graphql.json",
        {"headers": {"X-Shopify-Access-Token": "any"}, "json": {"query": ORDERS}},
    ),
    "meta": (
        "GET",
        (
            "/v26.0/act_42/insights?level=adset&time_increment=1&fields=spend,adset_id&time_range="
            f'{{"since":"{SINCE}","until":"{UNTIL}"}}'
        ),
        {"headers": {"Authorization": "Bearer a"}},
    ),
    "google": ("POST", "/v26/customers/42/googleAds:search", GOOGLE),
    "google_stream": ("POST", "/v26/customers/42/googleAds:searchStream", GOOGLE),
    "klaviyo": (
        "GET",
        "/api/campaigns?filter=equals(messages.channel,'email')&page[size]=10",
        {"headers": {"Authorization": "Bearer a", "revision": "2026-07-15"}},
    ),
    "open_meteo": (
        "GET",
        f"/v1/archive?latitude=40.7&longitude=-74&daily=temperature_2m_mean&start_date={SINCE}&end_date={UNTIL}",
        {},
    ),
}


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


@pytest.fixture
def faulty() -> Callable[..., RunningSandbox]:
    """Return how to make a sandbox that answers with these faults, always."""

    def make(faults: str, **changes: Any) -> RunningSandbox:
        plain = SandboxConfig(clock=lambda: NOW, faults=faults, fault_share=1.0, fault_wait_s=0.0)
        return RunningSandbox(replace(plain, **changes))

    return make


@pytest.fixture
def call() -> Callable[..., Answer]:
    """Return how to send the usual request of a vendor (a name in `CALLS`)."""

    def send(running: RunningSandbox, vendor: str, tenant: str = "acme") -> Answer:
        method, path, options = CALLS[vendor]
        return ask(f"{running.url}/t/{tenant}{path}", method, allow_redirects=False, **options)

    return send


@pytest.fixture
def vendors() -> list[str]:
    """The names that `call` takes."""
    return list(CALLS)
