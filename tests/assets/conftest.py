"""An installation in a temporary folder: its own tenants, lake, state and instance, and a sandbox over loopback."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from tests import engines
from weathervane_assets.backfill import Outcome, plan_steps, run_backfill
from weathervane_assets.definitions import build_defs
from weathervane_assets.graph import NODES
from weathervane_assets.partitions import TENANT_PARTITIONS
from weathervane_assets.tables import CONTRACTS, shape_of
from weathervane_resources.clock import Clock
from weathervane_resources.credentials import CREDENTIAL_NAMES
from weathervane_resources.lake import Lake
from weathervane_resources.sandbox import RunningSandbox, SandboxConfig, TenantProfile

NOW = "2026-11-20T15:00:00+00:00"
TENANTS = """
[tenants.acme]
timezone = "America/New_York"
currency = "USD"
climatology_years = 4

[tenants.kiwi]
timezone = "Pacific/Auckland"
currency = "NZD"
climatology_years = 4
"""
PROFILES = {
    "acme": TenantProfile("America/New_York", "USD", orders_per_day=25, places=4),
    "kiwi": TenantProfile("Pacific/Auckland", "NZD", orders_per_day=25, places=4),
}


@dataclass
class Installation:
    """What a test needs of it."""

    folder: Path
    instance: dg.DagsterInstance
    sandbox: RunningSandbox

    @property
    def lake(self) -> Lake:
        return Lake(engines.chosen().lake(self.folder))

    def backfill(self, tenant: str, first: date, last: date, *assets: str, now: str = NOW) -> Outcome:
        steps = plan_steps(tenant, first, last, assets or tuple(NODES))
        return run_backfill(self.instance, tenant, steps, resource_overrides={"clock": Clock(fixed=now)})

    def execute(
        self, job: str, *, now: str = NOW, partition: str | None = None, raise_on_error: bool = True
    ) -> dg.ExecuteInProcessResult:
        """Run a job of the code location at `now`."""
        defs = build_defs(os.environ, {"clock": Clock(fixed=now)})
        return defs.resolve_job_def(job).execute_in_process(
            instance=self.instance, partition_key=partition, raise_on_error=raise_on_error
        )

    def rows(self, tenant: str, asset: str) -> pl.DataFrame:
        return self.lake.scan(tenant, asset, shape_of(CONTRACTS[asset])).collect()

    def evaluations(self, outcome: Outcome) -> list[dg.AssetCheckEvaluation]:
        kind = dg.DagsterEventType.ASSET_CHECK_EVALUATION
        records = [r for run in outcome.run_ids for r in self.instance.get_records_for_run(run, of_type=kind).records]
        return [record.event_log_entry.dagster_event.asset_check_evaluation_data for record in records]

    def materializations(self, outcome: Outcome, asset: str) -> dict[str, dg.AssetMaterialization]:
        kind = dg.DagsterEventType.ASSET_MATERIALIZATION
        records = [r for run in outcome.run_ids for r in self.instance.get_records_for_run(run, of_type=kind).records]
        found = [r.event_log_entry.dagster_event.step_materialization_data.materialization for r in records]
        return {m.partition: m for m in found if m.asset_key.path[-1] == asset}


def still() -> datetime:
    """Return the sandbox's now: at 03:00 UTC of the machine its orders would change between a run and what judges it."""
    return datetime.fromisoformat(NOW)


@pytest.fixture(scope="session")
def sandbox() -> Iterator[RunningSandbox]:
    with RunningSandbox(SandboxConfig(tenants=PROFILES, clock=still)) as running:
        yield running


def write_environment(patch: pytest.MonkeyPatch, folder: Path, sandbox_url: str) -> None:
    for name in CREDENTIAL_NAMES:
        patch.delenv(name, raising=False)
    (folder / "tenants.toml").write_text(TENANTS)
    patch.setenv("WEATHERVANE_TENANTS", str(folder / "tenants.toml"))
    patch.setenv("WEATHERVANE_LAKE", engines.chosen().lake(folder))
    patch.setenv("WEATHERVANE_STATE_URL", engines.chosen().state_url(folder))
    patch.setenv("WEATHERVANE_SANDBOX_URL", sandbox_url)
    patch.setenv("GEONAMES_BASE_URL", sandbox_url)
    patch.setenv("DAGSTER_HOME", str(folder / "dagster"))
    patch.delenv("WEATHERVANE_START_DATE", raising=False)
    patch.delenv("WEATHERVANE_STUBS", raising=False)


@pytest.fixture
def installation(tmp_path: Path, sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installation]:
    write_environment(monkeypatch, tmp_path, sandbox.url)
    with engines.chosen().instance() as instance:
        instance.add_dynamic_partitions(TENANT_PARTITIONS, ["acme", "kiwi"])
        yield Installation(tmp_path, instance, sandbox)


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory, sandbox: RunningSandbox) -> Iterator[tuple[Installation, Outcome]]:
    """An installation with 35 days of every asset of acme, for tests that only look."""
    folder = tmp_path_factory.mktemp("filled")
    with pytest.MonkeyPatch.context() as patch, engines.chosen().instance() as instance:
        write_environment(patch, folder, sandbox.url)
        instance.add_dynamic_partitions(TENANT_PARTITIONS, ["acme", "kiwi"])
        here = Installation(folder, instance, sandbox)
        yield here, here.backfill("acme", date(2026, 10, 16), date(2026, 11, 19))


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """A schedule opens the instance by its reference, so it must be one that is kept."""
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        instance.add_dynamic_partitions(TENANT_PARTITIONS, ["acme", "kiwi"])
        yield instance
