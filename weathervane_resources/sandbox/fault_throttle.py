"""How each vendor says "slow down", and how each says that a token has expired. Answers only, no choice of requests.

The traps: Shopify's `Retry-After` is a float and sometimes 0, its GraphQL throttles with HTTP 200; Meta answers 400
with usage headers and never a Retry-After; Google's delay is inside the error.
"""

from __future__ import annotations

from math import ceil
from typing import Any

import msgspec
from aiohttp import web

from weathervane_resources.sandbox.call import answer
from weathervane_resources.sandbox.fault_hit import (
    GOOGLE,
    GOOGLE_STREAM,
    KLAVIYO,
    META,
    OPEN_METEO,
    SHOPIFY,
    SHOPIFY_GRAPHQL,
    Hit,
)
from weathervane_resources.sandbox.gaql import AdsError
from weathervane_resources.sandbox.klaviyo import ApiError
from weathervane_resources.sandbox.meta_query import GraphError

_META_LIMITS = (
    (17, 2446079, "(#17) User request limit reached"),
    (613, 1487742, "(#613) Calls to this api have exceeded the rate limit."),
    (80004, 2446079, "(#80004) There have been too many calls to this ad-account. Wait a bit and try again."),
)
_RESTORE_RATE = 100.0


async def throttled(hit: Hit) -> web.StreamResponse:
    """Answer as the vendor does when its limit is exceeded."""
    return _THROTTLED[hit.kind](hit)


def _shopify(hit: Hit) -> web.Response:
    wait = "0" if hit.draw % 3 == 0 else f"{hit.config.fault_wait_s:.1f}"
    message = "Exceeded 2 calls per second for api client. Reduce request rates to resume uninterrupted service."
    headers = {"Retry-After": wait, "X-Shopify-Shop-Api-Call-Limit": "40/40"}
    return answer({"errors": message}, 429, headers)


def _shopify_graphql(hit: Hit) -> web.Response:
    """HTTP 200; the wait is (requested - available) / restore rate, and `cost` is beside the errors."""
    requested = 300.0
    status = {
        "maximumAvailable": 2_000.0,
        "currentlyAvailable": requested - hit.config.fault_wait_s * _RESTORE_RATE,
        "restoreRate": _RESTORE_RATE,
    }
    cost = {"requestedQueryCost": requested, "actualQueryCost": None, "throttleStatus": status}
    errors = [{"message": "Throttled", "extensions": {"code": "THROTTLED"}}]
    return answer({"errors": errors, "extensions": {"cost": cost}})


def _meta(hit: Hit) -> web.Response:
    code, subcode, message = _META_LIMITS[hit.draw % len(_META_LIMITS)]
    account = hit.request.match_info.get("account", "0")
    minutes = int(hit.config.fault_wait_s // 60)
    usage = {"call_count": 100, "total_cputime": 40, "total_time": 40, "estimated_time_to_regain_access": minutes}
    seen = {account: [{"type": "ads_insights", **usage}]}
    limit = {"acc_id_util_pct": 100, "reset_time_duration": int(hit.config.fault_wait_s)}
    headers = {
        "X-Business-Use-Case-Usage": msgspec.json.encode(seen).decode(),
        "X-Ad-Account-Usage": msgspec.json.encode(limit).decode(),
    }
    return answer({"error": GraphError(message, code, subcode).body}, 400, headers)


def _google(hit: Hit) -> web.Response:
    message = "Too many requests. Retry in a moment."
    error = AdsError(429, "RESOURCE_EXHAUSTED", message, {"quotaError": "RESOURCE_EXHAUSTED"})
    body = error.body(hit.request.match_info["version"])
    scope = ("ACCOUNT", "DEVELOPER")[hit.draw % 2]
    delay = f"{hit.config.fault_wait_s:g}s"
    quota = {"rateScope": scope, "rateName": "Requests per service per method", "retryDelay": delay}
    body["error"]["details"][0]["errors"][0]["details"] = {"quotaErrorDetails": quota}
    return _google_answer(hit, body, 429)


def _google_answer(hit: Hit, body: dict[str, Any], status: int) -> web.Response:
    return answer([body] if hit.kind == GOOGLE_STREAM else body, status, {"request-id": "sandbox-request"})


def _klaviyo(hit: Hit) -> web.Response:
    error = ApiError(429, "throttled", "Request was throttled.")
    return answer(error.body, 429, {"Retry-After": str(ceil(hit.config.fault_wait_s))})


def _open_meteo(_hit: Hit) -> web.Response:
    reason = "Minutely API request limit exceeded. Please try again in one minute."
    return answer({"error": True, "reason": reason}, 429)


_THROTTLED = {
    SHOPIFY: _shopify,
    SHOPIFY_GRAPHQL: _shopify_graphql,
    META: _meta,
    GOOGLE: _google,
    GOOGLE_STREAM: _google,
    KLAVIYO: _klaviyo,
    OPEN_METEO: _open_meteo,
}


def token_expired(hit: Hit) -> web.Response:
    """Answer as the vendor does when the access token has expired."""
    if hit.kind in (SHOPIFY, SHOPIFY_GRAPHQL):
        message = "[API] Invalid API key or access token (unrecognized login or wrong password)"
        return answer({"errors": message}, 401)
    if hit.kind == META:
        message = "Error validating access token: Session has expired on Friday, 18-Aug-23 10:00:00 PDT."
        return answer({"error": GraphError(message, 190, 463).body}, 400)
    if hit.kind in (GOOGLE, GOOGLE_STREAM):
        message = "Request had invalid authentication credentials. Expected OAuth 2 access token."
        error = AdsError(401, "UNAUTHENTICATED", message, {"authenticationError": "OAUTH_TOKEN_EXPIRED"})
        return _google_answer(hit, error.body(hit.request.match_info["version"]), 401)
    return answer(ApiError(401, "not_authenticated", "Missing or invalid access token.").body, 401)
