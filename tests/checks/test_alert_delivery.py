"""Delivery: at least once, never twice under two keys, through crashes and outages."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from apprise.plugins.pagerduty import PAGERDUTY_API_LOOKUP

from tests.checks.alerting import NOW, Watchtower, Webhook, watchtower, webhook
from weathervane_assets.doctor import _alerting as doctor_on_alerts
from weathervane_checks.alert_routing import configured_targets, route
from weathervane_checks.alert_text import clean
from weathervane_resources.alert_outbox import MOST_SENDS, MOST_TRIES
from weathervane_resources.alert_records import Notice
from weathervane_resources.notifier import Target, deliver, open_target
from weathervane_resources.settings import ConfigurationError, read_settings
from weathervane_resources.state import open_state
from weathervane_resources.state_tables import alert_outbox
from weathervane_resources.tenants import load_tenants

DAY = "2026-11-19"
TENANTS = """
[tenants.acme]
timezone = "UTC"
currency = "USD"
alert_urls = ["json://127.0.0.1:1/acme"]
alert_severity = "critical"

[tenants.kiwi]
timezone = "UTC"
currency = "USD"
alert_urls = ["json://127.0.0.1:1/kiwi", "nonsense://x/PLANTEDsecret"]
"""


def judge_many(tower: Watchtower, number: int) -> None:
    tower.names = {}
    for n in range(number):
        tower.judge(f"t{n // 4}", "orders", f"check_{n % 4}", "critical", DAY, run_id=f"r{n // 50}")


def pending(tower: Watchtower) -> list[sa.Row[tuple[object, ...]]]:
    with open_state(tower.state_url).begin() as connection:
        return list(connection.execute(sa.select(alert_outbox).where(alert_outbox.c.sent_at.is_(None))))


def test_a_receiver_that_is_down_for_an_hour_gets_everything_afterwards(tmp_path: Path, hook: Webhook) -> None:
    """The chat was down while the shop was; Dagster's own sensors lose such a message for ever."""
    with watchtower(tmp_path, hook) as tower:
        tower.tick()
        judge_many(tower, 60)
        hook.status = 503
        for _ in range(60):
            tower.tick(after=timedelta(minutes=1))
        assert hook.taken == []
        assert hook.refused >= 5
        hook.status = 200
        for _ in range(3):
            tower.tick(after=timedelta(minutes=5))
        keys = [key for key, _, _ in hook.taken]
        assert len(keys) == len(set(keys)) == 60
        assert not pending(tower)


def test_a_dead_target_holds_up_no_other(tmp_path: Path, hook: Webhook) -> None:
    """The oldest fifty rows were all of the dead one, and the living one starved behind them."""
    with webhook() as dead, watchtower(tmp_path, dead, hook) as tower:
        dead.status = 500
        tower.tick()
        judge_many(tower, MOST_SENDS + 10)
        for _ in range(4):
            tower.tick(after=timedelta(seconds=30))
        assert len(hook.taken) == MOST_SENDS + 10
        assert dead.refused == 4


def test_what_waits_for_tenants_targets_holds_up_no_word_of_a_file_that_cannot_be_read(
    tmp_path: Path, hook: Webhook
) -> None:
    """Each of 60 clients had its own channel and a message to it when tenants.toml got a slip: their rows were the 50 that a
    tick looks at, none of whose targets was known any more, and nobody heard why no run started."""
    with watchtower(tmp_path, hook) as tower:
        tower.tick()
        ours = tower.targets
        tower.names, tower.targets = {}, []
        for n in range(MOST_SENDS + 10):
            tower.targets.append(open_target(f"json://127.0.0.1:1/t{n}", min_severity="warning", tenant=f"t{n}"))
            tower.judge(f"t{n}", "orders", "row_count_drop", "critical", DAY, run_id="night")
        tower.tick()
        assert len(pending(tower)) == MOST_SENDS + 10
        tower.targets, tower.misconfigured = ours, "tenants.toml: Expected ']'"
        tower.tick(after=timedelta(hours=2))
        assert hook.titles == ["[critical] this installation tenants.toml: configuration_wrong"]
        assert len(pending(tower)) == MOST_SENDS + 10, "whose these are is known again once the file is mended"


def test_a_receiver_that_refuses_for_ever_is_parked_and_the_others_are_told(tmp_path: Path, hook: Webhook) -> None:
    """A channel that was deleted swallowed a month of alerts, and nobody knew."""
    with webhook() as gone, watchtower(tmp_path, gone, hook) as tower:
        gone.status = 400
        tower.tick()
        judge_many(tower, 1)
        for _ in range(MOST_TRIES + 1):
            tower.tick(after=timedelta(hours=1))
        assert gone.refused == MOST_TRIES
        (about,) = [title for title in hook.titles if "target_unreachable" in title]
        assert about.startswith("[critical] this installation")
        assert "1 messages parked" in next(body for _, title, body in hook.taken if title == about)
        assert "finding: 1 message never arrived; try `weathervane alerts test`" in seen_by_doctor(tower)
        gone.status = 200
        judge_many(tower, 2)
        tower.tick(after=timedelta(hours=1))
        tower.tick()
        assert [t for t in hook.titles if "target_unreachable is over" in t]
        assert not [t for t in gone.titles if "target_unreachable" in t and "is over" not in t]
        assert not [line for line in seen_by_doctor(tower) if "never arrived" in line], (
            "cron's doctor was red for a month"
        )


