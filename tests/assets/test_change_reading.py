"""Days that a run reads while a change sensor looks: the ledger hears of them only when the run writes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.test_utils import create_run_for_test

from tests.assets.conftest import Installation
from tests.assets.test_change_ledger import write
from tests.assets.test_change_repeats import execute
from tests.assets.test_changes import Daemon, Time, days_of, open_shop, order_of, refund, watching
from tests.assets.test_left_over_demo import go_live
from tests.assets.test_run_launcher import answers, code_server, opened, until
from tests.servers import free_port
from weathervane_assets.change_cursor import Change
from weathervane_assets.change_reading import ReadDays
from weathervane_assets.changes import changed_orders
from weathervane_assets.partitions import day_key, range_tags
from weathervane_resources.lake import Lake
from weathervane_resources.partition_keys import TENANT_TAG
from weathervane_resources.sandbox import truth


@pytest.fixture
def time() -> Time:
    """Dagster and the ledger note the machine's time, so the test's time begins at today's."""
    return Time(datetime.now(UTC))


@pytest.fixture
def here(tmp_path: Path, time: Time, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installation]:
    with open_shop(tmp_path, time, monkeypatch) as installation:
        go_live(monkeypatch, installation.sandbox.url)
        yield installation


@pytest.fixture
def day(time: Time) -> date:
    return time.now.date() - timedelta(days=40)


@contextmanager
def before_written(asset: str, happens: Callable[[], object]) -> Iterator[None]:
    """Let something happen when a run has read an asset's days and not yet written them."""
    written = Lake.replace

    def later(lake: Lake, tenant: str, dataset: str, *rest: Any, **named: Any) -> Any:
        if dataset == asset:
            happens()
        return written(lake, tenant, dataset, *rest, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Lake, "replace", later)
        yield


def revenue(here: Installation, day: date) -> Any:
    return here.rows("acme", "orders").filter(pl.col("date") == day)["net_revenue"].sum()


def test_a_refund_while_the_backfill_of_its_day_runs_is_read(here: Installation, time: Time, day: date) -> None:
    """The year's backfill had read March, and wrote twenty minutes later; what was refunded in between was lost for good."""
    recent = time.now.date() - timedelta(days=3)
    write(here, time.now, recent, recent)
    daemon = watching(here, time)
    asked: list[dg.RunRequest] = []

    def refunded() -> None:
        refund(here, order_of(here, day))
        time.pass_by(minutes=1)
        asked.extend(daemon.tick())

    with before_written("orders", refunded):
        begun = time.now.isoformat()
        assert here.backfill("acme", day - timedelta(days=1), day, "orders", now=begun).failures == []
    asked = [request for request in asked if days_of(request)[0] < f"{recent}"]
    assert [days_of(request) for request in asked] == [(f"{day}|acme", f"{day}|acme")]
    expected = truth.order_day(here.sandbox.config, "acme", day, time.now).net_revenue
    assert revenue(here, day) != expected, "the backfill had read the day before"
    assert execute(here, asked[0], time).success
    assert revenue(here, day) == expected


def test_a_refund_while_a_tenants_first_backfill_runs_is_read_where_the_sensor_is_new_too(
    here: Installation, time: Time, day: date
) -> None:
    """Automation was switched on during the first backfill: the sensor began at now, as nothing had been read."""
    daemon = Daemon(changed_orders, time, here.instance)

    def refunded() -> None:
        refund(here, order_of(here, day))
        time.pass_by(minutes=10)
        assert daemon.tick() == []
        assert "acme" not in json.loads(str(daemon.cursor))["tenants"]

    with before_written("orders", refunded):
        assert here.backfill("acme", day, day, "orders", now=time.now.isoformat()).failures == []
    assert daemon.tick() == []
    asked = [days_of(request) for request in daemon.tick()]
    assert (f"{day}|acme", f"{day}|acme") in asked


ORDERS, PROMOS = frozenset({dg.AssetKey("orders"), dg.AssetKey("features")}), frozenset({dg.AssetKey("promos")})
STARTED, QUEUED, SUCCESS = dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.SUCCESS


