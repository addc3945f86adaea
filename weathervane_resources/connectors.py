"""The five connectors as Dagster resources: configuration, credentials, limits, nothing else.

Belongs here: which address, which credential, which pace. Does not belong here: HTTP (`http/`), request shapes
(`clients/`) and what rows mean (`weathervane_assets`).

    async with shopify.connect(access, platform) as client:
        async for page in client.orders(start, end): ...

A session, a limiter and a lock belong to the event loop they are made in, so all of them are made in `connect`.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

import dagster as dg
from dagster import ConfigurableResource
from yarl import URL

from weathervane_resources.clients.google_ads import GoogleAdsClient
from weathervane_resources.clients.klaviyo import KlaviyoClient
from weathervane_resources.clients.meta_ads import MetaAdsClient
from weathervane_resources.clients.open_meteo import OpenMeteoClient
from weathervane_resources.clients.shopify import ShopifyClient
from weathervane_resources.credentials import (
    GOOGLE_ADS,
    KLAVIYO,
    META,
    OPEN_METEO,
    SHOPIFY,
    Access,
    SourceNames,
    digits,
    find_access,
)
from weathervane_resources.http.auth import Auth, RefreshingToken, StaticHeaders, Token, bearer, shopify_token
from weathervane_resources.http.errors import VendorError
from weathervane_resources.http.oauth import MetaExchange, RefreshGrant, ShopifyClientCredentials, TokenEndpoint
from weathervane_resources.http.pacing import Pace, Pacer, Paces
from weathervane_resources.http.session import VendorSession, utc_now
from weathervane_resources.platform import Platform
from weathervane_resources.stubs import sandbox_url

SANDBOX_RATE_PER_S = 2_000.0
"""The sandbox on loopback has no quota of ours to respect."""

DEFAULT_VERSIONS = {
    "SHOPIFY_API_VERSION": "2026-10",
    "META_GRAPH_VERSION": "v26.0",
    "GOOGLE_ADS_API_VERSION": "v26",
    "KLAVIYO_REVISION": "2026-07-15",
}


@dataclass(frozen=True)
class Route:
    """Where a connector's requests go: the base address and, in stub mode, the sandbox's clock."""

    base_url: str
    is_sandbox: bool
    headers: Mapping[str, str]


class Connector(ConfigurableResource[None]):
    """What the five have in common: a source, a rate limit, and errors that Dagster understands."""

    names: ClassVar[SourceNames]
    rate_limit_per_second: float
    rate_limit_capacity: float

    def access(self, tenant_id: str, platform: Platform) -> Access:
        """Return how the tenant reaches this source.

        Raises: dagster.Failure: credentials are half set, or the configuration is wrong (not retried).
        """
        tenants = frozenset(platform.tenants())
        return find_access(self.names, os.environ, tenant_id, tenants, platform.settings().stubs)

    def _pace(self, access: Access) -> Pacer:
        if access.is_stub:
            return Pace(SANDBOX_RATE_PER_S, SANDBOX_RATE_PER_S)
        return Pace(self.rate_limit_per_second, self.rate_limit_capacity)

    def _route(self, access: Access, platform: Platform, live_url: str, as_of: datetime | None = None) -> Route:
        """Return the sandbox's address for stub rows, else the live one. `as_of` moves the sandbox's clock."""
        if not access.is_stub:
            return Route(live_url, is_sandbox=False, headers={})
        headers = {"X-Sandbox-Now": as_of.isoformat()} if as_of else {}
        return Route(f"{sandbox_url(platform)}/t/{access.tenant_id}", is_sandbox=True, headers=headers)

    @asynccontextmanager
    async def _session(
        self, access: Access, route: Route, auth: Auth, extra: Mapping[str, str] | None = None
    ) -> AsyncIterator[VendorSession]:
        headers = {**route.headers, **(extra or {})}
        session = VendorSession(
            self.names.vendor,
            access.tenant_id,
            _origin(route.base_url),
            auth,
            self._pace(access),
            extra_headers=headers,
        )
        with as_failure():
            async with session:
                yield session


@contextmanager
def as_failure() -> Iterator[None]:
    """Turn a `VendorError` into the `dagster.Failure` that says whether a retry can help."""
    try:
        yield
    except VendorError as error:
        raise dg.Failure(description=str(error), allow_retries=error.is_transient) from error


def _origin(url: str) -> str:
    return str(URL(url).origin())


def _version(access: Access, name: str) -> str:
    return access.values.get(name, DEFAULT_VERSIONS[name])


class ShopifyConnector(Connector):
    """Shopify Admin API of one shop a tenant."""

    names: ClassVar[SourceNames] = SHOPIFY
    rate_limit_per_second: float = 2.0
    rate_limit_capacity: float = 40.0

    @asynccontextmanager
    async def connect(self, access: Access, platform: Platform) -> AsyncIterator[ShopifyClient]:
        """Yield a client of the tenant's shop.

        Raises: dagster.Failure: a vendor call failed; `allow_retries` says whether trying again can help.
        """
        domain = access.values.get("SHOPIFY_SHOP_DOMAIN", "")
        live = access.values.get("SHOPIFY_BASE_URL") or f"https://{_shop_host(domain)}"
        route = self._route(access, platform, live)
        async with self._auth(access, route) as auth, self._session(access, route, auth) as session:
            yield ShopifyClient(session, route.base_url, _version(access, "SHOPIFY_API_VERSION"))

    @asynccontextmanager
    async def _auth(self, access: Access, route: Route) -> AsyncIterator[Auth]:
        values = access.values
        token = values.get("SHOPIFY_ACCESS_TOKEN", "")
        client_id, secret = values.get("SHOPIFY_CLIENT_ID"), values.get("SHOPIFY_CLIENT_SECRET")
        if access.is_stub or not (client_id and secret):
            yield StaticHeaders(shopify_token(token or f"stub-{access.tenant_id}"))
            return
        url = f"{route.base_url.rstrip('/')}/admin/oauth/access_token"
        async with self._session(access, route, StaticHeaders({})) as session:
            endpoint = TokenEndpoint(session, url, client_id, secret, utc_now)
            refresh_token = values.get("SHOPIFY_REFRESH_TOKEN")
            if refresh_token:
                yield RefreshingToken(Token(token, None, refresh_token), RefreshGrant(endpoint), shopify_token, utc_now)
            else:
                first = Token(token) if token else await ShopifyClientCredentials(endpoint)("")
                yield RefreshingToken(first, ShopifyClientCredentials(endpoint), shopify_token, utc_now)


def _shop_host(domain: str) -> str:
    host = domain.removeprefix("https://").rstrip("/")
    return host if "." in host else f"{host}.myshopify.com"


class MetaAdsConnector(Connector):
    """Meta Marketing API of one ad account a tenant."""

    names: ClassVar[SourceNames] = META
    rate_limit_per_second: float = 10.0
    rate_limit_capacity: float = 20.0

    @asynccontextmanager
    async def connect(self, access: Access, platform: Platform) -> AsyncIterator[MetaAdsClient]:
        """Yield a client of the tenant's ad account.

        Raises: dagster.Failure: a vendor call failed; `allow_retries` says whether trying again can help.
        """
        live = access.values.get("META_BASE_URL") or "https://graph.facebook.com"
        route = self._route(access, platform, live)
        account = digits(access.values.get("META_AD_ACCOUNT_ID") or "1000001")
        version = _version(access, "META_GRAPH_VERSION")
        async with self._auth(access, route, version) as auth, self._session(access, route, auth) as session:
            yield MetaAdsClient(session, route.base_url, version, account)

    @asynccontextmanager
    async def _auth(self, access: Access, route: Route, version: str) -> AsyncIterator[Auth]:
        token = access.values.get("META_ACCESS_TOKEN") or f"stub-{access.tenant_id}"
        app_id, secret = access.values.get("META_APP_ID"), access.values.get("META_APP_SECRET")
        if access.is_stub or not (app_id and secret):
            yield StaticHeaders(bearer(token))
            return
        url = f"{route.base_url.rstrip('/')}/{version}/oauth/access_token"
        async with self._session(access, route, StaticHeaders({})) as session:
            exchange = MetaExchange(TokenEndpoint(session, url, app_id, secret, utc_now))
            yield RefreshingToken(Token(token), exchange, bearer, utc_now)


class GoogleAdsConnector(Connector):
    """Google Ads API of one customer a tenant; the developer token is the installation's."""

    names: ClassVar[SourceNames] = GOOGLE_ADS
    rate_limit_per_second: float = 5.0
    rate_limit_capacity: float = 10.0

    @asynccontextmanager
    async def connect(self, access: Access, platform: Platform) -> AsyncIterator[GoogleAdsClient]:
        """Yield a client of the tenant's customer.

        Raises: dagster.Failure: a vendor call failed; `allow_retries` says whether trying again can help.
        """
        values = access.values
        live = values.get("GOOGLE_ADS_BASE_URL") or "https://googleads.googleapis.com"
        route = self._route(access, platform, live)
        customer = digits(values.get("GOOGLE_ADS_CUSTOMER_ID") or "2000001")
        extra = {"developer-token": values.get("GOOGLE_ADS_DEVELOPER_TOKEN") or "stub"}
        if login := values.get("GOOGLE_ADS_LOGIN_CUSTOMER_ID"):
            extra["login-customer-id"] = digits(login)
        async with self._auth(access) as auth, self._session(access, route, auth, extra) as session:
            yield GoogleAdsClient(session, route.base_url, _version(access, "GOOGLE_ADS_API_VERSION"), customer)

    @asynccontextmanager
    async def _auth(self, access: Access) -> AsyncIterator[Auth]:
        values = access.values
        token = values.get("GOOGLE_ADS_ACCESS_TOKEN", "")
        refresh_token = values.get("GOOGLE_ADS_REFRESH_TOKEN")
        client_id, secret = values.get("GOOGLE_ADS_CLIENT_ID"), values.get("GOOGLE_ADS_CLIENT_SECRET")
        if access.is_stub or not (refresh_token and client_id and secret):
            yield StaticHeaders(bearer(token or f"stub-{access.tenant_id}"))
            return
        url = values.get("GOOGLE_OAUTH_URL") or "https://oauth2.googleapis.com/token"
        async with self._session(access, Route(url, is_sandbox=False, headers={}), StaticHeaders({})) as session:
            refresh = RefreshGrant(TokenEndpoint(session, url, client_id, secret, utc_now))
            first = Token(token, None, refresh_token) if token else await refresh(refresh_token)
            yield RefreshingToken(_with_refresh(first, refresh_token), refresh, bearer, utc_now)


