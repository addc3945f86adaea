"""The night of twenty tenants through `weathervane dev`: schedule, queue, code server and webserver as on a laptop.

What is in the UI is asked for as the UI does; where there is a Chromium, build/screenshots gets pictures to look at.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from urllib.request import Request, urlopen
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
from dagster._core.scheduler.instigation import InstigatorState, ScheduleInstigatorData

from tests import engines
from tests.assets.conftest import write_environment
from tests.servers import chromium_program, free_port
from weathervane_assets.tables import CONTRACTS, shape_of
from weathervane_resources.lake import Lake

ROOT = Path(__file__).parents[2]
TENANTS = [f"shop-{n:02}" for n in range(20)]
STRIKES = 3
"""The local hour of the night."""
CHROMIUM = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
            "--disable-background-networking", "--disable-component-update", "--hide-scrollbars",
            "--virtual-time-budget=30000")  # fmt: skip
pytestmark = pytest.mark.slow


@dataclass
class Dev:
    """`weathervane dev` as it runs."""

    folder: Path
    url: str
    instance: dg.DagsterInstance
    process: subprocess.Popen[bytes]

    def ask(self, query: str, **variables: object) -> dict[str, object]:
        """Ask the webserver as the UI does."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = Request(f"{self.url}/graphql", body, {"Content-Type": "application/json"})
        with urlopen(request, timeout=60) as answer:
            said: dict[str, dict[str, object]] = json.load(answer)
        assert "errors" not in said, said
        return said["data"]

    def wait_until(self, what: Callable[[], object], seconds: float) -> None:
        """Wait for what the processes of `weathervane dev` do."""
        poll(what, self.process, self.folder, seconds)

    def picture(self, name: str, path: str) -> None:
        """Take a screenshot of a page of the UI, where there is a browser."""
        browser = chromium_program()
        if browser:
            out = ROOT / "build" / "screenshots"
            out.mkdir(parents=True, exist_ok=True)
            command = [browser, *CHROMIUM, f"--user-data-dir={self.folder}/{name}", "--window-size=1400,1100",
                       f"--screenshot={out / name}.png", f"{self.url}{path}"]  # fmt: skip
            subprocess.run(command, check=False, capture_output=True, timeout=90)


def poll(what: Callable[[], object], process: subprocess.Popen[bytes], folder: Path, seconds: float) -> None:
    """Look every second until `what` is true: other processes do the work, and the clock is the daemon's."""
    ends = time.monotonic() + seconds
    while not what():
        said = (folder / "dev.log").read_text()[-4000:]
        assert process.poll() is None, said
        assert time.monotonic() < ends, said
        time.sleep(1)


def answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=5):
            return True
    except OSError:
        return False


@contextmanager
def running_dev(folder: Path) -> Iterator[Dev]:
    port = free_port()
    command = [sys.executable, "-m", "weathervane_assets.cli", "dev", "--port", str(port)]
    with (folder / "dev.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)
    try:
        # two that open a new instance at once break it; the webserver answers when it is made
        url = f"http://127.0.0.1:{port}"
        poll(lambda: answers(f"{url}/server_info"), process, folder, 120)
        with dg.DagsterInstance.from_config(str(folder / "dagster")) as instance:
            yield Dev(folder, url, instance, process)
    finally:
        process.terminate()  # as a service manager does; it ends its own children
        try:
            process.wait(60)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def write_tenants(folder: Path, now: datetime) -> date:
    """Let the last full hour have been three o'clock for each tenant: their night is due. Return the day it reads."""
    ahead = (STRIKES - now.hour + 12) % 24 - 12
    zone = f"Etc/GMT{-ahead:+d}" if ahead else "UTC"
    rows = (f'[tenants.{t}]\ntimezone = "{zone}"\ncurrency = "USD"\nclimatology_years = 2\n' for t in TENANTS)
    (folder / "tenants.toml").write_text("".join(rows))
    return now.astimezone(ZoneInfo(zone)).date() - timedelta(days=1)


def schedules_on(instance: dg.DagsterInstance) -> list[InstigatorState]:
    return [one for one in instance.all_instigator_state() if one.name == "nightly_schedule"]


def let_it_have_been_on(instance: dg.DagsterInstance, since: datetime) -> None:
    """Let the schedule have been on before the hour struck: the daemon makes up for the tick it missed while it was down."""
    (state,) = schedules_on(instance)
    assert isinstance(state.instigator_data, ScheduleInstigatorData)
    data = state.instigator_data._replace(start_timestamp=since.timestamp(), last_iteration_timestamp=None)
    instance.update_instigator_state(state.with_data(data))


def test_the_scheduled_night_of_twenty_tenants(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What works in one process for one tenant may starve, collide or be lost with twenty through a queue."""
    write_environment(monkeypatch, tmp_path, "")
    monkeypatch.delenv("WEATHERVANE_SANDBOX_URL")
    monkeypatch.delenv("GEONAMES_BASE_URL")
    now = datetime.now(UTC)
    day = write_tenants(tmp_path, now)
    with running_dev(tmp_path) as dev:
        dev.wait_until(lambda: schedules_on(dev.instance), 120)
    with dg.DagsterInstance.from_config(str(tmp_path / "dagster")) as instance:
        let_it_have_been_on(instance, now.replace(minute=0, second=0, microsecond=0) - timedelta(minutes=30))
    with running_dev(tmp_path) as dev:
        nightly = dg.RunsFilter(job_name="nightly")
        dev.wait_until(lambda: dev.instance.get_runs_count(nightly) >= len(TENANTS), 120)
        dev.wait_until(lambda: all(run.is_finished for run in dev.instance.get_runs(nightly)), 900)
        runs = dev.instance.get_runs(nightly)
        took = [(r.end_time or 0) - (r.start_time or 0) for r in dev.instance.get_run_records(nightly)]
        figures = f"{len(runs)} nights, {min(took):.0f} to {max(took):.0f} s each"
        print(figures)  # noqa: T201 - the figures are what one runs it for
        assert Counter((run.tags["weathervane/tenant"], run.status) for run in runs) == Counter(
            {(tenant, dg.DagsterRunStatus.SUCCESS): 1 for tenant in TENANTS}
        )
        assert_it_shows(dev)
        dev.picture("night-runs", "/runs")
        dev.picture("night-overview", "/automation")
    assert_it_is_there(tmp_path, day)


def assert_it_shows(dev: Dev) -> None:
    """The UI's own questions: the runs and their tags, and the evaluations of a check by partition."""
    runs = str(
        dev.ask(
            '{ runsOrError(filter: {pipelineName: "nightly"}) { ... on Runs { results { status tags { value } } } } }'
        )
    )
    assert runs.count("SUCCESS") == len(TENANTS)
    assert all(f"'{tenant}'" in runs for tenant in TENANTS)
    checks = str(
        dev.ask(
            '{ assetCheckExecutions(assetKey: {path: ["orders"]}, checkName: "row_count_drop", limit: 100)'
            " { status evaluation { metadataEntries { ... on TextMetadataEntry { label text } } } } }"
        )
    )
    assert all(f"'{tenant}'" in checks for tenant in TENANTS)


def assert_it_is_there(folder: Path, day: date) -> None:
    """Every tenant's yesterday, in every daily table of the past."""
    lake = Lake(engines.chosen().lake(folder))
    for tenant in TENANTS:
        for table in ("orders", "weather_daily", "ads", "features"):
            days = lake.scan(tenant, table, shape_of(CONTRACTS[table])).select("date").unique().collect()
            assert days["date"].to_list() == [day], (tenant, table)
