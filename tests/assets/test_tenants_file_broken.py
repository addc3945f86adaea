"""A tenants.toml that cannot be read: no run starts, so someone has to be told."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from tests.assets.conftest import NOW, Installation
from tests.checks.alerting import Webhook, webhook
from tests.checks.alerting import watchtower as running_watchtower
from weathervane_assets.automation import build_automation
from weathervane_assets.overridable import OVERRIDABLE
from weathervane_checks.alerter import build_alert_sensor, open_alerter
from weathervane_resources.clock import Clock
from weathervane_resources.connectors import KlaviyoConnector, ShopifyConnector
from weathervane_resources.platform import Platform


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with webhook() as running:
        yield running


def test_a_tenants_file_that_cannot_be_read_is_told_once_and_its_mending_too(
    installation: Installation, hook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At six someone added a shop with `currency = "eur"`: every schedule failed from then on, and so did the alerter itself."""
    monkeypatch.setenv("WEATHERVANE_ALERT_URLS", hook.url)
    file = installation.folder / "tenants.toml"
    good = file.read_text()
    with running_watchtower(installation.folder, hook) as tower:

        def tick(text: str) -> int:
            file.write_text(text)
            tower.now += timedelta(minutes=1)
            alerter, complaints = open_alerter(tower.instance, Platform(threshold_names=sorted(OVERRIDABLE)))
            alerter.tick(tower.now)
            assert bool(complaints) == (text != good)
            return len(hook.taken)

        assert tick(good) == 0
        tower.judge("acme", "orders", "row_count_drop", "critical", tower.now.date().isoformat())
        wrong = good + '[tenants.new]\ntimezone = "UTC"\ncurrency = "eur"\n'
        assert (tick(wrong), tick(wrong)) == (1, 1)
        assert "[tenants.new] currency: is" in str(hook.taken[0])
        assert "acme" not in str(hook.taken), "whose messages these are is not known, so they wait"
        assert tick(good) == 3
        assert "is over" in str(hook.taken[1:])
        assert "acme" in str(hook.taken[1:])


_, SCHEDULES, SENSORS = build_automation(is_on=True)
AUTOMATION = [*SCHEDULES, *SENSORS, build_alert_sensor(dg.DefaultSensorStatus.RUNNING)]


@pytest.mark.parametrize("one", AUTOMATION, ids=lambda one: one.name)
def test_every_schedule_and_sensor_says_in_one_line_what_is_wrong_with_the_file(
    installation: Installation, daemon: dg.DagsterInstance, one: dg.ScheduleDefinition | dg.SensorDefinition
) -> None:
    """`deferred_runs` filled the daemon's log with a traceback a minute, and `freshness` failed a run an hour."""
    (installation.folder / "tenants.toml").write_text('[tenants.acme\ntimezone = "UTC"\n')
    said = asked(one, daemon)
    assert isinstance(said, dg.SkipReason), said
    if one.name != "alerts":  # which has it in its log, and tells people
        assert "Expected ']'" in str(said.skip_message)
        assert "\n" not in str(said.skip_message)


def asked(one: dg.ScheduleDefinition | dg.SensorDefinition, instance: dg.DagsterInstance) -> object:
    """Evaluate it as the daemon does."""
    resources: dict[str, Any] = {
        "platform": Platform(threshold_names=sorted(OVERRIDABLE)),
        "clock": Clock(fixed=NOW),
        "shopify": ShopifyConnector(),
        "klaviyo": KlaviyoConnector(),
    }
    resources = {name: resource for name, resource in resources.items() if name in one.required_resource_keys}
    if isinstance(one, dg.SensorDefinition):
        with dg.build_sensor_context(instance, resources=resources) as context:
            result: Any = one(context)
            return result.skip_reason if isinstance(result, dg.SensorResult) else result
    at = datetime(2026, 1, 8, 12, tzinfo=UTC)
    with dg.build_schedule_context(instance, scheduled_execution_time=at, resources=resources) as context:
        return one(context)
