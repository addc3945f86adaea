"""Weather that is not what was asked: an error that says so, or a gap that is seen as a gap. Nothing is invented."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from tests import engines
from tests.assets.conftest import PROFILES, Installation, still, write_environment
from tests.assets.test_weather_fetch import fill, versions
from tests.resources.http.scripted import Naps
from weathervane_assets.partitions import TENANT_PARTITIONS
from weathervane_assets.tables import WEATHER_VALUES
from weathervane_resources.clients.open_meteo import OpenMeteoClient
from weathervane_resources.http.auth import StaticHeaders
from weathervane_resources.http.errors import Malformed
from weathervane_resources.http.pacing import Pace
from weathervane_resources.http.retry import RetryPolicy
from weathervane_resources.http.session import VendorSession
from weathervane_resources.sandbox import RunningSandbox, SandboxConfig
from weathervane_resources.weather_cache import WeatherCache

NOW = datetime(2026, 11, 20, 15, tzinfo=UTC)
BOSTON, BERLIN, AUCKLAND = "42.4,-71.1", "52.5,13.4", "-36.8,174.8"
FIRST, MIDDLE, AFTER, LAST = date(2026, 10, 1), date(2026, 10, 16), date(2026, 10, 17), date(2026, 10, 31)
SPAN = ([BOSTON, BERLIN, AUCKLAND], FIRST, LAST)


@contextmanager
def installed(patch: pytest.MonkeyPatch, folder: Path, faults: str) -> Iterator[Installation]:
    """An installation whose every answer of Open-Meteo has the fault."""
    config = SandboxConfig(tenants=PROFILES, clock=still, faults=faults, fault_share=1.0)
    folder.mkdir(exist_ok=True)
    with RunningSandbox(config) as sandbox, engines.chosen().instance() as instance:
        write_environment(patch, folder, sandbox.url)
        instance.add_dynamic_partitions(TENANT_PARTITIONS, ["acme", "kiwi"])
        yield Installation(folder, instance, sandbox)


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    """What the archive has of the span."""
    with (
        pytest.MonkeyPatch.context() as patch,
        installed(patch, tmp_path_factory.mktemp("calm"), "") as here,
    ):
        fill(here, "acme", *SPAN)
        return stored(here)


async def fetch(cache: WeatherCache, url: str) -> None:
    """Fetch the span as a live run does, but do not sleep before the attempts that follow."""
    no_auth, pace, policy = StaticHeaders({}), Pace(10_000, 10_000), RetryPolicy(attempts=3)
    async with VendorSession("open_meteo", "acme", url, no_auth, pace, policy, sleep=Naps()) as session:
        client = OpenMeteoClient(session, f"{url}/v1/forecast", f"{url}/v1/archive")
        await cache.fetch(client, cache.plan_archive(*SPAN, NOW), lambda: NOW)


def stored(here: Installation) -> pl.DataFrame:
    return versions(here).drop("known_at_utc").sort("point", "valid_date")


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("swapped_coordinates", "degrees from the point asked for"),
        ("fewer_places", "2 locations for 3 asked"),
        ("lost_day", "has 30 days, not 2026-10-01..2026-10-31"),
        ("other_days", "has 31 days, not 2026-10-01..2026-10-31"),
    ],
)
def test_an_answer_to_another_question_is_an_error_and_nothing_is_kept(
    fault: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A day missing in the middle moved every later day up by one; one place fewer gave each town its neighbour's weather."""
    with installed(monkeypatch, tmp_path, fault) as here:
        with pytest.raises(Malformed, match=says) as caught:
            asyncio.run(fetch(WeatherCache(here.lake, "open_meteo"), here.sandbox.url))
        assert {record.fault for record in here.sandbox.log} == {fault}
        assert "acme" in str(caught.value)
        assert versions(here).is_empty()


def test_nulls_inside_the_archive_are_a_gap_of_that_day_and_that_value(
    calm: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """trap 5: ERA5-Land was null for days in August 2026: 0 degrees, 'observed', and a freeze in summer."""
    with installed(monkeypatch, tmp_path, "null_days") as here:
        fill(here, "acme", *SPAN)
        found = stored(here)
        again = WeatherCache(here.lake, "stub").missing_archive(*SPAN, NOW.replace(day=22))
    expected = calm.filter(pl.col("valid_date") != MIDDLE).with_columns(
        snowfall_cm=pl.when(pl.col("valid_date") != AFTER).then("snowfall_cm")
    )
    assert found.equals(expected)
    assert set(again["valid_date"]) == {MIDDLE, AFTER}, "both gaps are asked for again the day after"


def test_a_variable_that_comes_back_undefined_is_null_and_the_others_are_there(
    calm: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model without gusts: no wind at all, said the column, and no gale for a year."""
    with installed(monkeypatch, tmp_path, "undefined_variable") as here:
        fill(here, "acme", *SPAN)
        found = stored(here)
    assert found.equals(calm.with_columns(wind_gust_max_kmh=pl.lit(None, pl.Float64)))


def test_a_place_in_the_ocean_has_no_weather_and_is_not_given_any(
    calm: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A land model has nothing at sea; fifteen degrees were made up, since something had to stand there."""
    with installed(monkeypatch, tmp_path, "at_sea") as here:
        assert fill(here, "acme", *SPAN) == 1
        assert versions(here).is_empty()
        assert fill(here, "acme", *SPAN) == 0, "what has no answer is not asked for by every run"
    assert calm.height == 3 * 31


OCTOBER = [f"2026-10-0{n}|acme" for n in range(1, 10)]
GUSTLESS = dict.fromkeys(OCTOBER, "wind_gust_max_kmh")


@pytest.mark.parametrize(
    ("fault", "missing", "nulls"),
    [("at_sea", 9, {}), ("null_days", 1, {OCTOBER[2]: "snowfall_cm"}), ("undefined_variable", 0, GUSTLESS)],
)
def test_a_gap_is_seen_in_the_table_and_by_the_check(
    fault: str, missing: int, nulls: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run without weather was green, and so was one without gusts: coverage was counted over the rows that had any."""
    first, last = date(2026, 10, 1), date(2026, 10, 9)
    with installed(monkeypatch, tmp_path, fault) as here:
        outcome = here.backfill("acme", first, last, "orders", "weather_daily")
        rows = here.rows("acme", "weather_daily")
        judged = [e for e in here.evaluations(outcome) if e.check_name == "coverage" and e.partition]
        fetched = versions(here)
    assert outcome.failures == []
    severities = {e.partition: str(e.metadata["severity"].value) for e in judged}
    assert severities.keys() == set(OCTOBER)
    told = {e.partition: e.metadata["missing_values"].value for e in judged if "missing_values" in e.metadata}
    assert told == nulls
    assert {key for key, severity in severities.items() if severity == "warning"} == nulls.keys()
    bad = {key for key, severity in severities.items() if severity == "critical"}
    gaps = set(pl.date_range(first, last, eager=True)) - set(rows["date"])
    assert bad == {f"{day}|acme" for day in gaps}
    assert len(bad) == missing
    for name in WEATHER_VALUES:
        assert set(rows[name].drop_nulls()) <= set(fetched[name].drop_nulls()), f"{name} has values nobody sent"
