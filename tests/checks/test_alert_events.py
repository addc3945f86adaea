"""What is read from Dagster's event log: a contract, since the fast way to it is not public API; and what a run's end says."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from tests.checks.alerting import Webhook, watchtower
from weathervane_checks.alert_events import Batch, read_by_runs, read_events, read_index
from weathervane_checks.alert_runs import stuck_runs
from weathervane_checks.alerts import Observation
from weathervane_resources.alert_store import AlertStore
from weathervane_resources.failures import DEFERRED_TAG, WAITING, as_failure
from weathervane_resources.http.errors import AuthDead
from weathervane_resources.state import open_state

CURE = (
    "someone who manages the shop opens the app once more to allow it; then set WEATHERVANE_ACME_SHOPIFY_ACCESS_TOKEN"
)
REFUSED = f"GET https://shop.example/admin: (API) Invalid API key or access token {'(unrecognized login) ' * 30}"
Read = Callable[[dg.DagsterInstance, int | None, set[int], datetime], Batch]
broken: set[str] = set()
daily = dg.MultiPartitionsDefinition(
    {"date": dg.DailyPartitionsDefinition("2026-11-01"), "tenant": dg.StaticPartitionsDefinition(["acme"])}
)
RANGE = {
    "dagster/asset_partition_range_start": "2026-11-17|acme",
    "dagster/asset_partition_range_end": "2026-11-19|acme",
}


@dg.asset(partitions_def=daily, backfill_policy=dg.BackfillPolicy.single_run())
def orders() -> None:
    if "asset" in broken:
        raise dg.Failure("shop refused access_token=PLANTED", allow_retries=False)
    if "credential" in broken:
        with as_failure(CURE):
            raise AuthDead(REFUSED, vendor="shopify", tenant="acme", window="2026-11-17..2026-11-19", status=401)


@dg.asset(partitions_def=daily, backfill_policy=dg.BackfillPolicy.single_run(), deps=[orders])
def features() -> None: ...


@dg.multi_asset_check(
    specs=[dg.AssetCheckSpec("contract", asset="orders", blocking=True), dg.AssetCheckSpec("other", asset="orders")],
    name="orders_checks",
    can_subset=True,
)
def orders_checks(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult | dg.AssetCheckEvaluation]:
    if "check" in broken:
        raise ValueError("a bug in the check")
    passed = "contract" not in broken
    for key in sorted(context.op_execution_context.partition_keys):
        yield dg.AssetCheckEvaluation(
            asset_key=orders.key, check_name="contract", passed=passed, partition=key, blocking=True,
            severity=dg.AssetCheckSeverity.ERROR, metadata={"tenant": "acme", "severity": "ok" if passed else "critical"},
        )  # fmt: skip
    yield dg.AssetCheckResult(passed=passed, asset_key=orders.key, check_name="contract")
    yield dg.AssetCheckResult(passed=True, asset_key=orders.key, check_name="other")


DEFS = dg.Definitions([orders, features], asset_checks=[orders_checks], executor=dg.in_process_executor)


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    """On disk: the storage that people have, with its run shards and its index."""
    with dg.DagsterInstance.local_temp(str(tmp_path_factory.mktemp("dagster"))) as instance:
        yield instance


@pytest.fixture
def cursor(instance: dg.DagsterInstance) -> tuple[int, set[int]]:
    broken.clear()
    seen: set[int] = set()
    batch = read_events(instance, None, seen, datetime.now(UTC))
    return batch.cursor, set(range(batch.cursor + 1))


def run(instance: dg.DagsterInstance, **tags: str) -> str:
    job = DEFS.resolve_implicit_global_asset_job_def()
    return job.execute_in_process(instance=instance, tags={**RANGE, **tags}, raise_on_error=False).run_id


def read(instance: dg.DagsterInstance, cursor: tuple[int, set[int]], how: Read = read_index) -> Batch:
    return how(instance, *cursor, datetime.now(UTC) + timedelta(minutes=1))


def wrong(batch: Batch) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(o.subject.dataset, o.subject.cause, o.days) for o in batch.observations if o.severity != "ok"]


def of_checks(batch: Batch) -> list[Observation]:
    return [o for o in batch.observations if o.subject.cause in ("contract", "other")]


def test_the_index_holds_every_check_evaluation_under_ids_that_grow(
    instance: dg.DagsterInstance, cursor: tuple[int, set[int]]
) -> None:
    """The contract with Dagster's storage: mirrored there, in order, with partition, metadata and run id."""
    run_ids = [run(instance), run(instance)]
    batch = read(instance, cursor)
    found = of_checks(batch)
    assert [o.event_id for o in found] == sorted(o.event_id for o in found)
    assert min(o.event_id for o in found) > cursor[0]
    days = ("2026-11-17", "2026-11-18", "2026-11-19")
    for run_id in run_ids:
        mine = [o for o in found if o.facts.run_id == run_id]
        assert [o.days for o in mine if o.subject.cause == "contract"] == [(day,) for day in days]
        assert len([o for o in mine if o.subject.cause == "other"]) == 1
    again = read_index(instance, batch.cursor, cursor[1] | batch.event_ids, datetime.now(UTC))
    assert (again.observations, again.event_ids, again.cursor) == ([], frozenset(), batch.cursor)