def _with_refresh(token: Token, refresh_token: str) -> Token:
    return token if token.refresh_token else Token(token.access_token, token.expires_at, refresh_token)


class KlaviyoConnector(Connector):
    """Klaviyo API of one account a tenant: 10 requests a second and 150 a minute."""

    names: ClassVar[SourceNames] = KLAVIYO
    rate_limit_per_second: float = 10.0
    rate_limit_capacity: float = 10.0
    rate_limit_per_minute: float = 150.0

    def _pace(self, access: Access) -> Pacer:
        pace = super()._pace(access)
        return (
            pace if access.is_stub else Paces([pace, Pace(self.rate_limit_per_minute / 60, self.rate_limit_capacity)])
        )

    @asynccontextmanager
    async def connect(self, access: Access, platform: Platform) -> AsyncIterator[KlaviyoClient]:
        """Yield a client of the tenant's account.

        Raises: dagster.Failure: a vendor call failed; `allow_retries` says whether trying again can help.
        """
        route = self._route(access, platform, access.values.get("KLAVIYO_BASE_URL") or "https://a.klaviyo.com")
        key = access.values.get("KLAVIYO_API_KEY") or f"pk_stub_{access.tenant_id}"
        auth = StaticHeaders({"Authorization": f"Klaviyo-API-Key {key}"})
        async with self._session(access, route, auth) as session:
            yield KlaviyoClient(session, route.base_url, _version(access, "KLAVIYO_REVISION"))


