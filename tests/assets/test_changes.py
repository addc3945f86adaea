"""Change sensors: exactly the touched days, nothing lost when the daemon dies, nothing asked for twice that shows."""

from __future__ import annotations

import asyncio
import json
import os
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from threading import Event
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import polars as pl
import pytest

from tests import engines
from tests.assets.conftest import Installation, write_environment
from weathervane_assets import changes
from weathervane_assets.changes import changed_campaigns, changed_orders
from weathervane_assets.definitions import build_defs
from weathervane_assets.graph import downstream
from weathervane_assets.overridable import OVERRIDABLE
from weathervane_assets.partitions import RANGE_END, RANGE_START, TENANT_PARTITIONS, TENANT_TAG
from weathervane_resources.clock import Clock
from weathervane_resources.connectors import KlaviyoConnector, ShopifyConnector
from weathervane_resources.platform import Platform
from weathervane_resources.sandbox import RunningSandbox, SandboxConfig, TenantProfile, truth
from weathervane_resources.sandbox.campaigns_world import lives
from weathervane_resources.tenants import Tenant

START = datetime(2026, 9, 20, 15, tzinfo=UTC)
REFUNDED = date(2026, 8, 11)
"""Forty days before."""
QUIET = {
    "acme": TenantProfile("America/New_York", "USD", orders_per_day=3, places=2, settled=True),
    "kiwi": TenantProfile("Pacific/Auckland", "NZD", orders_per_day=3, places=2, settled=True),
}
"""Settled, since the time of some tests is the machine's, which passes 03:00 UTC."""


@dataclass
class Time:
    """A clock that a test moves."""

    now: datetime = START

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, **span: int) -> None:
        self.now += timedelta(**span)


@dataclass
class Daemon:
    """The sensor daemon: keeps the cursor, counts what it was asked for."""

    sensor: dg.SensorDefinition
    time: Time
    instance: dg.DagsterInstance
    cursor: str | None = None
    log: list[dg.RunRequest] = field(default_factory=list)

    def evaluate(self) -> dg.SensorResult:
        resources = {
            "platform": Platform(threshold_names=sorted(OVERRIDABLE)),
            "clock": Clock(fixed=self.time.now.isoformat()),
            "shopify": ShopifyConnector(),
            "klaviyo": KlaviyoConnector(),
        }
        needed = {name: resources[name] for name in self.sensor.required_resource_keys}
        result = self.sensor(dg.build_sensor_context(instance=self.instance, cursor=self.cursor), **needed)
        assert isinstance(result, dg.SensorResult)
        return result

    def tick(self) -> list[dg.RunRequest]:
        result = self.evaluate()
        self.cursor = result.cursor
        return list(result.run_requests or [])


@pytest.fixture
def time() -> Time:
    return Time()


@contextmanager
def open_shop(folder: Path, time: Time, patch: pytest.MonkeyPatch) -> Iterator[Installation]:
    """Open an installation whose shop lives in the test's time, and whose made-up orders are watched."""
    with RunningSandbox(SandboxConfig(tenants=QUIET, clock=time)) as shop, engines.chosen().instance() as instance:
        write_environment(patch, folder, shop.url)
        patch.setenv("WEATHERVANE_STUB_CHANGES", "true")
        instance.add_dynamic_partitions(TENANT_PARTITIONS, ["acme", "kiwi"])
        yield Installation(folder, instance, shop)


@pytest.fixture
def here(tmp_path: Path, time: Time, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installation]:
    with open_shop(tmp_path, time, monkeypatch) as installation:
        yield installation


def watching(here: Installation, time: Time) -> Daemon:
    """Return the daemon of `changed_orders` after its first tick, which notes where it begins."""
    daemon = Daemon(changed_orders, time, here.instance)
    assert daemon.tick() == []
    return daemon


@pytest.fixture
def orders_daemon(here: Installation, time: Time) -> Daemon:
    return watching(here, time)


def order_of(here: Installation, day: date, tenant: str = "acme", number: int = 0) -> str:
    """Return an order of the day, as the shop lists it."""
    url, zone = here.sandbox.url, ZoneInfo(QUIET[tenant].timezone)
    first = datetime(day.year, day.month, day.day, tzinfo=zone)
    bounds = {"created_at_min": first.isoformat(), "created_at_max": (first + timedelta(hours=23)).isoformat()}
    query = urllib.parse.urlencode({"status": "any", "fields": "id", **bounds})
    request = urllib.request.Request(
        f"{url}/t/{tenant}/admin/api/2026-07/orders.json?{query}", headers={"X-Shopify-Access-Token": f"stub-{tenant}"}
    )
    with urllib.request.urlopen(request) as reply:
        return str(json.load(reply)["orders"][number]["id"])


