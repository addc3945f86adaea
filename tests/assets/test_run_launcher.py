"""A run whose process died with its code server is ended as failed, and its tenant's place in the queue is free again."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.test_utils import create_test_daemon_workspace_context
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import GrpcServerTarget
from dagster._daemon.monitoring.run_monitoring import execute_run_monitoring_iteration
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon
from dagster._grpc.client import DagsterGrpcClient

from tests.servers import command_lines, free_port, wait_until
from weathervane_assets.run_launcher import QUIET_AFTER_S, WatchedRunLauncher
from weathervane_resources.partition_keys import TENANT_TAG

ROOT = Path(__file__).parents[2]
LOCATION, PATIENCE_S = "sleepers", 60.0
STARTED, FAILURE, QUEUED = dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.QUEUED
until = partial(wait_until, patience_s=PATIENCE_S)


@contextmanager
def code_server(port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A code server with the job `sleep`, in a process group of its own: what kills it may kill its runs too."""
    command = [sys.executable, "-m", "dagster", "api", "grpc", "--port", str(port), "--host", "127.0.0.1"]
    target = ["--module-name", "tests.assets.sleepers", "--location-name", LOCATION]
    with subprocess.Popen(
        [*command, *target], cwd=ROOT, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as it:
        try:
            yield it
        finally:
            kill_all(it)


def kill_all(server: subprocess.Popen[bytes]) -> None:
    """Kill the server and everything it started."""
    if server.poll() is None:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait(10)


class House:
    """An instance of our dagster.yaml, the daemon's workspace, and its two loops, turned by hand."""

    def __init__(self, instance: dg.DagsterInstance, workspace: WorkspaceProcessContext) -> None:
        self.instance, self.workspace = instance, workspace
        self.queue = QueuedRunCoordinatorDaemon(interval_seconds=1)

    def submit(self) -> str:
        """Put a run of tenant acme in the queue."""
        request = self.workspace.create_request_context()
        (repository,) = request.get_code_location(LOCATION).get_repositories().values()
        job = repository.get_full_job("sleep")
        run = self.instance.create_run(
            job_name="sleep", run_id=None, run_config={}, status=dg.DagsterRunStatus.NOT_STARTED,
            tags={TENANT_TAG: "acme"}, root_run_id=None, parent_run_id=None, step_keys_to_execute=None,
            execution_plan_snapshot=None, job_snapshot=None, parent_job_snapshot=None, asset_selection=None,
            asset_check_selection=None, resolved_op_selection=None, op_selection=None,
            remote_job_origin=job.get_remote_origin(), job_code_origin=job.get_python_origin(),
            asset_graph=request.asset_graph,
        )  # fmt: skip
        return self.instance.submit_run(run.run_id, request).run_id

    def status(self, run_id: str) -> dg.DagsterRunStatus:
        return self.instance.get_run_by_id(run_id).status

    def dequeue(self) -> None:
        """Let the daemon launch what may be launched."""
        for error in self.queue.run_iteration(self.workspace):
            assert error is None, error

    def monitor(self) -> None:
        """Let the daemon look after the runs, once."""
        for error in execute_run_monitoring_iteration(self.workspace, logging.getLogger("monitor")):
            assert error is None, error


@contextmanager
def opened(home: Path, port: int, quiet_after_s: int) -> Iterator[House]:
    config = yaml.safe_load((ROOT / "dagster.yaml").read_text())
    config["run_launcher"]["config"] = {"quiet_after_seconds": quiet_after_s}
    config["run_monitoring"]["start_timeout_seconds"] = 5
    config["event_log_storage"]["config"] = {"base_dir": str(home / "history" / "runs")}
    (home / "dagster.yaml").write_text(yaml.safe_dump(config))
    target = GrpcServerTarget(host="127.0.0.1", port=port, socket=None, location_name=LOCATION)
    with (
        dg.DagsterInstance.from_config(str(home)) as instance,
        create_test_daemon_workspace_context(target, instance) as workspace,
    ):
        yield House(instance, workspace)


def test_a_run_that_died_with_its_code_server_ends_and_the_next_of_its_tenant_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine was restarted at 03:02: acme's run stood as running until 07:00, and its night had to wait behind it.

    On the way, the processes of a code server and its run are looked at: a credential in an argument is everybody's.
    """
    port = free_port()
    monkeypatch.setenv("ACME__SHOPIFY_ACCESS_TOKEN", "shpat_PLANTED")
    with code_server(port) as server:
        until(lambda: answers(port), "the code server did not start")
        with opened(tmp_path, port, quiet_after_s=1) as house:
            first, second = house.submit(), house.submit()
            house.dequeue()
            until(lambda: house.status(first) == STARTED, "the run did not start")
            house.dequeue()
            assert house.status(second) == QUEUED, "one run of a tenant at a time"
            seen = command_lines(server.pid)
            assert len(seen) >= 2, "the server and the run"
            assert "PLANTED" not in "".join(seen)
            time.sleep(1.1)  # quiet for longer than its patience, but its code server has it
            house.monitor()
            assert house.status(first) == STARTED
            kill_all(server)
            house.monitor()
            assert house.status(first) == FAILURE
            said = [e.dagster_event.message or "" for e in house.instance.all_logs(first) if e.dagster_event]
            assert any("its process is gone" in text for text in said), said
            with code_server(port):
                until(lambda: answers(port), "the code server did not start again")
                house.dequeue()
                until(lambda: house.status(second) == STARTED, "the place was not free")


@pytest.mark.slow
def test_a_run_that_its_code_server_does_not_know_is_left_alone_while_it_says_something(tmp_path: Path) -> None:
    """After a reload of the code location the new server does not know the runs of the old one, which go on."""
    port = free_port()
    with code_server(port) as server:
        until(lambda: answers(port), "the code server did not start")
        with opened(tmp_path, port, quiet_after_s=QUIET_AFTER_S) as house:
            run = house.submit()
            house.dequeue()
            until(lambda: house.status(run) == STARTED, "the run did not start")
            kill_all(server)
            house.monitor()
            assert house.status(run) == STARTED


def answers(port: int) -> bool:
    try:
        DagsterGrpcClient(host="127.0.0.1", port=port).ping("")
    except DagsterUserCodeUnreachableError:
        return False
    return True


@pytest.mark.parametrize("file", ["dagster.yaml", "deploy/dagster.yaml"])
def test_our_instances_launch_through_it(file: str) -> None:
    """Named in dagster.yaml by a path that nothing else checks."""
    launcher = yaml.safe_load((ROOT / file).read_text())["run_launcher"]
    assert (launcher["module"], launcher["class"]) == (WatchedRunLauncher.__module__, WatchedRunLauncher.__name__)
