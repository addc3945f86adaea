"""What the tests of alerting share: a real webhook, evaluations in a real event log, an alerter with a clock that is told."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.events import DagsterEvent

from weathervane_checks.alerter import Alerter, Ticked
from weathervane_resources.alert_store import AlertStore
from weathervane_resources.notifier import Target, open_target
from weathervane_resources.state import open_state

NOW = datetime(2026, 11, 20, 9, tzinfo=UTC)
DAY = "2026-11-19"


class Webhook:
    """A receiver on loopback: keeps what it took with its key, or answers with a status that one sets."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, str, str]] = []
        self.bodies: list[dict[str, Any]] = []
        self.refused = 0
        self.status = 200
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if hook.status == 200:
                    said = json.loads(body)
                    hook.bodies.append(said)
                    if "title" in said:
                        hook.taken.append((self.headers.get("Idempotency-Key", ""), said["title"], said["message"]))
                else:
                    hook.refused += 1
                self.send_response(hook.status)
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"json://127.0.0.1:{self.server.server_port}/hook"

    @property
    def titles(self) -> list[str]:
        return [title for _, title, _ in self.taken]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@contextmanager
def webhook() -> Iterator[Webhook]:
    hook = Webhook()
    yield hook
    hook.close()


@dataclass
class Watchtower:
    """An alerter over a real instance, state database and webhook."""

    instance: dg.DagsterInstance
    state_url: str
    targets: list[Target]
    now: datetime = NOW
    names: dict[str, str] = field(default_factory=lambda: {"acme": "Acme <!channel> @here", "kiwi": "Kiwi"})
    misconfigured: str = ""

    def tick(self, *, after: timedelta = timedelta(0)) -> Ticked:
        self.now += after
        store = AlertStore(open_state(self.state_url))
        alerter = Alerter(self.instance, store, self.targets, self.names, "http://ui", misconfigured=self.misconfigured)
        return alerter.tick(self.now)

    def judge(
        self, tenant: str, dataset: str, check: str, severity: str, day: str | None, *,
        run_id: str = "run", tags: dict[str, str] | None = None, at: datetime | None = None, job: str = "j", **said: Any,
    ) -> None:  # fmt: skip
        """Write one evaluation as our checks do; a day of None is a check without partitions."""
        run_id = run_named(run_id)
        if not self.instance.has_run(run_id):
            self.instance.create_run_for_job(_JOB, run_id=run_id, tags=tags or {})
        evaluation = dg.AssetCheckEvaluation(
            asset_key=dg.AssetKey(dataset), check_name=check, passed=severity == "ok",
            partition=f"{day}|{tenant}" if day else None,
            severity=dg.AssetCheckSeverity.ERROR if severity == "critical" else dg.AssetCheckSeverity.WARN,
            metadata={"tenant": tenant, "severity": severity, "alerts": "", "observed": 1, "threshold": 2, **said},
        )  # fmt: skip
        entry = dg.EventLogEntry(
            error_info=None, level=20, user_message="", run_id=run_id, timestamp=(at or self.now).timestamp(), job_name=job,
            dagster_event=DagsterEvent("ASSET_CHECK_EVALUATION", "j", event_specific_data=evaluation),
        )  # fmt: skip
        self.instance.handle_new_event(entry)


def run_named(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, name))


@dg.job
def _job() -> None: ...


_JOB = _job


@contextmanager
def watchtower(
    folder: Path, *hooks: Webhook, severity: str = "warning", instance: dg.DagsterInstance | None = None
) -> Iterator[Watchtower]:
    """On an instance in memory, which is a second faster to make than one on disk, or on the one given."""
    with nullcontext(instance) if instance else dg.DagsterInstance.ephemeral() as running:
        targets = [open_target(hook.url, min_severity=severity) for hook in hooks]
        yield Watchtower(running, f"sqlite:///{folder}/state/weathervane.db", targets)


def drop(tower: Watchtower, severity: str, day: str = DAY, **more: object) -> None:
    """Let acme's orders of a day be judged by their count."""
    tower.judge("acme", "orders", "row_count_drop", severity, day, **more)  # type: ignore[arg-type]
