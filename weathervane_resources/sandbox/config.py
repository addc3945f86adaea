"""What a sandbox is asked to be: seed, tenants, clock, limits. No I/O and no vendor shapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from weathervane_resources.sandbox.late_events import LateEvents
from weathervane_resources.sandbox.planted import Planted


def utc_now() -> datetime:
    """Return the real time, aware and in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class TenantProfile:
    """The size and home of one synthetic shop."""

    timezone: str = "America/New_York"
    currency: str = "USD"
    orders_per_day: int = 40
    places: int = 12
    taxes_included: bool = False
    """Whether the shop's prices include tax, as in Europe: then shipping is taxed as well."""
    settled: bool = False
    """Whether its orders change only when a test changes them; what the seed has in store for them comes at 03:00 UTC."""


PRICES_WITH_TAX = frozenset({"AUD", "CHF", "CZK", "DKK", "EUR", "GBP", "HUF", "JPY", "NOK", "NZD", "PLN", "RON", "SEK"})
"""Currencies of countries whose shops show their customers prices with the tax in them."""

DEFAULT_PROFILE = TenantProfile()


@dataclass(frozen=True)
class SandboxConfig:
    """Everything that decides what the sandbox answers.

    Args:
        seed: The same seed gives the same data for every tenant and day.
        latency_s: Wait before each answer.
        tenants: Profiles by tenant id; a tenant that is not listed gets the default profile.
        clock: Aware UTC now. The request header `X-Sandbox-Now` overrides it for one request.
        replay_dir: Serve recorded payloads from this folder instead of the synthetic worlds.
        enforce_limits: Answer 429 as the vendor does when its limit is exceeded.
        shopify_scopes: What the app may read; without `read_all_orders`, orders older than 60 days are absent.
        meta_max_rows: A synchronous insights query of more rows is refused as too much data; 0 for no limit.
        meta_failing_jobs: How many of the first asynchronous reports end as "Job Failed".
        late_events: Refunds, restatements and deletions that a test adds while the sandbox runs.
        planted: Busy days, orders that are not shown and the like, which a test adds.
        faults: Fault modes or single faults, joined by commas or plus signs, see `faults.py`; "" for none.
        fault_seed: Other faults over the same data.
        fault_share: How many of the requests that a mode concerns are hit.
        fault_wait_s: The wait that a throttle answer asks for; 0 for tests.
        fault_expire_after: In the mode `expired`, how many requests an access token serves.
        fault_foreign_origin: Where hostile links and redirects point; nobody by default.
        google_page_size: Rows on one page of `googleAds:search`; the vendor's is 10,000.
    """

    seed: int = 7
    latency_s: float = 0.0
    tenants: Mapping[str, TenantProfile] = field(default_factory=dict)
    clock: Callable[[], datetime] = utc_now
    replay_dir: Path | None = None
    enforce_limits: bool = False
    shopify_scopes: tuple[str, ...] = ("read_orders", "read_all_orders", "read_locations")
    meta_max_rows: int = 0
    meta_failing_jobs: int = 0
    late_events: LateEvents = field(default_factory=LateEvents)
    planted: Planted = field(default_factory=Planted)
    faults: str = ""
    fault_seed: int = 0
    fault_share: float = 0.15
    fault_wait_s: float = 2.0
    fault_expire_after: int = 25
    fault_foreign_origin: str = "http://foreign.invalid"
    google_page_size: int = 10_000

    def profile(self, tenant: str) -> TenantProfile:
        """Return the profile of a tenant, the default one if it is not listed."""
        return self.tenants.get(tenant, DEFAULT_PROFILE)
