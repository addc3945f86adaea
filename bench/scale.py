"""What a tenant's night costs, and the webserver beside it: `python -m bench.scale`. Aim: 6 s of CPU.

100 tenants have partitions; the nights of the first `--tenants` are run, `--nights` of each, with the sandbox in this process, whose
CPU is not counted: each night in a process of its own, or, with `--workers N`, one after the other in N processes that stay (the last
night of three tenants is then run again, each in a process of its own, on the instance that has grown). There the lake is
compacted after each night of all tenants, as the schedule does; `--no-compaction` leaves that out. The
GraphQL queries ask for fields of the asset and partitions pages; they are not the UI's own text.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from math import ceil, inf
from pathlib import Path

import dagster as dg

from bench.night import ANSWER, FIRST_NIGHT
from weathervane_assets.partitions import TENANT_PARTITIONS
from weathervane_resources.sandbox import RunningSandbox, SandboxConfig, TenantProfile

MOST_CPU_S, KNOWN_TENANTS, REQUESTS, PORT = 6.0, 100, 20, 4390
QUERIES = {
    "asset page": '{assetNodeOrError(assetKey: {path: ["orders"]}) {... on AssetNode {id description jobNames'
    " assetMaterializations(limit: 50) {timestamp partition runId}"
    " assetChecksOrError {... on AssetChecks {checks {name blocking}}}}}}",
    "partitions page": '{assetNodeOrError(assetKey: {path: ["orders"]}) {... on AssetNode {id'
    " partitionKeysByDimension {name partitionKeys}"
    " assetPartitionStatuses {... on MultiPartitionStatuses {primaryDimensionName ranges {primaryDimStartKey primaryDimEndKey"
    " secondaryDim {... on DefaultPartitionStatuses {materializedPartitions failedPartitions}"
    " ... on TimePartitionStatuses {ranges {startKey endKey status}}}}}}}}}",
}


@dataclass(frozen=True)
class Cost:
    """One process: seconds, CPU seconds, peak memory in MiB."""

    seconds: float
    cpu_s: float
    peak_mib: float


def measured(job: str, tenant: str, label: str, log: Path) -> Cost:
    """Run it in a process of its own, as a run launcher does."""
    return timed([sys.executable, "-m", "bench.night", job, tenant, label], log)


def timed(command: list[str], log: Path) -> Cost:
    """Run a command to its end.

    Raises: RuntimeError: it failed.
    """
    begun = time.monotonic()
    with log.open("ab") as out:
        child = subprocess.Popen(command, stdout=out, stderr=out)
        _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"{' '.join(command)} failed; its log ends: {log.read_text()[-2000:]}")
    return Cost(time.monotonic() - begun, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def simulated(tenants: list[str], days: list[str], given: argparse.Namespace, log: Path) -> list[Cost]:
    """Run all tenants' nights day by day in processes that stay, each day's compaction after it; print each day's cost."""
    begun, costs = time.monotonic(), list[Cost]()
    for day in days:
        found = worked([("nightly", tenant, day) for tenant in tenants], given.workers, log, begun + given.minutes * 60)
        if not found:
            break
        costs += found
        cpu = statistics.median(one.cpu_s for one in found)
        line = f"{day}: {len(found)} nights, median {cpu:.2f} CPU s; {time.monotonic() - begun:.0f} s since the first"
        if given.compaction:
            tidy = timed([sys.executable, "-m", "weathervane_assets.cli", "optimize"], log)
            line += f"; compaction {tidy.cpu_s:.1f} CPU s"
        print(line, flush=True)
    return costs


