"""The sensor daemon is killed between a run's request and the cursor: nothing is lost, nothing is done twice."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._grpc.server import GrpcServerProcess

from tests.assets.conftest import Installation, write_environment
from tests.assets.test_changes import QUIET, order_of, refund
from weathervane_assets.partitions import RANGE_END, RANGE_START, TENANT_PARTITIONS
from weathervane_resources.clock import system_now
from weathervane_resources.sandbox import RunningSandbox, SandboxConfig

ROOT = Path(__file__).parents[2]
REFUNDED = datetime.now(tz=UTC).date() - timedelta(days=40)
RESUMED, FORGOTTEN = timedelta(minutes=20), timedelta(hours=25)
"""Within a day Dagster resumes the tick that was killed; after that it evaluates anew, from the old cursor."""
pytestmark = pytest.mark.slow


@dataclass
class House:
    """A shop, and a code server that several daemons talk to, each with an instance of its own."""

    here: Installation
    socket: str


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("killed")
    with (
        RunningSandbox(SandboxConfig(tenants=QUIET)) as sandbox,
        pytest.MonkeyPatch.context() as patch,
        dg.DagsterInstance.ephemeral() as unused,
    ):
        write_environment(patch, folder, sandbox.url)
        patch.setenv("WEATHERVANE_STUB_CHANGES", "true")
        (folder / "dagster").mkdir()
        origin = LoadableTargetOrigin(executable_path=sys.executable, module_name="weathervane_assets.definitions")
        server = GrpcServerProcess(
            None, location_name="weathervane", loadable_target_origin=origin, wait_on_exit=True, startup_timeout=120
        )
        with server:
            yield House(Installation(folder, unused, sandbox), str(server.socket))


@dataclass
class Daemon:
    """One that is started, looks once and ends, or is killed."""

    house: House
    home: Path
    now: datetime

    def look(self, after: timedelta, killed_at: str = "") -> int:
        self.now += after
        command = [sys.executable, "-m", "tests.assets.sensor_daemon", str(self.home), self.house.socket]
        arguments = ["changed_orders", self.now.isoformat(), killed_at]
        return subprocess.run([*command, *arguments], cwd=ROOT, check=False).returncode

    def runs(self, instance: dg.DagsterInstance, day: date) -> list[dg.DagsterRun]:
        span = (f"{day}|acme", f"{day}|acme")
        return [run for run in instance.get_runs() if (run.tags.get(RANGE_START), run.tags.get(RANGE_END)) == span]

    def read_until(self, instance: dg.DagsterInstance) -> datetime:
        (state,) = (one for one in instance.all_instigator_state() if one.name == "changed_orders")
        cursor = json.loads(str(state.instigator_data.cursor))
        return datetime.fromisoformat(cursor["tenants"]["acme"]["orders"]["until"])


@pytest.mark.parametrize("restarted", [RESUMED, FORGOTTEN], ids=["resumed", "evaluated-anew"])
@pytest.mark.parametrize(
    ("point", "runs_left"),
    [("TICK_HELD", 0), ("RUN_IDS_RESERVED", 0), ("RUN_LAUNCHED", 1), ("RUN_IDS_ADDED_TO_EVALUATIONS", 1)],
)
def test_one_refund_is_one_run_wherever_the_daemon_was_killed(
    house: House,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    point: str,
    runs_left: int,
    restarted: timedelta,
) -> None:
    """A daemon killed after the request and before the cursor ran every change of that minute twice, or never."""
    ours = (ROOT / "dagster.yaml").read_text()
    of_events = "  class: LocalEventLogStorage\n"
    assert of_events in ours
    folder = f"  config: {{base_dir: {tmp_path / 'history' / 'runs'}}}\n"  # the code server has a home of its own
    (tmp_path / "dagster.yaml").write_text(ours.replace(of_events, of_events + folder))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        instance.add_dynamic_partitions(TENANT_PARTITIONS, list(QUIET))
        daemon = Daemon(house, tmp_path, system_now())
        assert daemon.look(timedelta()) == 0
        first = daemon.read_until(instance)
        assert instance.get_runs() == []
        refund(house.here, order_of(house.here, REFUNDED))
        refunded = system_now()

        assert daemon.look(RESUMED, killed_at=point) == -signal.SIGKILL
        assert daemon.read_until(instance) == first
        assert len(daemon.runs(instance, REFUNDED)) == runs_left

        assert daemon.look(restarted) == 0
        (run,) = daemon.runs(instance, REFUNDED)
        assert run.status == dg.DagsterRunStatus.QUEUED
        assert daemon.read_until(instance) >= refunded - timedelta(seconds=1)

        for _ in range(2):
            assert daemon.look(RESUMED) == 0
        assert [one.run_id for one in daemon.runs(instance, REFUNDED)] == [run.run_id]
        keys = [one.tags["dagster/run_key"] for one in instance.get_runs()]
        assert len(set(keys)) == len(keys)
