"""Three tenants in three time zones over a quarter: every tenant-day equals the sandbox's ground truth exactly."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import polars as pl
import pytest

from tests import engines
from tests.assets.conftest import Installation, write_environment
from weathervane_assets.partitions import TENANT_PARTITIONS
from weathervane_resources.clients.meta_ads import LONGEST_AT_ONCE
from weathervane_resources.sandbox import RunningSandbox, SandboxConfig, TenantProfile, truth

ZONES = {"acme": "America/New_York", "bergwelt": "Europe/Berlin", "kiwi": "Pacific/Auckland"}
FIRST, LAST = date(2026, 8, 20), date(2026, 11, 17)
DAYS = [FIRST + timedelta(days=n) for n in range((LAST - FIRST).days + 1)]
CONFIG = SandboxConfig(
    tenants={
        t: TenantProfile(zone, "USD", orders_per_day=12, places=4, taxes_included=t == "bergwelt")
        for t, zone in ZONES.items()
    }
)


@dataclass(frozen=True)
class Quarter:
    """An installation that has read it, and the sandbox's truth."""

    here: Installation
    config: SandboxConfig
    at: datetime
    way: Way


@dataclass(frozen=True)
class Way:
    """How the quarter is read: short windows are paged and answered at once, long ones are jobs of the vendors."""

    protocol: str
    days_a_run: int

    @property
    def asks_for_reports(self) -> bool:
        return self.days_a_run > LONGEST_AT_ONCE.days

    def runs(self) -> list[tuple[date, date]]:
        return [(first, min(first + timedelta(days=self.days_a_run - 1), LAST)) for first in DAYS[:: self.days_a_run]]


WAYS = [
    Way("graphql", 90),
    *(pytest.param(way, marks=pytest.mark.slow) for way in (Way("rest", 90), Way("rest", 30), Way("graphql", 30))),
]


@pytest.fixture(scope="module", params=WAYS, ids=lambda way: f"{way.protocol}-{way.days_a_run}-days")
def quarter(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Quarter]:
    """Ninety days with a clock change in each zone, by each of Shopify's protocols and each of Meta's ways."""
    way: Way = request.param
    folder, at = tmp_path_factory.mktemp(way.protocol), CONFIG.clock()
    config = dataclasses.replace(CONFIG, clock=lambda: at)
    with (
        RunningSandbox(config) as sandbox,
        pytest.MonkeyPatch.context() as patch,
        engines.chosen().instance() as instance,
    ):
        write_environment(patch, folder, sandbox.url)
        (folder / "tenants.toml").write_text(
            "".join(
                f'[tenants.{t}]\ntimezone = "{zone}"\ncurrency = "USD"\nshopify_protocol = "{way.protocol}"\n'
                for t, zone in ZONES.items()
            )
        )
        instance.add_dynamic_partitions(TENANT_PARTITIONS, list(ZONES))
        here = Installation(folder, instance, sandbox)
        for tenant, (first, last) in itertools.product(ZONES, way.runs()):
            outcome = here.backfill(
                tenant, first, last, "orders", "meta_ads", "google_ads", "promos", now=at.isoformat()
            )
            assert outcome.failures == []
        yield Quarter(here, config, at, way)


def test_the_quarter_was_read_the_way_it_says(quarter: Quarter) -> None:
    """A test of reports that never asks for one would pass for years."""
    log, way = quarter.here.sandbox.log, quarter.way
    asked = {record.method for record in log.matching("/insights") if "/act_" in record.path}
    assert asked == ({"POST"} if way.asks_for_reports else {"GET"})
    orders = {"rest": "/orders.json", "graphql": "/graphql.json"}
    assert {name for name, path in orders.items() if log.matching(path)} == {way.protocol}
    assert bool(log.matching("/bulk-results/")) == (way.protocol == "graphql" and way.asks_for_reports)


@pytest.mark.parametrize("tenant", ZONES)
def test_every_day_equals_the_truth(tenant: str, quarter: Quarter) -> None:
    """A brand holds the matrix against its own dashboards; one cent of one day apart, and it is not used again."""
    here, config, at = quarter.here, quarter.config, quarter.at
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
            assert that_day["conversions"].sum() == spent.conversions, (platform, day)
        planned = promos.filter(here_and_now & pl.coalesce("send_time", "scheduled_at").is_not_null())
        assert set(planned["campaign_id"]) == {c.campaign_id for c in truth.campaigns(config, tenant, day, at)}, day
