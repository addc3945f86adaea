"""Failed runs: over when the days that they were to read were read, and not when the next night reads others."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import dagster as dg
import pytest

from tests.checks.alerting import NOW, Watchtower, Webhook
from weathervane_checks.alert_runs import WILL_RETRY_TAG
from weathervane_checks.alerts import FAILED_RUN, GIVEN_UP, NOT_RUN, Due, Observation, Progress, due
from weathervane_resources.alert_records import AlertSeverity, Facts, Ledger, Subject
from weathervane_resources.partition_keys import (
    CHANGED_TAG,
    MOST_REPEATS,
    RANGE_END,
    RANGE_START,
    REPEAT_TAG,
    TENANT_TAG,
)

ORDERS = Subject("acme", "orders", FAILED_RUN)
broken: set[str] = set()
daily = dg.MultiPartitionsDefinition(
    {"date": dg.DailyPartitionsDefinition("2024-01-01"), "tenant": dg.StaticPartitionsDefinition(["acme"])}
)


@dg.asset(partitions_def=daily, backfill_policy=dg.BackfillPolicy.single_run())
def orders(context: dg.AssetExecutionContext) -> None:
    if broken & {key[:10] for key in context.partition_keys}:
        raise dg.Failure("3 of 40 rows cannot be used", allow_retries=False)


def run(tower: Watchtower, day: date, **tags: str) -> None:
    """Let a run of a day end, and the alerter read it."""
    tags |= {RANGE_START: f"{day}|acme", RANGE_END: f"{day}|acme", TENANT_TAG: "acme"}
    dg.materialize([orders], instance=tower.instance, tags=tags, raise_on_error=False)
    tower.tick(after=timedelta(minutes=20))


@pytest.fixture
def days(tower: Watchtower) -> tuple[date, date, date]:
    """An old day, and the last two; runs that are executed have the time of the machine."""
    broken.clear()
    tower.now = datetime.now(UTC)
    today = tower.now.date()
    return today - timedelta(days=20), today - timedelta(days=2), today - timedelta(days=1)


def test_a_good_night_does_not_say_that_an_old_day_was_read(
    tower: Watchtower, hook: Webhook, days: tuple[date, date, date]
) -> None:
    """A refund's run failed; the next night said that this was over, five repeats failed without a word, and that somebody must
    bring the day in stood in a sensor's log."""
    old, _, yesterday = days
    broken.add(str(old))
    run(tower, old, **{CHANGED_TAG: "orders"})
    run(tower, yesterday)
    for repeat in range(1, MOST_REPEATS):
        run(tower, old, **{CHANGED_TAG: "orders", REPEAT_TAG: str(repeat)})
    assert hook.titles == [f"[critical] acme orders: failed_run ({old})"]
    run(tower, old, **{CHANGED_TAG: "orders", REPEAT_TAG: str(MOST_REPEATS)})
    assert hook.titles[1:] == [f"[critical] acme orders: changes_not_read ({old})"]
    lines = hook.taken[1][2].splitlines()
    assert "what: orders of these days changed, and 6 runs for it failed, the last one now" in lines
    command = f"weathervane backfill --tenant acme --from {old} --to {old}"
    assert f"what to do: mend what the runs fail of, then: {command}" in lines
    broken.clear()
    run(tower, yesterday)
    assert len(hook.taken) == 2
    run(tower, old, **{"weathervane/backfill": "true"})
    assert sorted(hook.titles[2:]) == [
        f"[ok] acme orders: changes_not_read is over ({old})",
        f"[ok] acme orders: failed_run is over ({old})",
    ]


def test_a_night_that_fails_is_told_though_an_old_day_still_waits(
    tower: Watchtower, hook: Webhook, days: tuple[date, date, date]
) -> None:
    """It would have joined the incident of the old day, which nobody is told of again for a week."""
    old, before, yesterday = days
    broken.update(map(str, days))
    run(tower, old)
    run(tower, before)
    assert hook.titles[1:] == [f"[critical] acme orders: failed_run ({old}, {before})"]
    run(tower, yesterday)
    assert len(hook.taken) == 2, "the second night is the same matter"
    broken.clear()
    for day in (before, yesterday):
        run(tower, day)
    assert len(hook.taken) == 2, "the old day still waits"
    run(tower, old)
    assert hook.titles[2:] == [f"[ok] acme orders: failed_run is over ({old}, {before}, {yesterday})"]


def test_only_a_failure_of_a_credential_speaks_of_one(tower: Watchtower, hook: Webhook) -> None:
    """An asset that was started without a partition, of no tenant: "a dead token needs the account to be connected again"."""
    tower.judge("", "orders", FAILED_RUN, "critical", None, description="Cannot access partition_key")
    tower.tick()
    ((_, _, body),) = hook.taken
    assert "token" not in body
    assert "likely cause: " in body


@dataclass
class Nights:
    """Runs without Dagster: each ends with an event of its own."""

    ledger: Ledger = field(default_factory=Ledger)
    event_id: int = 0

    def end(
        self,
        severity: AlertSeverity,
        first: int,
        last: int,
        subject: Subject = ORDERS,
        backfill: str = "",
        *,
        is_routine: bool = True,
        is_again: bool = False,
    ) -> list[str]:
        """Let a run of some days of November end, or read the last end once more; return what is said."""
        self.event_id += not is_again
        days = tuple(f"2026-11-{day:02}" for day in range(first, last + 1))
        progress = Progress(self.ledger, NOW)
        facts = Facts(run_id=str(self.event_id))
        progress.take([Observation(subject, severity, days, self.event_id, facts, backfill, is_routine)])
        return [f"{one.kind} {one.incident.subject.cause}{_bad(one)}" for one in due(progress) if not one.is_quiet]


