"""A shop that went live after a demo without a purge: its made-up orders are left over, and count nowhere."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from tests.assets.conftest import PROFILES, TENANTS, Installation
from weathervane_assets.tables import Orders, shape_of
from weathervane_resources.sandbox import RunningSandbox, SandboxConfig, TenantProfile

MADE_UP, LIVE = date(2026, 11, 10), date(2026, 11, 12)
TABLES = ("orders", "climatology", "weather_daily", "features")


def go_live(patch: pytest.MonkeyPatch, url: str) -> None:
    patch.setenv("SHOPIFY_BASE_URL", f"{url}/t/acme")
    patch.setenv("ACME__SHOPIFY_SHOP_DOMAIN", "acme")
    patch.setenv("ACME__SHOPIFY_ACCESS_TOKEN", "shpat_live")


@pytest.mark.parametrize("mode", ["observed", "as_of"])
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
    with RunningSandbox(SandboxConfig(tenants=elsewhere)) as shop:
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
