"""One tick of the alerter over 10,000 and 100,000 evaluations: `python -m bench.alert_tick`. Aim: p95 under 50 ms, and flat.

Real evaluations are written until the first number; the index of the event log is multiplied by SQL from there on. Set
WEATHERVANE_BENCH_POSTGRES to the URLs of two empty databases (event log, state; a blank between) to measure PostgreSQL as well.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import sqlalchemy as sa
from dagster._core.events import DagsterEvent

from weathervane_checks.alerter import Alerter
from weathervane_resources.alert_store import AlertStore, Watch
from weathervane_resources.state import open_state

REAL, MULTIPLIED = 10_000, 100_000
A_RUN, TICKS, NEW_EVERY = 5, 200, 10
MOST_MS = 50.0


def evaluate(instance: dg.DagsterInstance, run_id: str, number: int, severity: str) -> None:
    """Write one evaluation as our checks do."""
    evaluation = dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey("orders"), check_name=f"check_{number % 5}", passed=severity == "ok",
        partition=f"2026-11-{number % 28 + 1:02}|t{number % 100}",
        metadata={"tenant": f"t{number % 100}", "severity": severity, "alerts": "", "observed": 1, "threshold": 2},
    )  # fmt: skip
    instance.handle_new_event(
        dg.EventLogEntry(
            error_info=None,
            level=20,
            user_message="",
            run_id=run_id,
            timestamp=datetime.now(UTC).timestamp(),
            job_name="j",
            dagster_event=DagsterEvent("ASSET_CHECK_EVALUATION", "j", event_specific_data=evaluation),
        )
    )


def fill(instance: dg.DagsterInstance, upto: int) -> None:
    """Write good evaluations, five a run."""
    for number in range(upto):
        if number % A_RUN == 0:
            run_id = str(uuid.uuid4())
            instance.create_run_for_job(dg.JobDefinition(name="j", graph_def=_nothing), run_id=run_id)
        evaluate(instance, run_id, number, "ok")


_nothing = dg.GraphDefinition(name="nothing")


def multiply(instance: dg.DagsterInstance, upto: int) -> None:
    """Copy the index rows until there are so many."""
    columns = "run_id, event, dagster_event_type, timestamp, step_key, asset_key, partition"
    with instance.event_log_storage.index_connection() as connection:
        count = connection.execute(sa.text("SELECT count(*) FROM event_logs")).scalar_one()
        for _ in range(upto // count - 1):
            connection.execute(
                sa.text(f"INSERT INTO event_logs ({columns}) SELECT {columns} FROM event_logs WHERE id <= {count}")
            )


def skip_to_the_end(instance: dg.DagsterInstance, state_url: str) -> None:
    """Take the copies for read: how long that takes is not what is measured."""
    with instance.event_log_storage.index_connection() as connection:
        newest = connection.execute(sa.text("SELECT max(id) FROM event_logs")).scalar_one()
    with AlertStore(open_state(state_url)).session() as session:
        session.beat(Watch(newest, datetime.now(UTC), 0.0))


def measure(instance: dg.DagsterInstance, state_url: str, label: str) -> float:
    """Print the figures of many ticks, every tenth of which finds something new and bad; return their p95 in ms."""
    alerter = Alerter(instance, AlertStore(open_state(state_url)), [], {}, "http://ui")
    now = datetime.now(UTC)
    while alerter.tick(now).events:
        pass
    run_id = str(uuid.uuid4())
    instance.create_run_for_job(dg.JobDefinition(name="j", graph_def=_nothing), run_id=run_id)
    took = []
    for number in range(TICKS):
        if number % NEW_EVERY == 0:
            evaluate(instance, run_id, number, "critical")
        begun = time.perf_counter()
        alerter.tick(datetime.now(UTC))
        took.append((time.perf_counter() - begun) * 1000)
    p95 = statistics.quantiles(took, n=20)[-1]
    print(f"alert_tick {label}: median {statistics.median(took):.1f} ms, p95 {p95:.1f} ms, most {max(took):.1f} ms")
    return p95


@contextmanager
def instances(folder: Path) -> Iterator[list[tuple[str, dg.DagsterInstance, str]]]:
    """Yield the databases to measure: name, instance, state URL."""
    (folder / "sqlite").mkdir()
    found = [("SQLite", dg.DagsterInstance.local_temp(str(folder / "sqlite")), f"sqlite:///{folder}/state.db")]
    if urls := os.environ.get("WEATHERVANE_BENCH_POSTGRES"):
        url, state_url = urls.split()
        (folder / "pg").mkdir()
        (folder / "pg" / "dagster.yaml").write_text(f"storage:\n  postgres:\n    postgres_url: {url}\n")
        found.append(("PostgreSQL", dg.DagsterInstance.from_config(str(folder / "pg")), state_url))
    yield found
    for _, instance, _ in found:
        instance.dispose()


def main() -> int:
    """Print the figures; return 1 if they miss the aim."""
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder, instances(Path(folder)) as found:
        for name, instance, state_url in found:
            fill(instance, REAL)
            worst = max(worst, measure(instance, state_url, f"{name} {REAL:,}"))
            multiply(instance, MULTIPLIED)
            skip_to_the_end(instance, state_url)
            worst = max(worst, measure(instance, state_url, f"{name} {MULTIPLIED:,}"))
    return int(worst > MOST_MS)


if __name__ == "__main__":
    sys.exit(main())
