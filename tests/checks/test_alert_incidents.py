"""Incidents: told once, reminded of, over once; days merged; nothing flips by what comes late."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sa

from tests.checks.alerting import DAY, NOW, Watchtower, Webhook, drop, run_named, watchtower, webhook
from weathervane_assets.graph import NODES
from weathervane_checks.alerts import FAILED_RUN, UPSTREAM
from weathervane_checks.findings import Finding, Report
from weathervane_resources.alert_records import Snooze
from weathervane_resources.alert_store import AlertStore
from weathervane_resources.notifier import open_target
from weathervane_resources.state import open_state
from weathervane_resources.state_tables import alert_watch


def test_an_incident_is_told_once_reminded_of_after_a_day_and_ended_once(tower: Watchtower, hook: Webhook) -> None:
    """A message for every tick that still sees it is what makes people mute the channel."""
    drop(tower, "warning")
    assert [tower.tick(after=timedelta(hours=h)).sent.delivered for h in (0, 0, 23, 1, 1)] == [1, 0, 0, 1, 0]
    drop(tower, "ok", run_id="again")
    assert [tower.tick().sent.delivered for _ in range(2)] == [1, 0]
    assert hook.titles == [
        f"[warning] acme orders: row_count_drop ({DAY})",
        f"[warning] acme orders: row_count_drop is still so ({DAY})",
        f"[ok] acme orders: row_count_drop is over ({DAY})",
    ]


def test_the_days_of_a_range_are_one_message(tower: Watchtower, hook: Webhook) -> None:
    """Thirty days that failed for one reason rang thirty times."""
    first = date(2026, 11, 1)
    for n in range(10):
        drop(tower, "critical", (first + timedelta(days=n)).isoformat())
    tower.tick()
    assert hook.titles == ["[critical] acme orders: row_count_drop (10 days, 2026-11-01 to 2026-11-10)"]
    assert "observed: 1\nexpected: 2" in hook.taken[0][2]


def test_a_restatement_that_judges_a_known_day_again_is_no_news_and_a_worse_one_is(
    tower: Watchtower, hook: Webhook
) -> None:
    """Ads of 30 days are judged again every night: each bad day of a month alerted thirty times."""
    drop(tower, "warning")
    tower.tick()
    drop(tower, "ok", "2026-11-20", run_id="next night")
    tower.tick()
    for night in range(3):
        drop(tower, "warning", run_id=f"restatement {night}")
        tower.tick(after=timedelta(days=1))
    assert [title.partition("]")[0] for title in hook.titles] == ["[warning", "[ok"]
    drop(tower, "critical", run_id="restatement worse")
    tower.tick()
    assert hook.titles[2:] == [f"[critical] acme orders: row_count_drop ({DAY})"]


def test_what_gets_critical_is_told_again(tower: Watchtower, hook: Webhook) -> None:
    """The warning was read at noon; that nothing at all came in the night after was not said."""
    drop(tower, "warning")
    tower.tick()
    drop(tower, "critical", "2026-11-20", run_id="b")
    tower.tick()
    assert hook.titles[1:] == [f"[critical] acme orders: row_count_drop got worse ({DAY}, 2026-11-20)"]


def test_the_end_of_an_older_day_does_not_end_a_newer_one(tower: Watchtower, hook: Webhook) -> None:
    """A backfill of March turned yesterday's outage green."""
    drop(tower, "critical")
    tower.tick()
    drop(tower, "ok", "2026-11-01", run_id="b")
    tower.tick()
    assert len(hook.taken) == 1


def test_an_older_event_that_becomes_visible_late_flips_nothing(tower: Watchtower, hook: Webhook) -> None:
    """On PostgreSQL ids are given before they are committed: an old "ok" closed an incident that had just opened."""
    drop(tower, "ok", run_id="slow")
    drop(tower, "critical", run_id="fast")
    hidden = _events(tower)[0]
    _hide(tower, hidden)
    tower.tick()
    assert [title[:10] for title in hook.titles] == ["[critical]"]
    _unhide(tower, hidden)
    assert tower.tick().events == 1
    assert len(hook.taken) == 1
    drop(tower, "ok", run_id="newest")
    tower.tick()
    assert hook.titles[1].startswith("[ok]")


