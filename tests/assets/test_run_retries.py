"""Which failed runs Dagster starts again: those that may succeed by themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest
import yaml

from weathervane_resources.failures import as_failure, needs_someone
from weathervane_resources.http.errors import AuthDead, PermissionLost, Throttled, Unavailable, VersionDead
from weathervane_resources.settings import ConfigurationError
from weathervane_resources.state import StateError

ROOT = Path(__file__).parents[2]
RETRIES = {"enabled": True, "max_retries": 2}
raised: list[Callable[[], Exception]] = []


def of_vendor(kind: type[Exception]) -> Callable[[], Exception]:
    return lambda: kind("broken", vendor="shopify", tenant="acme")


@dg.asset
def orders() -> None:
    with as_failure():
        error = raised[0]()
        raise error


@dg.op
def compact() -> None:
    with as_failure():
        error = raised[0]()
        raise error


@dg.job
def compaction() -> None:
    compact()


class Refusing(dg.IOManager):
    """Refuses what an asset returns, as ours does where rows break their contract."""

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        raise needs_someone("rows break their contract; update Weathervane")

    def load_input(self, context: dg.InputContext) -> None: ...


@dg.asset(io_manager_def=Refusing())
def features() -> int:
    return 1


@pytest.fixture(scope="module")
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test(overrides={"run_retries": RETRIES}) as instance:
        yield instance


def is_retried(instance: dg.DagsterInstance, job: dg.JobDefinition) -> bool:
    run_id = job.execute_in_process(instance=instance, raise_on_error=False).run_id
    run = instance.get_run_by_id(run_id)
    assert run is not None
    assert run.status == dg.DagsterRunStatus.FAILURE
    return run.tags["dagster/will_retry"] == "true"


PERMANENT = [
    *map(of_vendor, (AuthDead, PermissionLost, VersionDead)),
    lambda: ConfigurationError("x; y"),
    lambda: StateError("x; y"),
]
PASSING = [
    *map(of_vendor, (Throttled, Unavailable)),
    lambda: StateError("x; y", is_transient=True),
    lambda: ValueError("a bug"),
]


@pytest.mark.parametrize(("error", "expected"), [*((e, False) for e in PERMANENT), *((e, True) for e in PASSING)])
def test_what_needs_a_person_is_not_run_again_and_what_may_pass_is(
    instance: dg.DagsterInstance, error: Callable[[], Exception], *, expected: bool
) -> None:
    """A refused token was three red runs, and the alert came after the third."""
    raised[:] = [error]
    assert is_retried(instance, dg.Definitions([orders]).resolve_implicit_global_asset_job_def()) == expected
    assert is_retried(instance, compaction) == expected


def test_rows_that_break_their_contract_are_not_read_again(instance: dg.DagsterInstance) -> None:
    """They are refused by what writes them, after the asset has returned."""
    assert not is_retried(instance, dg.Definitions([features]).resolve_implicit_global_asset_job_def())


def test_a_laptop_and_a_server_run_again_alike() -> None:
    """What the page on troubleshooting says holds for both."""
    files = (ROOT / "dagster.yaml", ROOT / "deploy" / "dagster.yaml")
    assert [yaml.safe_load(file.read_text())["run_retries"] for file in files] == [RETRIES, RETRIES]
