"""One classifier for every answer of every vendor, HTTP 200 included.

Shopify throttles GraphQL with HTTP 200, Meta reports an expired token with HTTP 400, Open-Meteo breaks off in the
middle of a 200: a page is data only after `classify` says OK. Successful answers are parsed here only if their bytes
contain the vendor's error marker. The tables follow the vendors' documentation as read 2026-11; the ads vendors have
`classify_ads.py`.
"""

import math
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from weathervane_resources.http import strict_json
from weathervane_resources.http.classify_ads import google_ads, meta_ads
from weathervane_resources.http.errors import Malformed
from weathervane_resources.http.retry import clamp_wait, parse_retry_after
from weathervane_resources.http.untyped import obj, objs
from weathervane_resources.http.verdict import OK, Kind, Verdict, by_status

_ERROR_MARKER = b'"error'
_STREAM_ERROR = b"Unexpected error while streaming data"
_EPOCH_WAITS_S = {"Minutely": 60, "Hourly": 3_600, "Daily": 86_400}

_SHOPIFY_STATUS = {
    402: (Kind.PERMISSION, "the shop is frozen for an unpaid bill"),
    404: (Kind.BAD_REQUEST, "not found: check shop domain and API version"),
    423: (Kind.PERMISSION, "the shop is locked"),
    430: (Kind.THROTTLED, "Shopify's security limit"),
}
_SHOPIFY_GRAPHQL = {
    "THROTTLED": Kind.THROTTLED,
    "INTERNAL_SERVER_ERROR": Kind.TRANSIENT,
    "TIMEOUT": Kind.TRANSIENT,
    "ACCESS_DENIED": Kind.PERMISSION,
    "SHOP_INACTIVE": Kind.PERMISSION,
    "MAX_COST_EXCEEDED": Kind.TOO_BIG,
    "UNDEFINED_FIELD": Kind.BAD_REQUEST,
}
_SHOPIFY_OUR_END = re.compile(r"internal (server )?error\b|.{0,40}something went wrong on our end", re.IGNORECASE)
"""How a message begins that says so of itself; it may come with HTTP 200 and no code, or one that is not in the table."""
_OAUTH_DEAD = frozenset({"invalid_grant", "invalid_client", "unauthorized_client", "invalid_refresh_token"})


def classify(
    vendor: str, status: int, headers: Mapping[str, str], body: bytes, *, now: datetime | None = None
) -> Verdict:
    """Return what one answer means.

    Args:
        vendor: shopify, meta_ads, google_ads, klaviyo or open_meteo; any other is judged by its status.
        status: The HTTP status.
        headers: The answer's headers; names in any case.
        body: The whole body, decompressed.
        now: The time, for waits given as a date or as "the next hour"; without it those are unknown or whole periods.
    """
    if 200 <= status < 300 and _ERROR_MARKER not in body and _STREAM_ERROR not in body:
        return OK
    lower = {name.lower(): value for name, value in headers.items()}
    wait_s = parse_retry_after(lower.get("retry-after"), now) if now else _plain_wait(lower.get("retry-after"))
    reader = _READERS.get(vendor)
    if reader is None:
        return by_status(status, wait_s)
    parsed = _parsed(body)
    if isinstance(parsed, Malformed):
        if 200 <= status < 300:
            return Verdict(Kind.MALFORMED, message=f"HTTP {status} whose body is not JSON")
        parsed = None
    if oauth := _oauth(parsed):
        return oauth
    return reader(status, lower, parsed, wait_s, now)


def _parsed(body: bytes) -> Any:
    try:
        return strict_json.decode_any(body)
    except Malformed as error:
        return error


def _plain_wait(value: str | None) -> float | None:
    """Without a clock only a number of seconds means something."""
    try:
        wait_s = float(value or "")
    except ValueError:
        return None
    return clamp_wait(wait_s) if math.isfinite(wait_s) else None


def _oauth(parsed: Any) -> Verdict | None:
    """RFC 6749 errors of the token endpoints: `{"error": "invalid_grant", ...}` is terminal for that tenant."""
    code = obj(parsed).get("error")
    if isinstance(code, str) and code in _OAUTH_DEAD:
        return Verdict(Kind.AUTH_DEAD, message=f"the token endpoint says {code}")
    return None


