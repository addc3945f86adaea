"""A shop that went live after a demo without a purge: its made-up orders are left over, and count nowhere."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from tests.assets.conftest import PROFILES, TENANTS, Installation, still
from tests.assets.test_quality import tenant
from weathervane_assets.features import open_rebuild
from weathervane_assets.tables import Orders, shape_of
from weathervane_checks.dq_report import examine_quality
from weathervane_checks.geocoding_report import geocoding_report
from weathervane_checks.join_report import validate_join
from weathervane_resources.sandbox import RunningSandbox, SandboxConfig, TenantProfile

MADE_UP, LIVE = date(2026, 11, 10), date(2026, 11, 12)
TABLES = ("orders", "climatology", "weather_daily", "features")


def go_live(patch: pytest.MonkeyPatch, url: str) -> None:
    patch.setenv("SHOPIFY_BASE_URL", f"{url}/t/acme")
    patch.setenv("ACME__SHOPIFY_SHOP_DOMAIN", "acme")
    patch.setenv("ACME__SHOPIFY_ACCESS_TOKEN", "shpat_live")


@pytest.mark.parametrize("mode", ["observed", pytest.param("as_of", marks=pytest.mark.slow)])
def test_the_places_and_sales_of_a_demo_are_not_the_shops(
    installation: Installation, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    """For a year after the demo the matrix had towns that nothing was ever sent to, and days of sales that never were."""
    text = TENANTS.replace("[tenants.kiwi]", f'join_mode = "{mode}"\n[tenants.kiwi]')
    (installation.folder / "tenants.toml").write_text(text)
    installation.backfill("acme", MADE_UP, MADE_UP + timedelta(days=1), *TABLES)
    towns = set(installation.rows("acme", "orders")["ship_geohash"].drop_nulls())
    elsewhere = {
        "acme": TenantProfile("America/New_York", "USD", orders_per_day=25, places=9),
        "kiwi": PROFILES["kiwi"],
    }
    with RunningSandbox(SandboxConfig(tenants=elsewhere, clock=still)) as shop:
        go_live(monkeypatch, shop.url)
        outcome = installation.backfill("acme", LIVE, LIVE + timedelta(days=2), *TABLES)
        again = installation.backfill("acme", MADE_UP, LIVE + timedelta(days=2), "weather_daily", "features")
    assert outcome.failures == again.failures == []
    assert not {name: found for name, found in {**outcome.checks, **again.checks}.items() if "critical" in found}
    orders = installation.rows("acme", "orders")
    own = set(orders.filter(source="shopify_api")["ship_geohash"].drop_nulls())
    assert towns - own, "the shop ships to every place of the demo: this test shows nothing"
    matrix = installation.rows("acme", "features")
    assert set(matrix["geohash"]) <= own
    assert not set(matrix["date"]) & {MADE_UP, MADE_UP + timedelta(days=1)}
    assert set(installation.rows("acme", "weather_daily")["geohash"]) <= own


def test_a_window_that_still_holds_days_of_the_demo_is_written_as_the_shops_own(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ads were read again for 30 days each night: one day of the demo made the whole window stub, and the guard failed 29 nights."""
    installation.backfill(
        "acme", MADE_UP, MADE_UP + timedelta(days=1), "orders", "climatology", "weather_daily", "features"
    )
    url = f"{installation.sandbox.url}/t/acme"
    go_live(monkeypatch, installation.sandbox.url)
    monkeypatch.setenv("OPEN_METEO_FORECAST_URL", f"{url}/v1/forecast")
    monkeypatch.setenv("OPEN_METEO_ARCHIVE_URL", f"{url}/v1/archive")
    monkeypatch.setenv("OPEN_METEO_NON_COMMERCIAL", "true")
    live = installation.backfill("acme", LIVE, LIVE, *TABLES)
    assert live.failures == []
    assert set(installation.rows("acme", "features").filter(date=LIVE)["source"]) == {"open_meteo+shopify_api"}
    judged = judge_report(installation)
    assert judged["alerts"] == [], (
        "days of the demo whose matrix was not made again are not held against the shop's orders"
    )
    assert judged["severity"] == "ok"
    said = validate_join(tenant(installation), installation.lake, datetime(2026, 11, 13, 15, tzinfo=UTC), open_rebuild)
    assert (said["window"]["start"], said["leakage"]["total_rows"]) == (LIVE.isoformat(), 0)
    assert said["join"]["feature_rows"] == installation.rows("acme", "features").filter(date=LIVE).height
    again = installation.backfill("acme", MADE_UP, LIVE, "features")
    assert again.failures == []
    matrix = installation.rows("acme", "features")
    assert (set(matrix["source"]), set(matrix["date"])) == ({"open_meteo+shopify_api"}, {LIVE})


