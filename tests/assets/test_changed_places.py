"""The matrix after orders came back with their addresses, or lost them: as if it had been made anew."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tests.assets.conftest import Installation
from tests.assets.ticks import of_acme, spans, start, tick
from weathervane_assets import schedules
from weathervane_assets.backfill import MATRIX
from weathervane_assets.definitions import build_defs
from weathervane_assets.graph import NODES
from weathervane_assets.partitions import TENANT_TAG
from weathervane_assets.tables import CONTRACTS, shape_of
from weathervane_resources.clock import Clock

FIRST, CHANGED, LAST = date(2026, 10, 15), date(2026, 10, 17), date(2026, 10, 22)
NOW = datetime(2026, 11, 30, 15, tzinfo=UTC)
NEW = "dpsby"
"""A place that no other order of acme's goes to."""
DAY = timedelta(days=1)
LEARNT = ("as_of_utc", "weather_known_at_utc")
OF_THE_MATRIX = tuple(name for name in NODES if name != "orders")


def send_to(here: Installation, place: str | None) -> None:
    """Let the lake say where one order of `CHANGED` went, as if the day had been read again."""
    rows = here.rows("acme", "orders").filter(pl.col("date") == CHANGED)
    is_it = pl.col("order_id") == rows["order_id"].min()
    rows = rows.with_columns(ship_geohash=pl.when(is_it).then(pl.lit(place)).otherwise("ship_geohash"))
    here.lake.replace(
        "acme", "orders", rows, shape=shape_of(CONTRACTS["orders"]), days=[CHANGED], source="stub", run_id="r",
        now=datetime.now(tz=UTC),
    )  # fmt: skip


def night(here: Installation, daemon: dg.DagsterInstance, at: datetime = NOW) -> dict[str, list[tuple[str, str]]]:
    """Let the two schedules that look at places have their night, and run what they ask for beside every night's."""
    asked = {}
    defs = build_defs(os.environ, {"clock": Clock(fixed=at.isoformat())})
    for schedule, job in (("new_cells", "normals"), ("restate_weather", "restate_weather")):
        requests = [one for one in of_acme(daemon, schedule, at) if job == "normals" or "places" in str(one.run_key)]
        asked[schedule] = spans(requests)
        for request in requests:
            job_of = defs.resolve_job_def(job)
            assert job_of.execute_in_process(instance=here.instance, tags=request.tags).success
    return asked


def stored(here: Installation, asset: str) -> pl.DataFrame:
    rows = here.rows("acme", asset)
    return rows.drop(LEARNT, strict=False).sort("date", "geohash")


def make(here: Installation, first: date, last: date, *assets: str) -> None:
    outcome = here.backfill("acme", first, last, *assets, now=NOW.isoformat())
    assert not outcome.failures


@pytest.mark.parametrize(("mode", "rows"), [("observed", 6), pytest.param("as_of", 4, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("place", "then"),
    [pytest.param(None, NEW, id="came"), pytest.param(NEW, None, id="went", marks=pytest.mark.slow)],
)
def test_days_after_a_changed_order_are_made_as_if_anew(
    installation: Installation, daemon: dg.DagsterInstance, mode: str, rows: int, place: str | None, then: str | None
) -> None:
    """An order had no address, and got it back: the rows of its place on the days after it were never made, and no check missed them."""
    file = installation.folder / "tenants.toml"
    file.write_text(file.read_text().replace("[tenants.acme]", f'[tenants.acme]\njoin_mode = "{mode}"'))
    make(installation, FIRST, LAST, "orders")
    send_to(installation, place)
    make(installation, FIRST, LAST, *OF_THE_MATRIX)
    before = stored(installation, "features")
    assert night(installation, daemon) == {"new_cells": [], "restate_weather": []}
    send_to(installation, then)
    make(installation, CHANGED, CHANGED, *MATRIX)
    assert night(installation, daemon) == {
        "new_cells": [("acme|2026", "acme|2026")] if then else [],
        "restate_weather": [(f"{CHANGED if then else CHANGED + DAY}|acme", f"{LAST}|acme")],
    }
    healed = {name: stored(installation, name) for name in ("features", "weather_daily", "climatology")}
    assert abs(healed["features"].height - before.height) == rows
    assert night(installation, daemon) == {"new_cells": [], "restate_weather": []}
    # without `weather_forecast`: of past days only the sandbox still has one
    make(installation, FIRST, LAST, "climatology", *MATRIX)
    for name in ("features", "weather_daily"):
        assert_frame_equal(healed[name], stored(installation, name))


def test_tenants_that_a_tick_has_no_time_for_are_the_next_ones(
    installation: Installation, daemon: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred large shops took a tick more than a minute: Dagster cut it off, and nobody's weather was read again."""
    at = datetime(2026, 11, 20, 17, tzinfo=UTC)
    passed_s = iter(range(0, 1000, 20))
    monkeypatch.setattr(schedules, "monotonic", lambda: next(passed_s))
    asked = [{one.tags[TENANT_TAG] for one in start(daemon, "restate_weather", at)} for _ in range(3)]
    assert asked == [{"acme"}, {"kiwi"}, set()]


def test_a_damaged_file_of_orders_stops_nobody_elses_schedule(
    installation: Installation, daemon: dg.DagsterInstance
) -> None:
    """polars panics at a file cut short, which no `except Exception` sees: no tenant's weather was read again, and nobody was told."""
    if not installation.lake.files.is_local:
        pytest.skip("cuts a file short by hand")
    make(installation, FIRST, LAST, "orders")
    make(installation, FIRST, LAST, *OF_THE_MATRIX)
    send_to(installation, NEW)
    files = Path(installation.lake.uri("acme", "orders")).rglob("*.parquet")
    newest = max(files, key=lambda file: file.stat().st_mtime_ns)
    newest.write_bytes(newest.read_bytes()[:200])
    at = NOW + timedelta(hours=8)
    assert {request.tags[TENANT_TAG] for request in tick(daemon, "restate_weather", at)} == {"acme", "kiwi"}
    assert tick(daemon, "new_cells", at) == []
    (failure,) = installation.backfill("acme", CHANGED, CHANGED, "weather_daily", now=NOW.isoformat()).failures
    assert "is gone or damaged" in failure