def _events(tower: Watchtower) -> list[int]:
    with tower.instance.event_log_storage.index_connection() as connection:  # type: ignore[attr-defined]
        query = "SELECT id FROM event_logs WHERE dagster_event_type = 'ASSET_CHECK_EVALUATION' ORDER BY id"
        return [row[0] for row in connection.execute(sa.text(query))]


def _hide(tower: Watchtower, event_id: int) -> None:
    with tower.instance.event_log_storage.index_connection() as connection:  # type: ignore[attr-defined]
        connection.execute(
            sa.text("UPDATE event_logs SET dagster_event_type = 'HIDDEN' WHERE id = :id"), {"id": event_id}
        )


def _unhide(tower: Watchtower, event_id: int) -> None:
    with tower.instance.event_log_storage.index_connection() as connection:  # type: ignore[attr-defined]
        connection.execute(
            sa.text("UPDATE event_logs SET dagster_event_type = 'ASSET_CHECK_EVALUATION' WHERE id = :id"),
            {"id": event_id},
        )


HISTORY = {"dagster/backfill": "bf-1"}


def test_a_backfill_is_one_digest_for_each_tenant_and_pages_nobody(tmp_path: Path, hook: Webhook) -> None:
    """A year that was brought in again paged for every public holiday in it."""
    with webhook() as pager, watchtower(tmp_path, hook) as tower:
        tower.targets.append(open_target(pager.url, min_severity="critical"))
        tower.tick()
        tags = {"dagster/backfill": "bf-1"}
        for day in ("2026-11-01", "2026-11-03"):
            drop(tower, "warning", day, run_id="a", tags=tags)
            tower.judge("kiwi", "orders", "contract", "warning", day, run_id="b", tags=tags)
        for run in ("a", "b"):
            tower.instance.report_run_canceled(tower.instance.get_run_by_id(run_named(run)))
        assert tower.tick().notices == 0
        tower.tick(after=timedelta(minutes=5))
        tower.tick(after=timedelta(days=2))
        assert sorted(hook.titles) == ["[warning] backfill of acme", "[warning] backfill of kiwi"]
        assert "- orders row_count_drop: warning, 2026-11-01, 2026-11-03" in "\n".join(
            body for _, _, body in hook.taken
        )
        assert pager.taken == []
        drop(
            tower,
            "critical",
            "2026-11-04",
            run_id="asked",
            tags={"dagster/backfill": "bf-2", "weathervane/alert": "true"},
            judged_as="backfill",
        )
        tower.tick()
        assert len(pager.taken) == 1


def test_a_digest_waits_for_the_backfills_runs(tower: Watchtower, hook: Webhook) -> None:
    """Three digests of one backfill are three messages about nothing new."""
    drop(tower, "warning", "2026-11-01", run_id="a", tags={"dagster/backfill": "bf-1"})
    tower.tick()
    tower.tick(after=timedelta(hours=1))
    assert hook.taken == []
    tower.instance.report_run_canceled(tower.instance.get_run_by_id(run_named("a")))
    tower.tick(after=timedelta(hours=1))
    assert len(hook.taken) == 1


def test_what_a_backfill_finds_after_its_digest_is_told_too(tower: Watchtower, hook: Webhook) -> None:
    """Failed days of a backfill were started again: their digest had the key of the first one, and was not sent."""
    for n, day in enumerate(("2026-11-01", "2026-11-02")):
        drop(tower, "warning", day, run_id=str(n), tags=HISTORY)
        tower.instance.report_run_canceled(tower.instance.get_run_by_id(run_named(str(n))))
        tower.tick(after=timedelta(hours=1))
        tower.tick(after=timedelta(minutes=5))
    assert [body.splitlines()[2] for _, _, body in hook.taken] == [
        "- orders row_count_drop: warning, 2026-11-01",
        "- orders row_count_drop: warning, 2026-11-02",
    ]