def test_the_public_way_says_the_same(instance: dg.DagsterInstance, cursor: tuple[int, set[int]]) -> None:
    """Should a new Dagster close the index, alerts come at the end of a run instead of not at all."""
    broken.add("contract")
    run(instance)
    fast, slow = read(instance, cursor), read(instance, cursor, read_by_runs)
    assert sorted(wrong(fast)) == sorted(wrong(slow)) != []
    assert len(of_checks(fast)) == len(of_checks(slow))
    again = read_by_runs(instance, slow.cursor, cursor[1] | slow.event_ids, datetime.now(UTC))
    assert again.observations == []


def test_a_blocking_check_that_fails_is_one_thing_and_not_two(
    instance: dg.DagsterInstance, cursor: tuple[int, set[int]]
) -> None:
    """Its evaluation and the failed run were told as two incidents."""
    broken.add("contract")
    run(instance)
    found = wrong(read(instance, cursor))
    assert {(dataset, cause) for dataset, cause, _ in found} == {("orders", "contract")}


def test_a_failed_step_is_told_with_its_reason_and_days(
    instance: dg.DagsterInstance, cursor: tuple[int, set[int]]
) -> None:
    """The run was red, and the message said "run failed"."""
    broken.add("asset")
    run(instance)
    (seen,) = [o for o in read(instance, cursor).observations if o.severity != "ok"]
    assert seen.subject == ("acme", "orders", "failed_run")
    assert seen.days == ("2026-11-17", "2026-11-18", "2026-11-19")
    assert seen.facts.note.startswith("shop refused")
    assert "PLANTED" not in seen.facts.note


def test_what_to_do_has_a_line_of_its_own_however_much_the_vendor_says(tmp_path: Path, hook: Webhook) -> None:
    """The message ended with "someone opens the app once more to allow it; t…": its next step was what was cut off."""
    broken.clear()
    broken.add("credential")
    with watchtower(tmp_path, hook) as tower:
        run(tower.instance)
        tower.now = datetime.now(UTC) + timedelta(minutes=1)
        tower.tick()
        with AlertStore(open_state(tower.state_url)).session() as session:
            ((incident, _),) = session.listed("acme")
    (body,) = [body for _, title, body in hook.taken if title.startswith("[critical] acme orders: failed_run")]
    lines = body.splitlines()
    assert f"what to do: {CURE}" in lines
    (what,) = [line for line in lines if line.startswith("what: ")]
    assert what.startswith("what: shopify for tenant acme, window 2026-11-17..2026-11-19: GET https://shop.example")
    assert what.endswith("(HTTP 401)")
    assert not [line for line in lines if line.startswith("likely cause")], "the error itself says what to do"
    assert (incident.facts.note, incident.facts.cure) == (what.removeprefix("what: "), CURE)


def test_a_run_that_is_retried_or_put_off_is_no_incident_yet(
    instance: dg.DagsterInstance, cursor: tuple[int, set[int]]
) -> None:
    """Two retries were three alerts; a run that waits for a quota was reported as failed."""
    broken.add("asset")
    run(instance, **{"dagster/auto_retry_run_id": "another"})
    run(instance, **{DEFERRED_TAG: WAITING})
    batch = read(instance, cursor)
    assert (wrong(batch), len(batch.ends)) == ([], 2)


@pytest.mark.parametrize("read_how", [read_index, read_by_runs])
def test_a_retry_that_is_announced_and_never_begins_is_a_failure(
    instance: dg.DagsterInstance, cursor: tuple[int, set[int]], read_how: Read
) -> None:
    """The run of a backfill that was over was told to nobody: Dagster called it one that it will run again, and did not."""
    broken.add("asset")
    run_id = run(instance, **{"dagster/will_retry": "true"})
    waits = read(instance, cursor, read_how)
    assert (wrong(waits), waits.ends) == ([], ())
    told = read_how(instance, waits.cursor, set(waits.event_ids) | cursor[1], datetime.now(UTC) + timedelta(minutes=6))
    assert [cause for _, cause, _ in wrong(told)] == ["failed_run"]
    instance.add_run_tags(run_id, {"dagster/auto_retry_run_id": "another"})
    begun = read(instance, (waits.cursor, set(waits.event_ids) | cursor[1]), read_how)
    assert (wrong(begun), len(begun.ends)) == ([], 1)


