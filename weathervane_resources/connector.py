"""What the five connectors share: the way to a source, its shared quota and its token endpoint.

Belongs here: what does not depend on the vendor. Does not belong here: addresses, credentials and rates
(`connectors.py`).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, ClassVar

from dagster import ConfigurableResource
from pydantic import Field
from yarl import URL

from weathervane_resources import metrics
from weathervane_resources.account_values import refuse_wrong_values
from weathervane_resources.credentials import Access, SourceNames, find_access, tenant_variable
from weathervane_resources.failures import as_failure, needs_someone
from weathervane_resources.grants import mark_in_use
from weathervane_resources.http.auth import Auth, StaticHeaders
from weathervane_resources.http.oauth import TokenEndpoint
from weathervane_resources.http.pacing import Pace, Pacer, check_rate
from weathervane_resources.http.retry import OUTAGE_S, RetryPolicy
from weathervane_resources.http.session import Sign, VendorSession, utc_now
from weathervane_resources.platform import Platform
from weathervane_resources.quota import Limit, Rate, SharedQuota
from weathervane_resources.settings import require_address
from weathervane_resources.state import State, open_state
from weathervane_resources.stubs import sandbox_url
from weathervane_resources.tokens import Vault, end_of

SANDBOX_RATE_PER_S = 2_000.0
"""The sandbox on loopback has no quota of ours to respect."""


END_AHEAD = timedelta(days=14)
"""Someone must have the time to find whoever can connect an account again."""


PerSecond = Annotated[
    float, Field(description="Requests a second on average, over all runs that share the quota; above 0.")
]
Burst = Annotated[float, Field(description="Requests at once before the average holds; at least 1.")]
Outage = Annotated[float, Field(description="Seconds that a vendor that is away is waited for; 0 where someone waits.")]
"""The launchpad shows these descriptions. A wrong value is refused by `access`: what pydantic refuses, Dagster runs three times."""


@dataclass(frozen=True)
class Line:
    """How one tenant's requests reach a source: base address, headers, pace, the shared state (None for stub rows)."""

    access: Access
    base_url: str
    headers: Mapping[str, str]
    pace: Pacer
    state: State | None
    token_key: str | None

    @property
    def is_sandbox(self) -> bool:
        """Whether rows come from the sandbox."""
        return self.state is None

    @property
    def values(self) -> Mapping[str, str]:
        """The credentials."""
        return self.access.values

    def vault(self) -> Vault:
        """Return the vault; its key is made only when a token has to be kept."""
        if self.state is None:
            raise RuntimeError("stub rows need no tokens")
        return Vault(self.state, self.token_key, utc_now)