def refund(here: Installation, order: str, tenant: str = "acme") -> None:
    form = urllib.parse.urlencode({"amount": "1.00"}).encode()
    with urllib.request.urlopen(f"{here.sandbox.url}/sandbox/t/{tenant}/orders/{order}/refund", data=form) as reply:
        assert reply.status == 200


def days_of(request: dg.RunRequest) -> tuple[str, str]:
    return request.tags[RANGE_START], request.tags[RANGE_END]


def refund_both(here: Installation, time: Time) -> None:
    """Refund an order of each tenant, and let the refunds show."""
    refund(here, order_of(here, REFUNDED))
    refund(here, order_of(here, REFUNDED, "kiwi"), "kiwi")
    time.pass_by(minutes=2)


@pytest.mark.parametrize("protocol", ["graphql", "rest"])
def test_a_refund_restates_the_orders_day_and_nothing_else(here: Installation, time: Time, protocol: str) -> None:
    """Refunds of old orders never came in: the year's revenue was 4% above the shop's own."""
    tenants = here.folder / "tenants.toml"
    tenants.write_text(tenants.read_text().replace('D"\n', f'D"\nshopify_protocol = "{protocol}"\n'))
    daemon = Daemon(changed_orders, time, here.instance)
    assert daemon.tick() == []
    time.pass_by(seconds=30)
    refund(here, order_of(here, REFUNDED))
    time.pass_by(seconds=30)
    (request,) = daemon.tick()
    assert days_of(request) == ("2026-08-11|acme", "2026-08-11|acme")
    assert [key.path[-1] for key in request.asset_selection or ()] == list(downstream("orders"))
    assert daemon.tick() == []
    time.pass_by(seconds=50)
    assert daemon.tick() == []


def test_the_run_that_is_asked_for_makes_table_and_matrix_the_shops_again(
    here: Installation, orders_daemon: Daemon, time: Time
) -> None:
    """What the sensor asks for must be enough, and no more: run as requested, one day changes, by the refund."""
    first, last = REFUNDED - timedelta(days=1), REFUNDED + timedelta(days=1)
    assert here.backfill("acme", first, last, now=time.now.isoformat()).failures == []
    before = {name: here.rows("acme", name) for name in ("orders", "features")}
    on_the_day = before["orders"].filter(
        pl.col("date") == REFUNDED,
        pl.col("ship_geohash").is_not_null() & pl.col("cancelled_at").is_null() & ~pl.col("is_test"),
        pl.col("net_revenue") > 1,
    )
    refund(here, on_the_day["order_id"][0])
    time.pass_by(minutes=1)
    (request,) = orders_daemon.tick()
    result = execute(here, request, time)
    assert result.success
    assert {event.partition for event in result.get_asset_materialization_events()} == {f"{REFUNDED}|acme"}
    expected = truth.order_day(here.sandbox.config, "acme", REFUNDED, time.now)
    assert here.rows("acme", "orders").filter(pl.col("date") == REFUNDED)["net_revenue"].sum() == expected.net_revenue
    for name, known in before.items():
        assert difference(here.rows("acme", name), known) == {REFUNDED: Decimal("-1.00")}, name
    (orders,) = (one for one in result.asset_materializations_for_node("orders"))
    assert [orders.metadata[name].value for name in ("new_rows", "updated_rows", "removed_rows")] == [0, 1, 0]


def execute(here: Installation, request: dg.RunRequest, time: Time) -> dg.ExecuteInProcessResult:
    """Run what a sensor asks for, as the run coordinator would."""
    job = build_defs(os.environ, {"clock": Clock(fixed=time.now.isoformat())}).resolve_implicit_global_asset_job_def()
    selection = list(request.asset_selection or ())
    return job.execute_in_process(instance=here.instance, asset_selection=selection, tags=dict(request.tags))


def difference(after: pl.DataFrame, before: pl.DataFrame) -> dict[date, Decimal]:
    """Return by how much each day's net revenue differs, where it does."""
    sums = [frame.group_by("date").agg(pl.col("net_revenue").sum()) for frame in (after, before)]
    both = sums[0].join(sums[1], on="date", how="full", coalesce=True, validate="1:1", suffix="_before")
    changed = both.select("date", change=pl.col("net_revenue") - pl.col("net_revenue_before"))
    return dict(changed.filter(pl.col("change").is_null() | (pl.col("change") != 0)).iter_rows())


