"""What another project in the same Dagster, or a damaged log, has in it: it keeps back nothing of ours."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa

from tests.checks.alerting import Watchtower, Webhook, run_named, watchtower
from weathervane_checks.alert_evaluations import are_old
from weathervane_checks.alert_events import read_by_runs
from weathervane_resources.alert_store import AlertStore
from weathervane_resources.state import open_state
from weathervane_resources.state_tables import alert_days

DAY = "2026-11-19"
OURS = f"[critical] acme orders: row_count_drop ({DAY})"
FAR = "x" * 300


def by(**dimensions: dg.PartitionsDefinition[str]) -> dg.MultiPartitionsDefinition:
    return dg.MultiPartitionsDefinition(dimensions)


@dg.asset(partitions_def=by(region=dg.StaticPartitionsDefinition(["eu"]), stage=dg.StaticPartitionsDefinition(["raw"])))
def sales() -> None: ...


@dg.asset(
    partitions_def=by(
        kind=dg.StaticPartitionsDefinition(["wednesdays"]), month=dg.MonthlyPartitionsDefinition("2026-01-01")
    )
)
def visits() -> None:
    raise dg.Failure("of no concern to us", allow_retries=False)


FOREIGN = [(sales, {"region": "eu", "stage": "raw"}), (visits, {"kind": "wednesdays", "month": "2026-10-01"})]


@pytest.fixture
def watch(tmp_path: Path, hook: Webhook) -> Iterator[Watchtower]:
    """An alerter in today's time, which is what runs that are executed have."""
    with watchtower(tmp_path, hook) as tower:
        tower.now = datetime.now(UTC)
        tower.tick()
        yield tower


@pytest.mark.parametrize(("asset", "key"), FOREIGN, ids=["a run that succeeds", "a run that fails"])
def test_a_run_of_another_project_ends_no_alerting(
    watch: Watchtower, hook: Webhook, asset: dg.AssetsDefinition, key: dict[str, str]
) -> None:
    """One partition `eu|raw` of an analyst's project: every tick from then on died at that event."""
    dg.materialize([asset], instance=watch.instance, partition_key=dg.MultiPartitionKey(key), raise_on_error=False)
    watch.judge("acme", "orders", "row_count_drop", "critical", DAY)
    ticked = watch.tick(after=timedelta(minutes=5))
    assert (hook.titles, ticked.unread) == ([OURS], ())


@pytest.mark.parametrize("said", [{"by_tenant": {"acme": 3}}, {"by_tenant": 3}, {"severity": "ok", "window": "a/b"}])
def test_a_check_of_another_project_may_say_what_it_likes(
    watch: Watchtower, hook: Webhook, said: dict[str, Any]
) -> None:
    """Its metadata has a name that ours has too, and something else in it."""
    watch.judge(
        "acme", "theirs", "theirs", "ok", None, run_id="theirs", **{k: v for k, v in said.items() if k != "severity"}
    )
    watch.judge("acme", "orders", "row_count_drop", "critical", DAY)
    ticked = watch.tick(after=timedelta(minutes=1))
    assert OURS in hook.titles
    assert [line.partition(":")[0].partition(", run")[0] for line in ticked.unread] == [
        "event 1, ASSET_CHECK_EVALUATION of theirs theirs" for _ in ticked.unread
    ]
    assert bool(ticked.unread) == ("by_tenant" in said)


def test_names_of_another_project_that_are_too_long_for_our_tables_are_cut(watch: Watchtower) -> None:
    """PostgreSQL takes no more than a column's length: the tick died of a name, and nothing of ours was stored with it."""
    watch.judge(FAR, FAR, FAR, "critical", DAY)
    watch.judge("acme", FAR, "theirs", "critical", FAR)
    assert watch.tick(after=timedelta(minutes=1)).unread == ()
    with AlertStore(open_state(watch.state_url)).session() as session:
        for row in session.connection.execute(sa.select(alert_days)).mappings():
            assert not [
                c.name for c in alert_days.c if isinstance(row[c.name], str) and len(row[c.name]) > c.type.length
            ]


def test_a_text_as_long_as_a_day_is_none() -> None:
    """A partition `wednesdays|eu` has ten letters before the bar."""
    assert not are_old(("wednesdays",), datetime(2026, 11, 20, tzinfo=UTC))


def tear(instance: dg.DagsterInstance, event_id: int) -> None:
    with instance.event_log_storage.index_connection() as connection:  # type: ignore[attr-defined]
        connection.execute(sa.text("UPDATE event_logs SET event = 'torn' WHERE id = :id"), {"id": event_id})


def test_by_the_public_way_too_a_run_that_cannot_be_read_is_passed_over(watch: Watchtower) -> None:
    """Dagster says of one torn row that all of the run's are invalid."""
    watch.judge("acme", "orders", "row_count_drop", "critical", DAY)
    watch.instance.report_dagster_event(dg.DagsterEvent("PIPELINE_SUCCESS", "j"), run_id=run_named("run"))
    tear(watch.instance, 1)
    batch = read_by_runs(watch.instance, 0, set(), watch.now)
    assert [line.partition(": ")[2][:28] for line in batch.unread] == ["DagsterEventLogInvalidForRun"]
    assert (batch.cursor, batch.event_ids) == (2, frozenset({2}))


def test_an_event_that_cannot_be_read_is_passed_over_and_told(watch: Watchtower, hook: Webhook) -> None:
    """A power cut had torn one row of the log. What is passed over may be an alert, so someone has to look."""
    for day in ("2026-11-18", DAY):
        watch.judge("acme", "orders", "row_count_drop", "critical", day)
    tear(watch.instance, 1)
    ticked = watch.tick(after=timedelta(minutes=1))
    assert ticked.unread == (
        "event 1, ASSET_CHECK_EVALUATION: JSONDecodeError: Expecting value: line 1 column 1 (char 0)",
    )
    assert str(ticked).endswith("1 event passed over")
    assert hook.titles == [OURS, "[warning] this installation alerts: event_unreadable"]
    assert f"what: {ticked.unread[0]}" in hook.taken[1][2]
    assert [
        (t.events, t.notices) for t in (watch.tick(after=timedelta(hours=12)), watch.tick(after=timedelta(hours=11)))
    ] == [(0, 0)] * 2
    watch.judge("acme", "orders", "row_count_drop", "ok", DAY, run_id="next")
    watch.tick(after=timedelta(hours=2))
    assert "[ok] this installation alerts: event_unreadable is over" in hook.titles