def seen_by_doctor(tower: Watchtower) -> list[str]:
    settings = read_settings({"WEATHERVANE_STATE_URL": tower.state_url})
    return [f"{line.level}: {line.text}" for line in doctor_on_alerts(settings, [], tower.now)]


def test_a_message_that_one_receiver_cannot_take_does_not_block_those_behind_it(tmp_path: Path, hook: Webhook) -> None:
    """One campaign's name broke the webhook, and every message after it waited."""
    with watchtower(tmp_path, hook) as tower:
        tower.tick()
        hook.status = 400
        judge_many(tower, 1)
        tower.tick()
        hook.status = 200
        tower.judge("acme", "orders", "contract", "critical", DAY)
        tower.tick(after=timedelta(seconds=1))
        assert hook.titles == [f"[critical] acme orders: contract ({DAY})"]


def test_a_crash_between_sending_and_noting_sends_again_under_the_same_key(tmp_path: Path, hook: Webhook) -> None:
    """With an id by time of sending, the receiver could not tell a second incident from a second message."""
    with watchtower(tmp_path, hook) as tower:
        tower.tick()
        judge_many(tower, 1)
        tower.tick()
        with open_state(tower.state_url).begin() as connection:
            connection.execute(sa.update(alert_outbox).values(sent_at=None, due_at=NOW))
        tower.tick()
        (first, _, _), (second, _, _) = hook.taken
        assert first == second != ""