def test_a_daemon_that_dies_before_the_cursor_is_stored_asks_again_under_the_same_key(
    here: Installation, orders_daemon: Daemon, time: Time
) -> None:
    """Killed between request and cursor: with keys by time, every change of that minute ran twice."""
    refund(here, order_of(here, REFUNDED))
    time.pass_by(seconds=20)
    first = orders_daemon.evaluate()
    time.pass_by(seconds=20)
    (again,) = orders_daemon.tick()
    assert [again.run_key] == [request.run_key for request in first.run_requests or ()]
    assert orders_daemon.tick() == []
    refund(here, order_of(here, REFUNDED))
    time.pass_by(seconds=20)
    (other,) = orders_daemon.tick()
    assert other.run_key != again.run_key


def test_neighbouring_days_are_one_run_and_tenants_are_not_mixed(
    here: Installation, orders_daemon: Daemon, time: Time
) -> None:
    """A bulk edit of a month was 30 runs, each with its own 2 seconds of start."""
    for day in (REFUNDED, REFUNDED + timedelta(days=1), REFUNDED + timedelta(days=5)):
        refund(here, order_of(here, day))
    refund(here, order_of(here, REFUNDED, "kiwi"), "kiwi")
    time.pass_by(minutes=2)
    assert [days_of(request) for request in orders_daemon.tick()] == [
        ("2026-08-11|acme", "2026-08-12|acme"),
        ("2026-08-16|acme", "2026-08-16|acme"),
        ("2026-08-11|kiwi", "2026-08-11|kiwi"),
    ]


def test_days_before_the_tenants_start_and_the_open_day_are_not_asked_for(
    here: Installation, orders_daemon: Daemon, time: Time
) -> None:
    """A refund of an order of 2019 asked for a partition that is not; every new order would be a run of today."""
    tenants = here.folder / "tenants.toml"
    tenants.write_text(tenants.read_text().replace("[tenants.acme]", "[tenants.acme]\nstart_date = 2026-08-12"))
    today = datetime(2026, 9, 20, tzinfo=ZoneInfo("America/New_York")).date()
    time.now = START + timedelta(hours=10)
    refund(here, order_of(here, REFUNDED))
    refund(here, order_of(here, today))
    time.pass_by(minutes=2)
    assert orders_daemon.tick() == []


def test_a_sensor_that_was_off_catches_up_day_by_day(here: Installation, orders_daemon: Daemon, time: Time) -> None:
    """Off for a week, the first tick read 40,000 changes and ran into the time limit, again and again."""
    time.pass_by(hours=1)
    refund(here, order_of(here, REFUNDED))
    time.pass_by(days=3)
    ticks = [orders_daemon.tick() for _ in range(4)]
    assert ("2026-08-11|acme", "2026-08-11|acme") in [days_of(request) for request in ticks[0]]
    assert orders_daemon.tick() == []
    (acme,) = json.loads(str(orders_daemon.cursor))["tenants"]["acme"].values()
    assert datetime.fromisoformat(acme["until"]) == time.now


