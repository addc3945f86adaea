"""The five connectors as Dagster resources: configuration, credentials, limits, nothing else.

Belongs here: which address, which credential, which quota. Does not belong here: HTTP (`http/`), request shapes
(`clients/`), how a credential is renewed (`grants.py`) and what rows mean (`weathervane_assets`).

    async with shopify.connect(access, platform) as client:
        async for page in client.orders(start, end): ...

A session, a limiter and a lock belong to the event loop they are made in, so all of them are made in `connect`. Stub
mode touches neither the vault nor the state database.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Annotated, ClassVar

from dagster import ConfigurableResource
from pydantic import Field
from yarl import URL

from weathervane_resources.clients.google_ads import GoogleAdsClient
from weathervane_resources.clients.jobs import Jobs, MemoryJobs
from weathervane_resources.clients.klaviyo import KlaviyoClient
from weathervane_resources.clients.meta_ads import EFFECTIVE_STATUSES, MetaAdsClient
from weathervane_resources.clients.open_meteo import OpenMeteoClient
from weathervane_resources.clients.shopify import ShopifyClient
from weathervane_resources.clients.shopify_graphql import ShopifyGraphql
from weathervane_resources.clients.shopify_rest import ShopifyRest
from weathervane_resources.connector import Burst, Connector, Line, PerSecond, origin_of_url, publish_session
from weathervane_resources.credentials import (
    GOOGLE_ADS,
    KLAVIYO,
    META,
    OPEN_METEO,
    SHOPIFY,
    Access,
    SourceNames,
    digits,
    statuses,
)
from weathervane_resources.failures import as_failure
from weathervane_resources.grants import google_grant, meta_grant, shopify_cure, shopify_grant
from weathervane_resources.http.auth import Auth, StaticHeaders, bearer, shopify_token
from weathervane_resources.http.oauth import MetaExchange
from weathervane_resources.http.pacing import Pace, Paces
from weathervane_resources.http.retry import RetryPolicy
from weathervane_resources.http.session import Sign, VendorSession, utc_now
from weathervane_resources.jobs import StateJobs
from weathervane_resources.platform import Platform
from weathervane_resources.quota import OPEN_METEO_FREE, Limit, Rate, SharedQuota, Window, beside_nights
from weathervane_resources.quota_use import Spent, spent_of
from weathervane_resources.settings import require_address
from weathervane_resources.shop_address import shop_host, shop_url, token_url
from weathervane_resources.state import open_state
from weathervane_resources.stubs import sandbox_url
from weathervane_resources.tokens import fingerprint
from weathervane_resources.versions import DEFAULT_VERSIONS

__all__ = [
    "DEFAULT_VERSIONS",
    "Connector",
    "GeoNamesConnector",
    "GoogleAdsConnector",
    "KlaviyoConnector",
    "MetaAdsConnector",
    "OpenMeteoConnector",
    "ShopifyConnector",
    "as_failure",
]


def _version(access: Access, name: str) -> str:
    return access.values.get(name, DEFAULT_VERSIONS[name])


def _jobs(line: Line) -> Jobs:
    access = line.access
    return StateJobs(line.state, access.source, access.tenant_id, utc_now) if line.state else MemoryJobs()


class ShopifyConnector(Connector):
    """Shopify Admin API of one shop a tenant."""

    names: ClassVar[SourceNames] = SHOPIFY
    throttle_scope: ClassVar[str] = "shop"
    cure: ClassVar[str] = "someone who manages the shop opens the app once more to allow it; then set {name}"
    cure_name: ClassVar[str] = "SHOPIFY_REFRESH_TOKEN"
    rate_limit_per_second: PerSecond = 2.0
    rate_limit_capacity: Burst = 40.0

    def _cure(self, access: Access) -> str:
        return shopify_cure(access) or super()._cure(access)

    @asynccontextmanager
    async def connect(
        self, access: Access, platform: Platform, protocol: str = "graphql"
    ) -> AsyncIterator[ShopifyClient]:
        """Yield a client of the tenant's shop that speaks `graphql` or `rest`, with the same rows.

        Raises: dagster.Failure: a vendor call failed; `allow_retries` says whether trying again can help.
        """
        with as_failure(self._cure(access)):
            host = shop_host(access.values.get("SHOPIFY_SHOP_DOMAIN", ""))
            live = "" if access.is_stub else shop_url(access.values)
            version = _version(access, "SHOPIFY_API_VERSION")
            line = await self._line(access, platform, live, host)
            async with self._auth(line) as auth, self._session(line, auth, version) as session:
                if protocol == "rest":
                    yield ShopifyRest(session, line.base_url, version)
                else:
                    yield ShopifyGraphql(session, line.base_url, version, _jobs(line))

    @asynccontextmanager
    async def _auth(self, line: Line) -> AsyncIterator[Auth]:
        client_id, secret = line.values.get("SHOPIFY_CLIENT_ID"), line.values.get("SHOPIFY_CLIENT_SECRET")
        if line.is_sandbox or not (client_id and secret):
            token = line.values.get("SHOPIFY_ACCESS_TOKEN") or f"stub-{line.access.tenant_id}"
            yield StaticHeaders(shopify_token(token))
            return
        async with self._token_endpoint(line, token_url(line.base_url), client_id, secret) as endpoint:
            vault = await asyncio.to_thread(line.vault)
            yield shopify_grant(line.values, line.access.tenant_id, endpoint, vault)


class MetaAdsConnector(Connector):
    """Meta Marketing API of one ad account a tenant; the quota is the app's where we know the app."""

    names: ClassVar[SourceNames] = META
    throttle_scope: ClassVar[str] = "app"
    cure: ClassVar[str] = "someone with a role in the ad account logs in to the Meta app once more; then set {name}"
    cure_name: ClassVar[str] = "META_ACCESS_TOKEN"
    rate_limit_per_second: PerSecond = 10.0
    rate_limit_capacity: Burst = 20.0

    @asynccontextmanager
    async def connect(self, access: Access, platform: Platform) -> AsyncIterator[MetaAdsClient]:
        """Yield a client of the tenant's ad account.

        Raises: dagster.Failure: a vendor call failed; `allow_retries` says whether trying again can help.
        """
        with as_failure(self._cure(access)):
            values = access.values
            account = digits(values.get("META_AD_ACCOUNT_ID") or "1000001")
            wanted = statuses(values.get("META_EFFECTIVE_STATUSES") or ",".join(EFFECTIVE_STATUSES))
            scope = f"app {values['META_APP_ID']}" if "META_APP_ID" in values else f"account {account}"
            version = _version(access, "META_GRAPH_VERSION")
            live = values.get("META_BASE_URL") or "https://graph.facebook.com"
            line = self._with_account(await self._line(access, platform, live, scope), account)
            secret = values.get("META_APP_SECRET")
            sign = app_proof(secret) if secret and "META_APP_ID" in values and not line.is_sandbox else None
            async with self._auth(line, version) as auth, self._session(line, auth, version, sign=sign) as session:
                yield MetaAdsClient(session, line.base_url, version, account, _jobs(line), statuses=wanted)

    def _with_account(self, line: Line, account: str) -> Line:
        """Let what Meta says of the ad account (codes 17, 613 and 80000 to 80014, and its usage) hold for every run that reads it."""
        if line.state is None:
            return line
        own = SharedQuota(line.state, f"meta_ads:throttled account {account}", self._limits(), throttle_scope="account")
        return replace(line, pace=Paces((line.pace, own)))

    @asynccontextmanager
    async def _auth(self, line: Line, version: str) -> AsyncIterator[Auth]:
        app_id, secret = line.values.get("META_APP_ID"), line.values.get("META_APP_SECRET")
        if line.is_sandbox or not (app_id and secret):
            yield StaticHeaders(bearer(line.values.get("META_ACCESS_TOKEN") or f"stub-{line.access.tenant_id}"))
            return
        graph = f"{line.base_url.rstrip('/')}/{version}"
        async with self._token_endpoint(line, f"{graph}/oauth/access_token", app_id, secret) as endpoint:
            vault = await asyncio.to_thread(line.vault)
            exchange = MetaExchange(endpoint, f"{graph}/debug_token")
            yield meta_grant(line.values, line.access.tenant_id, exchange, vault)