def test_a_source_that_is_connected_later_leaves_the_days_before_as_they_were(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Klaviyo came after two months: one older day in the 30 of the ads made the whole window stub, and the guard failed 15 nights."""
    url = f"{installation.sandbox.url}/t/acme"
    go_live(monkeypatch, installation.sandbox.url)
    monkeypatch.setenv("OPEN_METEO_FORECAST_URL", f"{url}/v1/forecast")
    monkeypatch.setenv("OPEN_METEO_ARCHIVE_URL", f"{url}/v1/archive")
    monkeypatch.setenv("OPEN_METEO_NON_COMMERCIAL", "true")
    before, tables = LIVE - timedelta(days=1), (*TABLES, "promos")
    assert installation.backfill("acme", before, before, *tables).failures == []
    monkeypatch.setenv("KLAVIYO_BASE_URL", url)
    monkeypatch.setenv("ACME__KLAVIYO_API_KEY", "pk_live")
    assert installation.backfill("acme", LIVE, LIVE, *tables).failures == []
    again = installation.backfill("acme", before, LIVE, "features")
    assert again.failures == []
    by_day = dict(installation.rows("acme", "features").select("date", "source").unique().iter_rows())
    assert by_day == {before: "stub", LIVE: "klaviyo_api+open_meteo+shopify_api"}
    assert dict(features_noted(installation).iter_rows()) == by_day


def features_noted(installation: Installation) -> pl.DataFrame:
    return installation.lake.ledger("acme", "features").select("date", "source")


def judge_report(here: Installation) -> dict[str, Any]:
    quality = examine_quality(tenant(here), here.lake, datetime(2026, 11, 13, 15, tzinfo=UTC))
    told: dict[str, Any] = quality.run["datasets"]["features"]
    named = dict(zip(quality.days, quality.severities["features"], strict=True))
    assert named[MADE_UP] == "ok"
    return told


def test_the_ratio_of_places_is_of_the_shops_own_orders(installation: Installation) -> None:
    """A poor ratio looked fine beside a thousand orders of the demo, which all have their places."""
    shape = shape_of(Orders)
    installation.backfill("acme", MADE_UP, MADE_UP, "orders")
    made_up = installation.rows("acme", "orders")
    acme, now = tenant(installation), datetime(2026, 11, 13, 15, tzinfo=UTC)
    assert geocoding_report(acme, installation.lake, now)["row_count"] == made_up.height
    own = made_up.head(4).with_columns(
        pl.lit(LIVE).alias("date"), pl.lit("shopify_api").alias("source"), pl.lit(None, pl.String).alias("ship_geohash")
    )
    installation.lake.replace(
        "acme", "orders", own, shape=shape, days=[LIVE], source="shopify_api", run_id="r", now=now
    )
    report = geocoding_report(acme, installation.lake, now)
    assert (report["row_count"], report["geocoded_count"], report["status"]) == (4, 0, "critical")


def test_a_demo_that_has_no_shop_yet_counts(installation: Installation) -> None:
    installation.backfill("acme", MADE_UP, MADE_UP, *TABLES)
    assert set(installation.rows("acme", "features")["date"]) == {MADE_UP}


def test_the_first_nights_of_a_matrix_as_of_are_empty_and_conserved(installation: Installation) -> None:
    """A new shop has no order before its first decisions: no cell is known, and the check blocked every night for it."""
    text = TENANTS.replace("[tenants.kiwi]", 'join_mode = "as_of"\n[tenants.kiwi]')
    (installation.folder / "tenants.toml").write_text(text)
    outcome = installation.backfill("acme", LIVE, LIVE, *TABLES)
    assert installation.rows("acme", "features").is_empty()
    assert installation.lake.scan("acme", "orders", shape_of(Orders)).collect().height
    assert outcome.checks["features.conservation"] == {"ok": 1}