def test_a_backfill_that_finds_a_day_worse_does_not_end_its_incident(tower: Watchtower, hook: Webhook) -> None:
    """The day went to the backfill's digest, the incident had none left, and any good day of last week ended it."""
    drop(tower, "warning")
    tower.tick()
    drop(tower, "critical", run_id="b", tags=HISTORY)
    tower.instance.report_run_canceled(tower.instance.get_run_by_id(run_named("b")))
    tower.tick()
    drop(tower, "ok", "2026-11-10", run_id="restatement")
    tower.tick(after=timedelta(minutes=5))
    assert hook.titles[1:] == [f"[critical] acme orders: row_count_drop got worse ({DAY})"]


@pytest.mark.parametrize("how", ["old day", "judged as"])
def test_days_long_past_page_nobody_either(tower: Watchtower, hook: Webhook, how: str) -> None:
    """A run of old days that nobody tagged is a backfill all the same."""
    if how == "old day":
        drop(tower, "critical", "2026-10-01")
    else:
        drop(tower, "critical", judged_as="backfill")
    tower.tick()
    assert hook.taken == []
    tower.instance.report_run_canceled(tower.instance.get_run_by_id(run_named("run")))
    tower.tick(after=timedelta(minutes=5))
    assert hook.titles == ["[critical] backfill of acme"]


def test_stub_rows_are_a_state_that_someone_chose(tower: Watchtower, hook: Webhook) -> None:
    """A demo that warns of itself every night, and once more when its history was read."""
    tower.judge("acme", "orders", "live_source", "warning", DAY, alerts="stub_source")
    tower.judge("acme", "orders", "live_source", "warning", DAY, alerts="stub_source", run_id="b", tags=HISTORY)
    tower.tick()
    tower.instance.report_run_canceled(tower.instance.get_run_by_id(run_named("b")))
    tower.tick(after=timedelta(minutes=5))
    assert hook.taken == []
    tower.judge("acme", "promos", "live_source", "warning", DAY, alerts="version_sunset")
    tower.tick()
    assert hook.titles == [f"[warning] acme promos: live_source ({DAY})"]


def test_a_storm_is_one_message_for_each_tenant(tower: Watchtower, hook: Webhook) -> None:
    """The lake's disk was full: 2,000 failures at once, 2,000 messages."""
    for n in range(20):
        tower.judge("acme" if n % 2 else "kiwi", "orders", f"check_{n}", "critical", DAY)
    tower.tick()
    assert sorted(hook.titles) == ["[critical] acme: 10 incidents", "[critical] kiwi: 10 incidents"]


def test_a_message_of_many_says_what_is_wrong_with_the_worst_and_what_to_do(tower: Watchtower, hook: Webhook) -> None:
    """The most alarming message was the poorest: nine names, and neither what had happened nor where to look."""
    for n in range(10):
        severity, code = ("critical", "dataset_empty") if n == 7 else ("warning", "rows_missing")
        tower.judge("acme", "orders", f"check_{n}", severity, DAY, alerts=code)
    tower.tick()
    ((_, title, message),) = hook.taken
    assert title == "[critical] acme: 10 incidents"
    assert "the first, orders check_7:" in message
    assert "likely cause: the source answered with nothing" in message
    assert "/assets/orders?view=checks&checkDetail=check_7" in message
    for n in range(10):
        tower.judge("acme", "orders", f"check_{n}", "ok", DAY)
    tower.tick(after=timedelta(hours=1))
    assert "likely cause" not in hook.taken[-1][2]
    assert "\n- was critical orders check_7 " in hook.taken[-1][2]


