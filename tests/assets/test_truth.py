"""Three tenants in three time zones over a quarter: every tenant-day equals the sandbox's ground truth exactly."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import date, datetime, timedelta

import dagster as dg
import polars as pl
import pytest

from tests.assets.conftest import Installation, write_environment
from weathervane_assets.partitions import TENANT_PARTITIONS
from weathervane_resources.sandbox import RunningSandbox, SandboxConfig, TenantProfile, truth

ZONES = {"acme": "America/New_York", "bergwelt": "Europe/Berlin", "kiwi": "Pacific/Auckland"}
FIRST, LAST = date(2026, 8, 20), date(2026, 11, 17)
DAYS = [FIRST + timedelta(days=n) for n in range((LAST - FIRST).days + 1)]
CONFIG = SandboxConfig(
    tenants={t: TenantProfile(zone, "USD", orders_per_day=12, places=4) for t, zone in ZONES.items()}
)


@pytest.fixture(scope="module", params=["rest", "graphql"])
def quarter(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Installation, SandboxConfig, datetime]]:
    """Ninety days with a clock change in each zone, by each of Shopify's protocols."""
    folder = tmp_path_factory.mktemp(request.param)
    at = CONFIG.clock()
    config = dataclasses.replace(CONFIG, clock=lambda: at)
    with (
        RunningSandbox(config) as sandbox,
        pytest.MonkeyPatch.context() as patch,
        dg.DagsterInstance.ephemeral() as instance,
    ):
        write_environment(patch, folder, sandbox.url)
        (folder / "tenants.toml").write_text(
            "".join(
                f'[tenants.{t}]\ntimezone = "{zone}"\ncurrency = "USD"\nshopify_protocol = "{request.param}"\n'
                for t, zone in ZONES.items()
            )
        )
        instance.add_dynamic_partitions(TENANT_PARTITIONS, list(ZONES))
        here = Installation(folder, instance, sandbox)
        for tenant in ZONES:
            outcome = here.backfill(
                tenant, FIRST, LAST, "orders", "meta_ads", "google_ads", "promos", now=at.isoformat()
            )
            assert outcome.failures == []
        yield here, config, at


@pytest.mark.parametrize("tenant", ZONES)
def test_every_day_equals_the_truth(tenant: str, quarter: tuple[Installation, SandboxConfig, datetime]) -> None:
    """A brand holds the matrix against its own dashboards; one cent of one day apart, and it is not used again."""
    here, config, at = quarter
    orders, promos = here.rows(tenant, "orders"), here.rows(tenant, "promos")
    sales = orders.filter(~pl.col("is_test") & pl.col("cancelled_at").is_null())
    ads = {name: here.rows(tenant, table) for name, table in (("meta", "meta_ads"), ("google_ads", "google_ads"))}
    for day in DAYS:
        here_and_now = pl.col("date") == day
        expected = truth.order_day(config, tenant, day, at)
        mine, sold = orders.filter(here_and_now), sales.filter(here_and_now)
        assert (mine.height, mine["net_revenue"].sum()) == (expected.orders, expected.net_revenue), day
        assert (sold.height, sold["net_revenue"].sum()) == (expected.counted_orders, expected.counted_net_revenue), day
        for platform, rows in ads.items():
            spent = truth.ads_day(config, tenant, platform, day, at)
            that_day = rows.filter(here_and_now)
            assert that_day["spend"].sum() == spent.spend, (platform, day)
            assert that_day["conversions"].sum() == pytest.approx(float(spent.conversions), abs=1e-9), (platform, day)
        planned = promos.filter(here_and_now & pl.coalesce("send_time", "scheduled_at").is_not_null())
        assert set(planned["campaign_id"]) == {c.campaign_id for c in truth.campaigns(config, tenant, day, at)}, day
