"""Runs of the change sensors that failed: asked for again while it helps, and not for ever."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.tags import AUTO_RETRY_RUN_ID_TAG, WILL_RETRY_TAG
from dagster._core.test_utils import create_run_for_test

from tests.assets.conftest import Installation
from tests.assets.test_changes import Daemon, Time, days_of, open_shop, order_of, refund, watching
from weathervane_assets.change_repeats import LOOKED_BACK
from weathervane_assets.deferral import deferred_runs
from weathervane_assets.definitions import build_defs
from weathervane_assets.graph import downstream
from weathervane_checks.alert_events import read_events
from weathervane_checks.alerts import GIVEN_UP
from weathervane_resources import lake
from weathervane_resources.clock import Clock
from weathervane_resources.failures import DEFERRED_TAG, DEFERRED_UNTIL_TAG, RESUMED, WAITING
from weathervane_resources.lake_tables import OpenTables
from weathervane_resources.partition_keys import CHANGED_TAG, MOST_REPEATS, REPEAT_TAG
from weathervane_resources.platform import Platform

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


@pytest.fixture
def time() -> Time:
    """Dagster itself notes when a run is made, so the test's time begins at today's."""
    return Time(datetime.now(UTC))


@pytest.fixture
def here(tmp_path: Path, time: Time, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installation]:
    with open_shop(tmp_path, time, monkeypatch) as installation:
        yield installation


@pytest.fixture
def daemon(here: Installation, time: Time) -> Daemon:
    return watching(here, time)


@pytest.fixture
def day(time: Time) -> date:
    return time.now.date() - timedelta(days=40)


def ask(here: Installation, daemon: Daemon, day: date, *tenants: str) -> list[dg.RunRequest]:
    """Refund an order of the day and return what the sensor asks for."""
    for tenant in tenants or ("acme",):
        refund(here, order_of(here, day, tenant), tenant)
    daemon.time.pass_by(minutes=1)
    return [request for request in daemon.tick() if days_of(request)[0].startswith(f"{day}|")]


def repeated(daemon: Daemon) -> list[dg.RunRequest]:
    """Return what a tick asks for again: if midnight strikes in a test, yesterday's orders are changes too."""
    return [request for request in daemon.tick() if REPEAT_TAG in request.tags]


def execute(here: Installation, request: dg.RunRequest, time: Time) -> dg.ExecuteInProcessResult:
    """Run what a sensor asks for, as the run coordinator would."""
    job = build_defs(os.environ, {"clock": Clock(fixed=time.now.isoformat())}).resolve_implicit_global_asset_job_def()
    return job.execute_in_process(
        instance=here.instance,
        asset_selection=list(request.asset_selection or ()),
        tags=dict(request.tags),
        raise_on_error=False,
    )


def fail(here: Installation, request: dg.RunRequest, time: Time) -> str:
    """Run it while the shop's address is a wrong one."""
    with pytest.MonkeyPatch.context() as broken:
        broken.setenv("ACME__SHOPIFY_SHOP_DOMAIN", "acme")
        broken.setenv("KIWI__SHOPIFY_SHOP_DOMAIN", "kiwi")
        result = execute(here, request, time)
    assert not result.success
    return str(result.run_id)


def test_a_run_that_failed_is_asked_for_again_and_not_once_it_succeeds(
    here: Installation, daemon: Daemon, time: Time, day: date
) -> None:
    """Shopify was down for twenty minutes; the refund's day kept its old revenue for ever, and the alert closed the next night."""
    (request,) = ask(here, daemon, day)
    run_id = fail(here, request, time)
    time.now = datetime.now(UTC) + HOUR - MINUTE
    assert repeated(daemon) == []
    time.now += 2 * MINUTE
    (again,) = repeated(daemon)
    assert (again.run_key, days_of(again)) == (f"repeats {run_id}", days_of(request))
    assert [key.path[-1] for key in again.asset_selection or ()] == list(downstream("orders"))
    assert (again.tags[CHANGED_TAG], again.tags[REPEAT_TAG]) == ("orders", "1")
    (same,) = repeated(daemon)
    assert same.run_key == again.run_key, "a daemon that died before the run was made asks for the same"
    assert execute(here, again, time).success
    time.now += timedelta(days=1)
    assert repeated(daemon) == []


def test_it_is_asked_for_ever_more_rarely_and_then_not_at_all(
    here: Installation, daemon: Daemon, time: Time, day: date, capfd: pytest.CaptureFixture[str]
) -> None:
    """A revoked token failed 144 runs a day, each with an alert."""
    (request,) = ask(here, daemon, day)
    for repeat in range(MOST_REPEATS):
        fail(here, request, time)
        time.now = datetime.now(UTC) + HOUR * 2**repeat - MINUTE
        assert repeated(daemon) == []
        time.now += 2 * MINUTE
        (request,) = repeated(daemon)
    fail(here, request, time)
    capfd.readouterr()
    time.now = datetime.now(UTC) + LOOKED_BACK - HOUR
    assert repeated(daemon) == []
    assert f"{day}|acme..{day}|acme: orders changed, and {MOST_REPEATS + 1} runs failed; backfill it" in "".join(
        capfd.readouterr()
    )
    read = read_events(here.instance, None, set(), datetime.now(UTC) + MINUTE).observations
    (told,) = [seen for seen in read if seen.subject.cause == GIVEN_UP and seen.severity != "ok"]
    assert (told.subject.tenant, told.subject.dataset, told.days) == ("acme", "orders", (str(day),)), (
        "of the last run alone"
    )


