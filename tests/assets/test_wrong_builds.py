"""A build that is wrong writes the same into `weather_daily` and the matrix: the checks hold both against what they were made from."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl

from tests.assets.conftest import NOW, Installation
from weathervane_assets.features import open_rebuild
from weathervane_assets.overridable import OVERRIDABLE
from weathervane_assets.tables import CONTRACTS, WEATHER_VALUES, shape_of
from weathervane_checks.join_report import validate_join
from weathervane_resources.platform import Platform

FIRST, LAST = date(2026, 11, 2), date(2026, 11, 6)
Change = Callable[[pl.DataFrame], pl.DataFrame]


def tomorrow(rows: pl.DataFrame) -> pl.DataFrame:
    values = (
        pl.col(name).shift(-1).over("geohash", order_by="date").fill_null(pl.col(name)) for name in WEATHER_VALUES
    )
    return rows.with_columns(values)


WRONG: dict[str, tuple[set[str], Change]] = {
    "tomorrow's weather": ({"W06", "W09"}, tomorrow),
    "a mean of another week": ({"W05"}, lambda rows: rows.with_columns(pl.col("temp_roll7") + 0.5)),
    "an anomaly against other normals": ({"W06"}, lambda rows: rows.with_columns(pl.col("temp_anomaly") + 5)),
    "a heatwave on every day": ({"W09"}, lambda rows: rows.with_columns(heatwave_flag=pl.lit(1, pl.Int8))),
    "no frost on any day": ({"W09"}, lambda rows: rows.with_columns(freeze_flag=1 - pl.col("freeze_flag"))),
}


def rules(here: Installation, now: str) -> dict[str, int]:
    acme = Platform(threshold_names=sorted(OVERRIDABLE)).tenants()["acme"]
    found: dict[str, Any] = validate_join(acme, here.lake, datetime.fromisoformat(now), open_rebuild)
    return found["leakage"]["rules"]


def rewrite(here: Installation, change: Change) -> dict[str, pl.DataFrame]:
    """Change the stored rows of both tables as a wrong build would have; return what they were."""
    before = {name: here.rows("acme", name) for name in ("weather_daily", "features")}
    for name, rows in before.items():
        put(here, name, change(rows))
    return before


def put(here: Installation, name: str, rows: pl.DataFrame) -> None:
    days = rows["date"].unique().sort().to_list()
    noted = here.lake.ledger("acme", name).filter(pl.col("date").is_in(days)).drop_nulls("flag_limits")
    here.lake.replace(
        "acme", name, rows, shape=shape_of(CONTRACTS[name]), days=days, source="stub", run_id="r",
        now=datetime.now().astimezone(), flag_limits=dict(noted.select("date", "flag_limits").iter_rows()),
    )  # fmt: skip


def test_what_is_wrong_in_both_tables_alike_is_found_and_days_made_one_at_a_time_are_not(
    installation: Installation,
) -> None:
    """The matrix was held against the weather, and nothing held the weather: an auditor moved both by a day, and all was ok."""
    early = "2026-11-09T15:00:00+00:00"
    installation.backfill("acme", FIRST, LAST, now=early)
    assert rules(installation, early) == {}
    for broken, change in WRONG.values():
        before = rewrite(installation, change)
        assert rules(installation, early).keys() == broken
        for name, rows in before.items():
            put(installation, name, rows)
    assert rules(installation, early) == {}
    for day in (
        LAST,
        FIRST,
        FIRST + timedelta(days=2),
    ):  # by now the archive has them: the days between keep their forecasts
        outcome = installation.backfill("acme", day, day, "weather_daily", "features", now=NOW)
        assert not outcome.failures
        assert rules(installation, NOW) == {}
    kinds = installation.rows("acme", "weather_daily").group_by("date").agg(pl.col("source_model").unique())
    assert kinds["source_model"].n_unique() == 2, "some days are forecasts still"
