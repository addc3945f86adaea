"""Nights that are disturbed: an installation to copy, a night in a process to kill, and what must be the same after it.

Belongs here: what the tests of this folder share. Does not belong here: what disturbs (`tcp_proxy.py`, the tests).
"""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from deltalake import DeltaTable

from tests.assets.test_faults import PLAIN, PLANTED
from tests.faults.night_worker import Night, main, run_night
from tests.forks import forks
from weathervane_assets.graph import NODES
from weathervane_assets.partitions import TENANT_PARTITIONS
from weathervane_assets.tables import CONTRACTS, shape_of
from weathervane_resources.clock import system_now
from weathervane_resources.credentials import CREDENTIAL_NAMES
from weathervane_resources.lake import Lake
from weathervane_resources.lake_care import table_paths, tidy_table
from weathervane_resources.sandbox import RunningSandbox, SandboxConfig, TenantProfile

ZONES = {"acme": "America/New_York", "alba": "Europe/London", "berg": "Europe/Berlin", "kiwi": "Pacific/Auckland"}
FILLED_AT, NOW = "2026-11-19T15:00:00+00:00", "2026-11-20T15:00:00+00:00"
BEFORE = (date(2026, 11, 18), date(2026, 11, 19))
SPAN = (date(2026, 11, 18), date(2026, 11, 20))
"""Two days that are there already, of which one was not over, and one that is new."""
WHEN_AND_WHO = frozenset(
    {
        "as_of_utc", "known_at_utc", "issued_at_utc", "asked_at_utc", "seen_at_utc", "written_at_utc", "run_id",
        "table_version", "previous_row_count", "new_rows", "updated_rows", "removed_rows",
    }
)  # fmt: skip
"""Columns that say when, by which run, and over what; two runs that bring the same rows differ in them."""
DAGSTER_YAML = """
telemetry: {enabled: false}
python_logs:
  dagster_handler_config:
    handlers:
      told: {class: logging.StreamHandler, level: DEBUG, stream: "ext://sys.stdout", formatter: told}
    formatters:
      told: {format: "%(message)s"}
"""
EVENT = re.compile(r" - (?:\d+ - )?(?:([a-z_]+) - )?([A-Z]+_[A-Z_]+) - ")
PATIENCE_S = 120.0
REAPING = threading.Lock()
"""Starting a process asks all others for their codes; a code that two threads ask for at once is lost (255)."""
Contents = dict[str, pl.DataFrame]


@dataclass
class World:
    """The sandbox of all tenants, and what its clock says."""

    now: str = FILLED_AT
    sandbox: RunningSandbox = field(init=False)

    def __post_init__(self) -> None:
        profiles = {name: TenantProfile(zone, "USD", orders_per_day=12, places=3) for name, zone in ZONES.items()}
        self.sandbox = RunningSandbox(SandboxConfig(tenants=profiles, clock=lambda: datetime.fromisoformat(self.now)))