def app_proof(secret: str) -> Sign:
    """Return what proves to Meta that the app itself sends a token; an app may refuse calls without it.

    By HMAC-SHA256 of the token, of each request's own: a token is renewed while the session lasts.
    """

    def sign(credential: Mapping[str, str]) -> Mapping[str, str]:
        token = credential["Authorization"].removeprefix("Bearer ")
        return {"appsecret_proof": hmac.new(secret.encode(), token.encode(), hashlib.sha256).hexdigest()}

    return sign


class GoogleAdsConnector(Connector):
    """Google Ads API of one customer a tenant; the developer token, and so its quota, is the installation's.

    Reports come page by page, by `googleAds:search`; with `use_stream` in one answer, by `googleAds:searchStream`.
    """

    names: ClassVar[SourceNames] = GOOGLE_ADS
    throttle_scope: ClassVar[str] = "developer_token"
    cure: ClassVar[str] = "a user of the Google Ads account grants access once more (OAuth consent); then set {name}"
    cure_name: ClassVar[str] = "GOOGLE_ADS_REFRESH_TOKEN"
    rate_limit_per_second: PerSecond = 5.0
    rate_limit_capacity: Burst = 10.0
    use_stream: Annotated[bool, Field(description="Read reports in one answer, not page by page.")] = False

    @asynccontextmanager
    async def connect(self, access: Access, platform: Platform) -> AsyncIterator[GoogleAdsClient]:
        """Yield a client of the tenant's customer.

        Raises: dagster.Failure: a vendor call failed; `allow_retries` says whether trying again can help.
        """
        with as_failure(self._cure(access)):
            values = access.values
            customer = digits(values.get("GOOGLE_ADS_CUSTOMER_ID") or "2000001")
            developer_token = values.get("GOOGLE_ADS_DEVELOPER_TOKEN") or "stub"
            extra = {"developer-token": developer_token}
            if login := values.get("GOOGLE_ADS_LOGIN_CUSTOMER_ID"):
                extra["login-customer-id"] = digits(login)
            version = _version(access, "GOOGLE_ADS_API_VERSION")
            live = values.get("GOOGLE_ADS_BASE_URL") or "https://googleads.googleapis.com"
            line = await self._line(access, platform, live, f"developer {fingerprint(developer_token)}")
            async with self._auth(line) as auth, self._session(line, auth, version, extra=extra) as session:
                yield GoogleAdsClient(session, line.base_url, version, customer, self.use_stream)

    @asynccontextmanager
    async def _auth(self, line: Line) -> AsyncIterator[Auth]:
        values = line.values
        client_id, secret = values.get("GOOGLE_ADS_CLIENT_ID"), values.get("GOOGLE_ADS_CLIENT_SECRET")
        if line.is_sandbox or not (client_id and secret and "GOOGLE_ADS_REFRESH_TOKEN" in values):
            yield StaticHeaders(bearer(values.get("GOOGLE_ADS_ACCESS_TOKEN") or f"stub-{line.access.tenant_id}"))
            return
        url = values.get("GOOGLE_OAUTH_URL") or "https://oauth2.googleapis.com/token"
        async with self._token_endpoint(line, url, client_id, secret) as endpoint:
            yield google_grant(values, line.access.tenant_id, endpoint, await asyncio.to_thread(line.vault))