def test_a_snoozed_incident_is_silent_until_it_ends_and_told_if_it_lasts(tower: Watchtower, hook: Webhook) -> None:
    """Muting a channel for a known outage hid the next one."""
    store = AlertStore(open_state(tower.state_url))
    with store.session() as session:
        session.snooze(Snooze(NOW + timedelta(hours=2), tenant="acme", cause="row_count_drop"), NOW)
    drop(tower, "critical")
    tower.judge("acme", "orders", "completeness_of_else", "critical", DAY)
    tower.tick(after=timedelta(hours=1))
    assert hook.titles == [f"[critical] acme orders: completeness_of_else ({DAY})"]
    tower.tick(after=timedelta(hours=1))
    assert hook.titles[1:] == [f"[critical] acme orders: row_count_drop ({DAY})"]


def test_the_digest_of_a_tenant_that_is_silent_waits_for_the_end_of_it(tower: Watchtower, hook: Webhook) -> None:
    """A brand was snoozed for the week in which its history was brought in anew; a message came with every backfill."""
    with AlertStore(open_state(tower.state_url)).session() as session:
        session.snooze(Snooze(NOW + timedelta(hours=2), tenant="acme"), NOW)
    drop(tower, "warning", "2026-11-01", run_id="a", tags=HISTORY)
    tower.instance.report_run_canceled(tower.instance.get_run_by_id(run_named("a")))
    tower.tick()
    tower.tick(after=timedelta(hours=1))
    assert hook.titles == []
    tower.tick(after=timedelta(hours=1))
    assert hook.titles == ["[warning] backfill of acme"]


def test_nobody_is_reminded_of_a_tenant_that_left(tower: Watchtower, hook: Webhook) -> None:
    """A customer was taken out of tenants.toml with an incident open; its reminder came every week for good."""
    drop(tower, "critical")
    tower.tick()
    tower.names = {"kiwi": "Kiwi"}
    for _ in range(3):
        tower.tick(after=timedelta(days=8))
    assert len(hook.taken) == 1


def test_what_follows_from_another_incident_is_not_told_beside_it(tower: Watchtower, hook: Webhook) -> None:
    """Meta's dead token was three messages: meta_ads, ads, and everything that is late because of it."""
    for dataset in ("meta_ads", "ads"):
        tower.judge("acme", dataset, "row_count_drop", "critical", DAY)
    tower.tick()
    assert hook.titles == [f"[critical] acme meta_ads: row_count_drop ({DAY})"]
    for dataset in ("meta_ads", "ads"):
        tower.judge("acme", dataset, "row_count_drop", "ok", DAY, run_id="mended")
    tower.tick()
    assert len(hook.taken) == 2


def test_what_a_mended_night_left_late_is_told_only_if_it_is_seen_again(tower: Watchtower, hook: Webhook) -> None:
    """At three the night was mended, and until the next look at freshness three datasets were told as late."""
    tower.judge("acme", "meta_ads", FAILED_RUN, "critical", DAY)
    for dataset in ("meta_ads", "features"):
        tower.judge("acme", dataset, "freshness", "warning", None, run_id="hour")
    tower.tick()
    tower.judge("acme", "meta_ads", FAILED_RUN, "ok", DAY, run_id="mended")
    tower.tick(after=timedelta(minutes=5))
    assert hook.titles == [
        f"[critical] acme meta_ads: failed_run ({DAY})",
        f"[ok] acme meta_ads: failed_run is over ({DAY})",
    ]
    tower.judge("acme", "meta_ads", "freshness", "ok", None, run_id="next hour")
    tower.judge("acme", "features", "freshness", "warning", None, run_id="next hour")
    tower.tick(after=timedelta(hours=1))
    assert hook.titles[2:] == ["[warning] acme features: freshness"]


def test_a_failed_report_does_not_silence_orders_that_stop_coming(tower: Watchtower, hook: Webhook) -> None:
    """The morning's report had crashed for a week; the nightly schedule was off, and nobody heard that orders were days late."""
    for dataset in ("tenant_report", "promos"):
        tower.judge("acme", dataset, FAILED_RUN, "critical", DAY)
    for dataset in ("orders", "promos", "features"):
        tower.judge("acme", dataset, "freshness", "critical", None, run_id="hour")
    tower.tick()
    assert [title for title in hook.titles if "freshness" in title] == ["[critical] acme orders: freshness"]