def test_a_check_that_crashed_is_told_though_it_left_no_evaluation(
    instance: dg.DagsterInstance, cursor: tuple[int, set[int]]
) -> None:
    """A bug in a check looked like a night without findings."""
    broken.add("check")
    run(instance)
    assert wrong(read(instance, cursor)) == [("orders", "failed_run", ("2026-11-17", "2026-11-18", "2026-11-19"))]


def test_a_planned_check_without_verdict_is_told(instance: dg.DagsterInstance, cursor: tuple[int, set[int]]) -> None:
    """A run that says success while one of its checks never spoke."""
    run_id = run(instance)
    planned = dg.DagsterEvent(
        "ASSET_CHECK_EVALUATION_PLANNED", "j", event_specific_data=_planned("features", "conservation")
    )
    instance.handle_new_event(
        dg.EventLogEntry(None, 20, "", run_id, datetime.now(UTC).timestamp(), job_name="j", dagster_event=planned)
    )
    found = read(instance, cursor)
    assert [(d, c) for d, c, _ in wrong(found)] == [("features", "check_did_not_run")]
    of_features = [o.severity for o in found.observations if o.subject[1:] == ("features", "check_did_not_run")]
    assert of_features == ["warning"], (
        "the same run must not say that all is well with it: that ends the incident at once"
    )


def _planned(asset: str, check: str) -> object:
    from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationPlanned

    return AssetCheckEvaluationPlanned(asset_key=dg.AssetKey(asset), check_name=check)


def test_a_good_run_ends_what_a_failed_one_began(instance: dg.DagsterInstance, cursor: tuple[int, set[int]]) -> None:
    """The night after was fine, and the incident stayed."""
    run(instance)
    ended = {o.subject for o in read(instance, cursor).observations if o.severity == "ok"}
    assert {
        ("acme", "orders", "failed_run"),
        ("acme", "features", "failed_run"),
        ("acme", "run", "failed_run"),
    } <= ended


def test_a_good_run_says_nothing_of_what_it_did_not_make(
    instance: dg.DagsterInstance, cursor: tuple[int, set[int]]
) -> None:
    """Meta's token was dead, the hourly job of the forecasts went well, and people were told that the failure was over."""
    job = dg.Definitions(
        [orders, features], jobs=[dg.define_asset_job("some", selection=["features"])], executor=dg.in_process_executor
    ).resolve_job_def("some")
    made = job.execute_in_process(instance=instance, tags=RANGE)
    record = instance.get_run_by_id(made.run_id)
    assert record is not None
    assert not record.asset_selection, "as a schedule's is"
    ended = {o.subject.dataset for o in read(instance, cursor).observations if o.severity == "ok"}
    assert ended == {"features", "run"}


@dg.op
def compact() -> None:
    if "op" in broken:
        raise dg.Failure("the disk is full")


@dg.job
def compaction() -> None:
    compact()


def test_a_good_run_of_a_job_without_assets_ends_its_failure(
    instance: dg.DagsterInstance, cursor: tuple[int, set[int]]
) -> None:
    """One Sunday's compaction failed, and people were reminded of it every week for good."""
    broken.add("op")
    compaction.execute_in_process(instance=instance, raise_on_error=False)
    batch = read(instance, cursor)
    assert wrong(batch) == [("compact", "failed_run", ())]
    broken.clear()
    compaction.execute_in_process(instance=instance)
    after = read(instance, (batch.cursor, cursor[1] | batch.event_ids))
    assert ("", "compact", "failed_run") in {o.subject for o in after.observations if o.severity == "ok"}


def test_a_backfills_failure_is_the_digests(instance: dg.DagsterInstance, cursor: tuple[int, set[int]]) -> None:
    """Someone who looks at the backfill in the UI needs no page."""
    broken.add("asset")
    run(instance, **{"dagster/backfill": "bf"})
    (seen,) = [o for o in read(instance, cursor).observations if o.severity != "ok"]
    assert seen.backfill == "bf"


def test_a_run_that_never_ends_is_told(tmp_path: Path) -> None:
    """Daemon and code server were killed with a run in STARTED; Dagster showed it as running for a week."""
    with dg.DagsterInstance.ephemeral() as here:
        made = here.create_run_for_job(
            DEFS.resolve_implicit_global_asset_job_def(), tags={"weathervane/tenant": "acme"}
        )
        for kind in ("PIPELINE_STARTING", "PIPELINE_START"):
            here.report_dagster_event(dg.DagsterEvent(kind, made.job_name), run_id=made.run_id)
        assert stuck_runs(here, datetime.now(UTC)) == []
        (seen,) = stuck_runs(here, datetime.now(UTC) + timedelta(hours=4))
    assert (seen.subject, seen.facts.run_id) == (("acme", "run", "stuck_run"), made.run_id)