def worked(nights: list[tuple[str, str, str]], workers: int, log: Path, ends: float = inf) -> list[Cost]:
    """Run (job, tenant, label) in processes that stay, each taking the next one when it is done; return the costs in any order.

    From `ends` on (of `time.monotonic`) none is begun any more.
    """
    waiting, costs, lock = iter(nights), list[Cost](), threading.Lock()

    def work() -> None:
        with log.open("ab") as out, subprocess.Popen(
            [sys.executable, "-m", "bench.night"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=out, text=True
        ) as child:  # fmt: skip
            while True:
                with lock:
                    night = next(waiting, None) if time.monotonic() < ends else None
                if night is None:
                    break
                cost = asked_of(child, night)
                with lock:
                    costs.append(cost)
            child.stdin.close()  # type: ignore[union-attr]

    with ThreadPoolExecutor(workers) as pool:
        for task in [pool.submit(work) for _ in range(workers)]:
            task.result()
    return costs


def asked_of(child: subprocess.Popen[str], night: tuple[str, str, str]) -> Cost:
    """Let a process that stays run one night."""
    assert child.stdin
    assert child.stdout
    child.stdin.write(" ".join(night) + "\n")
    child.stdin.flush()
    for line in child.stdout:
        if line.startswith(ANSWER):
            answer = json.loads(line.removeprefix(ANSWER))
            if not answer.pop("success"):
                raise RuntimeError(f"{night} failed")
            return Cost(**answer)
    raise RuntimeError(f"the process ended in {night}")


def size_of(home: Path) -> tuple[int, int]:
    """Return the bytes of the instance and the rows of its event logs."""
    rows = 0
    for file in (home / "history" / "runs").rglob("*.db"):
        with closing(sqlite3.connect(file)) as connection:
            if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'event_logs'").fetchone():
                rows += connection.execute("SELECT count(*) FROM event_logs").fetchone()[0]
    return sum(file.stat().st_size for file in home.rglob("*") if file.is_file()), rows


@contextmanager
def webserver(folder: Path) -> Iterator[str]:
    """Serve the UI on the instance; yield its GraphQL address once it answers."""
    command = [sys.executable, "-m", "dagster_webserver", "-h", "127.0.0.1", "-p", str(PORT)]
    with (folder / "webserver.log").open("wb") as log:
        server = subprocess.Popen([*command, "-m", "weathervane_assets.definitions"], stdout=log, stderr=log)
        try:
            wait_for(f"http://127.0.0.1:{PORT}/server_info")
            yield f"http://127.0.0.1:{PORT}/graphql"
        finally:
            server.terminate()
            server.wait(30)


def wait_for(url: str) -> None:
    """Wait a minute for an answer."""
    for _ in range(120):
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.5)
    raise RuntimeError(f"{url} does not answer")


