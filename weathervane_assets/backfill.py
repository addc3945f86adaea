"""Backfills in this process: a tenant's days as few Dagster runs, with progress and a summary.

Belongs here: planning the runs and reading their result. Does not belong here: printing (`cli.py`, `demo.py`).

`orders` comes first, since the cells of the weather come from it, then the years of normals, then the rest.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, cast

import dagster as dg
import polars as pl
from dagster._core.utils import make_new_run_id

from weathervane_assets import graph
from weathervane_assets.change_cursor import ranges
from weathervane_assets.definitions import build_defs
from weathervane_assets.overridable import OVERRIDABLE
from weathervane_assets.partitions import day_key, range_tags, year_key
from weathervane_assets.schedules import FRESHNESS
from weathervane_assets.transforms.calendar import ACTIVE_DAYS
from weathervane_checks.cures import next_step
from weathervane_checks.dq_report import examine_quality, keep_run
from weathervane_checks.findings import RANK, Severity
from weathervane_resources.clock import Clock
from weathervane_resources.connector import Connector
from weathervane_resources.connectors import (
    GoogleAdsConnector,
    KlaviyoConnector,
    MetaAdsConnector,
    OpenMeteoConnector,
    ShopifyConnector,
)
from weathervane_resources.credentials import NOT_CONFIGURED
from weathervane_resources.lake import LakeError
from weathervane_resources.lake_ledger import left_over_days
from weathervane_resources.logs import JsonHandler, is_json
from weathervane_resources.partition_keys import BACKFILL_TAG
from weathervane_resources.platform import Platform
from weathervane_resources.settings import ConfigurationError

OnPartition = Callable[[str], None]
HEARD_EACH_S = 300.0
CONNECTORS: Mapping[str, Callable[[], Connector]] = {
    "orders": ShopifyConnector,
    "meta_ads": MetaAdsConnector,
    "google_ads": GoogleAdsConnector,
    "promos": KlaviyoConnector,
    **dict.fromkeys(("climatology", "weather_daily", "weather_forecast"), OpenMeteoConnector),
}
"""Whom an asset asks."""
MATRIX = ("weather_daily", "features")
"""What is made of the places that a tenant ships to, by the orders of the year before."""
NORMALS_BEFORE_DAYS = 15
"""So far before a day the normals may lie that it needs: the week they take to be published, before a decision a week ahead."""


@dataclass(frozen=True)
class Step:
    """One Dagster run: these assets, over this range of partition keys."""

    assets: tuple[str, ...]
    first_key: str
    last_key: str
    partitions: int

    @property
    def size(self) -> int:
        """How many materialisations the run makes."""
        return len(self.assets) * self.partitions


@dataclass(frozen=True)
class NotOk:
    """What a check says that is not content: its worst day and what was seen, and what to do."""

    severity: Severity
    says: str
    next_step: str


@dataclass
class Outcome:
    """What came of a backfill."""

    tenant: str
    rows: Counter[str] = field(default_factory=Counter)
    partitions: Counter[str] = field(default_factory=Counter)
    checks: dict[str, Counter[str]] = field(default_factory=dict)
    """Worst severity of each run's evaluation, counted, by `asset.check`."""
    not_ok: dict[str, NotOk] = field(default_factory=dict)
    """The worst that was said by each check that is not content."""
    run_ids: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    """What assets warned of, each once: `orders: acme: no credentials …`."""
    seconds: float = 0.0

    @property
    def is_good(self) -> bool:
        """Whether every run succeeded and no check is critical."""
        return not self.failures and not any(counts["critical"] for counts in self.checks.values())


def plan_steps(
    tenant_id: str, first: date, last: date, assets: Sequence[str], earliest: date | None = None
) -> list[Step]:
    """Return the runs that bring in `assets` for the days first..last.

    In the first days of January the normals of the year before are made too, where the installation's `earliest` day lets
    them: the days that are looked back to lie in it, and so does the decision of join mode as_of.
    """
    days = (last - first).days + 1
    day_range = (day_key(tenant_id, first), day_key(tenant_id, last))
    before = (first - timedelta(days=NORMALS_BEFORE_DAYS)).year
    first_year = before if earliest is not None and before >= earliest.year else first.year
    year_range = (year_key(tenant_id, first_year), year_key(tenant_id, last.year))
    later = tuple(name for name in graph.DAILY if name in assets and name != "orders")
    steps = [
        Step(("orders",), *day_range, days) if "orders" in assets else None,
        Step(("climatology",), *year_range, last.year - first_year + 1) if "climatology" in assets else None,
        Step(later, *day_range, days) if later else None,
    ]
    return [step for step in steps if step]