class OpenMeteoConnector(Connector):
    """Open-Meteo's archive and forecast hosts: the customers' with a key, the free ones for non-commercial use."""

    names: ClassVar[SourceNames] = OPEN_METEO
    rate_limit_per_second: float = 5.0
    rate_limit_capacity: float = 5.0

    @asynccontextmanager
    async def connect(
        self, access: Access, platform: Platform, as_of: datetime | None = None
    ) -> AsyncIterator[OpenMeteoClient]:
        """Yield a client. `as_of` is for stub rows only: the sandbox answers as it would have then.

        Raises: dagster.Failure: a vendor call failed; `allow_retries` says whether trying again can help.
        """
        key = access.values.get("OPEN_METEO_API_KEY")
        paid = "customer-" if key else ""
        forecast = access.values.get("OPEN_METEO_FORECAST_URL") or f"https://{paid}api.open-meteo.com/v1/forecast"
        archive = access.values.get("OPEN_METEO_ARCHIVE_URL") or f"https://{paid}archive-api.open-meteo.com/v1/archive"
        route = self._route(access, platform, forecast, as_of)
        if route.is_sandbox:
            forecast, archive = f"{route.base_url}/v1/forecast", f"{route.base_url}/v1/archive"
        session = VendorSession(
            self.names.vendor,
            access.tenant_id,
            _origin(forecast),
            StaticHeaders({}),
            self._pace(access),
            extra_headers=route.headers,
            also_origins=(_origin(archive),),
        )
        with as_failure():
            async with session:
                yield OpenMeteoClient(session, forecast, archive, key)


class GeoNamesConnector(ConfigurableResource[None]):
    """GeoNames' postal tables, one zip a country (CC BY 4.0)."""

    @asynccontextmanager
    async def connect(
        self, tenant_id: str, platform: Platform, *, is_stub: bool
    ) -> AsyncIterator[Callable[[str], Awaitable[bytes]]]:
        """Yield a coroutine function that returns one country's zip as bytes.

        Raises: VendorError: the table could not be fetched; the caller decides whether that matters.
        """
        base = os.environ.get("GEONAMES_BASE_URL") or "https://download.geonames.org"
        if is_stub:
            base = sandbox_url(platform)
        session = VendorSession("geonames", tenant_id, _origin(base), StaticHeaders({}), Pace(1.0, 4))

        async def fetch(country: str) -> bytes:
            reply = await session.get(f"{base.rstrip('/')}/export/zip/{country}.zip", window=country)
            return bytes(reply.body)

        async with session:
            yield fetch
