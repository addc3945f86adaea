"""`weathervane tenants purge`: no byte of the tenant is left anywhere, and nothing of anyone else is touched."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from dagster._core.remote_origin import (
    InProcessCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    SensorInstigatorData,
    TickData,
    TickStatus,
)
from dagster._core.storage.compute_log_manager import ComputeIOType
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from tests.assets.conftest import NOW, Installation, write_environment
from weathervane_assets.change_cursor import Position, read_cursor, write_cursor
from weathervane_assets.cli import main
from weathervane_assets.definitions import build_defs
from weathervane_assets.instance import open_instance
from weathervane_assets.partitions import TENANT_PARTITIONS, TENANT_TAG
from weathervane_assets.purge_dagster import find_in_dagster, open_storage
from weathervane_assets.schedules import FRESHNESS
from weathervane_resources.alert_records import Facts, Incident, Snooze, Subject, Verdict
from weathervane_resources.alert_store import AlertStore, Watch
from weathervane_resources.change_notes import note
from weathervane_resources.clock import Clock
from weathervane_resources.http.auth import Token
from weathervane_resources.lake import Lake
from weathervane_resources.lake_care import table_paths
from weathervane_resources.purge_state import _which
from weathervane_resources.quota import Rate, SharedQuota
from weathervane_resources.sandbox import RunningSandbox
from weathervane_resources.settings import read_settings
from weathervane_resources.state import State, open_state
from weathervane_resources.state_tables import TABLES, tokens
from weathervane_resources.tenant_text import GONE, without
from weathervane_resources.tokens import Vault
from weathervane_resources.weather_cache import point_of

GOES, STAYS = "zanzibar-q7", "acme"
SHOP = "spice-of-9q.myshopify.com"
TOKEN = "shpat_7d1e_PLANTED_zq"
FIRST, LAST = date(2026, 11, 18), date(2026, 11, 19)
AT = datetime(2026, 11, 20, 15, tzinfo=UTC)
TENANTS = "".join(
    f'[tenants.{one}]\ntimezone = "America/New_York"\ncurrency = "USD"\nclimatology_years = 1\n'
    for one in (STAYS, GOES)
)


@dataclass
class Town:
    """An installation of two tenants on a real Dagster home."""

    here: Installation
    state: State
    secret: bytes

    @property
    def instance(self) -> dg.DagsterInstance:
        return self.here.instance

    def purge(self, *arguments: str, answer: str | None = None) -> Result:
        return CliRunner().invoke(main, ["tenants", "purge", *arguments], input=answer)


def run_of_all(here: Installation, job: str) -> str:
    defs = build_defs(os.environ, {"clock": Clock(fixed=NOW)})
    return defs.resolve_job_def(job).execute_in_process(instance=here.instance, raise_on_error=False).run_id


def plant_alerts(state: State) -> None:
    with AlertStore(state).session() as session:
        for tenant in (GOES, STAYS):
            subject = Subject(tenant, "orders", "row_count_drop")
            incident = Incident(f"i-{tenant}", subject, "warning", Facts(note=f"of {tenant}"), AT, AT)
            session.save([incident], {(subject, "2026-11-19"): Verdict("warning", 1, incident.id)}, AT)
            session.snooze(Snooze(AT + timedelta(days=1), tenant=tenant), AT)
            session.snooze(Snooze(AT + timedelta(days=1), incident_id=incident.id), AT)
            session.connection.execute(sa.insert(TABLES.tables["alert_outbox"]).values(
                key=f"k-{tenant}", target="t", tenant=tenant, kind="alert", severity="warning", title=tenant, body=tenant,
                created_at=AT, tries=0, last_error="",
            ))  # fmt: skip
            session.connection.execute(sa.insert(TABLES.tables["jobs"]).values(
                vendor="shopify", tenant=tenant, mark="m", job_id=f"gid-{tenant}", asked_at=AT
            ))  # fmt: skip
        session.mark_seen([5, 10**9], AT, 0)
        session.beat(Watch(10**9, AT, 0.0))
    note(state, "orders", {}, {(tenant, "orders"): AT for tenant in (GOES, STAYS)})


def plant_tokens(state: State) -> bytes:
    async def store(tenant: str, token: str) -> None:
        await Vault(state, None, lambda: AT).store("shopify", tenant, "mark").save(Token(token, None, token))
        await SharedQuota(state, f"shopify:{SHOP if tenant == GOES else 'other.myshopify.com'}", (Rate(1),)).take()

    asyncio.run(store(GOES, TOKEN))
    asyncio.run(store(STAYS, "shpat_other_PLANTED"))
    with state.begin() as connection:
        return bytes(connection.execute(sa.select(tokens.c.secret).where(tokens.c.tenant == GOES)).scalar_one())


def plant_daemon(instance: dg.DagsterInstance) -> None:
    """What a daemon would have written: a sensor's cursor, ticks, backfills."""
    target = LoadableTargetOrigin(module_name="weathervane_assets.definitions")
    repository = RemoteRepositoryOrigin(InProcessCodeLocationOrigin(target), "__repository__")
    origin = RemoteInstigatorOrigin(repository, "changed_orders")
    cursor = write_cursor({tenant: {"orders": Position(AT, {tenant: AT})} for tenant in (GOES, STAYS)})
    data = SensorInstigatorData(cursor=cursor, last_run_key=f"changed orders {GOES} 2026-11-19")
    instance.add_instigator_state(InstigatorState(origin, InstigatorType.SENSOR, InstigatorStatus.RUNNING, data))
    keys = [f"changed orders {tenant} 2026-11-19..2026-11-19 ab" for tenant in (GOES, STAYS)]
    instance.create_tick(
        TickData(
            origin.get_id(), "changed_orders", InstigatorType.SENSOR, TickStatus.SUCCESS, AT.timestamp(),
            run_keys=keys, cursor=cursor, selector_id=origin.get_selector().get_id(), run_ids=["a", "b"],
        )
    )  # fmt: skip
    with instance.compute_log_manager.open_log_stream(
        ["repository", "changed_orders", "1"], ComputeIOType.STDERR
    ) as log:
        for tenant in (GOES, STAYS):
            print(f"{tenant}: changes of orders were not read", file=log)
    for name, of in (("alone", [GOES]), ("both", [GOES, STAYS]), ("other", [STAYS])):
        partitions = [f"2026-11-19|{tenant}" for tenant in of]
        tags = {TENANT_TAG: of[0]} if len(of) == 1 else {}
        instance.add_backfill(
            PartitionBackfill(
                name, BulkActionStatus.COMPLETED_SUCCESS, from_failure=False, tags=tags,
                backfill_timestamp=AT.timestamp(), partition_names=partitions,
            )
        )  # fmt: skip


