"""A tenant's fixed base period: what is asked of the archive for it, what the plan says of it, and what a change of it is not."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta

import polars as pl
import pytest

from tests.assets.conftest import NOW, TENANTS, Installation
from weathervane_assets.features import open_rebuild
from weathervane_assets.overridable import OVERRIDABLE
from weathervane_assets.tables import CONTRACTS, shape_of
from weathervane_assets.weather_costs import Costs, costs
from weathervane_assets.window import Window
from weathervane_checks.join_report import validate_join
from weathervane_resources.connectors import OpenMeteoConnector
from weathervane_resources.platform import Platform
from weathervane_resources.sandbox import RequestRecord
from weathervane_resources.tenants import Tenant

DECEMBER, JANUARY = date(2025, 12, 30), date(2026, 1, 3)
NOVEMBER = date(2026, 11, 1), date(2026, 11, 6)
PLACE = ("latitude", "longitude")
STANDARD = 'climatology_base = "1991-2020"'


def configure(installation: Installation, *lines: str) -> None:
    """Give acme other lines than `climatology_years`."""
    text = TENANTS.replace("climatology_years = 4", "\n".join(lines), 1)
    (installation.folder / "tenants.toml").write_text(text)


def asked_of_the_archive(installation: Installation, since: int) -> list[RequestRecord]:
    return [one for one in installation.sandbox.log.snapshot()[since:] if one.path.endswith("/v1/archive")]


def acme() -> Tenant:
    return Platform(threshold_names=sorted(OVERRIDABLE)).tenants()["acme"]


def planned(installation: Installation) -> Costs:
    days = tuple(DECEMBER + timedelta(days=n) for n in range((JANUARY - DECEMBER).days + 1))
    window = Window(acme(), days, datetime.fromisoformat(NOW), installation.lake)
    return costs(window, OpenMeteoConnector().access("acme", Platform(threshold_names=sorted(OVERRIDABLE))))


def test_normals_of_a_fixed_period_are_of_its_days_and_fetched_once_for_all_years(installation: Installation) -> None:
    """Two years of the same period are one purchase: thirty years of a place are 700 calls' weight."""
    configure(installation, STANDARD)
    installation.backfill("acme", DECEMBER, JANUARY, "orders")
    plan, since = planned(installation), len(installation.sandbox.log)
    outcome = installation.backfill("acme", DECEMBER, JANUARY, "climatology")
    asked = asked_of_the_archive(installation, since)
    assert {(one.query["start_date"], one.query["end_date"]) for one in asked} == {("1991-01-01", "2020-12-31")}
    points = [point for one in asked for point in zip(*(one.query[name].split(",") for name in PLACE), strict=True)]
    assert len(points) == len(set(points)) > 1, "each place once"
    whole = (date(1991, 1, 1), date(2020, 12, 31), 30)
    base = installation.rows("acme", "climatology").select("date", "base_start", "base_end", "years").unique()
    assert set(base.rows()) == {(date(year, 1, 1), *whole) for year in (2025, 2026)}
    made = installation.materializations(outcome, "climatology").values()
    assert {one.metadata["requests"].value for one in made} == {len(asked)}
    # the plan is of the normals of both years and of the days, of which only the days are left
    left = planned(installation)
    assert plan.hosts["archive"].requests == len(asked) + left.hosts["archive"].requests
    period_days = (date(2020, 12, 31) - date(1991, 1, 1)).days + 1
    assert plan.hosts["archive"].point_days - left.hosts["archive"].point_days == len(points) * period_days


def test_the_normals_of_a_year_within_the_period_are_of_the_ten_years_before_it(installation: Installation) -> None:
    """Made from 2001-2026, the normals of 2026 hold the days that they judge; the archive had no more of them than to November."""
    configure(installation, 'climatology_base = "2001-2026"')
    installation.backfill("acme", JANUARY, JANUARY, "orders")
    since = len(installation.sandbox.log)
    installation.backfill("acme", JANUARY, JANUARY, "climatology")
    asked = asked_of_the_archive(installation, since)
    assert {(one.query["start_date"], one.query["end_date"]) for one in asked} == {("2016-01-01", "2025-12-31")}
    base = installation.rows("acme", "climatology").select("base_start", "base_end", "years").unique()
    assert base.rows() == [(date(2016, 1, 1), date(2025, 12, 31), 10)]


@pytest.mark.parametrize("mode", ["observed", "as_of"])
@pytest.mark.parametrize("after", [pytest.param("climatology_years = 5", marks=pytest.mark.slow), STANDARD])
def test_another_base_period_is_no_leak(installation: Installation, mode: str, after: str) -> None:
    """After a change the report said of each day that was not made again, in as_of, that it knew the future (W06, W09)."""
    first, last = NOVEMBER
    configure(installation, "climatology_years = 4", f'join_mode = "{mode}"')
    installation.backfill("acme", first, last)
    before = installation.rows("acme", "features").filter(pl.col("date") == last)
    configure(installation, after, f'join_mode = "{mode}"')
    later = (datetime.fromisoformat(NOW) + timedelta(hours=1)).isoformat()
    installation.backfill("acme", last, last, "climatology", now=later)
    outcome = installation.backfill("acme", last, last, "weather_daily", "features", now=later)
    again = installation.rows("acme", "features").filter(pl.col("date") == last)
    shift = before.join(again, on="geohash", suffix="_again").select(
        pl.col("temp_anomaly") - pl.col("temp_anomaly_again")
    )
    assert shift.to_series().abs().min() > 0.001, "the normals are others"
    assert outcome.checks["features.weather_join_leakage"] == {"ok": 1}
    found = json.loads(installation.lake.files.read("_reports/acme/weather_join_validation.json") or b"")
    assert found["join"]["feature_rows"] > again.height, "the days of before are judged too"
    assert found["leakage"]["rules"] == {}


def test_rows_whose_normals_say_what_they_said_are_held_against_them(installation: Installation) -> None:
    """A rule that excuses what is older than its normals must not excuse all rows once the normals are made again for a new place."""
    configure(installation, "climatology_years = 4", 'join_mode = "as_of"')
    installation.backfill("acme", *NOVEMBER)
    later = (datetime.fromisoformat(NOW) + timedelta(hours=1)).isoformat()
    installation.backfill("acme", *NOVEMBER, "climatology", now=later)
    wrong = installation.rows("acme", "features").with_columns(pl.col("temp_anomaly") + 5)
    days, at = wrong["date"].unique().to_list(), datetime.now().astimezone()
    shape = shape_of(CONTRACTS["features"])
    installation.lake.replace("acme", "features", wrong, shape=shape, days=days, source="stub", run_id="r", now=at)
    found = validate_join(acme(), installation.lake, datetime.fromisoformat(NOW), open_rebuild)
    assert found["leakage"]["rules"].keys() == {"W06", "W09"}