def plan_later_days(tenant_id: str, first: date, last: date, assets: Sequence[str], ledger: pl.DataFrame) -> list[Step]:
    """Return the runs that make the matrix of later days again, where it was made without the orders that `plan_steps` brings in.

    A place is in the matrix for a year after each order: days that were made without the orders before them lack the places
    that were not shipped to since. So are days that were made before the orders were written last: a backfill that broke off
    is finished by the same command. `ledger`: what the lake says was written. None where not all of the matrix is asked for.
    """
    if not {"orders", "climatology", *MATRIX} <= set(assets):
        return []
    is_later = pl.col("date").is_between(last, last + timedelta(days=ACTIVE_DAYS - 1), closed="right")
    later = ledger.filter(is_later & (pl.col("dataset") == "features"))
    orders = ledger.filter((pl.col("dataset") == "orders") & (pl.col("source") != NOT_CONFIGURED))
    read = orders.filter(pl.col("date").is_between(first, last) & ~pl.col("date").is_in(left_over_days(orders)))
    if read["date"].n_unique() == (last - first).days + 1:
        later = later.filter(pl.col("written_at_utc") < read["written_at_utc"].max())
    years = sorted(set(later["date"].dt.year()) - {last.year})
    normals = [Step(("climatology",), year_key(tenant_id, y), year_key(tenant_id, y), 1) for y in years]
    return [
        *normals,
        *(
            Step(MATRIX, day_key(tenant_id, a), day_key(tenant_id, b), (b - a).days + 1)
            for a, b in ranges(later["date"])
        ),
    ]


def refuse_half_set(tenant_id: str, assets: Sequence[str]) -> None:
    """Say before any run what each of them would fail of.

    Raises: ConfigurationError: the credentials of a source of the assets are half set, or an address, a domain or an account id is none.
    """
    platform = Platform(threshold_names=sorted(OVERRIDABLE))
    for connector in dict.fromkeys(CONNECTORS[name] for name in assets if name in CONNECTORS):
        try:
            connector().access(tenant_id, platform)
        except dg.Failure as failure:
            raise ConfigurationError(failure.description) from failure


def run_backfill(
    instance: dg.DagsterInstance,
    tenant_id: str,
    steps: Sequence[Step],
    on_partition: OnPartition = lambda _: None,
    resource_overrides: Mapping[str, Any] | None = None,
) -> Outcome:
    """Run the steps one after the other on the instance; stop at the first that fails."""
    outcome = Outcome(tenant_id)
    begun = time.monotonic()
    defs = build_defs(
        os.environ, resource_overrides, loggers={"console": _progress_logger(on_partition, outcome.warnings)}
    )
    for done, step in enumerate(steps, start=1):
        job, run_id = _job_of(defs, step), make_new_run_id()
        with heard_of(instance, run_id, job.name):
            result = job.execute_in_process(
                instance=instance,
                run_id=run_id,
                tags={**range_tags(tenant_id, step.first_key, step.last_key), BACKFILL_TAG: "true"},
                run_config={"loggers": {"console": {}}},
                raise_on_error=False,
            )
        _read_result(outcome, result)
        if not result.success:
            outcome.failures += _not_started(steps[done:])
            break
    try:
        _report_quality(tenant_id, resource_overrides or {})
    except LakeError as error:  # the runs have ended well or not; what came of them is still to be said
        outcome.warnings.append(f"dq_monitoring.json was not written again: {error}")
    outcome.seconds = time.monotonic() - begun
    return outcome


def _not_started(steps: Sequence[Step]) -> list[str]:
    """Return the line about what a failed run leaves undone; what a vendor made wait goes on by itself, the rest does not."""
    names = dict.fromkeys(name for step in steps for name in step.assets)
    return [f"not started: {', '.join(names)}; run the same command again when that is mended"] if names else []


@contextmanager
def heard_of(instance: dg.DagsterInstance, run_id: str, job_name: str, every_s: float = HEARD_EACH_S) -> Iterator[None]:
    """Say in the run's log now and then that it goes on.

    A daemon knows no process behind it, and ends a run that was quiet for 15 minutes; a vendor's job may take 30.
    """
    over = threading.Event()

    def say() -> None:
        while not over.wait(every_s):
            instance.report_engine_event("goes on", run_id=run_id, job_name=job_name)

    speaker = threading.Thread(target=say, name="heard of", daemon=True)
    speaker.start()
    try:
        yield
    finally:
        over.set()
        speaker.join()