@contextmanager
def open_town(folder: Path, sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Town]:
    """Open an installation in a folder; nothing has run in it."""
    write_environment(monkeypatch, folder, sandbox.url)
    (folder / "tenants.toml").write_text(TENANTS)
    monkeypatch.setenv("WEATHERVANE_STATE_URL", f"sqlite:///{folder}/state/weathervane.db")
    monkeypatch.setenv("WEATHERVANE_LAKE", str(folder / "lake"))
    monkeypatch.setenv("ZANZIBAR_Q7__SHOPIFY_SHOP_DOMAIN", SHOP)
    state = open_state(os.environ["WEATHERVANE_STATE_URL"])
    with open_instance(read_settings(os.environ)) as instance:
        instance.add_dynamic_partitions(TENANT_PARTITIONS, [STAYS, GOES])
        yield Town(Installation(folder, instance, sandbox), state, b"")


@pytest.fixture
def town(tmp_path: Path, sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Town]:
    with open_town(tmp_path, sandbox, monkeypatch) as opened:
        yield opened


def fill(town: Town) -> None:
    """Days of both tenants, and everything that could remember them."""
    domain = os.environ.pop("ZANZIBAR_Q7__SHOPIFY_SHOP_DOMAIN")  # half a configuration would fail the runs
    for tenant in (STAYS, GOES):
        outcome = town.here.backfill(tenant, FIRST, LAST, "orders", "promos", "weather_daily")
        assert not outcome.failures
    run_of_all(town.here, FRESHNESS)
    run_of_all(town.here, "compaction")
    os.environ["ZANZIBAR_Q7__SHOPIFY_SHOP_DOMAIN"] = domain
    lake = Lake(os.environ["WEATHERVANE_LAKE"])
    for tenant in (STAYS, GOES):
        lake.files.write(f"_reports/{tenant}/geocoding.json", f'{{"tenant": "{tenant}"}}')
    plant_alerts(town.state)
    town.secret = plant_tokens(town.state)
    plant_daemon(town.instance)


def hits(folder: Path, *needles: bytes) -> dict[str, list[bytes]]:
    """Return which files have which of the needles in their name or in their bytes."""
    found = {}
    for file in sorted(folder.rglob("*")):
        content = file.read_bytes() if file.is_file() else b""
        name = str(file.relative_to(folder)).encode()
        if seen := [needle for needle in needles if needle in content or needle in name]:
            found[name.decode()] = seen
    return found


