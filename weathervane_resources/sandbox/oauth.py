"""Token endpoints of the vendors and the registry of what they issued, in memory.

Shopify rotates: each refresh gives a new refresh token, and the old one lives until the new access token is first used.
A refresh token that the sandbox did not issue is accepted for Shopify when it starts with `shprt_`, and for Google,
Klaviyo and Meta unless it starts with `expired`: a client has to start somewhere. So has a Shopify client secret.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import msgspec
from aiohttp import web

from weathervane_resources.sandbox.call import CONFIG, answer, derived_tenant, issue_text, issued_tenant

EXPIRED_PREFIX = "expired"
DENIED_PREFIX = "denied"  # a token that is valid and may not read what it asks for
SHOPIFY_REFRESH_PREFIX = "shprt_"
_HOUR_S, _DAY_S = 3_600, 86_400


@dataclass
class _Access:
    expires_at: datetime
    retires: str | None = None


@dataclass
class TokenRegistry:
    """Tokens issued by one sandbox."""

    access: dict[str, _Access] = field(default_factory=dict)
    live_refresh: set[str] = field(default_factory=set)
    dead_refresh: set[str] = field(default_factory=set)
    serial: count[int] = field(default_factory=lambda: count(1))

    def issue_access(self, prefix: str, tenant: str, expires_at: datetime, retires: str | None = None) -> str:
        """Return a new access token; its first use kills the refresh token it retires."""
        token = prefix + issue_text(tenant, next(self.serial))
        self.access[token] = _Access(expires_at, retires)
        return token

    def issue_refresh(self, tenant: str) -> str:
        """Return a new Shopify refresh token."""
        token = SHOPIFY_REFRESH_PREFIX + issue_text(tenant, next(self.serial))
        self.live_refresh.add(token)
        return token

    def accepts_refresh(self, token: str) -> bool:
        """Return whether a Shopify refresh token can be used now."""
        if token in self.dead_refresh or not token.startswith(SHOPIFY_REFRESH_PREFIX):
            return False
        return token in self.live_refresh or issued_tenant(token) is None

    def use(self, token: str, now: datetime) -> bool:
        """Return whether an access token is valid, and note its first use."""
        if not token or token.startswith(EXPIRED_PREFIX):
            return False
        known = self.access.get(token)
        if known is None:
            return True
        if known.retires is not None:
            self.dead_refresh.add(known.retires)
            self.live_refresh.discard(known.retires)
            known.retires = None
        return now < known.expires_at


TOKENS = web.AppKey("tokens", TokenRegistry)


def is_valid(request: web.Request, token: str) -> bool:
    """Return whether this request's access token is accepted; expiry goes by the sandbox clock, not by time travel."""
    return request.app[TOKENS].use(token, request.app[CONFIG].clock())


async def form_of(request: web.Request) -> dict[str, str]:
    """Return the body's fields, sent as a form or as JSON."""
    if request.content_type == "application/json":
        try:
            body: Any = msgspec.json.decode(await request.read())
        except msgspec.DecodeError:
            return {}
        return {str(name): str(value) for name, value in body.items()} if isinstance(body, Mapping) else {}
    return {name: str(value) for name, value in (await request.post()).items()}


def _refused(error: str, description: str) -> web.Response:
    return answer({"error": error, "error_description": description}, 400)


def _tenant(request: web.Request, credential: str) -> str:
    return request.match_info.get("tenant") or derived_tenant(credential)


async def shopify_token(request: web.Request) -> web.Response:
    """Answer `POST /admin/oauth/access_token`: refresh with rotation, or client credentials for a day."""
    form, registry, now = await form_of(request), request.app[TOKENS], request.app[CONFIG].clock()
    scope = ",".join(request.app[CONFIG].shopify_scopes)
    if form.get("grant_type") == "client_credentials":
        if form.get("client_secret", "").startswith(EXPIRED_PREFIX):
            return _refused("invalid_client", "The client secret is invalid.")
        tenant = _tenant(request, form.get("client_id", ""))
        token = registry.issue_access("shpat_", tenant, now + timedelta(seconds=_DAY_S))
        return answer({"access_token": token, "scope": scope, "expires_in": _DAY_S - 1})
    if form.get("grant_type") != "refresh_token":
        return _refused("unsupported_grant_type", "The grant type is not supported.")
    old = form.get("refresh_token", "")
    if not registry.accepts_refresh(old):
        return _refused("invalid_grant", "The refresh token is invalid or expired.")
    tenant = _tenant(request, old)
    body = {
        "access_token": registry.issue_access("shpat_", tenant, now + timedelta(seconds=_HOUR_S), retires=old),
        "expires_in": _HOUR_S,
        "scope": scope,
        "refresh_token": registry.issue_refresh(tenant),
        "refresh_token_expires_in": 30 * _DAY_S,
    }
    return answer(body)


async def google_token(request: web.Request) -> web.Response:
    """Answer Google's `POST /token`: an hour, no new refresh token."""
    form = await form_of(request)
    refresh = form.get("refresh_token", "")
    if form.get("grant_type") != "refresh_token":
        return _refused("unsupported_grant_type", f"Invalid grant_type: {form.get('grant_type', '')}")
    if not refresh or refresh.startswith(EXPIRED_PREFIX):
        return _refused("invalid_grant", "Token has been expired or revoked.")
    expires_at = request.app[CONFIG].clock() + timedelta(seconds=_HOUR_S)
    token = request.app[TOKENS].issue_access("ya29.", _tenant(request, refresh), expires_at)
    scope = "https://www.googleapis.com/auth/adwords"
    return answer({"access_token": token, "expires_in": _HOUR_S, "scope": scope, "token_type": "Bearer"})


async def klaviyo_token(request: web.Request) -> web.Response:
    """Answer Klaviyo's `POST /oauth/token`: HTTP Basic client, an hour, the refresh token stays."""
    form = await form_of(request)
    refresh = form.get("refresh_token", "")
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic" or not _is_base64(encoded):
        return answer({"error": "invalid_client", "error_description": "Client authentication failed."}, 401)
    if form.get("grant_type") != "refresh_token" or not refresh or refresh.startswith(EXPIRED_PREFIX):
        return _refused("invalid_grant", "The refresh token is invalid or expired.")
    expires_at = request.app[CONFIG].clock() + timedelta(seconds=_HOUR_S)
    token = request.app[TOKENS].issue_access("kl_", _tenant(request, refresh), expires_at)
    body = {"access_token": token, "expires_in": _HOUR_S, "token_type": "bearer", "scope": "campaigns:read"}
    return answer({**body, "refresh_token": refresh})


def _is_base64(text: str) -> bool:
    try:
        return bool(text) and bool(base64.b64decode(text, validate=True))
    except ValueError:
        return False