@dataclass(frozen=True)
class House:
    """An installation in a folder, with its own Dagster home."""

    folder: Path
    url: str
    is_live: bool = False
    """Whether acme has credentials for every source, whose vendors are at `url`; else its rows are the sandbox's stubs."""
    state: str = ""
    """The state database's URL where it is not a file of the folder."""

    @property
    def home(self) -> Path:
        return self.folder / "dagster"

    @property
    def lake(self) -> Lake:
        return Lake(str(self.folder / "lake"))

    def environment(self) -> dict[str, str]:
        """Return the environment of its processes."""
        kept = {name: value for name, value in os.environ.items() if name.partition("__")[2] not in CREDENTIAL_NAMES}
        return (
            kept
            | (live_variables(self.url) if self.is_live else {})
            | {
                "WEATHERVANE_TENANTS": str(self.folder / "tenants.toml"),
                "WEATHERVANE_LAKE": str(self.folder / "lake"),
                "WEATHERVANE_STATE_URL": self.state or f"sqlite:///{self.folder}/state/weathervane.db",
                "WEATHERVANE_SANDBOX_URL": self.url,
                "GEONAMES_BASE_URL": f"{self.url}/t/acme" if self.is_live else self.url,
                "DAGSTER_HOME": str(self.home),
            }
        )

    def make(self, config: str = DAGSTER_YAML) -> House:
        """Write the tenants and the instance."""
        self.home.mkdir(parents=True)
        (self.home / "dagster.yaml").write_text(config)
        rows = (f'[tenants.{t}]\ntimezone = "{z}"\ncurrency = "USD"\nclimatology_years = 2\n' for t, z in ZONES.items())
        (self.folder / "tenants.toml").write_text("".join(rows))
        with self.instance() as instance:
            instance.add_dynamic_partitions(TENANT_PARTITIONS, list(ZONES))
        return self

    def copy(self, folder: Path) -> House:
        """Return the same installation elsewhere."""
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        return replace(self, folder=folder)

    @contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DAGSTER_HOME", str(self.home))
            with dg.DagsterInstance.from_config(str(self.home)) as instance:
                yield instance

    @contextmanager
    def inhabited(self) -> Iterator[dg.DagsterInstance]:
        """Give this process the environment of the house, and its instance."""
        with pytest.MonkeyPatch.context() as patch, self.instance() as instance:
            for name, value in self.environment().items():
                patch.setenv(name, value)
            yield instance

    def run(self, night: Night) -> list[str]:
        """Run a night in this process; return what failed."""
        with self.inhabited() as instance:
            return run_night(instance, night)

    def contents(self, tenant: str = "") -> Contents:
        """Return the rows of every table below the tenant's folder, or of all; whatever says when and who is left out."""
        return {path: content(self.lake.files.address(path)) for path in table_paths(self.lake, tenant)}


def live_variables(url: str) -> dict[str, str]:
    """Return acme's credentials, and its vendors' addresses at `url`."""
    base = f"{url}/t/acme"
    places = {
        "SHOPIFY_BASE_URL": base, "META_BASE_URL": base, "GOOGLE_ADS_BASE_URL": base, "KLAVIYO_BASE_URL": base,
        "GOOGLE_OAUTH_URL": f"{base}/token", "OPEN_METEO_FORECAST_URL": f"{base}/v1/forecast",
        "OPEN_METEO_ARCHIVE_URL": f"{base}/v1/archive",
    }  # fmt: skip
    return places | {f"ACME__{name}": value for name, value in {**PLANTED, **PLAIN}.items()}


def content(uri: str) -> pl.DataFrame:
    """Return a table's rows in an order of their own."""
    rows = pl.scan_delta(DeltaTable(uri)).drop(WHEN_AND_WHO, strict=False).collect()
    return rows.select(sorted(rows.columns)).sort(sorted(rows.columns), nulls_last=True)


def differing(found: Contents, wanted: Contents) -> list[str]:
    """Return the tables that are not the same, row for row."""
    return sorted(name for name in found | wanted if name not in found or not found[name].equals(wanted.get(name)))


@dataclass(frozen=True)
class Told:
    """An event of a run: seconds since the process began, step and kind."""

    at_s: float
    step: str
    kind: str


