"""A backfill as it is started in the UI: through the webserver's GraphQL, the daemon and the run queue."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from tests.servers import command_lines

DAYS = [date(2026, 6, 1) + timedelta(days=n) for n in range(30)]
TENANTS = ("acme", "kiwi")
PATIENCE_S = 240
LAUNCH = """mutation($p: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $p) {
  __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
RUNS = """query($id: String!) { partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill {
  status runs { id status } error { message } } } }"""

TENANT_RUNS = """query($id: String!) { partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill {
  runs { id status tags { key value } } } } }"""
AGAIN = """mutation($p: ReexecutionParams!) { launchRunReexecution(reexecutionParams: $p) {
  __typename ... on LaunchRunSuccess { run { id } } ... on PythonError { message } } }"""
STATUS = """query($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"""


def ask(port: int, query: str, **variables: Any) -> Any:
    body = json.dumps({"query": query, "variables": variables}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/graphql", body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as reply:
        return json.load(reply)["data"]


def status_of(port: int, path: str, **headers: str) -> int:
    try:
        with urllib.request.urlopen(
            urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers), timeout=30
        ) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def wait_for(done: Any, what: str) -> Any:
    """Poll other processes; there is nothing to wait on but the clock."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        try:
            if (found := done()) is not None:
                return found
        except (urllib.error.URLError, ConnectionError):
            pass
        time.sleep(1)
    raise AssertionError(f"{what} did not happen within {PATIENCE_S} s")


@pytest.fixture
def ui(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, Path, int]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    zones = {"acme": "America/New_York", "kiwi": "Pacific/Auckland"}
    (tmp_path / "tenants.toml").write_text(
        "".join(f'[tenants.{t}]\ntimezone = "{zone}"\ncurrency = "USD"\n' for t, zone in zones.items())
    )
    env = {
        k: v for k, v in os.environ.items() if not re.match(r"WEATHERVANE_|SHOPIFY_|META_|GOOGLE_|KLAVIYO_|OPEN_", k)
    }
    env["WEATHERVANE_AUTOMATION"] = "off"  # no night of its own beside what the test starts
    env["WEATHERVANE_ALERT_URLS"] = "json://127.0.0.1:1/PLANTED"
    env["DAGSTER_HOME"] = str(tmp_path / "dagster")
    monkeypatch.setenv("DAGSTER_HOME", env["DAGSTER_HOME"])  # the test opens its event log too
    command = [sys.executable, "-m", "weathervane_assets.cli", "dev", "--port", str(port)]
    with (tmp_path / "dev.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=tmp_path, env=env, stdout=log, stderr=log, start_new_session=True)
        yield port, tmp_path, process.pid
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


def test_two_tenants_by_thirty_days_are_two_runs_with_evaluations_by_partition(ui: tuple[int, Path, int]) -> None:
    """One run a partition took 120 runs and an hour; one run for both tenants would mix their rows."""
    port, folder, session = ui
    seen = set[str]()
    wait_for(lambda: ask(port, "{ version }"), "the UI's start")
    assert status_of(port, "/graphql?query=%7Bversion%7D") == 200
    assert status_of(port, "/graphql?query=mutation%7BreloadWorkspace%7B__typename%7D%7D") == 403, "a link's"
    assert status_of(port, "/", Host="evil.example") == 403
    params = {
        "partitionNames": [f"{day}|{tenant}" for tenant in TENANTS for day in DAYS],
        "assetSelection": [{"path": ["orders"]}, {"path": ["promos"]}],
    }
    wait_for(lambda: ask(port, "{ dynamicPartitions: workspaceOrError { __typename } }"), "the code location's loading")
    launched = ask(port, LAUNCH, p=params)["launchPartitionBackfill"]
    assert launched["__typename"] == "LaunchBackfillSuccess", launched

    def finished() -> list[dict[str, str]] | None:
        backfill = ask(port, RUNS, id=launched["backfillId"])["partitionBackfillOrError"]
        assert backfill["error"] is None, backfill
        seen.update(command_lines(session))
        over = [run for run in backfill["runs"] if run["status"] in ("SUCCESS", "FAILURE", "CANCELED")]
        return over if len(over) == len(TENANTS) else None

    runs = wait_for(finished, "the end of both runs")
    assert [run["status"] for run in runs] == ["SUCCESS", "SUCCESS"], (folder / "dev.log").read_text()[-3000:]
    with dg.DagsterInstance.from_config(str(folder / "dagster")) as instance:
        by_run = [_evaluated_partitions(instance, run["id"]) for run in runs]
        tags = [run.tags for run in instance.get_runs(dg.RunsFilter(run_ids=[run["id"] for run in runs]))]
    expected = [{f"{day}|{tenant}" for day in DAYS} for tenant in TENANTS]
    assert sorted(by_run, key=min) == sorted(expected, key=min)
    assert sorted(tag["weathervane/tenant"] for tag in tags) == list(TENANTS)
    assert {tag["dagster/priority"] for tag in tags} == {"-10"}
    vendors = [{name for name in tag if name.startswith("weathervane/vendor-")} for tag in tags]
    assert vendors == [{"weathervane/vendor-shopify", "weathervane/vendor-klaviyo"}] * len(TENANTS)
    assert len(seen) >= 5, "weathervane dev, dagster dev, the webserver, the daemon, a code server and two runs"
    assert "Warning" not in (folder / "dev.log").read_text().partition("Launching Dagster services")[0], (
        "dev's first lines"
    )
    assert "PLANTED" not in "".join(seen), "everybody on the machine can read arguments"


@pytest.mark.slow
def test_one_tenant_fails_alone_and_is_started_again_where_it_failed(ui: tuple[int, Path, int]) -> None:
    """One shop's trouble failed the other's days too, and mending it meant to start all over."""
    port, folder, _ = ui
    wait_for(lambda: ask(port, "{ dynamicPartitions: workspaceOrError { __typename } }"), "the code location's loading")
    table = folder / "storage" / "lake" / "kiwi" / "promos"
    table.parent.mkdir(parents=True, exist_ok=True)
    table.write_text("in the way")
    params = {
        "partitionNames": [f"{DAYS[0]}|{tenant}" for tenant in TENANTS],
        "assetSelection": [{"path": ["orders"]}, {"path": ["promos"]}],
        "tags": [{"key": "dagster/max_retries", "value": "0"}],
    }
    launched = ask(port, LAUNCH, p=params)["launchPartitionBackfill"]

    def finished() -> dict[str, str] | None:
        runs = ask(port, TENANT_RUNS, id=launched["backfillId"])["partitionBackfillOrError"]["runs"]
        over = {_tenant(run): run["status"] for run in runs if run["status"] in ("SUCCESS", "FAILURE")}
        return over if len(over) == len(TENANTS) else None

    assert wait_for(finished, "the end of both runs") == {"acme": "SUCCESS", "kiwi": "FAILURE"}
    table.unlink()
    runs = ask(port, TENANT_RUNS, id=launched["backfillId"])["partitionBackfillOrError"]["runs"]
    (failed,) = [run["id"] for run in runs if _tenant(run) == "kiwi"]
    again = ask(port, AGAIN, p={"parentRunId": failed, "strategy": "FROM_FAILURE"})["launchRunReexecution"]
    assert again["__typename"] == "LaunchRunSuccess", again

    def mended() -> str | None:
        status = ask(port, STATUS, id=again["run"]["id"])["runOrError"]["status"]
        return status if status in ("SUCCESS", "FAILURE") else None

    assert wait_for(mended, "the second try's end") == "SUCCESS"
    with dg.DagsterInstance.from_config(str(folder / "dagster")) as instance:
        steps = [stat.step_key for stat in instance.get_run_step_stats(again["run"]["id"])]
    assert "promos" in steps
    assert "orders" not in steps


def _tenant(run: dict[str, Any]) -> str:
    return next(tag["value"] for tag in run["tags"] if tag["key"] == "weathervane/tenant")


def _evaluated_partitions(instance: dg.DagsterInstance, run_id: str) -> set[str]:
    kind = dg.DagsterEventType.ASSET_CHECK_EVALUATION
    records = instance.get_records_for_run(run_id, of_type=kind).records
    found = [record.event_log_entry.dagster_event.asset_check_evaluation_data for record in records]
    contract = [e for e in found if e.check_name == "contract" and e.asset_key.path[-1] == "orders"]
    assert len([e for e in contract if e.partition is None]) == 1
    return {e.partition for e in contract if e.partition}
