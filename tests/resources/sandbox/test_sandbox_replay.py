"""Replay: recorded payloads served through the same endpoints."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from weathervane_resources.sandbox import RunningSandbox, SandboxConfig

SHOP = {"X-Shopify-Access-Token": "any"}
RECORDED = Path(__file__).resolve().parents[4] / "shared" / "data"
ORDER = {
    "id": 1,
    "created_at": "2025-01-02T03:04:05-05:00",
    "updated_at": "2025-01-03T00:00:00-05:00",
    "email": "a@b.c",
}


def _write(path: Path, payload: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(payload if isinstance(payload, bytes) else msgspec.json.encode(payload))


def _weather(kind: str, values: dict[str, list[Any]]) -> dict[str, Any]:
    units = {name: "iso8601" if name == "time" else kind for name in values}
    return {"latitude": 19.0, "longitude": 72.9, "elevation": 6.0, "daily_units": units, "daily": values}


@pytest.fixture(scope="module")
def replaying(tmp_path_factory: pytest.TempPathFactory, config: SandboxConfig) -> Iterator[RunningSandbox]:
    folder = tmp_path_factory.mktemp("replay")
    pair = {"method": "GET", "url": "u", "status": 200}
    _write(folder / "shop" / "pairs.json", [
        {**pair, "response": {"orders": [{"id": 1, "name": "#1"}, {"id": 2, "name": "no date"}]}},
        {**pair, "response": {"order": ORDER}},
        {**pair, "status": 422, "response": {"order": {**ORDER, "id": 3}}},
    ])  # fmt: skip
    _write(folder / "plain.json", {"orders": [{**ORDER, "id": 4, "cancelled_at": "2025-01-03T00:00:00Z"}]})
    rows = [
        {"date_start": f"2025-01-0{d}", "date_stop": f"2025-01-0{d}", "adset_id": "9", "spend": "1.5"} for d in (1, 2)
    ]
    _write(folder / "insights.json", {"data": rows})
    days = ["2025-01-01", "2025-01-02"]
    _write(folder / "x_archive.json", _weather("archive", {"time": days[:1], "precipitation_sum": [7.5]}))
    forecast = {"time": days, "precipitation_sum": [1.0, 2.0], "weather_code": [3, 61]}
    _write(folder / "x_forecast.json", _weather("forecast", forecast))
    _write(folder / "broken.json", b'{"orders": [')
    _write(folder / "deep.json", b"[" * 100_000)
    _write(folder / "other.json", [1, None, {"orders": None, "data": {"a": 1}, "daily": []}])
    with RunningSandbox(replace(config, replay_dir=folder)) as running:
        yield running


def test_orders_are_deduplicated_to_their_fullest_record(replaying: RunningSandbox, get: Any) -> None:
    url = f"{replaying.url}/t/acme/admin/api/2026-07/orders.json"
    orders = get(url, headers=SHOP, params={"status": "any", "order": "id asc"}).data["orders"]
    assert [order["id"] for order in orders] == [1, 4]
    assert orders[0] == ORDER
    assert [o["id"] for o in get(url, headers=SHOP).data["orders"]] == [1]
    none = get(url, headers=SHOP, params={"status": "any", "created_at_min": "2025-01-02T08:04:06Z"})
    assert none.data["orders"] == []


def test_insights_are_filtered_by_day(replaying: RunningSandbox, get: Any) -> None:
    params = {"fields": "spend,adset_id", "level": "adset", "time_increment": "1", "access_token": "x"}
    params["time_range"] = '{"since":"2025-01-02","until":"2025-01-31"}'
    rows = get(f"{replaying.url}/t/acme/v26.0/act_1/insights", params=params).data["data"]
    assert rows == [{"date_start": "2025-01-02", "date_stop": "2025-01-02", "adset_id": "9", "spend": "1.5"}]


def test_archive_values_win_over_forecast_values_and_gaps_are_null(replaying: RunningSandbox, get: Any) -> None:
    params = {"latitude": "19.3,50", "longitude": "72.6,8", "start_date": "2025-01-01", "end_date": "2025-01-03"}
    params["daily"] = "precipitation_sum,weather_code,uv_index_max"
    near, far = get(f"{replaying.url}/v1/archive", params=params).data
    assert (near["latitude"], near["longitude"], near["elevation"]) == (19.0, 72.9, 6.0)
    assert near["daily"]["precipitation_sum"] == [7.5, 2.0, None]
    assert near["daily"]["weather_code"] == [3, 61, None]
    assert near["daily"]["uv_index_max"] == [None] * 3
    assert near["daily_units"]["uv_index_max"] == "undefined"
    assert far["daily"]["precipitation_sum"] == [None] * 3


def test_other_vendors_answer_nothing(replaying: RunningSandbox, get: Any) -> None:
    headers = {"Authorization": "Klaviyo-API-Key pk_1", "revision": "2026-07-15"}
    params = {"filter": "equals(messages.channel,'email')"}
    assert get(f"{replaying.url}/t/acme/api/campaigns", headers=headers, params=params).data["data"] == []
    body = {"query": "SELECT campaign.id FROM campaign"}
    headers = {"Authorization": "Bearer any", "developer-token": "d"}
    answer = get(f"{replaying.url}/t/acme/v26/customers/1/googleAds:search", "POST", headers=headers, json=body)
    assert "results" not in answer.data


@pytest.mark.skipif(not RECORDED.is_dir(), reason="the recorded vendor payloads are not beside this repository")
def test_the_recorded_payloads_are_served(config: SandboxConfig, get: Any) -> None:
    with RunningSandbox(replace(config, replay_dir=RECORDED)) as running:
        url = f"{running.url}/t/acme/admin/api/2026-07/orders.json"
        orders = get(url, headers=SHOP, params={"status": "any", "limit": "250"}).data["orders"]
        assert 450789469 in {order["id"] for order in orders}
        assert all(order["created_at"] for order in orders)
        params = {"latitude": "19.07", "longitude": "72.88", "daily": "precipitation_sum"}
        params |= {"start_date": "2025-06-20", "end_date": "2025-06-21"}
        assert get(f"{running.url}/v1/archive", params=params).data["daily_units"]["precipitation_sum"] == "mm"
        insights = {"fields": "spend,adset_id", "access_token": "x", "limit": "100"}
        insights["time_range"] = '{"since":"2015-01-01","until":"2026-01-01"}'
        assert get(f"{running.url}/t/acme/v26.0/act_1/insights", params=insights).data["data"]