def rows(lake: Lake, *folders: str) -> dict[str, pl.DataFrame]:
    """Return the rows of every table in some folders, in an order of their own."""
    return {
        path: pl.read_delta(lake.uri(*path.split("/", 1))).sort(pl.all())
        for folder in folders
        for path in table_paths(lake, folder)
    }


def events(instance: dg.DagsterInstance, tenant: str) -> dict[str, list[tuple[int, Any]]]:
    """Return the runs of a tenant, each with its events."""
    runs = instance.get_runs(dg.RunsFilter(tags={TENANT_TAG: tenant}))
    return {
        run.run_id: [(r.storage_id, r.timestamp) for r in instance.get_records_for_run(run.run_id).records]
        for run in runs
    }


def cells(lake: Lake, tenant: str) -> set[str]:
    frame = pl.read_delta(lake.uri(tenant, "orders"))
    return {point_of(cell) for cell in frame["ship_geohash"].drop_nulls().unique()}


def test_no_byte_of_the_tenant_stays_and_nothing_of_another_goes(town: Town) -> None:
    """A customer asked to be forgotten; their id was found in the free pages of a database a year later."""
    fill(town)
    folder, lake = town.here.folder, Lake(os.environ["WEATHERVANE_LAKE"])
    needles = (GOES.encode(), TOKEN.encode(), town.secret, SHOP.encode())
    before = hits(folder, *needles)
    assert len(before) > 40, "the test looks in the right places"
    assert {"state/weathervane.db", "dagster/schedules/schedules.db", "dagster/history/runs.db"} <= {
        name.removesuffix("-wal") for name in before
    }
    tables, runs = rows(lake, STAYS), events(town.instance, STAYS)
    mine, others = cells(lake, GOES), cells(lake, STAYS)
    weather = rows(lake, "_weather")["_weather/versions"]
    assert mine - others, "some points are the tenant's alone"
    assert runs

    declined = town.purge(GOES, answer="n\n")
    assert declined.exit_code == 1
    assert hits(folder, *needles).keys() == before.keys()

    done = town.purge(GOES, answer="y\n")
    assert done.exit_code == 0, done.output
    assert f"delete [tenants.{GOES}]" in done.output
    (folder / "tenants.toml").unlink()
    assert hits(folder, *needles) == {}

    assert table_paths(lake, GOES) == []
    after = rows(lake, STAYS)
    assert after.keys() == tables.keys()
    assert all(after[name].equals(tables[name]) for name in tables)
    assert events(town.instance, STAYS) == runs
    left = rows(lake, "_weather")["_weather/versions"]
    assert left.equals(weather.filter(~pl.col("point").is_in(list(mine - others))))
    assert set(left["point"]) >= others
    assert town.instance.get_dynamic_partitions(TENANT_PARTITIONS) == [STAYS]
    check_what_is_left(town)
    again = town.purge(GOES)
    assert again.output.startswith(f"there is nothing of {GOES}: ")
    assert again.output.endswith("; known tenants: none\n")


def check_what_is_left(town: Town) -> None:
    """The other tenant's alerts, tokens, ticks, cursor and backfills are there; counts no longer include the one that went."""
    with town.state.begin() as connection:
        for name in (
            "tokens",
            "jobs",
            "change_positions",
            "alert_incidents",
            "alert_days",
            "alert_outbox",
            "alert_snoozes",
        ):
            assert connection.execute(sa.select(sa.func.count()).select_from(TABLES.tables[name])).scalar(), name
        assert connection.execute(sa.select(TABLES.tables["quotas"].c.scope)).scalars().all() == [
            "shopify:other.myshopify.com"
        ]
    (state,) = town.instance.all_instigator_state(instigator_type=InstigatorType.SENSOR)
    assert isinstance(state.instigator_data, SensorInstigatorData)
    assert read_cursor(state.instigator_data.cursor)[STAYS]["orders"].until == AT
    (tick,) = town.instance.get_ticks(state.instigator_origin_id, state.selector_id)
    assert any(STAYS in key for key in tick.run_keys)
    assert {one.backfill_id for one in town.instance.get_backfills()} == {"both", "other"}
    assert town.instance.get_materialized_partitions(dg.AssetKey("orders")) == {
        f"2026-11-{day}|{STAYS}" for day in (18, 19)
    }
    newest = town.instance.get_latest_materialization_event(dg.AssetKey("orders"))
    assert newest is not None
    assert newest.run_id in events(town.instance, STAYS)


def test_the_alerter_sees_events_whose_ids_are_given_out_anew(town: Town) -> None:
    """SQLite gives out the ids of deleted events again: a cursor beyond them would have slept through the next night."""
    plant_alerts(town.state)
    run_id = town.here.backfill(STAYS, LAST, LAST, "promos").run_ids[0]
    assert town.purge(GOES, "--yes").exit_code == 0
    with AlertStore(town.state).session() as session:
        watch = session.watch()
        assert watch is not None
        assert watch.cursor == max(r.storage_id for r in index_of(town.instance, run_id))
        assert session.seen(0) == {5}