def test_a_tenant_that_cannot_be_read_keeps_its_place_and_holds_up_no_other(
    here: Installation, orders_daemon: Daemon, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One shop's dead token stopped the changes of all."""
    refund_both(here, time)
    with monkeypatch.context() as broken:
        broken.setenv("ACME__SHOPIFY_SHOP_DOMAIN", "acme")
        (request,) = orders_daemon.tick()
    assert days_of(request) == ("2026-08-11|kiwi", "2026-08-11|kiwi")
    (late,) = orders_daemon.tick()
    assert days_of(late) == ("2026-08-11|acme", "2026-08-11|acme")


def test_a_tenant_that_hangs_costs_a_tick_no_more_than_dagster_gives_it(
    here: Installation, orders_daemon: Daemon, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nine shops that did not answer took 80 seconds; Dagster ended each tick at 60, and nobody's changes were read."""
    refund_both(here, time)
    reading = changes._read_one

    async def hanging(tenant: Tenant, *rest: Any) -> Any:
        return await (asyncio.Event().wait() if tenant.id == "acme" else reading(tenant, *rest))

    with monkeypatch.context() as slow:
        slow.setattr(changes, "_read_one", hanging)
        slow.setattr(changes, "TICK_SECONDS", 2)
        (request,) = orders_daemon.tick()
    assert days_of(request) == ("2026-08-11|kiwi", "2026-08-11|kiwi")
    (late,) = orders_daemon.tick()
    assert days_of(late) == ("2026-08-11|acme", "2026-08-11|acme")


def test_a_store_that_does_not_answer_costs_a_tick_no_more_than_dagster_gives_it(
    here: Installation, orders_daemon: Daemon, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tick ended in time, and then waited for the thread of the one tenant whose table did not come: nothing was kept."""
    refund_both(here, time)
    answers, waited, left = Event(), [], changes.ReadDays.left

    def hanging(days: changes.ReadDays, tenant: str, found: Any) -> Any:
        if tenant == "acme":
            waited.append(answers.wait(60))
        return left(days, tenant, found)

    with monkeypatch.context() as slow:
        slow.setattr(changes.ReadDays, "left", hanging)
        slow.setattr(changes, "TICK_SECONDS", 2)
        (request,) = orders_daemon.tick()
    assert waited == []
    answers.set()
    assert days_of(request) == ("2026-08-11|kiwi", "2026-08-11|kiwi")
    (late,) = orders_daemon.tick()
    assert days_of(late) == ("2026-08-11|acme", "2026-08-11|acme")


def test_campaigns_are_read_as_a_list_that_is_not_quite_in_order(
    here: Installation, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sensor read Klaviyo's lists as Shopify's."""
    daemon, lags, read = Daemon(changed_campaigns, time, here.instance), set(), changes.read_changes

    def noted(*asked: Any) -> Any:
        lags.add(asked[-1])
        return read(*asked)

    here.backfill("acme", REFUNDED, REFUNDED, "promos", now=time.now.isoformat())
    daemon.tick()
    monkeypatch.setattr(changes, "read_changes", noted)
    time.pass_by(minutes=10)
    daemon.tick()
    assert lags == {changes.UNSORTED}


def test_stub_rows_are_watched_only_where_one_asks_for_it(
    here: Installation, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A demo that runs all day because made-up orders are made-up refunded."""
    monkeypatch.delenv("WEATHERVANE_STUB_CHANGES")
    daemon = Daemon(changed_orders, time, here.instance)
    daemon.tick()
    assert json.loads(str(daemon.cursor))["tenants"] == {}


def test_a_campaign_that_moves_leaves_the_day_it_stood_on(here: Installation, time: Time) -> None:
    """A draft stood on the day it was written; scheduled for next week, it was counted on both days for ever."""
    zone = ZoneInfo("America/New_York")
    late = next(
        life
        for life in lives(here.sandbox.config, "acme", date(2026, 8, 1), date(2026, 9, 20))
        if life.fate == "sent"
        and life.created_at.astimezone(zone).date() < life.scheduled_set_at.astimezone(zone).date()
    )
    written = late.created_at.astimezone(zone).date()
    time.now = datetime(written.year, written.month, written.day, tzinfo=zone) + timedelta(days=1, minutes=1)
    daemon = Daemon(changed_campaigns, time, here.instance)
    assert daemon.tick() == []
    assert here.backfill("acme", written, written, "promos", now=time.now.isoformat()).failures == []
    assert late.campaign_id in here.rows("acme", "promos")["campaign_id"].to_list()
    time.now = late.scheduled_set_at + timedelta(minutes=1)
    (request,) = [one for one in daemon.tick() if one.tags[TENANT_TAG] == "acme"]
    assert days_of(request) == (f"{written}|acme", f"{written}|acme")
    assert [key.path[-1] for key in request.asset_selection or ()] == ["promos", "features"]
    assert here.backfill("acme", written, written, "promos", now=time.now.isoformat()).failures == []
    assert late.campaign_id not in here.rows("acme", "promos")["campaign_id"].to_list()
    assert daemon.tick() == []


def test_both_sensors_are_off_until_someone_switches_them_on() -> None:
    """Without credentials they would log an error every ten minutes."""
    for sensor in (changed_orders, changed_campaigns):
        assert sensor.default_status == dg.DefaultSensorStatus.STOPPED


def test_a_day_that_the_token_does_not_see_whole_takes_no_other_day_with_it(
    here: Installation, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sixty days ago is cut in two for a token without `read_all_orders`: its run was refused, and the next day's change with it."""
    midnight = datetime.now(ZoneInfo("America/New_York")).replace(hour=0, minute=0, second=0, microsecond=0)
    time.now = (midnight + timedelta(minutes=1)).astimezone(UTC)
    blind = SandboxConfig(tenants=QUIET, clock=time, shopify_scopes=("read_orders",))
    with RunningSandbox(blind) as shop:
        monkeypatch.setenv("WEATHERVANE_SANDBOX_URL", shop.url)
        daemon = Daemon(changed_orders, time, here.instance)
        assert daemon.tick() == []
        edge = midnight.date() - timedelta(days=60)
        for day in (edge, edge + timedelta(days=1)):
            refund(replace(here, sandbox=shop), order_of(replace(here, sandbox=shop), day))
        time.pass_by(minutes=2)
        (request,) = daemon.tick()
        assert days_of(request) == (f"{edge + timedelta(days=1)}|acme", f"{edge + timedelta(days=1)}|acme")
        assert execute(here, request, time).success