def run_of(
    here: Installation,
    day: date,
    tenant: str = "acme",
    status: dg.DagsterRunStatus = STARTED,
    assets: frozenset[dg.AssetKey] | None = ORDERS,
) -> dg.DagsterRun:
    """Put a run of the day and the one before into the instance."""
    tags = range_tags(tenant, *(day_key(tenant, one) for one in (day - timedelta(days=1), day)))
    origin = RemoteJobOrigin(RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("weathervane"), "all"), "all")
    return create_run_for_test(
        here.instance, tags=tags, status=status, asset_selection=assets, remote_job_origin=origin
    )


def left(here: Installation, change: Change) -> list[Change]:
    return ReadDays("orders", here.lake, here.instance).left("acme", [change])


@pytest.fixture
def change(here: Installation, time: Time, day: date) -> Change:
    """A change of a day of last month, of a tenant whose days begin this week."""
    recent = time.now.date() - timedelta(days=3)
    write(here, time.now, recent, recent)
    return Change("a", time.now, frozenset({day}))


def test_only_runs_that_may_have_read_the_day_keep_it(here: Installation, day: date, change: Change) -> None:
    """An old order's refund during the nightly re-read of ads must not bring its day in alone."""
    run_of(here, day, "kiwi")
    run_of(here, day, status=QUEUED)
    run_of(here, day, status=SUCCESS)
    run_of(here, day, assets=PROMOS)
    run_of(here, day - timedelta(days=1))
    run_of(here, day + timedelta(days=2))
    assert left(here, change) == []
    run_of(here, day)
    assert left(here, change) == [change]


@pytest.mark.parametrize(("asset", "kept"), [("promos", False), ("orders", True)])
def test_a_run_that_names_no_assets_is_known_by_its_job(
    here: Installation, day: date, change: Change, asset: str, *, kept: bool
) -> None:
    """Runs of schedules and of the command line name none: the restatement of campaigns looked like a backfill of orders."""
    found: list[Change] = []
    with before_written(asset, lambda: found.extend(left(here, change))):
        here.backfill("acme", day, day, asset, now=datetime.now(UTC).isoformat())
    assert found == [change] * kept


@pytest.fixture
def ends_meanwhile(here: Installation, day: date, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of the day that writes and ends just before someone asks for runs."""
    run, get_runs = run_of(here, day), here.instance.get_runs

    def ended(*asked: Any) -> Any:
        write(here, datetime.now(UTC), day, day)
        here.instance.report_run_failed(run)
        return get_runs(*asked)

    monkeypatch.setattr(here.instance, "get_runs", ended)


@pytest.mark.usefixtures("ends_meanwhile")
def test_a_run_that_writes_while_the_sensor_looks_is_not_missed(here: Installation, change: Change) -> None:
    """It wrote after the ledger was read, and had ended when the runs were asked for: it was in neither."""
    assert left(here, change) == [change]


@pytest.mark.usefixtures("ends_meanwhile")
def test_a_first_run_that_writes_while_the_sensor_looks_is_not_missed(here: Installation, time: Time) -> None:
    """Runs were asked for after the ledger: no run went on any more and nothing had been read, so the sensor began at now."""
    time.pass_by(minutes=1)
    begun = ReadDays("orders", here.lake, here.instance).begin("acme", time.now)
    assert begun is not None
    assert begun < time.now - timedelta(hours=1)


def test_runs_are_not_asked_for_where_nothing_would_be_left_out(
    here: Installation, time: Time, change: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a hundred busy shops every tick has changes, and nearly all are of days that were read."""

    def refuse(*asked: Any) -> Any:
        raise AssertionError(asked)

    monkeypatch.setattr(here.instance, "get_runs", refuse)
    yesterday = replace(change, days=frozenset({time.now.date() - timedelta(days=1)}))
    assert left(here, yesterday) == [yesterday]


def test_the_queue_holds_back_a_tenants_runs_while_a_backfill_of_the_command_line_goes_on(tmp_path: Path) -> None:
    """A refund's run that read and wrote while the backfill went on would have been replaced by what that had read before."""
    port = free_port()
    with code_server(port):
        until(lambda: answers(port), "the code server did not start")
        with opened(tmp_path, port, quiet_after_s=60) as house:
            backfill = create_run_for_test(house.instance, tags={TENANT_TAG: "acme"}, status=STARTED)
            asked = house.submit()
            house.dequeue()
            assert house.status(asked) == QUEUED
            house.instance.report_run_failed(backfill)
            house.dequeue()
            until(lambda: house.status(asked) == STARTED, "the place was not free")
