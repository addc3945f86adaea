"""One request as the vendors' handlers see it: whose it is, what time it is for it, and how to answer JSON."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

import msgspec
from aiohttp import web

from weathervane_resources.sandbox.config import SandboxConfig

CONFIG = web.AppKey("config", SandboxConfig)
NOW_HEADER = "X-Sandbox-Now"
NOBODY = ""
_ISSUED = re.compile(r"wvs\.([A-Za-z0-9_-]+)\.\d+")
_CREDENTIAL_HEADERS = ("X-Shopify-Access-Token", "Authorization")
_ACCOUNT_PARTS = ("account", "customer")


@dataclass(frozen=True)
class Call:
    """A request with its tenant and its "now"."""

    request: web.Request
    config: SandboxConfig
    tenant: str
    now: datetime


def open_call(request: web.Request) -> Call:
    """Resolve tenant and time of a request.

    Raises: web.HTTPBadRequest: the time header is not an ISO datetime with an offset.
    """
    config = request.app[CONFIG]
    return Call(request, config, tenant_of(request), _now_of(request, config))


def _now_of(request: web.Request, config: SandboxConfig) -> datetime:
    text = request.headers.get(NOW_HEADER)
    if text is None:
        return config.clock().astimezone(UTC)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise web.HTTPBadRequest(text=f"{NOW_HEADER}: {text!r} is not an ISO datetime") from error
    if moment.tzinfo is None:
        raise web.HTTPBadRequest(text=f"{NOW_HEADER}: {text!r} has no UTC offset")
    return moment.astimezone(UTC)


def issue_text(tenant: str, serial: int) -> str:
    """Return the part of a token that carries its tenant."""
    return f"wvs.{base64.urlsafe_b64encode(tenant.encode()).decode().rstrip('=')}.{serial}"


def issued_tenant(token: str) -> str | None:
    """Return the tenant inside a token that a sandbox issued, None for any other token."""
    found = _ISSUED.search(token)
    if found is None:
        return None
    encoded = found.group(1)
    try:
        return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
    except ValueError:
        return None


def derived_tenant(credential: str) -> str:
    """Return the tenant key of a credential that the sandbox did not issue."""
    return issued_tenant(credential) or f"key-{blake2b(credential.encode(), digest_size=5).hexdigest()}"


def tenant_of(request: web.Request) -> str:
    """Return whose request it is: the path prefix, else a token that names its tenant, else account id or key."""
    prefix = request.match_info.get("tenant")
    if prefix:
        return prefix
    credentials = [request.headers.get(name, "") for name in _CREDENTIAL_HEADERS]
    credentials.append(request.query.get("access_token", ""))
    named = next((tenant for text in credentials if (tenant := issued_tenant(text))), None)
    accounts = [request.match_info.get(part, "") for part in _ACCOUNT_PARTS]
    other = next((text for text in [*accounts, *credentials] if text), None)
    return named or (derived_tenant(other) if other else NOBODY)


def bearer(request: web.Request) -> str:
    """Return the token of an Authorization header, "" without one."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def answer(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """Return a JSON answer; NaN becomes null."""
    return web.Response(body=msgspec.json.encode(body), status=status, headers=headers, content_type="application/json")


def pack(state: dict[str, Any]) -> str:
    """Return a cursor that looks opaque."""
    return base64.urlsafe_b64encode(msgspec.json.encode(state)).decode().rstrip("=")


def unpack(cursor: str) -> dict[str, Any] | None:
    """Return what a cursor carries, None when the sandbox did not make it."""
    try:
        state = msgspec.json.decode(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, msgspec.DecodeError):
        return None
    return state if isinstance(state, dict) else None
