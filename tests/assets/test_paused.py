"""`paused = true`: nothing starts by itself, nobody is told, and a backfill by hand still works."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from tests.assets.conftest import NOW, Installation
from tests.checks.alerting import Webhook, webhook
from tests.checks.alerting import watchtower as running_watchtower
from weathervane_assets import schedules
from weathervane_assets.change_cursor import read_cursor
from weathervane_assets.changes import changed_orders
from weathervane_assets.definitions import build_defs
from weathervane_assets.overridable import OVERRIDABLE
from weathervane_assets.schedules import (
    DQ_REPORT_HOUR,
    FRESHNESS,
    NEW_CELLS_HOUR,
    NORMALS_HOUR,
    ROUTINES,
    build_schedules,
)
from weathervane_checks.alerter import Alerter, open_alerter
from weathervane_resources.clock import Clock
from weathervane_resources.connectors import ShopifyConnector
from weathervane_resources.platform import Platform
from weathervane_resources.settings import ConfigurationError
from weathervane_resources.tenants import load_tenants

HOURLY = [one for one in build_schedules()[1] if one.name != "freshness_schedule"]
DAY = datetime(2026, 1, 8, tzinfo=UTC)
HOURS = {f"{one.name}_schedule": one.hour for one in ROUTINES} | {
    "normals_schedule": NORMALS_HOUR, "new_cells_schedule": NEW_CELLS_HOUR, "dq_report_schedule": DQ_REPORT_HOUR
}  # fmt: skip


def pause(folder: Path, tenant: str, *, paused: bool = True) -> None:
    file = folder / "tenants.toml"
    text = file.read_text().replace("paused = true\n", "")
    line = f"[tenants.{tenant}]\n"
    file.write_text(text.replace(line, f"{line}paused = true\n") if paused else text)


def platform() -> Platform:
    return Platform(threshold_names=sorted(OVERRIDABLE))


def asked(instance: dg.DagsterInstance, schedule: dg.ScheduleDefinition) -> tuple[set[str], set[str]]:
    """Return the tenants that start runs when their clocks strike on January 8, and what was said where none did."""
    started, said = set(), set()
    for zone in ("America/New_York", "Pacific/Auckland"):
        at = datetime(2026, 1, 8, HOURS[schedule.name], tzinfo=ZoneInfo(zone)).astimezone(UTC)
        with dg.build_schedule_context(
            instance, scheduled_execution_time=at, resources={"platform": platform()}
        ) as context:
            result = schedule(context)
        if isinstance(result, dg.SkipReason):
            said.add(str(result.skip_message))
        else:
            started |= {request.tags["weathervane/tenant"] for request in result}
    return started, said


@pytest.mark.parametrize("schedule", HOURLY, ids=lambda one: one.name)
def test_no_schedule_starts_a_run_for_a_paused_tenant(
    installation: Installation,
    daemon: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    schedule: dg.ScheduleDefinition,
) -> None:
    """A brand between two agencies had its nights fail for a month, each with a page."""
    monkeypatch.setattr(schedules, "years_without_normals", lambda *_: [DAY.year])
    assert asked(daemon, schedule)[0] == {"acme", "kiwi"}
    pause(installation.folder, "kiwi")
    started, said = asked(daemon, schedule)
    assert started == {"acme"}
    file = installation.folder / "tenants.toml"
    file.write_text(file.read_text().replace("[tenants.acme]\n", "[tenants.acme]\npaused = true\n"))
    started, said = asked(daemon, schedule)
    assert started == set()
    assert said
    assert all(text.endswith("; paused: acme, kiwi") for text in said)


def test_change_sensors_leave_it_out_and_keep_its_cursor(
    installation: Installation, daemon: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What changed in the pause must still be found after it, so its position stays."""

    def tick(cursor: str | None) -> dg.SensorResult:
        with dg.build_sensor_context(
            daemon,
            cursor=cursor,
            resources={"platform": platform(), "clock": Clock(fixed=NOW), "shopify": ShopifyConnector()},
        ) as context:
            result = changed_orders(context)
        assert isinstance(result, dg.SensorResult)
        return result

    assert "none was asked: " in str(tick(None).skip_reason), "it said that nothing had changed of 0 tenants"
    monkeypatch.setenv("WEATHERVANE_STUB_CHANGES", "true")
    first = tick(None)
    assert "of 2 tenants" in str(first.skip_reason)
    pause(installation.folder, "kiwi")
    second = tick(first.cursor)
    assert "of 1 tenants; paused: kiwi'" in str(second.skip_reason)
    assert read_cursor(second.cursor)["kiwi"] == read_cursor(first.cursor)["kiwi"]


def test_a_backfill_by_hand_works_and_freshness_does_not_judge_it(installation: Installation) -> None:
    """A pause is of what happens by itself."""
    pause(installation.folder, "kiwi")
    outcome = installation.backfill("kiwi", date(2026, 11, 19), date(2026, 11, 19), "promos")
    assert outcome.partitions == {"promos": 1}
    defs = build_defs(os.environ, {"clock": Clock(fixed=NOW)})
    result = defs.resolve_job_def(FRESHNESS).execute_in_process(instance=installation.instance)
    found = {one.asset_key.path[-1]: one for one in result.get_asset_check_evaluations()}
    assert found["orders"].metadata["tenant"].value == "acme"
    assert set(found["orders"].metadata["by_tenant"].value) == {"acme"}  # type: ignore[arg-type]


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with webhook() as running:
        yield running


def test_nobody_is_told_until_it_goes_on(installation: Installation, hook: Webhook) -> None:
    """A page about a shop that is closed for the season is how people learn to ignore pages."""
    pause(installation.folder, "kiwi")
    with running_watchtower(installation.folder, hook) as tower:
        day = tower.now.date().isoformat()

        def tick(after: timedelta = timedelta()) -> None:
            tower.now += after
            alerter, _ = open_alerter(tower.instance, platform())
            Alerter(
                tower.instance, alerter.store, tower.targets, alerter.names, alerter.ui_url, paused=alerter.paused
            ).tick(tower.now)

        tick()
        for tenant in ("acme", "kiwi"):
            tower.judge(tenant, "orders", "row_count_drop", "critical", day)
        tick()
        assert len(hook.taken) == 1
        assert "acme" in str(hook.taken)
        assert "kiwi" not in str(hook.taken)
        tick(timedelta(days=2))
        assert "kiwi" not in str(hook.taken)
        pause(installation.folder, "kiwi", paused=False)
        tick(timedelta(minutes=1))
        assert "kiwi" in str(hook.taken)


def test_it_is_true_or_false(tmp_path: Path) -> None:
    """`paused = "no"` once paused a shop."""
    file = tmp_path / "tenants.toml"
    file.write_text('[tenants.a]\ntimezone = "UTC"\ncurrency = "USD"\npaused = "no"\n')
    with pytest.raises(ConfigurationError, match=r"\[tenants.a\] paused: is 'no'; it must be true or false"):
        load_tenants(file, frozenset(), DAY.date())
