"""Recorded payloads of the vendors, through the command line, into valid partitions."""

from __future__ import annotations

import json
import re
from datetime import date
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from tests.commands import run
from weathervane_resources.sandbox import RunningSandbox, SandboxConfig

RECORDED = Path(__file__).parents[3] / "shared" / "data"
ORDERS = RECORDED / "shopify" / "rest_order_pairs_2026-07.json"
CHENNAI = RECORDED / "open-meteo" / "kolkata_daily_forecast.json"
pytestmark = pytest.mark.skipif(not RECORDED.is_dir(), reason="the recorded vendor payloads are not here")

TENANTS = '[tenants.acme]\ntimezone = "America/New_York"\ncurrency = "USD"\n'


def environment(url: str) -> dict[str, str]:
    return {
        "SHOPIFY_BASE_URL": url,
        "SHOPIFY_SHOP_DOMAIN": "recorded",
        "SHOPIFY_ACCESS_TOKEN": "shpat_recorded",
        "OPEN_METEO_FORECAST_URL": f"{url}/v1/forecast",
        "OPEN_METEO_ARCHIVE_URL": f"{url}/v1/archive",
        "GEONAMES_BASE_URL": url,
    }


def test_real_shopify_orders_become_a_valid_partition(tmp_path: Path) -> None:
    """Synthetic orders agree with whoever wrote them; Shopify's own have nulls where no one expects them."""
    (tmp_path / "tenants.toml").write_text(TENANTS)
    with RunningSandbox(SandboxConfig(replay_dir=RECORDED)) as replay:
        arguments = ["backfill", "--tenant", "acme", "--from", "2025-07-01", "--to", "2025-07-03", "--asset", "orders"]
        done = run(tmp_path, *arguments, **environment(replay.url))
    # Shopify's examples mostly name no place: that of ten orders none has a cell is a true critical finding
    assert done.returncode == 1, done.stderr
    assert "failed" not in done.stderr
    critical = [line for line in done.stdout.splitlines() if re.search(r"^│ \w+\.\w+ .*│\s+1 │$", line)]
    assert {line.split()[1] for line in critical} == {"orders.geocoding_coverage"}
    orders = pl.read_delta(str(tmp_path / "storage/lake/acme/orders"))
    assert orders.height == 10
    assert set(orders["source"]) == {"shopify_api"}
    edited = orders.filter(pl.col("order_id") == "1073459963").row(0, named=True)
    assert (edited["total_price"], edited["net_revenue"]) == (Decimal("270.3700"), Decimal("255.9200"))


def test_real_open_meteo_answers_become_valid_partitions(tmp_path: Path) -> None:
    """Recorded answers lack variables and days: what is not there must be a gap or a null, and the rest exact.

    The recorded order is sent to the recorded place and time, everything else in it is as Shopify wrote it.
    """
    replayed = tmp_path / "recorded"
    replayed.mkdir()
    pairs = json.loads(ORDERS.read_text())
    order = next(p for p in pairs if p["method"] == "GET" and p["url"].endswith("orders.json?status=any"))
    text = json.dumps([order]).replace("2008-01-10T11:00:00-05:00", "2026-02-02T11:00:00-05:00")
    text = text.replace("45.41634", "13.0021").replace("-75.6868", "80.1262")
    (replayed / "orders.json").write_text(text)
    (replayed / "chennai_archive.json").write_text(CHENNAI.read_text())
    (tmp_path / "tenants.toml").write_text(TENANTS)
    with RunningSandbox(SandboxConfig(replay_dir=replayed)) as replay:
        arguments = ["backfill", "--tenant", "acme", "--from", "2026-02-02", "--to", "2026-02-10"]
        done = run(tmp_path, *arguments, **environment(replay.url))
    # one order in nine days, and two days that were not recorded: both critical findings are true
    assert done.returncode == 1, done.stderr
    assert "failed" not in done.stderr
    critical = [line for line in done.stdout.splitlines() if re.search(r"^│ \w+\.\w+ .*│\s+1 │$", line)]
    assert {line.split()[1] for line in critical} == {"orders.row_count_drop", "weather_daily.coverage"}
    weather = pl.read_delta(str(tmp_path / "storage/lake/acme/weather_daily")).sort("date")
    recorded = json.loads(CHENNAI.read_text())["daily"]
    assert weather["date"].to_list() == [date.fromisoformat(day) for day in recorded["time"]]
    assert weather["temp_c"].to_list() == recorded["temperature_2m_mean"]
    assert weather["precip_mm"].to_list() == recorded["precipitation_sum"]
    assert weather["temp_c_lag1"].to_list() == [None, *recorded["temperature_2m_mean"][:-1]]
    assert weather["snowfall_cm"].null_count() == weather["snow_event_flag"].null_count() == 7
    assert set(weather["observation_type"]) == {"observed"}
    matrix = pl.read_delta(str(tmp_path / "storage/lake/acme/features")).sort("date")
    assert matrix["is_weather_missing"].to_list() == [True] + [False] * 7 + [True]
    assert matrix["orders"].to_list() == [1] + [0] * 8
