"""What vendors say about their quotas before they refuse: how long to hold back after an answer that was good.

Facts (read 2026-11): Shopify's REST bucket leaks its size in 20 s (40 at 2/s, 400 at 20/s), GraphQL's
`throttleStatus` is points and points a second; Meta's usage headers are
percentages of a rolling hour; Klaviyo's `RateLimit-*` describe the steady window and are absent on a 429.
"""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from weathervane_resources.http import strict_json
from weathervane_resources.http.errors import Malformed

LONGEST_REST_S = 60.0
SHOPIFY_FULL_RATIO, SHOPIFY_EASED_RATIO, SHOPIFY_LEAK_S = 0.9, 0.75, 20.0
META_BUSY_PERCENT, META_REST_S_PER_PERCENT = 90.0, 6.0

_ABSURD = 1e9
_COST_MARKER = b'"throttleStatus"'
_COST = re.compile(rb'"(requestedQueryCost|currentlyAvailable|restoreRate)"\s*:\s*(\d+(?:\.\d+)?)')
_META_HEADERS = {
    "x-app-usage": "app",
    "x-business-use-case-usage": "account",
    "x-ad-account-usage": "account",
    "x-fb-ads-insights-throttle": "account",
}
_META_PERCENTS = ("call_count", "total_cputime", "total_time", "acc_id_util_pct", "app_id_util_pct")


def rest_after(vendor: str, headers: Mapping[str, str], body: bytes = b"") -> tuple[float, str]:
    """Return the seconds to hold back, 0 for none, and the scope of the quota that is nearly spent.

    `headers` have lower-case names; of `body` only GraphQL's `throttleStatus` is looked at.
    """
    if vendor == "shopify" and _COST_MARKER in body:
        wait_s, scope = _shopify_cost(body)
    else:
        reader = {"shopify": _shopify, "meta_ads": _meta, "klaviyo": _klaviyo}.get(vendor)
        wait_s, scope = reader(headers) if reader else (0.0, "")
    return min(max(wait_s, 0.0), LONGEST_REST_S), scope


def _shopify_cost(body: bytes) -> tuple[float, str]:
    """GraphQL: wait until a query that costs as much as this one did can be paid for again."""
    facts = {name.decode(): float(value) for name, value in _COST.findall(body)}
    needed, left, restored_s = (facts.get(name) for name in ("requestedQueryCost", "currentlyAvailable", "restoreRate"))
    if needed is None or left is None or not restored_s or left >= needed:
        return 0.0, ""
    return (needed - left) / restored_s, "shop"


def _shopify(headers: Mapping[str, str]) -> tuple[float, str]:
    """`X-Shopify-Shop-Api-Call-Limit: 38/40`: nearly full, so wait until it has eased."""
    used, size = (_number(part) for part in headers.get("x-shopify-shop-api-call-limit", "").partition("/")[::2])
    if not size or used is None or used < SHOPIFY_FULL_RATIO * size:
        return 0.0, ""
    return (used - SHOPIFY_EASED_RATIO * size) / size * SHOPIFY_LEAK_S, "shop"


def _meta(headers: Mapping[str, str]) -> tuple[float, str]:
    """The busiest percentage decides; above 90 each further one costs six seconds before the next request."""
    busiest, scope = 0.0, ""
    for header, of in _META_HEADERS.items():
        for key in _META_PERCENTS:
            for percent in numbers_in(headers, header, key):
                if percent > busiest:
                    busiest, scope = percent, "app" if key == "app_id_util_pct" else of
    return (busiest - META_BUSY_PERCENT) * META_REST_S_PER_PERCENT, scope


def _klaviyo(headers: Mapping[str, str]) -> tuple[float, str]:
    remaining, reset_s = _number(headers.get("ratelimit-remaining")), _number(headers.get("ratelimit-reset"))
    return (reset_s or 0.0, "account") if remaining == 0 else (0.0, "")


def numbers_in(headers: Mapping[str, str], header: str, key: str) -> Iterator[float]:
    """Yield the numbers under `key` at any depth of a JSON header; none where it is not JSON."""
    try:
        pending: list[Any] = [strict_json.decode_any(headers.get(header, "null").encode())]
    except Malformed:
        return
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            value = node.get(key)
            if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _ABSURD:
                yield float(value)
            pending.extend(node.values())
        elif isinstance(node, list):
            pending.extend(node)


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None