def test_a_crash_before_the_commit_reads_again(tmp_path: Path, hook: Webhook, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cursor had moved, the message had not been written: lost for ever."""
    with watchtower(tmp_path, hook) as tower:
        tower.tick()
        judge_many(tower, 2)
        with monkeypatch.context() as crash:
            crash.setattr("weathervane_resources.alert_store.Session.beat", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                tower.tick()
        assert hook.taken == []
        assert tower.tick().sent.delivered == 2


def configured(folder: Path, urls: str = "json://127.0.0.1:1/all") -> tuple[list[str], list[str]]:
    (folder / "tenants.toml").write_text(TENANTS)
    settings = read_settings({"WEATHERVANE_TENANTS": str(folder / "tenants.toml"), "WEATHERVANE_ALERT_URLS": urls})
    tenants = load_tenants(settings.tenants_file, frozenset(), settings.start_date)
    targets, complaints = configured_targets(settings, tenants.values())

    def reached(tenant: str, severity: str) -> str:
        notice = Notice("k", "alert", tenant, severity, "t", "b")  # type: ignore[arg-type]
        return " ".join(sorted(target.url.rpartition("/")[2] for target in route(notice, targets)))

    return [reached(t, s) for t in ("acme", "kiwi", "") for s in ("warning", "critical")], complaints


def test_a_tenants_messages_go_to_no_other_tenant(tmp_path: Path) -> None:
    """An agency's client read that another client's shop was down."""
    reached, _ = configured(tmp_path)
    assert reached == ["all", "acme all", "all kiwi", "all kiwi", "all", "all"]


def test_a_url_that_apprise_cannot_read_is_said_without_it(tmp_path: Path) -> None:
    """Apprise answers NOMATCH and nothing is sent: a typo in a token was found a month later."""
    _, (complaint,) = configured(tmp_path)
    assert "[tenants.kiwi] alert_urls" in complaint
    assert "'nonsense'" in complaint
    assert "PLANTED" not in complaint
    with pytest.raises(ConfigurationError, match="WEATHERVANE_ALERT_SEVERITY"):
        read_settings({"WEATHERVANE_ALERT_SEVERITY": "loud"})


def test_no_part_of_a_url_is_shown_or_logged(caplog: pytest.LogCaptureFixture, hook: Webhook) -> None:
    """A webhook's URL is a password."""
    caplog.set_level(logging.DEBUG)
    secret = f"user:PLANTEDpass@127.0.0.1:{hook.server.server_port}/PLANTEDtoken?+X-Key=PLANTEDkey"
    for status in (200, 500):
        hook.status = status
        target = open_target(f"json://{secret}")
        said = deliver(target, "t", "b", key="k", kind="alert")
        assert bool(said) == (status == 500)
        assert "PLANTED" not in f"{target!r} {target.label} {said} {caplog.text}"
    tokens = "TPLANTEDA/APLANTEDA/TIiajPLANTEDXrIdevi7FQ0"
    assert "PLANTED" not in open_target(f"slack://{tokens}/#general").label


def test_text_from_outside_is_harmless() -> None:
    """A campaign called "@channel <b>" rang the whole company."""
    text = clean("@channel <!here> <b>x</b> [y](http://z) access_token=PLANTED\u202e\nline")
    assert not set("@<>[\n\u202e") & set(text)
    assert "PLANTED" not in text
    assert len(clean("x" * 1000)) == 300


@pytest.mark.parametrize(
    "text", ["[y](http://z)", "[a[b]](http://z)", "[y]\u200b(http://z)", "[y]\n(http://z)", "[y][z]", "[y]: http://z", "![y](z)"]
)  # fmt: skip
def test_brackets_that_can_be_a_link_are_none_any_more(text: str) -> None:
    """Whatever stands between a bracket and what makes it a link, in one pass or in two, as stored notes go through it again."""
    for said in (clean(text), clean(clean(text)), clean("x" * 290 + text)):
        assert not {"[", "]"} & set(said), said


def test_a_syntax_errors_brackets_stay_what_they_are() -> None:
    """ "Expected ')' at the end of a table declaration" sends someone to look for a round bracket."""
    said = "tenants.toml: Expected ']' at the end of a table declaration (at line 3, column 5); [tenants.acme] is one"
    assert clean(said) == said


@pytest.fixture
def pagerduty(hook: Webhook, monkeypatch: pytest.MonkeyPatch) -> Target:
    """PagerDuty's address leads to the webhook of the test."""
    monkeypatch.setitem(PAGERDUTY_API_LOOKUP, "us", f"http://127.0.0.1:{hook.server.server_port}/v2/enqueue")
    return open_target("pagerduty://PLANTEDkey@apikey/shop/orders", min_severity="warning")


def test_pagerduty_has_one_incident_and_it_is_resolved(tmp_path: Path, hook: Webhook, pagerduty: Target) -> None:
    """Its own deduplication goes by the text: "still so" opened a second incident, and none was ever resolved."""
    with watchtower(tmp_path) as tower:
        tower.targets = [pagerduty]
        tower.tick()
        tower.judge("acme", "orders", "row_count_drop", "warning", DAY)
        tower.tick()
        tower.tick(after=timedelta(hours=25))
        tower.judge("acme", "orders", "row_count_drop", "ok", DAY, run_id="later")
        tower.tick()
    assert [said["event_action"] for said in hook.bodies] == ["trigger", "trigger", "resolve"]
    (key,) = {said["dedup_key"] for said in hook.bodies}
    assert f"incident: {key}" in hook.bodies[0]["payload"]["summary"]
    assert [said["payload"]["severity"] for said in hook.bodies[:2]] == ["critical", "warning"]


def test_a_storm_at_pagerduty_is_resolved_incident_by_incident(
    tmp_path: Path, hook: Webhook, pagerduty: Target
) -> None:
    """More than five at once were one message with a key of its own: what it began there was never resolved."""
    with watchtower(tmp_path) as tower:
        tower.targets = [pagerduty]
        tower.tick()
        for n in range(7):
            tower.judge("acme", "orders", f"check_{n}", "critical", DAY)
        tower.tick()
        for n in range(7):
            tower.judge("acme", "orders", f"check_{n}", "ok", DAY, run_id="mended")
        tower.tick()
    keys = {
        action: {b["dedup_key"] for b in hook.bodies if b["event_action"] == action}
        for action in ("trigger", "resolve")
    }
    assert len(keys["trigger"]) == 7
    assert keys["trigger"] == keys["resolve"]


def test_a_key_that_someone_chose_for_pagerduty_stays(hook: Webhook, pagerduty: Target) -> None:
    deliver(
        replace(pagerduty, url=f"{pagerduty.url}?dedup=mine&action=trigger"), "t", "b", key="one-alert", kind="recovery"
    )
    assert [(said["dedup_key"], said["event_action"]) for said in hook.bodies] == [("mine", "trigger")]


def test_a_digest_calls_nobody(pagerduty: Target) -> None:
    """History that was read again at night rang someone's telephone, and nothing would ever have resolved it."""
    digest = Notice("k", "digest", "acme", "critical", "t", "b")
    assert route(digest, [pagerduty]) == []
    assert route(replace(digest, kind="alert"), [pagerduty]) == [pagerduty]


def test_at_pagerduty_an_incident_that_a_greater_one_took_the_place_of_is_resolved(
    tmp_path: Path, hook: Webhook, pagerduty: Target
) -> None:
    """A chat needs no word of it; there it stood open for good, since nothing had its key any more."""
    with watchtower(tmp_path, hook) as tower:
        tower.targets = [pagerduty]
        tower.tick()
        for run_id, codes in (
            ("a", "weather_values_missing"),
            ("b", "weather_coverage_warning, weather_values_missing"),
        ):
            tower.judge("acme", "weather_daily", "coverage", "warning", DAY, alerts=codes, run_id=run_id)
            tower.tick()
    first, *later = [(said["event_action"], said["dedup_key"]) for said in hook.bodies]
    assert first[0] == "trigger"
    assert sorted(action for action, _ in later) == ["resolve", "trigger"]
    assert [key for action, key in later if action == "resolve"] == [first[1]]