class KlaviyoConnector(Connector):
    """Klaviyo API of one account a tenant: 10 requests a second and 150 a minute."""

    names: ClassVar[SourceNames] = KLAVIYO
    throttle_scope: ClassVar[str] = "account"
    cure: ClassVar[str] = (
        "an owner or admin of the Klaviyo account makes a new private key (campaigns:read); set {name}"
    )
    cure_name: ClassVar[str] = "KLAVIYO_API_KEY"
    rate_limit_per_second: PerSecond = 10.0
    rate_limit_capacity: Burst = 10.0
    rate_limit_per_minute: Annotated[float, Field(description="Requests a minute of the account; above 0.")] = 150.0

    def _limits(self) -> tuple[Limit, ...]:
        # the burst is part of the minute's requests
        per_s = max(1.0, self.rate_limit_per_minute - self.rate_limit_capacity) / 60
        return (*super()._limits(), Rate(per_s, self.rate_limit_capacity))

    @asynccontextmanager
    async def connect(self, access: Access, platform: Platform) -> AsyncIterator[KlaviyoClient]:
        """Yield a client of the tenant's account.

        Raises: dagster.Failure: a vendor call failed; `allow_retries` says whether trying again can help.
        """
        with as_failure(self._cure(access)):
            live = access.values.get("KLAVIYO_BASE_URL") or "https://a.klaviyo.com"
            key = access.values.get("KLAVIYO_API_KEY") or f"pk_stub_{access.tenant_id}"
            line = await self._line(access, platform, live, f"account {fingerprint(key)}")
            auth = StaticHeaders({"Authorization": f"Klaviyo-API-Key {key}"})
            version = _version(access, "KLAVIYO_REVISION")
            async with self._session(line, auth, version) as session:
                yield KlaviyoClient(session, line.base_url, version)


