"""The first days of a year, whose weather looks back into the year before."""

from __future__ import annotations

from datetime import UTC, date, datetime

import polars as pl
import pytest

from tests.assets.conftest import TENANTS, Installation
from weathervane_assets.backfill import plan_steps
from weathervane_assets.graph import NODES
from weathervane_assets.tables import CONTRACTS, polars_schema, shape_of
from weathervane_resources.weather_cache import ARCHIVE_MODEL

NEW_YEAR = date(2026, 1, 1)
LEARNT = datetime(2026, 1, 10, tzinfo=UTC)


def always_hot(here: Installation, tenant: str, year: int, cells: list[str]) -> None:
    """Write normals by which every day is hot."""
    rows = pl.DataFrame({"geohash": cells}).join(pl.DataFrame({"day_of_year": range(1, 367)}), how="cross")
    told = rows.with_columns(
        tenant_id=pl.lit(tenant), date=pl.lit(date(year, 1, 1)), temp_mean_c=0.0, temp_sd_c=1.0, temp_p10_c=-101.0, temp_p90_c=-100.0,
        precip_mean_mm=1.0, precip_sd_mm=1.0, years=10, base_start=pl.lit(date(year - 10, 1, 1)), base_end=pl.lit(date(year - 1, 12, 31)),
        model=pl.lit(ARCHIVE_MODEL), source=pl.lit("stub"), as_of_utc=pl.lit(LEARNT),
    )  # fmt: skip
    schema = polars_schema(CONTRACTS["climatology"])
    here.lake.replace(
        tenant, "climatology", told.select(pl.col(n).cast(t) for n, t in schema.items()), shape=shape_of(CONTRACTS["climatology"]),
        days=[date(year, 1, 1)], source="stub", run_id="r", now=LEARNT,
    )  # fmt: skip


def test_a_heatwave_that_began_in_december_is_known_on_new_years_day(installation: Installation) -> None:
    """The night of January 1 had the normals of its year only: whether the days before were hot, nobody knew."""
    file = installation.folder / "tenants.toml"
    file.write_text(file.read_text() + "heat_min_c = 0\n")
    installation.backfill("kiwi", NEW_YEAR, NEW_YEAR, "orders")
    cells = installation.rows("kiwi", "orders")["ship_geohash"].drop_nulls().unique().to_list()
    for year in (2025, 2026):
        always_hot(installation, "kiwi", year, cells)
    installation.backfill("kiwi", NEW_YEAR, NEW_YEAR, "weather_daily")
    assert installation.rows("kiwi", "weather_daily")["heatwave_flag"].to_list() == [1] * len(cells)


def test_a_place_first_shipped_to_in_the_first_week_has_its_anomalies(installation: Installation) -> None:
    """Its decisions use the normals of the year before, which had only that year's places: null until the second week."""
    text = TENANTS.replace("[tenants.kiwi]", 'join_mode = "as_of"\n\n[tenants.kiwi]')
    (installation.folder / "tenants.toml").write_text(text)
    outcome = installation.backfill("acme", date(2025, 12, 31), date(2026, 1, 9))
    shipped = (
        installation.rows("acme", "orders").drop_nulls("ship_geohash").group_by("ship_geohash").agg(pl.min("date"))
    )
    new = shipped.filter(pl.col("date") >= NEW_YEAR)["ship_geohash"]
    rows = installation.rows("acme", "features").filter(~pl.col("is_weather_missing"))
    assert rows.filter(pl.col("geohash").is_in(new.implode()))["date"].min() <= date(2026, 1, 4), (
        "none is new that early"
    )
    assert rows["temp_anomaly"].null_count() == 0
    used = installation.rows("acme", "climatology").filter(pl.col("date") == date(2025, 1, 1))
    assert used["base_end"].unique().to_list() == [date(2024, 12, 31)]
    assert [name for name, counts in outcome.checks.items() if counts["critical"]] == []


@pytest.mark.parametrize(
    ("first", "earliest", "years"),
    [
        (date(2026, 1, 1), date(2024, 1, 1), ("kiwi|2025", "kiwi|2026")),
        (date(2026, 1, 15), date(2024, 1, 1), ("kiwi|2025", "kiwi|2026")),
        (date(2026, 1, 16), date(2024, 1, 1), ("kiwi|2026", "kiwi|2026")),
        (date(2026, 1, 1), date(2026, 1, 1), ("kiwi|2026", "kiwi|2026")),
    ],
)
def test_a_backfill_from_january_makes_the_normals_of_december(
    first: date, earliest: date, years: tuple[str, str]
) -> None:
    """The first week's decisions of join mode as_of knew the normals of the year before only, which nobody had made: no anomalies."""
    steps = plan_steps("kiwi", first, date(2026, 1, 31), list(NODES), earliest)
    (normals,) = [step for step in steps if step.assets == ("climatology",)]
    assert (normals.first_key, normals.last_key) == years
    assert normals.size == len(set(years))
