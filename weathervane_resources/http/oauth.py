"""The refresh exchanges of the vendors, as callables for `RefreshingToken`.

Each posts through a `VendorSession` of its own, whose origin is the token endpoint's, so that the retry, redaction
and size rules hold here too. A refresh is safe to repeat: Shopify keeps the old refresh token valid until the new
access token is first used (changelog 2026-08-28), the others do not rotate or say nothing. `invalid_grant` is
`AuthDead`.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import msgspec

from weathervane_resources.http import strict_json
from weathervane_resources.http.auth import Token
from weathervane_resources.http.errors import AuthDead, AuthExpired, VendorError
from weathervane_resources.http.session import Reply, Request, VendorSession

Clock = Callable[[], datetime]
_LONGEST_S = 10 * 365 * 86_400.0
_LATEST_S = 4_102_444_800

_log = logging.getLogger(__name__)


class _Grant(msgspec.Struct, frozen=True, gc=False):
    access_token: str = msgspec.field()
    expires_in: float | None = None
    refresh_token: str | None = None
    refresh_token_expires_in: float | None = None


class _Inspected(msgspec.Struct, frozen=True, gc=False):
    """`expires_at` 0: never; of a token that is not valid it says nothing."""

    expires_at: int | None = None
    is_valid: bool = True


class _Inspection(msgspec.Struct, frozen=True, gc=False):
    data: _Inspected


@dataclass(frozen=True, slots=True)
class TokenEndpoint:
    """A vendor's token URL with the app's identity."""

    session: VendorSession
    url: str
    client_id: str
    client_secret: str = field(repr=False)
    clock: Clock

    async def exchange(self, form: dict[str, str], *, method: str = "POST", with_client: bool = True) -> Token:
        """Send one grant and return its token; `expires_in` may be missing."""
        client = {"client_id": self.client_id, "client_secret": self.client_secret} if with_client else {}
        sent = {**client, **form}
        request = Request(
            method,
            self.url,
            params=sent if method == "GET" else None,
            form=sent if method == "POST" else None,
            window="token refresh",
            is_safe=True,
        )
        return await self.session.read(request, self._token)

    def _token(self, reply: Reply) -> Token:
        where = self.session.where("token refresh")
        grant = strict_json.decode(reply.body, _Grant, where)
        if not grant.access_token:
            raise strict_json.malformed(ValueError("an empty access_token"), where)
        refresh_ends = self._after(grant.refresh_token_expires_in)
        return Token(
            grant.access_token, self._after(grant.expires_in), grant.refresh_token, refresh_expires_at=refresh_ends
        )

    def _after(self, seconds: float | None) -> datetime | None:
        return None if seconds is None else self.clock() + timedelta(seconds=min(max(seconds, 0.0), _LONGEST_S))


@dataclass(frozen=True, slots=True)
class RefreshGrant:
    """Google and Shopify: the client's secret in the form. Google never rotates; Shopify rotates on every use."""

    endpoint: TokenEndpoint

    async def __call__(self, refresh_token: str) -> Token:
        """Return the renewed token."""
        return await self.endpoint.exchange({"grant_type": "refresh_token", "refresh_token": refresh_token})


@dataclass(frozen=True, slots=True)
class KlaviyoRefresh:
    """Klaviyo: HTTP Basic client authentication (give the session `auth.basic(...)`), the grant in the form."""

    endpoint: TokenEndpoint

    async def __call__(self, refresh_token: str) -> Token:
        """Return the renewed token; whether it rotates is not documented, so whatever comes back is kept."""
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        return await self.endpoint.exchange(form, with_client=False)


@dataclass(frozen=True, slots=True)
class ShopifyClientCredentials:
    """Own-organisation apps: about 24 hours, no refresh token; every renewal is a new grant."""

    endpoint: TokenEndpoint

    async def __call__(self, _ignored: str) -> Token:
        """Return a new token."""
        return await self.endpoint.exchange({"grant_type": "client_credentials"})


@dataclass(frozen=True, slots=True)
class MetaExchange:
    """Meta: no refresh token; the access token itself is exchanged, and only while it is still valid.

    `debug_url` is the `debug_token` endpoint: it tells the expiry where the exchange does not (pxa_social_feed #105).
    """

    endpoint: TokenEndpoint
    debug_url: str = ""

    async def __call__(self, access_token: str) -> Token:
        """Return the prolonged token, possibly the same one.

        Raises:
            AuthDead: the token has expired already; the account must be connected again.
        """
        form = {"grant_type": "fb_exchange_token", "fb_exchange_token": access_token}
        try:
            token = await self.endpoint.exchange(form, method="GET")
        except AuthExpired as error:
            raise AuthDead(
                "the token had expired before it was exchanged",
                hint="connect the Meta account again; exchange long before the 60 days end",
                status=error.status,
                **self.endpoint.session.where("token refresh"),
            ) from None
        return token if token.expires_at or not self.debug_url else await self._inspected(token)

    async def _inspected(self, token: Token) -> Token:
        """Return the token with what `debug_token` knows of its end, which may be that it has none; else unchanged."""
        app = f"{self.endpoint.client_id}|{self.endpoint.client_secret}"
        params = {"input_token": token.access_token, "access_token": app}
        session = self.endpoint.session
        request = Request("GET", self.debug_url, params=params, window="token expiry")
        where = session.where("token expiry")
        try:
            seen = await session.read(request, lambda reply: strict_json.decode(reply.body, _Inspection, where))
        except VendorError as error:
            _log.info("the expiry of the new token stays unknown: %s", error)
            return token
        ends_s = seen.data.expires_at
        if ends_s is None or ends_s < 0 or not seen.data.is_valid:
            _log.info("the expiry of the new token stays unknown: debug_token does not say it")
            return token
        if ends_s == 0:
            return replace(token, is_endless=True)
        return replace(token, expires_at=datetime.fromtimestamp(min(ends_s, _LATEST_S), UTC))