class Connector(ConfigurableResource[None]):
    """What the five have in common: a source, a rate limit, and errors that Dagster understands."""

    names: ClassVar[SourceNames]
    throttle_scope: ClassVar[str]
    """The vendor's word for the scope of the shared quota."""
    cure: ClassVar[str]
    """Who must do what when the credential is dead; `{name}` is the tenant's own variable."""
    cure_name: ClassVar[str]
    rate_limit_per_second: PerSecond
    rate_limit_capacity: Burst
    outage_s: Outage = OUTAGE_S

    def access(self, tenant_id: str, platform: Platform) -> Access:
        """Return how the tenant reaches this source.

        Raises: dagster.Failure: credentials are half set or lead nowhere, or the configuration is wrong (not retried).
        """
        self._vet_rate()
        with as_failure():
            tenants = frozenset(platform.tenants())
            access = find_access(self.names, os.environ, tenant_id, tenants, platform.settings().stubs)
            if access.is_stub or not access.is_configured:
                return access
            refuse_wrong_values(access)
            for name, value in access.values.items():
                if name.endswith("_URL"):
                    own = tenant_variable(tenant_id, name)
                    require_address(own if os.environ.get(own, "").strip() else name, value)
            return access

    def _vet_rate(self) -> None:
        """Refuse a rate at which no request ever gets its turn, for stub rows too: who tries it there means to use it."""
        try:
            check_rate(self.rate_limit_per_second, self.rate_limit_capacity)
        except ValueError as error:
            told = f"{self.rate_limit_per_second:g} and {self.rate_limit_capacity:g}"
            raise needs_someone(
                f"{self.names.vendor}: rate_limit_per_second and rate_limit_capacity are {told}; the first must be above 0, the second at "
                "least 1: change the run's configuration, or weathervane_assets/definitions.py"
            ) from error

    def mark(self, access: Access) -> str | None:
        """Return which row of the vault the tenant's credential has, None where nothing renews it.

        Raises: dagster.Failure: an address that it is renewed at is wrong.
        """
        with as_failure():
            return mark_in_use(access)

    def ending(self, access: Access, platform: Platform, now: datetime) -> str:
        """Return that the tenant's credential ends within two weeks, the date and what to do; empty where it does not.

        Raises: dagster.Failure: the state database cannot be read.
        """
        mark = self.mark(access)
        if mark is None:
            return ""
        with as_failure():
            state = open_state(platform.settings().state_url)
            ends = end_of(state, self.names.vendor, access.tenant_id, mark)
        if ends is None or ends > now + END_AHEAD:
            return ""
        return f"the credential {'ended' if ends <= now else 'ends'} on {ends:%Y-%m-%d}: {self._cure(access)}"

    def _cure(self, access: Access) -> str:
        return self.cure.format(name=tenant_variable(access.tenant_id, self.cure_name))

    def _limits(self) -> tuple[Limit, ...]:
        return (Rate(self.rate_limit_per_second, self.rate_limit_capacity),)

    async def _line(
        self, access: Access, platform: Platform, live_url: str, scope: str, windows: tuple[Limit, ...] = ()
    ) -> Line:
        """Return the way to the sandbox for stub rows, else to the vendor, in turn with all other runs of `scope`."""
        if access.is_stub:
            url = f"{sandbox_url(platform)}/t/{access.tenant_id}"
            return Line(access, url, {}, Pace(SANDBOX_RATE_PER_S, SANDBOX_RATE_PER_S), None, None)
        settings = platform.settings()
        state = await asyncio.to_thread(open_state, settings.state_url)
        name = f"{self.names.vendor}:{scope}"
        quota = SharedQuota(state, name, (*self._limits(), *windows), throttle_scope=self.throttle_scope)
        return Line(access, live_url, {}, quota, state, settings.token_key)

    def _session(
        self,
        line: Line,
        auth: Auth,
        version: str = "",
        *,
        extra: Mapping[str, str] | None = None,
        also_origins: Collection[str] = (),
        sign: Sign | None = None,
    ) -> VendorSession:
        return VendorSession(
            self.names.vendor,
            line.access.tenant_id,
            origin_of_url(line.base_url),
            auth,
            line.pace,
            RetryPolicy(outage_s=self.outage_s),
            extra_headers={**line.headers, **(extra or {})},
            also_origins=also_origins,
            api_version=version,
            sign=sign,
            on_close=publish_session,
        )

    @asynccontextmanager
    async def _token_endpoint(self, line: Line, url: str, client_id: str, secret: str) -> AsyncIterator[TokenEndpoint]:
        """Yield the vendor's token URL, with a session that may send to its origin only and has a pace of its own."""
        pace = Pace(self.rate_limit_per_second, self.rate_limit_capacity)
        async with VendorSession(
            self.names.vendor,
            line.access.tenant_id,
            origin_of_url(url),
            StaticHeaders({}),
            pace,
            RetryPolicy(outage_s=self.outage_s),
            on_close=publish_session,
        ) as session:
            yield TokenEndpoint(session, url, client_id, secret, utc_now)


def publish_session(session: VendorSession) -> None:
    """Count what a session did."""
    whose = {"vendor": session.vendor, "tenant": session.tenant}
    metrics.count(metrics.VENDOR_REQUESTS, session.requests, **whose)
    metrics.count(metrics.VENDOR_RETRIES, session.retries, **whose)
    metrics.count(metrics.VENDOR_WAITS, session.throttled_s, **whose)
    metrics.count(metrics.VENDOR_BYTES, session.received_bytes, **whose)


def origin_of_url(url: str) -> str:
    """Return scheme, host and port."""
    return str(URL(url).origin())