@pytest.mark.parametrize(
    "tags",
    [
        {WILL_RETRY_TAG: "true"},
        {WILL_RETRY_TAG: "true", AUTO_RETRY_RUN_ID_TAG: "another"},
        {DEFERRED_TAG: WAITING},
        {DEFERRED_TAG: RESUMED},
    ],
    ids=["waits for its retry", "was retried", "waits for a vendor", "went on"],
)
def test_a_run_that_something_else_starts_again_is_left_to_it(
    here: Installation, daemon: Daemon, time: Time, day: date, tags: dict[str, str]
) -> None:
    """Two that start the same run again are two runs."""
    (request,) = ask(here, daemon, day)
    run_id = fail(here, request, time)
    here.instance.add_run_tags(run_id, tags)
    time.now = datetime.now(UTC) + HOUR + MINUTE
    assert repeated(daemon) == []
    here.instance.add_run_tags(run_id, {WILL_RETRY_TAG: "false"})
    assert len(repeated(daemon)) == (tags == {WILL_RETRY_TAG: "true"}), (
        "Dagster decides anew where it finds no tries left"
    )


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELED], ids=str)
def test_while_a_newer_run_of_the_days_goes_on_or_was_ended_by_someone_nothing_is_asked_for(
    here: Installation, daemon: Daemon, time: Time, day: date, status: dg.DagsterRunStatus
) -> None:
    """In a full queue every tick put another one behind it; one that someone cancelled came back every hour."""
    (request,) = ask(here, daemon, day)
    fail(here, request, time)
    create_run_for_test(here.instance, tags={**request.tags, REPEAT_TAG: "1"}, status=status)
    time.now = datetime.now(UTC) + timedelta(hours=3)
    assert repeated(daemon) == []


def test_a_run_that_went_on_and_then_failed_is_asked_for_again(
    here: Installation, daemon: Daemon, time: Time, day: date
) -> None:
    """It carries the name of another sensor, and was nobody's any more."""
    (request,) = ask(here, daemon, day)
    run_id = fail(here, request, time)
    here.instance.add_run_tags(run_id, {DEFERRED_TAG: WAITING, DEFERRED_UNTIL_TAG: time.now.isoformat()})
    resources = {"clock": Clock(fixed=(time.now + HOUR).isoformat()), "platform": Platform(threshold_names=[])}
    repository = build_defs(os.environ).get_repository_def()
    with dg.build_sensor_context(here.instance, resources=resources, repository_def=repository) as context:
        (resumed,) = deferred_runs.evaluate_tick(context).run_requests or []
    last = fail(here, resumed, time)
    time.now = datetime.now(UTC) + HOUR + MINUTE
    (again,) = repeated(daemon)
    assert (again.run_key, days_of(again)) == (f"repeats {last}", days_of(request))


def test_days_that_a_backfill_has_read_since_are_not_asked_for(
    here: Installation, daemon: Daemon, time: Time, day: date
) -> None:
    """Someone had backfilled the day by hand, and the sensor did it again; after orders alone the matrix is still old."""
    (request,) = ask(here, daemon, day)
    fail(here, request, time)
    assert here.backfill("acme", day, day, "orders", now=time.now.isoformat()).failures == []
    time.now = datetime.now(UTC) + HOUR + MINUTE
    assert len(repeated(daemon)) == 1
    assert here.backfill("acme", day, day, *downstream("orders"), now=time.now.isoformat()).failures == []
    assert repeated(daemon) == []


def test_nothing_is_asked_for_of_a_paused_tenant_or_one_whose_vendor_does_not_answer(
    here: Installation, daemon: Daemon, time: Time, day: date
) -> None:
    """Five tries in the night of a dead token were over when it was replaced in the morning."""
    (request,) = ask(here, daemon, day)
    fail(here, request, time)
    time.now = datetime.now(UTC) + HOUR + MINUTE
    tenants = here.folder / "tenants.toml"
    text = tenants.read_text()
    tenants.write_text(text.replace("[tenants.acme]\n", "[tenants.acme]\npaused = true\n"))
    assert repeated(daemon) == []
    tenants.write_text(text)
    with pytest.MonkeyPatch.context() as broken:
        broken.setenv("ACME__SHOPIFY_SHOP_DOMAIN", "acme")
        assert repeated(daemon) == []
    assert len(repeated(daemon)) == 1


def test_a_tenant_whose_ledger_cannot_be_read_costs_no_other_its_repeat(
    here: Installation, daemon: Daemon, time: Time, day: date, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a power cut one tenant's ledger named a file that was gone."""
    if not here.lake.files.is_local:
        pytest.skip("damages files by hand")
    assert here.backfill("acme", day, day, "orders", now=time.now.isoformat()).failures == []
    for request in ask(here, daemon, day, "acme", "kiwi"):
        fail(here, request, time)
    for file in (here.folder / "lake" / "acme" / "_ledger").rglob("*.parquet"):
        file.unlink()
    monkeypatch.setattr(lake, "OPEN_TABLES", OpenTables())  # the machine was off: it is another process
    time.now = datetime.now(UTC) + HOUR + MINUTE
    assert [days_of(one) for one in repeated(daemon)] == [(f"{day}|kiwi", f"{day}|kiwi")]