def _job_of(defs: dg.Definitions, step: Step) -> dg.JobDefinition:
    """Return the job of a step's assets and of the checks of their rows; whether a day is due is not a backfill's to say."""
    assets = {dg.AssetKey(name) for name in step.assets}
    graph_of_all = defs.resolve_asset_graph()
    checks = {key for key in graph_of_all.get_check_keys_for_assets(assets) if key.name != FRESHNESS}
    return defs.resolve_implicit_global_asset_job_def().get_subset(asset_selection=assets, asset_check_selection=checks)


def _report_quality(tenant_id: str, resource_overrides: Mapping[str, Any]) -> None:
    """Write the tenant's `dq_monitoring.json` again, as the asset `dq_report` does."""
    platform = Platform(threshold_names=sorted(OVERRIDABLE))
    clock = resource_overrides.get("clock", Clock())
    lake = platform.lake()
    tenant = platform.tenants().get(tenant_id)
    if tenant:  # of an unknown one the run has said so
        keep_run(lake, examine_quality(tenant, lake, clock.now(), platform))


def _read_result(outcome: Outcome, result: dg.ExecuteInProcessResult) -> None:
    outcome.run_ids.append(result.run_id)
    for event in result.all_events:
        if event.is_step_materialization:
            asset = event.asset_key.path[-1] if event.asset_key else ""
            count = event.step_materialization_data.materialization.metadata.get("dagster/partition_row_count")
            outcome.partitions[asset] += 1
            outcome.rows[asset] += int(str(count.value)) if count else 0
        elif event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            evaluation = event.asset_check_evaluation_data
            if evaluation.partition is None:
                _read_evaluation(outcome, evaluation)
        elif event.is_step_failure:
            outcome.failures.append(_failure_text(event))


def _read_evaluation(outcome: Outcome, evaluation: dg.AssetCheckEvaluation) -> None:
    name = f"{evaluation.asset_key.path[-1]}.{evaluation.check_name}"
    severity = cast("Severity", evaluation.metadata["severity"].value)
    outcome.checks.setdefault(name, Counter())[severity] += 1
    before = outcome.not_ok.get(name)
    if RANK[severity] > RANK[before.severity if before else "ok"]:
        says = (evaluation.description or "").removeprefix(f"{outcome.tenant}: ")
        outcome.not_ok[name] = NotOk(severity, says, next_step(evaluation.check_name))


def _failure_text(event: dg.DagsterEvent) -> str:
    error = event.step_failure_data.error
    user = event.step_failure_data.user_failure_data
    if user and user.description:
        return f"{event.step_key}: {user.description}"
    root = error
    while root and root.cause:
        root = root.cause
    message = root.message.strip().partition("\n")[0] if root else "failed"
    return f"{event.step_key}: {message[:300]}"


class _ProgressHandler(logging.Handler):
    """Counts materialised partitions, and keeps what assets warn of, each warning once."""

    def __init__(self, on_partition: OnPartition, warnings: list[str]) -> None:
        super().__init__()
        self._on_partition = on_partition
        self._warnings = warnings

    def emit(self, record: logging.LogRecord) -> None:
        """Take one record of the run."""
        meta = getattr(record, "dagster_meta", {})
        event = meta.get("dagster_event")
        if event is not None and event.is_step_materialization:
            self._on_partition(event.asset_key.path[-1])
        if event is None and record.levelno == logging.WARNING:
            said = f"{meta.get('step_key')}: {meta.get('orig_message')}"
            if said not in self._warnings:
                self._warnings.append(said)


def _progress_logger(on_partition: OnPartition, warnings: list[str]) -> dg.LoggerDefinition:
    def progress(_context: dg.InitLoggerContext) -> logging.Logger:
        # not by getLogger: handlers of an earlier backfill in this process must not be on it
        logger = logging.Logger("weathervane.progress", level=logging.DEBUG)  # noqa: LOG001
        logger.addHandler(_ProgressHandler(on_partition, warnings))
        if is_json(os.environ):
            logger.addHandler(JsonHandler(logging.INFO, of_run=True))
        return logger

    return dg.LoggerDefinition(progress, description="Feeds the progress bar.")
