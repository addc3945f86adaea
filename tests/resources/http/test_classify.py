"""The vendors' error tables, row by row."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.resources.http.scripted import DATA
from weathervane_resources.http.classify import classify
from weathervane_resources.http.verdict import Kind

NOW = datetime(2026, 11, 20, 12, 0, 30, tzinfo=UTC)


def verdict(vendor: str, status: int, body: Any, headers: dict[str, str] | None = None):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return classify(vendor, status, headers or {}, raw, now=NOW)


def meta(code: int, subcode: int | None = None, message: str = "x", **more: Any) -> dict[str, Any]:
    return {"error": {"code": code, "error_subcode": subcode, "message": message, **more}}


def google(status: str, code: str = "", kind: str = "quotaError", **details: Any) -> dict[str, Any]:
    failure = {"errorCode": {kind: code}, "details": details} if code else {}
    return {"error": {"status": status, "message": "m", "details": [{"errors": [failure]}]}}


def graphql(code: str) -> dict[str, Any]:
    return {"errors": [{"message": "m", "extensions": {"code": code}}]}


def said(message: str, **more: Any) -> dict[str, Any]:
    return {"errors": [{"message": message, **more}]}


WRONG = (
    "Internal error. Looks like something went wrong on our end.\nRequest ID: 7d1c (include this in support requests)."
)
SYNTAX = {"locations": [{"line": 1, "column": 3}]}

ROWS: list[tuple[str, int, Any, Kind]] = [
    ("shopify", 200, {"orders": []}, Kind.OK),
    ("shopify", 200, {"orders": [{"name": '"errors": said the customer', "error": 1}]}, Kind.OK),
    ("shopify", 401, {"errors": "[API] Invalid API key or access token"}, Kind.AUTH_EXPIRED),
    ("shopify", 402, {"errors": "Unavailable Shop"}, Kind.PERMISSION),
    ("shopify", 403, {"errors": "scope"}, Kind.PERMISSION),
    ("shopify", 404, {"errors": "Not Found"}, Kind.BAD_REQUEST),
    ("shopify", 422, {"errors": {"limit": ["is bad"]}}, Kind.BAD_REQUEST),
    ("shopify", 423, b"", Kind.PERMISSION),
    ("shopify", 429, {"errors": "Exceeded 2 calls per second"}, Kind.THROTTLED),
    ("shopify", 430, b"", Kind.THROTTLED),
    ("shopify", 502, b"<html>bad gateway</html>", Kind.TRANSIENT),
    ("shopify", 429, graphql("429"), Kind.THROTTLED),
    ("shopify", 503, graphql(""), Kind.TRANSIENT),
    ("shopify", 401, graphql("UNAUTHORIZED"), Kind.AUTH_EXPIRED),
    ("shopify", 200, graphql("THROTTLED"), Kind.THROTTLED),
    ("shopify", 200, graphql("INTERNAL_SERVER_ERROR"), Kind.TRANSIENT),
    ("shopify", 200, graphql("ACCESS_DENIED"), Kind.PERMISSION),
    ("shopify", 200, graphql("SHOP_INACTIVE"), Kind.PERMISSION),
    ("shopify", 200, graphql("MAX_COST_EXCEEDED"), Kind.TOO_BIG),
    ("shopify", 200, graphql("UNDEFINED_FIELD"), Kind.BAD_REQUEST),
    ("shopify", 200, said(WRONG), Kind.TRANSIENT),
    ("shopify", 200, said(WRONG, extensions={"code": "SOMETHING_NEW"}), Kind.TRANSIENT),
    ("shopify", 200, {"errors": WRONG}, Kind.TRANSIENT),
    ("shopify", 200, {"errors": [{"message": WRONG}], "data": None}, Kind.TRANSIENT),
    (
        "shopify",
        200,
        said("Field 'x' doesn't exist", **SYNTAX, extensions={"code": "undefinedField"}),
        Kind.BAD_REQUEST,
    ),
    ("shopify", 200, said("syntax error, unexpected end of file", **SYNTAX), Kind.BAD_REQUEST),
    ("shopify", 200, {"errors": [{"message": "no such field"}, {"message": WRONG}]}, Kind.BAD_REQUEST),
    ("shopify", 200, said("Invalid global id 'Internal error'"), Kind.BAD_REQUEST),
    ("shopify", 400, said(WRONG), Kind.BAD_REQUEST),
    ("shopify", 200, {"errors": "status cannot be passed when page_info is present"}, Kind.BAD_REQUEST),
    ("shopify", 400, {"error": "invalid_grant"}, Kind.AUTH_DEAD),
    ("shopify", 401, {"error": "invalid_client"}, Kind.AUTH_DEAD),
    ("shopify", 200, b'{"orders": [{"id": 1, "errors', Kind.MALFORMED),
    *[("meta_ads", 400, meta(code), Kind.THROTTLED) for code in (4, 17, 32, 341, 613, *range(80_000, 80_015))],
    ("meta_ads", 200, meta(17, 2_446_079), Kind.THROTTLED),
    ("meta_ads", 400, meta(800_008), Kind.BAD_REQUEST),
    *[("meta_ads", status, meta(190, 463), Kind.AUTH_EXPIRED) for status in (200, 400, 401)],
    ("meta_ads", 400, meta(190, 467), Kind.AUTH_EXPIRED),
    ("meta_ads", 400, meta(102), Kind.AUTH_EXPIRED),
    *[("meta_ads", 400, meta(190, sub), Kind.AUTH_DEAD) for sub in (458, 459, 460, 464)],
    *[("meta_ads", 400, meta(code), Kind.PERMISSION) for code in (3, 10, 200, 275, 299)],
    ("meta_ads", 400, meta(100, 33), Kind.PERMISSION),
    ("meta_ads", 400, meta(100, message="invalid parameter"), Kind.BAD_REQUEST),
    ("meta_ads", 400, meta(100, 1_487_534, "Too many rows"), Kind.TOO_BIG),
    ("meta_ads", 500, meta(1, message="Please reduce the amount of data you're asking for"), Kind.TOO_BIG),
    *[("meta_ads", 500, meta(code), Kind.TRANSIENT) for code in (1, 2, 2_637)],
    *[
        ("meta_ads", 500, meta(*codes, is_transient=False), Kind.TRANSIENT)
        for codes in [(1,), (1, 99), (2, 1_504_043), (99_999, 99)]
    ],
    ("meta_ads", 400, meta(2, 1_504_043), Kind.TRANSIENT),
    ("meta_ads", 400, meta(99_999, 1_815_107), Kind.TRANSIENT),
    ("meta_ads", 400, meta(99_999, is_transient=True), Kind.TRANSIENT),
    ("meta_ads", 400, meta(2_635), Kind.VERSION_DEAD),
    ("meta_ads", 200, {"data": []}, Kind.OK),
    ("meta_ads", 200, {"data": [], **meta(99_999)}, Kind.BAD_REQUEST),
    ("google_ads", 200, {"results": [], "fieldMask": "a"}, Kind.OK),
    ("google_ads", 429, google("RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED"), Kind.THROTTLED),
    ("google_ads", 429, google("RESOURCE_EXHAUSTED", "RESOURCE_TEMPORARILY_EXHAUSTED"), Kind.THROTTLED),
    ("google_ads", 401, google("UNAUTHENTICATED"), Kind.AUTH_EXPIRED),
    ("google_ads", 403, google("PERMISSION_DENIED", "CUSTOMER_NOT_ENABLED", "authorizationError"), Kind.PERMISSION),
    ("google_ads", 400, google("INVALID_ARGUMENT", "UNSUPPORTED_VERSION", "requestError"), Kind.VERSION_DEAD),
    ("google_ads", 400, google("INVALID_ARGUMENT", "PAGE_SIZE_NOT_SUPPORTED", "requestError"), Kind.BAD_REQUEST),
    ("google_ads", 500, google("INTERNAL"), Kind.TRANSIENT),
    ("google_ads", 503, b"<html>", Kind.TRANSIENT),
    ("google_ads", 200, [{"results": [{}]}, google("UNAVAILABLE")], Kind.TRANSIENT),
    ("google_ads", 404, b"<html>", Kind.BAD_REQUEST),
    ("klaviyo", 200, {"data": []}, Kind.OK),
    ("klaviyo", 200, {"data": [], "links": {}, "errors": [{"detail": "no"}]}, Kind.BAD_REQUEST),
    ("klaviyo", 400, {"errors": [{"detail": "channel filter is required"}]}, Kind.BAD_REQUEST),
    ("klaviyo", 401, {"errors": [{"detail": "no"}]}, Kind.AUTH_EXPIRED),
    ("klaviyo", 400, {"errors": [{"code": "authentication_failed"}]}, Kind.AUTH_EXPIRED),
    ("klaviyo", 403, {"errors": [{"detail": "scope"}]}, Kind.PERMISSION),
    ("klaviyo", 410, {"errors": [{"detail": "retired"}]}, Kind.VERSION_DEAD),
    ("klaviyo", 429, {"errors": [{"detail": "slow"}]}, Kind.THROTTLED),
    ("klaviyo", 503, b"", Kind.TRANSIENT),
    ("open_meteo", 200, {"error": True, "reason": "something", "daily": {"time": []}}, Kind.BAD_REQUEST),
    ("open_meteo", 400, {"error": True, "reason": "Parameter 'start_date' is out of allowed range"}, Kind.BAD_REQUEST),
    ("open_meteo", 400, {"error": True, "reason": "The supplied API key is invalid."}, Kind.AUTH_DEAD),
    ("open_meteo", 401, {"error": True, "reason": "An API key is required"}, Kind.AUTH_DEAD),
    ("open_meteo", 403, {"error": True, "reason": "requires the API Professional plan"}, Kind.PERMISSION),
    ("open_meteo", 400, {"error": True, "reason": "Only up to 1000 locations can be requested at once"}, Kind.TOO_BIG),
    ("open_meteo", 429, {"error": True, "reason": "Too many concurrent requests"}, Kind.THROTTLED),
    ("open_meteo", 503, {"error": True, "reason": "The service is overloaded"}, Kind.TRANSIENT),
    ("open_meteo", 200, b'{"daily":{"time":["2026Unexpected error while streaming data: x', Kind.MALFORMED),
    (
        "open_meteo",
        200,
        {"error": True, "reason": "Daily API request limit exceeded. Please try again"},
        Kind.THROTTLED,
    ),
    ("anything", 429, b"", Kind.THROTTLED),
]


@pytest.mark.parametrize(("vendor", "status", "body", "kind"), ROWS)
def test_every_row_of_the_vendor_tables_is_read_as_documented(vendor: str, status: int, body: Any, kind: Kind) -> None:
    """A 200 with an error body was read as an empty page, a 403 as zero rows (vendors.md 3)."""
    assert verdict(vendor, status, body).kind is kind


def recorded(path: str) -> list[dict[str, Any]]:
    file = DATA / path
    return json.loads(file.read_text()) if file.exists() else []


META_RECORDED = {
    "error_400_validating_access_token_session_expired": Kind.AUTH_EXPIRED,
    "error_400_validating_access_token_user_changed_their_password": Kind.AUTH_DEAD,
    "error_400_validating_access_token_not_authorized_application": Kind.AUTH_DEAD,
    "error_400_missing_permission": Kind.PERMISSION,
    "error_403_requires_permission": Kind.PERMISSION,
    "error_400_permission_must_be_granted": Kind.PERMISSION,
    "error_unsupported_get_request": Kind.PERMISSION,
    "error_400_unknown_profile_is_no_linked": Kind.BAD_REQUEST,
    "error_400_unknown_profile_is_no_linked_es": Kind.BAD_REQUEST,
    "error_400_too_many_calls": Kind.THROTTLED,
    "error_500_unknown": Kind.TRANSIENT,
    "error_400_service_temporarily_unavailable": Kind.TRANSIENT,
    "error_500_reduce_the_amount_of_data": Kind.TOO_BIG,
    "error_503_service_unavailable": Kind.TRANSIENT,
}
needs_data = pytest.mark.skipif(not DATA.exists(), reason="recorded vendor payloads are not in this checkout")


@needs_data
def test_recorded_meta_errors_are_read_by_code_not_by_status() -> None:
    """Bodies recorded by public connectors: an expired token is HTTP 400, a password change is final."""
    for answer in recorded("meta/error_bodies.json"):
        found = verdict("meta_ads", answer["status"], answer["body"], answer["headers"])
        assert found.kind is META_RECORDED[answer["name"]], answer["name"]
    for answer in recorded("meta/error_bodies_other.json"):
        assert verdict("meta_ads", answer["status"], answer["body"]).kind is Kind.THROTTLED


@needs_data
def test_recorded_shopify_google_and_open_meteo_errors_are_understood() -> None:
    """THROTTLED and MAX_COST_EXCEEDED come with 200; searchStream wraps its 403 in an array."""
    throttled, too_big, ok = (verdict("shopify", a["status"], a["body"]) for a in recorded("shopify/error_bodies.json"))
    assert (throttled.kind, throttled.wait_s, throttled.scope) == (Kind.THROTTLED, 1.0, "shop")
    assert (too_big.kind, ok.kind) == (Kind.TOO_BIG, Kind.OK)
    denied, page_size = (verdict("google_ads", a["http"], a["body"]) for a in recorded("google-ads/error_bodies.json"))
    assert (denied.kind, page_size.kind) == (Kind.PERMISSION, Kind.BAD_REQUEST)
    for name in ("error_429_minutely.json", "error_429_hourly_otherorder.json"):
        found = classify("open_meteo", 429, {}, (DATA / "open-meteo" / name).read_bytes(), now=NOW)
        assert (found.kind, found.wait_s) == (Kind.THROTTLED, 30.0)


def test_google_waits_as_long_as_the_quota_says_and_names_its_scope() -> None:
    """One tenant burnt the shared developer token: "Retry in 41732 seconds" (pipedream #18715)."""
    quota = {"quotaErrorDetails": {"rateScope": "DEVELOPER", "retryDelay": "41732s"}}
    found = verdict("google_ads", 429, google("RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED", **quota))
    assert (found.wait_s, found.scope) == (41_732.0, "developer_token")


def test_shopify_graphql_wait_is_computed_from_the_cost() -> None:
    """Other loaders wait for the whole bucket to refill."""
    body = graphql("THROTTLED")
    bucket = {"maximumAvailable": 2_000, "currentlyAvailable": 100, "restoreRate": 100}
    body["extensions"] = {"cost": {"requestedQueryCost": 450, "throttleStatus": bucket}}
    assert verdict("shopify", 200, body).wait_s == 3.5


def test_meta_wait_is_read_from_the_usage_headers_in_minutes() -> None:
    """Meta never sends Retry-After."""
    usage = json.dumps({"1": [{"type": "ads_insights", "estimated_time_to_regain_access": 7}]})
    assert verdict("meta_ads", 400, meta(80_000), {"X-Business-Use-Case-Usage": usage}).wait_s == 420
    assert verdict("meta_ads", 400, meta(80_000), {"X-Business-Use-Case-Usage": "{bad"}).wait_s is None


def test_open_meteo_daily_limit_waits_for_utc_midnight() -> None:
    """The counters are fixed windows, so a fixed back-off wastes the day or hammers the limit."""
    body = {"error": True, "reason": "Daily API request limit exceeded. Please try again tomorrow."}
    assert verdict("open_meteo", 429, body).wait_s == 12 * 3_600 - 30
    body["reason"] = "Hourly API request limit exceeded. Please try again in the next hour."
    assert verdict("open_meteo", 429, body).wait_s == 3_570


def test_a_float_retry_after_is_understood() -> None:
    """Shopify sends "2.0"; its own Python library crashes on it."""
    assert verdict("shopify", 429, b"", {"Retry-After": "2.0"}).wait_s == 2.0