def _shopify(status: int, headers: Mapping[str, str], parsed: Any, wait_s: float | None, now: object) -> Verdict:  # noqa: ARG001 - all readers have one signature
    errors = obj(parsed).get("errors")
    several = objs(errors)
    if known := _shopify_graphql(several, parsed, wait_s):
        return known
    said = [errors] if isinstance(errors, str) else [str(error.get("message", "")) for error in several]
    message = next(iter(said), "") or "Shopify refused the request"
    if status in _SHOPIFY_STATUS:
        kind, message = _SHOPIFY_STATUS[status]
        return Verdict(kind, wait_s, "shop" if kind is Kind.THROTTLED else "", message)
    if 200 <= status < 300:
        is_passing = bool(said) and all(map(_SHOPIFY_OUR_END.match, said))
        kind = Kind.TRANSIENT if is_passing else Kind.BAD_REQUEST
        return Verdict(kind, message=message) if errors else OK
    return by_status(status, wait_s, "shop", message)


def _shopify_graphql(errors: list[dict[str, Any]], parsed: dict[str, Any], wait_s: float | None) -> Verdict | None:
    """GraphQL errors mostly come with HTTP 200; the first code in table order decides, and without a known one the status."""
    codes = {str(obj(error.get("extensions")).get("code", "")) for error in errors}
    for code, kind in _SHOPIFY_GRAPHQL.items():
        if code in codes:
            message = str(errors[0].get("message", ""))
            if kind is Kind.THROTTLED:
                return Verdict(kind, _shopify_cost_wait(parsed) or wait_s, "shop", message)
            return Verdict(kind, message=f"{code}: {message}")
    return None


def _shopify_cost_wait(parsed: dict[str, Any]) -> float | None:
    """Exact: (requestedQueryCost - currentlyAvailable) / restoreRate; `extensions` is beside `errors`, not inside."""
    try:
        cost = parsed["extensions"]["cost"]
        bucket = cost["throttleStatus"]
        return clamp_wait((cost["requestedQueryCost"] - bucket["currentlyAvailable"]) / bucket["restoreRate"])
    except (KeyError, TypeError, ZeroDivisionError, OverflowError):
        return None


def _klaviyo(status: int, headers: Mapping[str, str], parsed: Any, wait_s: float | None, now: object) -> Verdict:  # noqa: ARG001 - all readers have one signature
    errors = obj(parsed).get("errors")
    first = next(iter(objs(errors)), {})
    message = str(first.get("detail") or first.get("title") or "Klaviyo refused the request")
    if status == 410:
        return Verdict(Kind.VERSION_DEAD, message=message)
    if first.get("code") in ("not_authenticated", "authentication_failed"):
        return Verdict(Kind.AUTH_EXPIRED, message=message)
    if 200 <= status < 300:
        return Verdict(Kind.BAD_REQUEST, message=message) if errors else OK
    return by_status(status, wait_s, "account", message)


def _open_meteo(
    status: int,
    headers: Mapping[str, str],  # noqa: ARG001 - all readers have one signature
    parsed: Any,
    wait_s: float | None,
    now: datetime | None,
) -> Verdict:
    is_error = obj(parsed).get("error") is True
    reason = str(parsed.get("reason", "")) if is_error else ""
    if "request limit exceeded" in reason or "Too many concurrent requests" in reason or status == 429:
        return Verdict(Kind.THROTTLED, wait_s or _open_meteo_wait(reason, now), "ip", reason)
    if "too much data" in reason or "locations can be requested at once" in reason:
        return Verdict(Kind.TOO_BIG, message=reason)
    if status == 401 or (status == 400 and "API key" in reason):
        return Verdict(Kind.AUTH_DEAD, message=reason or "an API key is required")
    if "streaming data" in reason or "overloaded" in reason:
        return Verdict(Kind.TRANSIENT, wait_s, message=reason)
    if 200 <= status < 300:
        return Verdict(Kind.BAD_REQUEST, message=reason) if is_error else OK
    return by_status(status, wait_s, "ip", reason)


def _open_meteo_wait(reason: str, now: datetime | None) -> float | None:
    """Return the rest of the fixed window: counters are cleared at the minute, at :00 and at 00:00 UTC."""
    for word, period_s in _EPOCH_WAITS_S.items():
        if word in reason:
            elapsed_s = now.timestamp() % period_s if now else 0.0
            return clamp_wait(timedelta(seconds=period_s - elapsed_s).total_seconds())
    return None


_READERS: dict[str, Callable[[int, Mapping[str, str], Any, float | None, datetime | None], Verdict]] = {
    "shopify": _shopify,
    "meta_ads": meta_ads,
    "google_ads": google_ads,
    "klaviyo": _klaviyo,
    "open_meteo": _open_meteo,
}
