"""`weathervane alerts`: what is open, silence, and whether messages arrive."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.checks.alerting import Watchtower, Webhook, watchtower, webhook
from weathervane_assets.cli import main

TENANTS = '[tenants.acme]\ntimezone = "UTC"\ncurrency = "USD"\n[tenants.kiwi]\ntimezone = "UTC"\ncurrency = "USD"\n'


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with webhook() as running:
        yield running


@pytest.fixture
def tower(tmp_path: Path, hook: Webhook, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watchtower]:
    (tmp_path / "tenants.toml").write_text(TENANTS)
    with watchtower(tmp_path, hook) as running:
        monkeypatch.setenv("WEATHERVANE_TENANTS", str(tmp_path / "tenants.toml"))
        monkeypatch.setenv("WEATHERVANE_STATE_URL", running.state_url)
        monkeypatch.setenv("WEATHERVANE_ALERT_URLS", hook.url)
        running.now = datetime.now(UTC)
        running.tick()
        yield running


def weathervane(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["alerts", *arguments])


def test_open_incidents_are_listed_and_silenced_by_their_id(tower: Watchtower, hook: Webhook) -> None:
    """At night one wants to know what is open and to be left alone about it, in two commands."""
    day = tower.now.date().isoformat()
    tower.judge("acme", "orders", "row_count_drop", "warning", day)
    tower.judge("kiwi", "orders", "row_count_drop", "warning", day)
    tower.tick()
    (row,) = json.loads(weathervane("list", "--tenant", "acme", "--json").output)["incidents"]
    assert (row["tenant"], row["dataset"], row["cause"], row["days"]) == ("acme", "orders", "row_count_drop", [day])
    assert weathervane("snooze", row["id"], "--for", "2d", "--reason", "known").exit_code == 0
    listed = weathervane("list").output
    assert "2 open incidents; messages: 0 waiting, 0 parked" in listed
    assert listed.count("silent until") == 1
    tower.judge("acme", "orders", "row_count_drop", "critical", day, run_id="worse")
    tower.tick()
    assert len(hook.taken) == 2


def test_a_tenant_or_one_of_its_checks_is_silenced(tower: Watchtower, hook: Webhook) -> None:
    """A shop that moves house for a week."""
    day = tower.now.date().isoformat()
    assert weathervane("snooze", "--tenant", "acme", "--check", "row_count_drop", "--for", "1w").exit_code == 0
    for check in ("row_count_drop", "contract"):
        tower.judge("acme", "orders", check, "critical", day)
    tower.tick()
    assert hook.titles == [f"[critical] acme orders: contract ({day})"]


def test_a_silence_is_listed_where_nothing_is_open(tower: Watchtower) -> None:
    """A shop was snoozed for a year by a typing error, and no command said so until something was wrong with it."""
    weathervane("snooze", "--tenant", "acme", "--check", "contract", "--for", "52w", "--reason", "moves")
    assert "snoozed: acme contract until" in weathervane("list").output
    assert "snoozed" not in weathervane("list", "--tenant", "kiwi").output
    (said,) = json.loads(weathervane("list", "--json").output)["snoozes"]
    assert (said["tenant"], said["cause"], said["reason"]) == ("acme", "contract", "moves")


def test_a_silence_is_ended_before_its_time(tower: Watchtower, hook: Webhook) -> None:
    """What was snoozed for a year by a typing error stayed silent for it."""
    day = tower.now.date().isoformat()
    weathervane("snooze", "--tenant", "acme", "--check", "contract", "--for", "52w")
    weathervane("snooze", "--tenant", "acme", "--for", "1h")
    assert "acme contract is told of again" in weathervane("wake", "--tenant", "acme", "--check", "contract").output
    (left,) = json.loads(weathervane("list", "--json").output)["snoozes"]
    assert left["cause"] is None, "the other silence stays"
    assert weathervane("wake", "--tenant", "acme").exit_code == 0
    tower.now = datetime.now(UTC)
    tower.judge("acme", "orders", "contract", "critical", day)
    tower.tick()
    assert hook.titles == [f"[critical] acme orders: contract ({day})"]
    (row,) = json.loads(weathervane("list", "--json").output)["incidents"]
    weathervane("snooze", row["id"], "--for", "2d")
    assert weathervane("wake", row["id"]).exit_code == 0
    assert "silent until" not in weathervane("list").output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("wake",), "name one INCIDENT"),
        (("wake", "abc"), "abc is not snoozed"),
        (("wake", "--tenant", "acme", "--check", "contract"), "acme contract is not snoozed"),
        (("snooze", "--for", "2d"), "name one INCIDENT"),
        (("snooze", "abc", "--tenant", "acme", "--for", "2d"), "name one INCIDENT"),
        (("snooze", "abc", "--for", "2 days"), "30m, 12h, 2d or 1w"),
        (("snooze", "abc", "--for", "2d"), "no open incident 'abc'"),
        (("snooze", "--tenant", "nobody", "--for", "2d"), "unknown tenant 'nobody'"),
        (("snooze", "--tenant", "", "--for", "2d"), "'--tenant': it is empty"),
        (("snooze", "--tenant", "acme", "--check", "row_cuont_drop", "--for", "2d"), "unknown check 'row_cuont_drop'"),
        (("list", "--tenant", "nobody"), "unknown tenant 'nobody'"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(tower: Watchtower, arguments: tuple[str, ...], said: str) -> None:
    """Silence of something that is not there is believed to be silence."""
    result = weathervane(*arguments)
    assert result.exit_code == 2
    assert said in result.output


def test_each_target_is_tried_and_one_that_fails_is_exit_code_1(
    tower: Watchtower, hook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The webhook was made a year ago; whether it still works was found out during the outage."""
    assert weathervane("test").exit_code == 0
    assert hook.titles == ["Weathervane can reach you"]
    hook.status = 500
    failed = weathervane("test")
    assert failed.exit_code == 1
    assert "failed   json://127.0.0.1" in failed.output
    hook.status = 200
    monkeypatch.setenv("WEATHERVANE_ALERT_URLS", f"{hook.url} nonsense://PLANTEDtoken")
    wrong = weathervane("test", "--tenant", "acme")
    assert wrong.exit_code == 1
    assert "WEATHERVANE_ALERT_URLS: Apprise cannot read" in wrong.output
    assert "PLANTED" not in wrong.output
    monkeypatch.delenv("WEATHERVANE_ALERT_URLS")
    assert weathervane("test").exit_code == 1