@dataclass
class Child:
    """A night in a process of its own."""

    process: ForkServerProcess
    events: list[Told] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def listen(self, told: Connection, began: float) -> None:
        """Take the events in as they come, until the process is gone."""
        with os.fdopen(os.dup(told.fileno()), encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if match := EVENT.search(line):
                    with self.changed:
                        self.events.append(Told(time.monotonic() - began, match[1] or "", match[2]))
                        self.changed.notify_all()
        with self.changed:
            self.events.append(Told(time.monotonic() - began, "", "GONE"))
            self.changed.notify_all()

    def wait_for(self, step: str, kind: str) -> None:
        """Wait until the step has the event, or the process is gone."""
        with self.changed:
            happened = self.changed.wait_for(
                lambda: any((e.step, e.kind) in ((step, kind), ("", "GONE")) for e in self.events), PATIENCE_S
            )
        assert happened, f"{step} had no {kind} within {PATIENCE_S:.0f} s"

    def end(self, patience_s: float = PATIENCE_S) -> int:
        """Wait for its end and return its exit code."""
        wait([self.process.sentinel], patience_s)
        with REAPING:
            code = self.process.exitcode
        self.process.kill()
        assert code is not None, f"still running after {patience_s:.0f} s, last: {self.events[-1:]}"
        return code


def start(house: House, night: Night) -> Child:
    """Start a night in a process of its own."""
    receiver, sender = multiprocessing.Pipe(duplex=False)
    arguments = (str(house.home), house.environment(), night, sender)
    child = Child(forks().Process(target=main, args=arguments, daemon=True))
    with REAPING:
        child.process.start()
    began = time.monotonic()
    sender.close()
    threading.Thread(target=child.listen, args=(receiver, began), daemon=True).start()
    return child


def the_night(tenant: str = "acme", *assets: str, alone: bool = True) -> Night:
    """Return the night that is disturbed."""
    return Night(tenant, *SPAN, NOW, assets or tuple(NODES), alone)


def assert_nothing_is_torn(house: House) -> None:
    """Every table opens and is read whole, no key is twice, every report is JSON, every database is sound."""
    for path in table_paths(house.lake):
        tenant, _, dataset = path.partition("/")
        rows = pl.read_delta(house.lake.files.address(path))
        if dataset in NODES:
            keys = {"date", *shape_of(CONTRACTS[dataset]).keys}
            assert rows.select(keys).is_duplicated().sum() == 0, f"{path}: keys twice"
            assert (rows["tenant_id"] == tenant).all(), path
    for file in house.folder.rglob("*.json"):
        text = file.read_text()
        for part in text.splitlines() if file.parent.name == "_delta_log" else [text]:
            json.loads(part)
    for file in house.folder.rglob("*.db"):
        with closing(sqlite3.connect(file)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",), file


def neither(found: Contents, old: Contents, new: Contents, tenant: str) -> list[str]:
    """Return the tables of the tenant's assets that are neither as they were nor as they will be."""

    def equal(name: str, other: Contents) -> bool:
        return (name in found) == (name in other) and (name not in found or found[name].equals(other[name]))

    names = [f"{tenant}/{asset}" for asset in NODES]
    return [name for name in names if not equal(name, old) and not equal(name, new)]


def strays(lake: Lake) -> list[str]:
    """Return the files of the lake that no table's newest version, no log and no report knows of."""
    root = Path(lake.root)
    known = {Path(file) for path in table_paths(lake) for file in DeltaTable(lake.files.address(path)).file_uris()}
    logs = re.compile(r"/_delta_log/(\d{20}\.(json|checkpoint\.parquet)|_last_checkpoint)$")
    report = re.compile(r"_reports/.*/[^./][^/]*$")
    files = (file for file in root.rglob("*") if file.is_file() and file not in known)
    every = (file.relative_to(root).as_posix() for file in files)
    return sorted(path for path in every if not logs.search(path) and not report.match(path))


@dataclass(frozen=True)
class Stage:
    """An asset's turn in a night: the installation before it, and what is in its lake before and after."""

    night: Night
    house: House
    before: Contents
    after: Contents
    takes_s: dict[str, float]
    """Seconds from its start, and from the output that is then written, to its end."""

    @property
    def asset(self) -> str:
        return self.night.assets[0]


def seconds_to_its_end(house: House) -> dict[str, float]:
    """Return how long the last run took to its asset's end, by the event from which it is counted."""
    with house.instance() as instance:
        (run,) = instance.get_runs(limit=1)
        at = {
            str(e.dagster_event.event_type_value): e.timestamp for e in instance.all_logs(run.run_id) if e.dagster_event
        }
    return {kind: at["STEP_SUCCESS"] - at[kind] for kind in ("STEP_START", "STEP_OUTPUT")}


def stages(folder: Path, night: Night, house: House) -> list[Stage]:
    """Run a night undisturbed, one asset after the other, and keep what was before each."""
    found: list[Stage] = []
    before = house.contents()
    for asset in night.assets:
        turn = replace(night, assets=(asset,))
        kept = house.copy(folder / asset)
        assert house.run(turn) == []
        after = house.contents()
        found.append(Stage(turn, kept, before, after, seconds_to_its_end(house)))
        before = after
    return found


def left_behind(lake: Lake, *of: str) -> list[str]:
    """Return what kills left that the care of the lake does not take away, of all tables, or of those named."""
    for path in table_paths(lake):
        if not of or set(path.split("/")) & set(of):
            tidy_table(lake, path, system_now() + timedelta(days=60))
    return [file for file in strays(lake) if not of or set(file.split("/")) & set(of)]
