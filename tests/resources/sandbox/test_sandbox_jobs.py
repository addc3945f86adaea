"""Meta's asynchronous reports, and what vendors say to those who may not read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from weathervane_resources.sandbox import RunningSandbox, SandboxConfig

Get = Callable[..., Any]
META = {"Authorization": "Bearer any"}
PARAMETERS = {
    "fields": "adset_id,spend,impressions,actions",
    "level": "adset",
    "time_increment": "1",
    "time_range": msgspec.json.encode({"since": "2025-03-01", "until": "2025-05-29"}).decode(),
}


def _pages(get: Get, url: str, **params: str) -> list[Any]:
    page, rows = get(url, headers=META, params=params).data, []
    while True:
        rows += page["data"]
        if "next" not in page["paging"]:
            return rows
        page = get(page["paging"]["next"]).data


@pytest.mark.parametrize("way", ["data", "json", "params"])
def test_a_report_has_the_rows_of_the_synchronous_answer(sandbox: RunningSandbox, get: Get, way: str) -> None:
    base = f"{sandbox.url}/t/acme/v26.0"
    run = get(f"{base}/act_42/insights", "POST", headers=META, **{way: PARAMETERS}).data["report_run_id"]
    early = get(f"{base}/{run}/insights", headers=META)
    assert (early.status, early.data["error"]["code"]) == (400, 2637)
    seen = [get(f"{base}/{run}", headers=META).data for _ in range(2)]
    assert [one["async_status"] for one in seen] == ["Job Running", "Job Completed"]
    assert [one["async_percent_completion"] for one in seen] == [40, 100]
    rows = _pages(get, f"{base}/{run}/insights", limit="50")
    assert rows == _pages(get, f"{base}/act_42/insights", limit="100", **PARAMETERS)
    assert len(rows) > 200
    assert get(f"{sandbox.url}/t/tokyo/v26.0/{run}", headers=META).data["error"]["code"] == 100


def test_a_report_is_found_where_only_the_account_names_the_tenant(sandbox: RunningSandbox, get: Get) -> None:
    """It was filed under the account and looked for under the token: each report of a `META_BASE_URL` without tenant was gone."""
    base = f"{sandbox.url}/v26.0"
    run = get(f"{base}/act_42/insights", "POST", headers=META, data=PARAMETERS).data["report_run_id"]
    assert [get(f"{base}/{run}", headers=META).data["async_status"] for _ in range(2)][1] == "Job Completed"
    rows = _pages(get, f"{base}/{run}/insights", limit="50")
    assert rows == _pages(get, f"{base}/act_42/insights", limit="100", **PARAMETERS)
    other = {"Authorization": "Bearer another"}
    assert get(f"{base}/{run}", headers=other).data["error"]["code"] == 100


def test_too_many_rows_at_once_and_a_job_that_fails(config: SandboxConfig, get: Get) -> None:
    """Retrying the same query unchanged is futile for the one and right for the other."""
    with RunningSandbox(replace(config, meta_max_rows=100, meta_failing_jobs=1)) as running:
        base = f"{running.url}/t/acme/v26.0"
        refused = get(f"{base}/act_42/insights", headers=META, params=PARAMETERS)
        assert (refused.status, refused.data["error"]["error_subcode"]) == (400, 1487534)
        for expected in ("Job Failed", "Job Completed"):
            run = get(f"{base}/act_42/insights", "POST", headers=META, data=PARAMETERS).data["report_run_id"]
            get(f"{base}/{run}", headers=META)
            assert get(f"{base}/{run}", headers=META).data["async_status"] == expected


def test_a_lost_permission_is_an_error_and_no_empty_day(sandbox: RunningSandbox, get: Get) -> None:
    """A connector that ignored every 403 synced nothing, silently."""
    base, denied = f"{sandbox.url}/t/acme", {"Authorization": "Bearer denied-1", "X-Shopify-Access-Token": "denied-1"}
    google = {**denied, "developer-token": "d"}
    gaql = {"query": "SELECT customer.id FROM customer"}
    answers = [
        get(f"{base}/admin/api/2026-07/orders.json", headers=denied),
        get(f"{base}/v26.0/act_42/insights", headers=denied, params=PARAMETERS),
        get(f"{base}/v26/customers/42/googleAds:searchStream", "POST", headers=google, json=gaql),
        get(f"{base}/api/campaigns", headers={**denied, "revision": "2026-07-15"}),
    ]
    assert [answer.status for answer in answers] == [403, 400, 403, 403]
    assert answers[1].data["error"]["code"] == 200
    body = {"query": "{ shop { name } }"}
    answer = get(f"{base}/admin/api/2026-07/graphql.json", "POST", headers=denied, json=body)
    assert (answer.status, answer.data["errors"][0]["extensions"]["code"]) == (200, "ACCESS_DENIED")
    dead = get(f"{base}/v21/customers/42/googleAds:search", "POST", headers={**google, **META}, json=gaql)
    error = dead.data["error"]["details"][0]["errors"][0]["errorCode"]
    assert (dead.status, error) == (400, {"requestError": "UNSUPPORTED_VERSION"})
