"""The process that has our code is killed: another takes its place, and a stopped code server stays stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._grpc.client import DagsterGrpcClient

from tests.servers import free_port, wait_until
from weathervane_assets.quiet_dev import watched_command

ROOT = Path(__file__).parents[2]
PATIENCE_S = 90.0
until = partial(wait_until, patience_s=PATIENCE_S)


def children(pid: int) -> list[int]:
    """Return the processes that a process started and that are there."""
    return [
        int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()
    ]


class CodeServer:
    """A code server as `weathervane dev` starts it, and whether its code answers."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process = process
        self.client = DagsterGrpcClient(port=port, host="127.0.0.1")

    def behind(self) -> int | None:
        """Return the process that has the code."""
        return next(iter(children(self.process.pid)), None)

    def answers(self) -> bool:
        """Return whether the code answers: Dagster passes this question on to it."""
        try:
            return self.client.ping("there?")["echo"] == "there?"
        except DagsterUserCodeUnreachableError:
            return False


@pytest.fixture
def server() -> Iterator[CodeServer]:
    port = free_port()
    dagsters = [sys.executable, "-m", "dagster", "code-server", "start", "--port", str(port), "--host", "127.0.0.1"]
    target = ["--module-name", "tests.assets.sleepers", "--location-name", "sleepers"]
    command = watched_command([*dagsters, *target])
    with subprocess.Popen(command, cwd=ROOT, start_new_session=True, stderr=subprocess.DEVNULL) as process:
        try:
            yield CodeServer(process, port)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def test_code_that_was_killed_is_loaded_again(server: CodeServer) -> None:
    """The machine had no memory left and killed the largest process: no night and no alert came until someone looked."""
    until(server.answers, "the code server never answered")
    first = server.behind()
    assert first
    os.kill(first, signal.SIGKILL)
    until(lambda: server.behind() not in (first, None) and server.answers(), "the code stayed away")
    os.kill(server.behind() or 0, signal.SIGKILL)
    until(server.answers, "the code stayed away the second time")


def test_a_code_server_that_is_stopped_stays_stopped(server: CodeServer) -> None:
    """The watch must not start anew what was told to end."""
    until(server.answers, "the code server never answered")
    behind = server.behind()
    server.process.terminate()
    assert server.process.wait(60) == 0
    until(lambda: not Path(f"/proc/{behind}").exists(), "what had the code lives on")


def test_a_code_server_of_another_kind_is_not_started_unwatched() -> None:
    """A new Dagster starts it in another way: the watch would be gone, and nobody would know."""
    with pytest.raises(RuntimeError, match="no watch"):
        watched_command([sys.executable, "-m", "dagster", "api", "grpc", "--socket", "/tmp/x"])
