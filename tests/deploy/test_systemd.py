"""The service of deploy/systemd: systemd reads its unit, its command serves the UI, and ends with an error if a part of it dies."""

from __future__ import annotations

import configparser
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from tests.deploy.files import DEPLOY, lines_of
from tests.servers import free_port
from weathervane_resources.environment import INSTALLATION

SYSTEMD = DEPLOY / "systemd"
UNIT = (SYSTEMD / "weathervane.service").read_text()
INSTALLED, STATE, SETTINGS = "/opt/weathervane/.venv", "/var/lib/weathervane", "/etc/weathervane"
PATIENCE_S = 120.0


def service() -> configparser.SectionProxy:
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment] # names of systemd have capitals
    parser.read_string(UNIT)
    return parser["Service"]


def moved(text: str, folder: Path) -> str:
    """Return a text of deploy/systemd with the folders of this test instead of the machine's."""
    return (
        text.replace(INSTALLED, sys.prefix)
        .replace(STATE, str(folder / "state"))
        .replace(SETTINGS, str(folder / "settings"))
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What the docs install, below a folder of the test."""
    (tmp_path / "state").mkdir()
    (tmp_path / "settings").mkdir()
    (tmp_path / "settings" / "weathervane.env").write_text(moved((SYSTEMD / "weathervane.env").read_text(), tmp_path))
    (tmp_path / "settings" / "tenants.toml").write_text(
        '[tenants.acme]\ntimezone = "America/New_York"\ncurrency = "USD"\n'
    )
    return tmp_path


def test_systemd_reads_the_unit_without_complaint(tmp_path: Path) -> None:
    """A misspelt setting is ignored, with a line in a log: then a guard that was meant is not there."""
    program = shutil.which("systemd-analyze") or pytest.skip("systemd-analyze is not installed")
    unit = tmp_path / "weathervane.service"
    unit.write_text(UNIT.replace(INSTALLED, sys.prefix))
    done = subprocess.run([program, "verify", unit], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_environment_has_only_variables_that_are_read() -> None:
    """A misspelt one changes nothing, and the default is a folder that the service may not write."""
    known = {variable.name for variable in INSTALLATION} | {"DAGSTER_HOME"}
    names = {line.partition("=")[0] for line in lines_of(SYSTEMD / "weathervane.env")}
    assert names <= known
    assert names >= {
        "WEATHERVANE_TENANTS",
        "WEATHERVANE_LAKE",
        "WEATHERVANE_STATE_URL",
        "DAGSTER_HOME",
        "WEATHERVANE_STUBS",
    }


def test_the_service_writes_into_its_folder_alone() -> None:
    """Its environment and the command's own folder name one place, which systemd makes for its user."""
    facts = service()
    assert facts["WorkingDirectory"] == f"/var/lib/{facts['StateDirectory']}" == STATE
    assert facts["EnvironmentFile"] == f"{SETTINGS}/weathervane.env"
    assert facts["ExecStart"].startswith(f"{INSTALLED}/bin/weathervane dev")
    assert (facts["ProtectSystem"], facts["Restart"], facts["KillMode"]) == ("strict", "on-failure", "mixed")


def test_the_command_has_the_services_environment_user_and_folder(folder: Path) -> None:
    """`sudo weathervane backfill` wrote another lake than the service's, as root, and the next night could not write."""
    (folder / "bin").mkdir()
    stand_in = folder / "bin" / "setpriv"
    stand_in.write_text('#!/bin/sh\necho "$@" > "$HOME/asked"\nshift 3\nexec "$@"\n')
    stand_in.chmod(0o755)
    command = folder / "weathervane"
    command.write_text(moved((SYSTEMD / "weathervane").read_text(), folder))
    env = {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "HOME": "/root", "PYTHONPATH": str(DEPLOY.parent)}
    done = subprocess.run(["sh", command, "doctor"], env=env, cwd="/", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"ok       lake             {folder}/state/lake\n" in done.stdout
    asked = (folder / "state" / "asked").read_text()
    user = service()["User"]
    assert asked.startswith(f"--reuid={user} --regid={user} --init-groups {sys.prefix}/bin/weathervane doctor")
    assert (folder / "state" / "state").stat().st_mode & 0o777 == 0o700


def environment(folder: Path) -> dict[str, str]:
    """Return what systemd would give the service: its file, and nothing of ours."""
    lines = lines_of(folder / "settings" / "weathervane.env")
    return {
        **dict(shlex.split(line)[0].split("=", 1) for line in lines),
        "HOME": str(folder / "state"),
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(DEPLOY.parent),
    }


@contextmanager
def serving(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run the service's own command until its UI answers."""
    port = free_port()
    command = shlex.split(moved(service()["ExecStart"], folder).replace("3000", str(port)))
    with (
        (folder / "journal").open("wb") as journal,
        subprocess.Popen(
            command,
            cwd=folder / "state",
            env=environment(folder),
            stdout=journal,
            stderr=journal,
            start_new_session=True,
        ) as it,
    ):
        try:
            until(lambda: it.poll() is not None or answers(port), folder)
            yield it
        finally:
            if it.poll() is None:
                os.killpg(it.pid, signal.SIGKILL)


def until(what: Callable[[], bool], folder: Path) -> None:
    ends = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < ends, (folder / "journal").read_text()[-3000:]
        time.sleep(0.2)


def answers(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/server_info", timeout=5) as answer:
            return bool(answer.status == 200)
    except URLError:
        return False


def started_by(session: int, module: bytes) -> int:
    """Return the process of a session that runs a module."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.getsid(int(process.name)) == session and module in (process / "cmdline").read_bytes():
                return int(process.name)
        except OSError:
            continue
    raise AssertionError(f"none of the processes of session {session} runs {module!r}")


@pytest.mark.slow
def test_the_service_serves_and_ends_when_it_is_told_to(folder: Path) -> None:
    """A stop is no failure: systemd would start it again."""
    before = {path for path in folder.rglob("*") if "state" not in path.parts}
    with serving(folder) as it:
        assert it.poll() is None, (folder / "journal").read_text()[-3000:]
        it.terminate()
        assert it.wait(PATIENCE_S) == 0
    after = {path for path in folder.rglob("*") if "state" not in path.parts}
    assert after - before == {folder / "journal"}
    assert (folder / "state" / "dagster" / "dagster.yaml").exists()


@pytest.mark.slow
def test_a_service_whose_daemon_died_ends_with_an_error(folder: Path) -> None:
    """Dagster ends with 0 then: systemd took it for a stop, and no night ran until someone looked."""
    with serving(folder) as it:
        os.kill(started_by(it.pid, b"dagster._daemon"), signal.SIGKILL)
        assert it.wait(PATIENCE_S) == 1
