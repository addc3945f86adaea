"""What a backfill will cost is what it costs."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta

import pytest
from click.testing import CliRunner

from tests.assets.conftest import NOW, Installation
from weathervane_assets.cli import main
from weathervane_assets.console import print_weather_costs
from weathervane_assets.overridable import OVERRIDABLE
from weathervane_assets.weather_costs import Costs, HostCost, costs, days_on_free_hosts
from weathervane_assets.window import Window
from weathervane_resources.connectors import OpenMeteoConnector
from weathervane_resources.platform import Platform

FIRST, LAST = date(2026, 11, 1), date(2026, 11, 19)


def planned(first: date = FIRST, last: date = LAST) -> Costs:
    platform = Platform(threshold_names=sorted(OVERRIDABLE))
    tenant = platform.tenants()["acme"]
    days = tuple(first + timedelta(days=n) for n in range((last - first).days + 1))
    window = Window(tenant, days, datetime.fromisoformat(NOW), platform.lake())
    return costs(window, OpenMeteoConnector().access("acme", platform))


def test_the_plan_is_what_the_backfill_then_asks_for_and_nothing_is_asked_twice(installation: Installation) -> None:
    """A plan that leaves out the years of normals is off by a factor of thirty."""
    assert planned().cells == 0
    installation.backfill("acme", FIRST, LAST, "orders")
    plan = planned()
    assert plan.cells > 0
    # four years of normals, then the days from a week before on
    assert plan.hosts["archive"].weight > 4 * 365 / 14 * 0.9 * plan.hosts["archive"].points
    spent = 0
    for asset in ("climatology", "weather_daily"):
        found = installation.materializations(installation.backfill("acme", FIRST, LAST, asset), asset)
        spent += next(iter(found.values())).metadata["requests"].value
    assert spent == sum(host.requests for host in plan.hosts.values())
    assert planned().weight == 0


def test_the_command_prints_json_with_the_free_limits_and_asks_nothing(installation: Installation) -> None:
    """Ten thousand a day sounds like much, until ten years of a thousand cells take twenty days of it."""
    arguments = ["weather", "plan", "--tenant", "acme", "--from", "2026-11-01", "--to", "2026-11-19"]
    done = CliRunner().invoke(main, [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.output)
    assert found["free_limits"] == {"weight a minute": 600, "weight an hour": 5_000, "weight a day": 10_000}
    assert found["hosts"]["archive"] == {"requests": 0, "points": 0, "point_days": 0, "weight": 0}
    plain = CliRunner().invoke(main, arguments)
    assert plain.exit_code == 0
    note = "no places are known yet: the lake has no located orders for these days; bring in `orders` first"
    assert found["note"] == note, "a weight of 0 was taken for the price of the year"
    assert note in " ".join(plain.output.split())
    installation.backfill("acme", LAST, LAST, "orders")
    assert json.loads(CliRunner().invoke(main, [*arguments, "--json"]).output)["note"] is None
    assert CliRunner().invoke(main, [*arguments[:3], "nobody", *arguments[4:]]).exit_code == 2


def test_how_long_the_free_hosts_take_is_counted_request_by_request() -> None:
    """Requests are not cut at a day's end: of 1,878 each four fit into a day, and 300 places took three days longer than was said."""
    assert days_on_free_hosts([]) == 0
    assert days_on_free_hosts([10.0]) == 1
    assert days_on_free_hosts([4_000.0, 4_000.0]) == 1
    assert days_on_free_hosts([4_000.0, 4_000.0, 0.5]) == 2
    assert days_on_free_hosts([1_878.0] * 8) == 2
    assert days_on_free_hosts([1_878.0] * 9) == 3


def test_the_days_of_a_plan_leave_the_nights_their_part(capsys: pytest.CaptureFixture[str]) -> None:
    """The whole quota of a day was promised, and a fifth of it is the nights'."""
    plan = Costs("acme", "open_meteo", 80, {"archive": HostCost(11, 77, 281_281, 20_000.0)}, 3)
    assert plan.plain()["days_at_free_limit"] == 3
    assert plan.plain()["free_weight_a_day_for_backfills"] == 8_000
    print_weather_costs(plan)
    said = " ".join(capsys.readouterr().out.split())
    assert "on the free hosts (8,000 a day for the backfills of one address): 3 days" in said