def test_what_a_dataset_is_made_from_is_what_the_graph_says() -> None:
    """An asset that was added last explained nothing, and each of its failures was three messages."""

    def upstream(name: str) -> set[str]:
        direct = {*NODES[name].reads, *NODES[name].follows}
        return direct.union(*map(upstream, direct)) if direct else set()

    assert {name: upstream(name) for name in NODES if upstream(name)} == dict(UPSTREAM)


def test_a_version_that_ends_is_told_though_the_rows_are_stubs(tower: Watchtower, hook: Webhook) -> None:
    """It joined the incident of the stub rows, which is told to nobody, and the night of the version's end was a surprise."""
    tower.judge("acme", "orders", "live_source", "warning", DAY, alerts="stub_source")
    tower.tick()
    assert hook.taken == []
    tower.judge("acme", "orders", "live_source", "warning", "2026-11-20", alerts="version_sunset", run_id="next")
    tower.tick(after=timedelta(days=1))
    assert len(hook.titles) == 1
    assert hook.titles[0].startswith("[warning] acme orders: live_source")


def test_a_lost_cursor_looks_back_a_day_and_no_further(tower: Watchtower, hook: Webhook) -> None:
    """A new state database alerted of everything that ever went wrong."""
    for n in range(5):
        tower.judge("acme", "orders", f"old_{n}", "critical", DAY, at=NOW - timedelta(days=3))
    tower.judge("acme", "orders", "new", "critical", DAY)
    with open_state(tower.state_url).begin() as connection:
        connection.execute(sa.delete(alert_watch))
    for _ in range(3):
        tower.tick()
    assert hook.titles == [f"[critical] acme orders: new ({DAY})"]


def test_a_check_that_is_still_writing_its_days_is_waited_for(tower: Watchtower, hook: Webhook) -> None:
    """A tick in the middle of a run said one day where three were wrong."""
    drop(tower, "critical", window=DAY)
    assert tower.tick().events == 0
    drop(tower, "critical", "2026-11-18", window="2026-11-18")
    tower.judge(
        "acme", "orders", "row_count_drop", "critical", None, window=f"2026-11-18/{DAY}", days_checked=2, days_not_ok=2
    )
    tower.tick()
    assert hook.titles == [f"[critical] acme orders: row_count_drop (2026-11-18, {DAY})"]
    drop(tower, "critical", "2026-11-20", run_id="died", window="2026-11-20")
    tower.tick()
    tower.tick(after=timedelta(minutes=1))
    assert tower.tick().events == 0
    with AlertStore(open_state(tower.state_url)).session() as session:
        ((_, days),) = session.listed("acme")
    assert days == ["2026-11-18", DAY, "2026-11-20"]


def test_a_long_range_ends_the_days_that_have_no_evaluation_of_their_own(tower: Watchtower, hook: Webhook) -> None:
    """In a range of more than 31 days only the bad ones are evaluated; an incident in it stayed open for ever."""
    drop(tower, "critical", "2026-11-10")
    tower.tick()
    days = [date(2026, 10, 10) + timedelta(days=n) for n in range(40)]
    report = Report(dg.AssetKey("orders"), "row_count_drop", "acme", {day: f"{day}|acme" for day in days})
    (summary,) = report.evaluations([Finding(day, "ok", 5) for day in days])
    said = {name: value.value for name, value in summary.metadata.items()}
    tower.judge(
        "acme",
        "orders",
        "row_count_drop",
        "ok",
        None,
        **{k: v for k, v in said.items() if k not in ("tenant", "severity")},
        run_id="long",
    )
    tower.tick()
    assert hook.titles[1:] == ["[ok] acme orders: row_count_drop is over (2026-11-10)"]