def index_of(instance: dg.DagsterInstance, run_id: str) -> list[dg.EventLogRecord]:
    records = instance.fetch_run_status_changes(dg.DagsterEventType.RUN_SUCCESS, limit=10).records
    return [record for record in records if record.event_log_entry.run_id == run_id]


def test_it_refuses_beside_a_run_and_for_what_is_no_id(town: Town) -> None:
    """A run that goes on would write its tables and its tokens again."""
    job = build_defs(os.environ).resolve_job_def("nightly")
    run = town.instance.create_run_for_job(job, tags={TENANT_TAG: GOES}, status=dg.DagsterRunStatus.STARTED)
    refused = town.purge(GOES, "--yes")
    assert refused.exit_code == 2
    assert run.run_id in refused.output
    town.instance.report_run_failed(run)
    assert town.purge("../acme", "--yes").exit_code == 2
    assert town.purge("_weather", "--yes").exit_code == 2
    assert town.purge("orders", "--yes").exit_code == 2, "the asset is in every tenant's cursor"
    assert town.purge(GOES, "--yes").exit_code == 0
    unknown = town.purge(f"{GOES}-2", "--yes")
    assert unknown.exit_code == 0, "what is not there need not be removed"
    assert unknown.output == (
        f"there is nothing of {GOES}-2: not in {town.here.folder / 'tenants.toml'}, the lake, the state database or Dagster;"
        f" known tenants: {STAYS}, {GOES}\n"
    )


def test_a_tenant_that_left_the_file_can_be_purged(town: Town) -> None:
    """Operators delete the table first and ask afterwards."""
    town.here.backfill(GOES, LAST, LAST, "promos")
    (town.here.folder / "tenants.toml").write_text(TENANTS.partition(f"[tenants.{GOES}]")[0])
    done = town.purge(GOES, "--yes")
    assert done.exit_code == 0, done.output
    assert "delete [tenants" not in done.output
    assert hits(town.here.folder, GOES.encode()) == {}


def test_a_year_of_another_tenant_is_not_the_tenant_of_that_name(town: Town) -> None:
    """`acme|2025` ends like a partition of the tenant 2025: its purge would have taken another's normals from the record."""
    other, run_id = (
        f"{STAYS}|2025",
        town.instance.create_run_for_job(build_defs(os.environ).resolve_job_def("normals")).run_id,
    )
    town.instance.add_run_tags(run_id, {"dagster/partition": other})
    storage = open_storage(town.instance)
    assert find_in_dagster(storage, "2025").run_ids == ()
    assert find_in_dagster(storage, STAYS).run_ids == (run_id,)


@pytest.mark.parametrize("tenant", ["cursor", "status", "tags"])
def test_a_tenant_that_is_called_like_a_field_leaves_dagsters_objects_whole(tenant: str) -> None:
    """The sensors' states could not be read any more, of all tenants."""
    data = SensorInstigatorData(cursor=json.dumps({tenant: 1, STAYS: 2}))
    target = LoadableTargetOrigin(module_name="weathervane_assets.definitions")
    repository = RemoteRepositoryOrigin(InProcessCodeLocationOrigin(target), "__repository__")
    origin = RemoteInstigatorOrigin(repository, "changed_orders")
    state = InstigatorState(origin, InstigatorType.SENSOR, InstigatorStatus.RUNNING, data)
    left = dg.deserialize_value(without(dg.serialize_value(state), tenant), InstigatorState)
    assert isinstance(left.instigator_data, SensorInstigatorData)
    assert json.loads(left.instigator_data.cursor or "") == {GONE: 1, STAYS: 2}


def test_a_message_about_another_tenant_stays_though_the_id_is_a_word_in_it(tmp_path: Path) -> None:
    """The purge of `shop` took the alert of another shop, which never arrived."""
    state = open_state(f"sqlite:///{tmp_path}/state.db")
    outbox = TABLES.tables["alert_outbox"]
    with state.begin() as connection:
        connection.execute(sa.insert(outbox).values(
            key="k", target="t", tenant="acme", kind="alert", severity="warning", title="acme orders", body="perhaps a closed shop",
            created_at=AT, tries=0, last_error="",
        ))  # fmt: skip
        for name, table, mine in _which(connection, "shop", ()):
            assert connection.execute(sa.select(sa.func.count()).select_from(table).where(mine)).scalar() == 0, name