def _bad(one: Due) -> str:
    return "".join(f" {day[-2:]}" for _, day, severity in one.lines if severity != "ok")


def test_a_window_that_has_moved_on_ends_its_failure() -> None:
    """Ads of 33 days are read again each night: the first day of the window that failed is in no later one."""
    nights = Nights()
    assert nights.end("critical", 1, 14) == ["alert failed_run" + "".join(f" {n:02}" for n in range(1, 15))]
    assert nights.end("critical", 2, 15) == []
    assert nights.end("ok", 3, 16) == ["recovery failed_run 01 02"], "and says which days were not read"


def test_a_part_of_the_days_that_failed_is_not_the_end_of_the_rest() -> None:
    """One day of three was read by hand."""
    nights = Nights()
    nights.end("critical", 8, 10)
    assert nights.end("ok", 9, 10) == []
    assert nights.end("ok", 1, 7) == []
    assert nights.end("ok", 27, 27) == []
    assert nights.end("ok", 8, 8) == ["recovery failed_run"]


def test_a_window_ends_what_it_read_and_no_other_runs_day() -> None:
    """A refund's day waits while the restatement of the last days fails and comes through again."""
    nights = Nights()
    nights.end("critical", 1, 1)
    assert nights.end("critical", 14, 16) == ["alert failed_run 01 14 15 16"]
    assert nights.end("ok", 15, 17) == []
    assert nights.end("ok", 1, 1) == ["recovery failed_run"]


def test_a_day_that_fails_after_its_incident_was_over_is_told() -> None:
    """What was left behind by the window is read again after a refund, and fails."""
    nights = Nights()
    nights.end("critical", 1, 14)
    assert nights.end("ok", 2, 15) == ["recovery failed_run 01"]
    assert nights.end("critical", 1, 1) == ["alert failed_run 01"]


def test_only_a_window_that_moves_leaves_days_behind() -> None:
    """A refund's run of days 3 to 5 said that the failure of 1 to 3 was over, and nobody read 1 and 2 again."""
    nights = Nights()
    nights.end("critical", 1, 3, is_routine=False)
    assert nights.end("ok", 3, 5, is_routine=False) == []
    assert nights.end("ok", 1, 2, is_routine=False) == ["recovery failed_run"]


def test_what_was_given_up_is_over_when_each_of_its_days_was_read() -> None:
    """No run asks for them: a restatement that begins among them is none of theirs."""
    nights, given_up = Nights(), Subject("acme", "orders", GIVEN_UP)
    nights.end("critical", 1, 3, given_up, is_routine=False)
    assert nights.end("ok", 3, 16, given_up) == []
    assert nights.end("ok", 1, 2, given_up) == ["recovery changes_not_read"]


def test_an_outage_with_many_changed_days_is_told_once() -> None:
    """Each day that changed is a run of its own; five of them failed, and five people were called."""
    nights = Nights()
    said = [nights.end("critical", day, day, is_routine=False) for day in (1, 4, 8, 12, 20)]
    assert said == [["alert failed_run 01"], [], [], [], []]


def test_an_end_that_is_read_once_more_opens_nothing_again() -> None:
    """The newest run was deleted in the UI, what had ended before it was read again, and what was long over was open for good."""
    nights = Nights()
    nights.end("critical", 1, 4)
    assert nights.end("ok", 2, 5) == ["recovery failed_run 01"]
    nights.event_id -= 1
    assert nights.end("critical", 1, 4, is_again=True) == []


def test_an_old_day_that_was_not_read_explains_nothing_that_is_late_today() -> None:
    """An old day whose orders cannot be read may stay open for weeks; in all of them nothing would have been called late."""
    nights = Nights()
    nights.end("critical", 1, 1)
    late = [Subject("acme", "orders", "freshness"), Subject("acme", "features", NOT_RUN)]
    assert [said for one in late for said in nights.end("critical", 20, 20, one)] == [
        "alert freshness 20", "alert check_did_not_run 20"
    ]  # fmt: skip
    tonight = Nights()
    tonight.end("critical", 20, 20)
    assert [tonight.end("critical", 20, 20, one) for one in late] == [[], []]


def test_normals_that_failed_explain_the_days_of_their_year() -> None:
    """The label of normals is a year."""
    nights = Nights()
    progress = Progress(nights.ledger, NOW)
    progress.take([Observation(Subject("acme", "climatology", FAILED_RUN), "critical", ("2026",), 1)])
    said = nights.end("critical", 20, 20, Subject("acme", "features", "freshness"))
    assert said == ["alert failed_run 26"], "of the normals alone, whose label ends so"


def test_a_failure_that_waits_for_its_retry_does_not_open_what_another_run_has_mended(
    tower: Watchtower, hook: Webhook, days: tuple[date, date, date]
) -> None:
    """The failure was told after the good run that came after it: critical, of days that were read, until the next night."""
    yesterday = days[-1]
    tags = {RANGE_START: f"{yesterday}|acme", RANGE_END: f"{yesterday}|acme", TENANT_TAG: "acme"}
    for is_broken in (True, False):
        broken.clear()
        broken.update([str(yesterday)] * is_broken)
        announced = {WILL_RETRY_TAG: "true"} if is_broken else {}
        dg.materialize([orders], instance=tower.instance, tags={**tags, **announced}, raise_on_error=False)
        tower.tick(after=timedelta(seconds=20))
    assert hook.titles == []
    tower.tick(after=timedelta(minutes=10))
    assert [title.partition("]")[0] for title in hook.titles] == ["[critical", "[ok"]
