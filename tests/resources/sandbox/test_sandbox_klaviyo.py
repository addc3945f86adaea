"""Klaviyo over HTTP: the channel filter, archived campaigns, revisions, paging."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from weathervane_resources.sandbox import RunningSandbox, SandboxConfig, truth

HEADERS = {"Authorization": "Klaviyo-API-Key pk_1", "revision": "2026-07-15"}
NOW = datetime(2025, 6, 30, 12, tzinfo=UTC)
EMAIL = "equals(messages.channel,'email')"


def _campaigns(get: Any, sandbox: RunningSandbox, params: dict[str, str]) -> list[dict[str, Any]]:
    page = get(f"{sandbox.url}/t/acme/api/campaigns", headers=HEADERS, params=params).data
    found = page["data"]
    while page["links"]["next"]:
        page = get(page["links"]["next"], headers=HEADERS).data
        found += page["data"]
    return found


def test_three_channels_and_two_archives_cover_the_truth(
    config: SandboxConfig, sandbox: RunningSandbox, get: Any
) -> None:
    """Asking once, without the archive, loses campaigns."""
    found: list[dict[str, Any]] = []
    for channel in ("email", "sms", "mobile_push"):
        for archived in ("true", "false"):
            text = f"and(equals(messages.channel,'{channel}'),equals(archived,{archived}))"
            found += _campaigns(get, sandbox, {"filter": text, "page[size]": "7", "sort": "updated_at"})
    ids = [one["id"] for one in found]
    assert len(set(ids)) == len(ids)
    assert any(one["attributes"]["archived"] for one in found)
    expected: set[str] = set()
    for offset in range(60):
        day = date(2025, 5, 1) + timedelta(days=offset)
        expected |= {c.campaign_id for c in truth.campaigns(config, "acme", day, NOW)}
    assert expected
    assert expected <= set(ids)


def test_bounds_sort_and_status_as_of_now(sandbox: RunningSandbox, get: Any) -> None:
    text = f"{EMAIL},greater-or-equal(scheduled_at,2025-06-01T00:00:00Z),less-than(scheduled_at,2025-07-15T00:00:00Z)"
    found = _campaigns(get, sandbox, {"filter": text, "sort": "-scheduled_at"})
    times = [one["attributes"]["scheduled_at"] for one in found]
    assert times == sorted(times, reverse=True)
    assert all("2025-06-01" <= at < "2025-07-15" for at in times)
    for one in found:
        has_gone = one["attributes"]["send_time"] is not None
        assert has_gone == (one["attributes"]["status"] == "Sent")
        assert not has_gone or one["attributes"]["send_time"] <= "2025-06-30T12:00:00Z"


@pytest.mark.parametrize(
    ("params", "headers", "status"),
    [
        ({}, HEADERS, 400),
        ({"filter": "equals(archived,false)"}, HEADERS, 400),
        ({"filter": "equals(messages.channel,'pigeon')"}, HEADERS, 400),
        ({"filter": EMAIL}, {"revision": "2026-07-15"}, 401),
        ({"filter": EMAIL}, {"Authorization": "Klaviyo-API-Key expired"}, 401),
        ({"filter": EMAIL}, {"Authorization": "Klaviyo-API-Key pk_1"}, 400),
        ({"filter": EMAIL, "page[size]": "10"}, {**HEADERS, "revision": "2026-01-15"}, 400),
        ({"filter": EMAIL, "page[size]": "101"}, HEADERS, 400),
        ({"filter": EMAIL, "page[size]": "10"}, HEADERS, 200),
    ],
)
def test_what_klaviyo_refuses(
    sandbox: RunningSandbox, get: Any, params: dict[str, str], headers: dict[str, str], status: int
) -> None:
    answer = get(f"{sandbox.url}/t/acme/api/campaigns", headers=headers, params=params)
    assert answer.status == status
    assert "errors" in answer.data or "RateLimit-Remaining" in answer.headers


def test_the_burst_limit_answers_retry_after(config: SandboxConfig, get: Any) -> None:
    with RunningSandbox(replace(config, enforce_limits=True)) as running:
        url, params = f"{running.url}/t/acme/api/campaigns", {"filter": EMAIL}
        refused = next(a for _ in range(400) if (a := get(url, headers=HEADERS, params=params)).status == 429)
    assert int(refused.headers["Retry-After"]) >= 1
    assert "RateLimit-Remaining" not in refused.headers


def test_oauth_needs_basic_credentials_and_keeps_the_refresh_token(sandbox: RunningSandbox, get: Any) -> None:
    url, form = f"{sandbox.url}/t/acme/oauth/token", {"grant_type": "refresh_token", "refresh_token": "r"}
    assert get(url, "POST", data=form).status == 401
    answer = get(url, "POST", data=form, headers={"Authorization": "Basic YTpi"})
    assert answer.data["refresh_token"] == "r"
    headers = {**HEADERS, "Authorization": f"Bearer {answer.data['access_token']}"}
    assert get(f"{sandbox.url}/api/campaigns", headers=headers, params={"filter": EMAIL}).data["data"]
