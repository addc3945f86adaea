"""Error bodies of any shape: each gets a verdict, with a wait that can be waited; a crash there costs the run its reason."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.faults.bad_values import ANY_JSON, FEW, MANY
from weathervane_resources.http.classify import classify
from weathervane_resources.http.retry import ABSURD_S
from weathervane_resources.http.verdict import Kind, Verdict

NOW = datetime(2026, 11, 20, tzinfo=UTC)
STATUSES = (200, 302, 400, 401, 403, 404, 410, 429, 500, 503)
COST = {"cost": {"requestedQueryCost": 900, "throttleStatus": {"currentlyAvailable": 10, "restoreRate": 50.0}}}
QUOTA = {"quotaErrorDetails": {"rateScope": "ACCOUNT", "retryDelay": "41732s"}}
BODIES: dict[str, Any] = {
    "shopify": {"errors": [{"message": "Throttled", "extensions": {"code": "THROTTLED"}}], "extensions": COST},
    "meta_ads": {"error": {"code": 17, "error_subcode": 463, "message": "limit", "is_transient": True}},
    "google_ads": [
        {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "m", "details": [
            {"errors": [{"errorCode": {"quotaError": "RESOURCE_EXHAUSTED"}, "details": QUOTA}]}]}},
    ],
    "klaviyo": {"errors": [{"code": "throttled", "detail": "Request was throttled.", "title": "t"}]},
    "open_meteo": {"error": True, "reason": "Minutely API request limit exceeded."},
}  # fmt: skip
VENDOR = st.sampled_from(sorted(BODIES))


def places(node: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each container of a document with each of its keys."""
    for key in node if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ():
        yield node, key
        yield from places(node[key])


def judged(vendor: str, which: int, value: Any, status: int) -> Verdict:
    """Put anything somewhere into an error body and ask what it means."""
    body = json.loads(json.dumps(BODIES[vendor]))
    every = list(places(body))
    container, key = every[which % len(every)]
    container[key] = value
    usage = json.dumps({"1": [{"estimated_time_to_regain_access": value}]})
    headers = {"X-Business-Use-Case-Usage": usage, "Retry-After": str(value)[:40]}
    verdict = classify(vendor, status, headers, json.dumps(body).encode(), now=NOW)
    assert isinstance(verdict.kind, Kind)
    assert isinstance(verdict.message, str)
    assert verdict.wait_s is None or 0 < verdict.wait_s <= ABSURD_S
    return verdict


ANYTHING: dict[str, Any] = {
    "vendor": VENDOR, "which": st.integers(0, 60), "value": ANY_JSON | st.just(10**400), "status": st.sampled_from(STATUSES),
}  # fmt: skip


@FEW
@given(**ANYTHING)
def test_an_error_of_any_shape_gets_a_verdict(vendor: str, which: int, value: Any, status: int) -> None:
    """`"extensions": "THROTTLED"` ended a run with an AttributeError."""
    judged(vendor, which, value, status)


@pytest.mark.faults
@MANY
@given(**ANYTHING)
def test_thousands_of_odd_errors(vendor: str, which: int, value: Any, status: int) -> None:
    """The same, at length."""
    judged(vendor, which, value, status)


@pytest.mark.parametrize(
    ("vendor", "body"),
    [
        ("shopify", {"errors": [{"message": "m", "extensions": "THROTTLED"}]}),
        ("shopify", {"errors": [{"extensions": {"code": "THROTTLED"}}], "extensions": {"cost": {
            "requestedQueryCost": 10**400, "throttleStatus": {"currentlyAvailable": 0, "restoreRate": 1.5}}}}),
        ("meta_ads", {"error": {"code": [17]}}),
        ("meta_ads", {"error": {"code": 190, "error_subcode": {}}}),
        ("google_ads", {"error": {"details": 7}}),
        ("google_ads", {"error": {"details": [{"errors": 7}]}}),
        ("google_ads", {"error": {"details": [{"errors": [{"errorCode": "quotaError"}]}]}}),
        ("google_ads", {"error": {"status": "RESOURCE_EXHAUSTED", "details": [{"errors": [{"details": {"quotaErrorDetails": "x"}}]}]}}),
        ("klaviyo", {"errors": ["x", 7]}),
    ],
)  # fmt: skip
def test_what_once_crashed_gets_a_verdict(vendor: str, body: Any) -> None:
    """Each was an AttributeError or a TypeError, or is its neighbour."""
    for status in STATUSES:
        assert classify(vendor, status, {}, json.dumps(body).encode(), now=NOW).kind in Kind
