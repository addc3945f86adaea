"""Meta's and Google's error tables, for `classify`.

Meta is read by `error.code` on any status, never by the status: an expired token is HTTP 400, a throttle is HTTP 400,
and some paths send an error body with HTTP 200.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from weathervane_resources.http.retry import clamp_wait
from weathervane_resources.http.untyped import obj, objs, plain
from weathervane_resources.http.usage import numbers_in
from weathervane_resources.http.verdict import OK, Kind, Verdict, by_status

# 800008 and 800009 are a typo that two public loaders share: they never retry 80008 and 80009.
_META_THROTTLED = frozenset({4, 17, 32, 341, 613, *range(80_000, 80_015)})
_META_PERMISSION = frozenset({3, 10, *range(200, 300)})
_META_AUTH_DEAD_SUBCODES = frozenset({458, 459, 460, 464})
_META_TOO_BIG_SUBCODES = frozenset({1_487_534, 1_504_018})
"""Too many rows; too long a query ("please try a smaller date range"), which comes with code 2."""
_META_TRANSIENT = frozenset({1, 2})
"""An unknown error, and a service that is not there; a 400 that calls itself lasting is a question that Meta will not answer."""
_META_HINTS: dict[object, str] = {
    3_018: "Meta keeps 37 months; begin the window later, and look at this machine's clock"
}
"""Refusals of which more is known than that they are one."""
_META_REPORT = frozenset({2_601, 2_637})
"""A report that cannot be loaded, or not yet: the same question may be answered later, whatever `is_transient` says."""
_META_TRANSIENT_SUBCODES = frozenset({99, 1_504_043, 1_815_107})

_GOOGLE_CODES = {
    "UNSUPPORTED_VERSION": Kind.VERSION_DEAD,
    "RESOURCE_EXHAUSTED": Kind.THROTTLED,
    "RESOURCE_TEMPORARILY_EXHAUSTED": Kind.THROTTLED,
    "EXCESSIVE_SHORT_TERM_QUERY_RESOURCE_CONSUMPTION": Kind.THROTTLED,
    "EXCESSIVE_LONG_TERM_QUERY_RESOURCE_CONSUMPTION": Kind.THROTTLED,
    "OAUTH_TOKEN_REVOKED": Kind.AUTH_DEAD,
    "OAUTH_TOKEN_EXPIRED": Kind.AUTH_EXPIRED,
    "CUSTOMER_NOT_ENABLED": Kind.PERMISSION,
    "USER_PERMISSION_DENIED": Kind.PERMISSION,
    "NOT_ADS_USER": Kind.PERMISSION,
    "CUSTOMER_NOT_FOUND": Kind.PERMISSION,
    "INTERNAL_ERROR": Kind.TRANSIENT,
    "TRANSIENT_ERROR": Kind.TRANSIENT,
}
_GOOGLE_STATUS = {
    "RESOURCE_EXHAUSTED": Kind.THROTTLED,
    "UNAUTHENTICATED": Kind.AUTH_EXPIRED,
    "PERMISSION_DENIED": Kind.PERMISSION,
    "INVALID_ARGUMENT": Kind.BAD_REQUEST,
    "UNAVAILABLE": Kind.TRANSIENT,
    "INTERNAL": Kind.TRANSIENT,
    "DEADLINE_EXCEEDED": Kind.TRANSIENT,
    "ABORTED": Kind.TRANSIENT,
}


def meta_ads(status: int, headers: Mapping[str, str], parsed: Any, wait_s: float | None, now: object) -> Verdict:  # noqa: ARG001 - all readers have one signature
    """Read Meta's `error` object; Meta never sends Retry-After, the wait hides in the usage headers."""
    error = obj(parsed).get("error")
    if not isinstance(error, dict):
        return by_status(status, wait_s, "account", "Meta refused the request")
    message = str(error.get("message", ""))
    kind = _meta_kind(error, message, status)
    if kind is None:
        if 200 <= status < 300:
            return Verdict(Kind.BAD_REQUEST, message=message)
        return by_status(status, wait_s, "account", message)
    if kind is Kind.THROTTLED:
        scope = "app" if error.get("code") == 4 else "account"
        return Verdict(kind, wait_s or _meta_wait(headers), scope, message)
    return Verdict(kind, message=message, hint=_META_HINTS.get(plain(error.get("code")), ""))