class OpenMeteoConnector(Connector):
    """Open-Meteo's archive and forecast hosts: the customers' with a key, the free ones for non-commercial use.

    The free hosts count call weight for each address, over all tenants; a day's weight that is spent defers the run. History
    has a part of it only, so that one tenant's first backfill leaves the nights of the others theirs.
    """

    names: ClassVar[SourceNames] = OPEN_METEO
    throttle_scope: ClassVar[str] = "ip"
    cure: ClassVar[str] = "whoever holds the Open-Meteo subscription looks up its key; set {name} or OPEN_METEO_API_KEY"
    cure_name: ClassVar[str] = "OPEN_METEO_API_KEY"
    rate_limit_per_second: PerSecond = 5.0
    rate_limit_capacity: Burst = 5.0

    @asynccontextmanager
    async def connect(
        self, access: Access, platform: Platform, as_of: datetime | None = None, *, is_history: bool = False
    ) -> AsyncIterator[OpenMeteoClient]:
        """Yield a client. `as_of` is for stub rows only: the sandbox answers as it would have then.

        `is_history`: more is asked for than a night does, and of the quota the nights' part is left.
        Raises: dagster.Failure: a vendor call failed; `allow_retries` says whether trying again can help.
        """
        with as_failure(self._cure(access)):
            hosts = _Hosts.of(access)
            forecast, archive = hosts.forecast, hosts.archive
            windows = hosts.windows(is_history=is_history)
            line = await self._line(access, platform, forecast, hosts.scope, windows)
            if line.is_sandbox:
                forecast, archive = f"{line.base_url}/v1/forecast", f"{line.base_url}/v1/archive"
            extra = {"X-Sandbox-Now": as_of.isoformat()} if line.is_sandbox and as_of else {}
            also = (origin_of_url(archive),)
            async with self._session(line, StaticHeaders({}), extra=extra, also_origins=also) as session:
                yield OpenMeteoClient(session, forecast, archive, hosts.key)

    def spent(self, access: Access, platform: Platform) -> list[Spent]:
        """Return what all tenants together spent of the free quota's windows; empty where the tenant is under none.

        Raises: dagster.Failure: no state database.
        """
        if access.is_stub or not access.is_configured or not (hosts := _Hosts.of(access)).is_free:
            return []
        with as_failure():
            state = open_state(platform.settings().state_url)
            return spent_of(state, f"{self.names.vendor}:{hosts.scope}", OPEN_METEO_FREE)


@dataclass(frozen=True)
class _Hosts:
    """Where a tenant's weather is asked for: two endpoint URLs, and the key of a subscription."""

    forecast: str
    archive: str
    key: str | None = field(repr=False)

    @classmethod
    def of(cls, access: Access) -> _Hosts:
        values = access.values
        key = values.get("OPEN_METEO_API_KEY")
        paid = "customer-" if key else ""
        return cls(
            values.get("OPEN_METEO_FORECAST_URL") or f"https://{paid}api.open-meteo.com/v1/forecast",
            values.get("OPEN_METEO_ARCHIVE_URL") or f"https://{paid}archive-api.open-meteo.com/v1/archive",
            key,
        )

    @property
    def is_free(self) -> bool:
        """Whether Open-Meteo counts weight by address."""
        return self.key is None and all(
            (URL(u).host or "").endswith("open-meteo.com") for u in (self.forecast, self.archive)
        )

    def windows(self, *, is_history: bool) -> tuple[Window, ...]:
        """Return the limits by weight; none where nobody counts it."""
        if not self.is_free:
            return ()
        return beside_nights(OPEN_METEO_FREE) if is_history else OPEN_METEO_FREE

    @property
    def scope(self) -> str:
        """Whose quota it is, without the key."""
        return f"key {fingerprint(self.key)}" if self.key else "free" if self.is_free else origin_of_url(self.forecast)


class GeoNamesConnector(ConfigurableResource[None]):
    """GeoNames' postal tables, one zip a country (CC BY 4.0)."""

    @asynccontextmanager
    async def connect(
        self, tenant_id: str, platform: Platform, *, is_stub: bool
    ) -> AsyncIterator[Callable[[str], Awaitable[bytes]]]:
        """Yield a coroutine function that returns one country's zip as bytes.

        Raises: VendorError: the table could not be fetched; the caller decides whether that matters.
            ConfigurationError: GEONAMES_BASE_URL or WEATHERVANE_SANDBOX_URL is no address.
        """
        named = os.environ.get("GEONAMES_BASE_URL") or "https://download.geonames.org"
        base = sandbox_url(platform) if is_stub else require_address("GEONAMES_BASE_URL", named)
        # its own policy does not wait an outage out: a run does without the table
        policy = RetryPolicy()
        session = VendorSession(
            "geonames",
            tenant_id,
            origin_of_url(base),
            StaticHeaders({}),
            Pace(1.0, 4),
            policy,
            on_close=publish_session,
        )

        async def fetch(country: str) -> bytes:
            reply = await session.get(f"{base.rstrip('/')}/export/zip/{country}.zip", window=country)
            return bytes(reply.body)

        async with session:
            yield fetch