def ask(url: str, query: str) -> float:
    """Return the milliseconds of one answer, which must have no errors."""
    body = json.dumps({"query": query}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    begun = time.monotonic()
    with urllib.request.urlopen(request, timeout=120) as reply:
        answer = json.load(reply)
    if answer.get("errors") or "id" not in answer["data"]["assetNodeOrError"]:
        raise RuntimeError(f"GraphQL answered {str(answer)[:500]}")
    return (time.monotonic() - begun) * 1000


def prepare(folder: Path, tenants: list[str], sandbox_url: str) -> Path:
    """Write the tenants file, point the environment at `folder`, make the partitions; return DAGSTER_HOME."""
    home = folder / "dagster"
    home.mkdir()
    shutil.copyfile("dagster.yaml", home / "dagster.yaml")
    table = '[tenants.{}]\ntimezone = "America/New_York"\ncurrency = "USD"\nclimatology_years = 4\n'
    (folder / "tenants.toml").write_text("".join(table.format(name) for name in tenants))
    os.environ |= {
        "WEATHERVANE_TENANTS": str(folder / "tenants.toml"), "WEATHERVANE_LAKE": str(folder / "lake"),
        "WEATHERVANE_STATE_URL": f"sqlite:///{folder}/state.db", "WEATHERVANE_SANDBOX_URL": sandbox_url,
        "GEONAMES_BASE_URL": sandbox_url, "DAGSTER_HOME": str(home),
    }  # fmt: skip
    with dg.DagsterInstance.get() as instance:
        instance.add_dynamic_partitions(TENANT_PARTITIONS, tenants)
    return home


@contextmanager
def working_folder(kept: Path | None) -> Iterator[Path]:
    """Yield a new folder for the instance, the lake and the logs, which goes at the end unless it is one to keep."""
    if kept:
        kept.mkdir(parents=True)
        yield kept.resolve()
        return
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def main(given: argparse.Namespace) -> int:
    """Print the figures; 1 where a night costs more CPU than it may."""
    names = [f"shop-{n:03}" for n in range(KNOWN_TENANTS)]
    profiles = {name: TenantProfile("America/New_York", "USD") for name in names}
    days, some = [(FIRST_NIGHT + timedelta(days=n)).isoformat() for n in range(given.nights)], names[: given.tenants]
    load = os.getloadavg()
    with working_folder(given.keep) as folder, RunningSandbox(SandboxConfig(tenants=profiles)) as sandbox:
        home, log = prepare(folder, names, sandbox.url), folder / "runs.log"
        worked([("normals", tenant, str(FIRST_NIGHT.year)) for tenant in some], given.workers or 1, log)
        before = size_of(home)
        if given.workers:
            costs = simulated(some, days, given, log)
            report_costs("in processes that stay", costs)
        else:
            costs = [measured("nightly", tenant, day, log) for day in days for tenant in some]
        growth = [(b - a) / len(costs) for a, b in zip(before, size_of(home), strict=True)]
        lake = sum(file.stat().st_size for file in (folder / "lake").rglob("*") if file.is_file())
        print(f"the lake is {lake / 2**20:.0f} MiB")
        if given.workers:
            day = days[(len(costs) - 1) // len(some)]
            costs = [measured("nightly", tenant, day, log) for tenant in some[:3]]
        with webserver(folder) as url:
            times = {page: [ask(url, query) for _ in range(REQUESTS)] for page, query in QUERIES.items()}
    return report(costs, growth, times, load)


def percentile_95(values: Sequence[float]) -> float:
    """Return the least value that 95% are not above."""
    return sorted(values)[ceil(len(values) * 0.95) - 1]


def report_costs(how: str, costs: list[Cost]) -> None:
    """Print seconds, CPU seconds and memory of some nights."""
    for what, values in (("seconds", [c.seconds for c in costs]), ("CPU seconds", [c.cpu_s for c in costs])):
        middle, high, most = statistics.median(values), percentile_95(values), max(values)
        print(f"{len(costs)} nights {how}: {what}: median {middle:.1f}, p95 {high:.1f}, most {most:.1f}")
    print(f"peak memory of a process: {max(cost.peak_mib for cost in costs):.0f} MiB")


def report(costs: list[Cost], growth: list[float], times: dict[str, list[float]], load: tuple[float, ...]) -> int:
    """Print the figures; return the exit code."""
    print(f"{KNOWN_TENANTS} tenants known; load {load[0]:.1f} before, {os.getloadavg()[0]:.1f} after")
    report_costs("each in a process of its own", costs)
    cpu = statistics.median(cost.cpu_s for cost in costs)
    print(f"aim: {MOST_CPU_S:g} CPU seconds")
    print(f"instance grows by {growth[0] / 1024:.0f} KiB and {growth[1]:.0f} event rows a tenant-night")
    for page, found in times.items():
        print(f"{page}: p50 {statistics.median(found):.0f} ms, p95 {percentile_95(found):.0f} ms")
    return int(cpu > MOST_CPU_S)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--tenants", type=int, default=3)
    parser.add_argument("--nights", type=int, default=3)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=inf, help="begin no night after so long")
    parser.add_argument("--keep", type=Path, help="a new folder, left with the grown instance for more measurements")
    parser.add_argument("--no-compaction", dest="compaction", action="store_false")
    sys.exit(main(parser.parse_args()))