def _meta_kind(error: dict[str, Any], message: str, status: int) -> Kind | None:
    code, subcode = plain(error.get("code")), plain(error.get("error_subcode"))
    if code in _META_THROTTLED:
        return Kind.THROTTLED
    if subcode in _META_TOO_BIG_SUBCODES or "reduce the amount of data" in message:
        return Kind.TOO_BIG
    if code in (190, 102):
        return _meta_auth(subcode, message)
    if code in _META_PERMISSION or (code == 100 and (subcode == 33 or "issing permission" in message)):
        return Kind.PERMISSION
    if code in _META_HINTS:
        return Kind.BAD_REQUEST
    if code == 2_635:
        return Kind.VERSION_DEAD
    if code in _META_REPORT:
        return Kind.TRANSIENT
    if error.get("is_transient") is True or subcode in _META_TRANSIENT_SUBCODES:
        return Kind.TRANSIENT
    if code in _META_TRANSIENT:
        return Kind.BAD_REQUEST if error.get("is_transient") is False and status < 500 else Kind.TRANSIENT
    return None


def _meta_auth(subcode: object, message: str) -> Kind:
    """190 without subcode is an expiry, except where its text speaks of a permission (Meta reuses the code)."""
    if subcode in _META_AUTH_DEAD_SUBCODES:
        return Kind.AUTH_DEAD
    return Kind.PERMISSION if "must be granted" in message else Kind.AUTH_EXPIRED


def _meta_wait(headers: Mapping[str, str]) -> float | None:
    """`estimated_time_to_regain_access` is in minutes, `reset_time_duration` in seconds; the longest counts."""
    business = [
        60 * value for value in numbers_in(headers, "x-business-use-case-usage", "estimated_time_to_regain_access")
    ]
    account = list(numbers_in(headers, "x-ad-account-usage", "reset_time_duration"))
    longest = max([*business, *account], default=0.0)
    return clamp_wait(longest) if longest > 0 else None


def google_ads(status: int, headers: Mapping[str, str], parsed: Any, wait_s: float | None, now: object) -> Verdict:  # noqa: ARG001 - all readers have one signature
    """Read Google's `error` object; `searchStream` wraps it in an array, possibly behind good batches."""
    batches = parsed if isinstance(parsed, list) else [parsed]
    error = next((batch["error"] for batch in objs(batches) if isinstance(batch.get("error"), dict)), None)
    if error is None:
        return OK if 200 <= status < 300 else by_status(status, wait_s, "developer_token", "Google refused the request")
    failures = list(_google_failures(error))
    codes = [str(code) for failure in failures for code in obj(failure.get("errorCode")).values()]
    kind = next((_GOOGLE_CODES[code] for code in codes if code in _GOOGLE_CODES), None)
    kind = kind or _GOOGLE_STATUS.get(str(error.get("status")))
    message = ": ".join([*codes[:1], str(error.get("message", ""))])
    if kind is None:
        code = error.get("code")
        return by_status(code if isinstance(code, int) and code >= 400 else max(status, 400), wait_s, message=message)
    if kind is Kind.THROTTLED:
        delay_s, scope = _google_quota(failures)
        return Verdict(kind, delay_s or wait_s, scope, message)
    return Verdict(kind, message=message)


def _google_failures(error: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for detail in objs(error.get("details")):
        yield from objs(detail.get("errors"))


def _google_quota(failures: list[dict[str, Any]]) -> tuple[float | None, str]:
    """`retryDelay` is "41732s"; rateScope DEVELOPER means every tenant of the developer token is down."""
    for failure in failures:
        quota = obj(obj(failure.get("details")).get("quotaErrorDetails"))
        delay = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)s", str(quota.get("retryDelay", "")))
        if quota:
            scope = "account" if quota.get("rateScope") == "ACCOUNT" else "developer_token"
            return (clamp_wait(float(delay[1])) if delay else None), scope
    return None, "developer_token"
