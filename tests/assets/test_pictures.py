"""The pictures of a run: small, with units, and nothing drawn of nothing."""

from __future__ import annotations

import base64
import re
import struct
from datetime import UTC, date, datetime, timedelta

import geohash
import polars as pl
import pytest

from tests.assets.conftest import Installation
from weathervane_assets.backfill import Outcome
from weathervane_assets.pictures import EVENTS, FEWEST_DAYS, against_normal, sales_picture
from weathervane_assets.quality_pictures import (
    cells_picture,
    counts_picture,
    places_picture,
    quality_pictures,
    weight_picture,
)
from weathervane_resources.quota import OPEN_METEO_FREE
from weathervane_resources.quota_use import Spent

MOST_BYTES = 60_000
DAY = date(2026, 11, 1)


def png_of(markdown: str) -> bytes:
    """Return the PNG of an inline Markdown image."""
    found = re.fullmatch(r"!\[[^\]]+\]\(data:image/png;base64,([A-Za-z0-9+/=]+)\)", markdown)
    assert found, markdown[:60]
    return base64.b64decode(found[1])


def days(count: int, anomaly: float | None = 1.5, orders: int | None = 10) -> pl.DataFrame:
    rows = [(DAY + timedelta(days=n), anomaly, orders) for n in range(count)]
    schema = {"date": pl.Date, "temp_anomaly": pl.Float64, "orders": pl.Int32}
    return pl.DataFrame(rows, schema=schema, orient="row")


@pytest.mark.parametrize(
    "frame",
    [days(0), days(FEWEST_DAYS - 1), days(30, anomaly=None), days(30, orders=None)],
    ids=["no days", "too few", "no anomaly", "no orders"],
)
def test_nothing_is_drawn_of_too_few_days(frame: pl.DataFrame) -> None:
    """Three dots look like a trend."""
    assert sales_picture(frame) is None


def test_a_year_of_days_with_gaps_is_one_small_picture() -> None:
    """Metadata is kept for each run for ever: a megabyte a day is the event log's end."""
    gaps = pl.concat([days(365), days(20, anomaly=None).with_columns(pl.col("date") + pl.duration(days=400))])
    picture = png_of(
        sales_picture(gaps.with_columns(temp_anomaly=pl.col("temp_anomaly") * pl.int_range(pl.len()))) or ""
    )
    assert picture.startswith(b"\x89PNG")
    assert len(picture) < MOST_BYTES
    assert struct.unpack(">II", picture[16:24]) == (720, 260)
    assert sales_picture(days(FEWEST_DAYS, orders=0)) is not None


def test_the_newest_partition_shows_sales_by_anomaly_and_weather_by_its_normal(
    filled: tuple[Installation, Outcome],
) -> None:
    """A picture on each of 365 partitions, or on none."""
    here, outcome = filled
    for asset, name in (("features", "sales"), ("weather_daily", "weather"), ("orders", "orders")):
        by_key = here.materializations(outcome, asset)
        assert [key for key, event in by_key.items() if name in event.metadata] == [max(by_key)]
        assert len(png_of(str(by_key[max(by_key)].metadata[name].value))) < MOST_BYTES


def test_a_new_place_without_a_normal_makes_no_warm_day() -> None:
    """A shop in the cold sold to the tropics once: its picture was ten degrees above normal from that day on."""
    schema = {"date": pl.Date, "temp_c": pl.Float64, "temp_anomaly": pl.Float64, "precip_mm": pl.Float64}
    events = dict.fromkeys(EVENTS, pl.Boolean)
    quiet = [None] * len(EVENTS)
    rows = [(DAY, 10.0, 0.0, 1.0, *quiet), (DAY, 30.0, None, 3.0, *quiet)]
    alone = [(DAY + timedelta(days=2), 30.0, None, 3.0, *quiet)]
    found = against_normal(pl.DataFrame(rows + alone, schema={**schema, **events}, orient="row"))
    assert found.select("temp_c", "normal", "precip_mm").rows() == [
        (10.0, 10.0, 2.0),
        (None, None, None),
        (30.0, None, 3.0),
    ]


def judged(count: int, usual: float | None = 10.0) -> pl.DataFrame:
    rows = [(DAY + timedelta(days=n), 10, usual, usual and 6.0, "critical" if n == 3 else "ok") for n in range(count)]
    return pl.DataFrame(rows, schema=["date", "orders", "usual", "least", "severity"], orient="row")


def placed(count: int, cells: int) -> pl.DataFrame:
    """Return so many days of orders in so many cells; every fifth has none."""
    named = [geohash.encode(30 + n / 7, -100 + n / 5, 5) for n in range(cells)]
    rows = [
        (DAY + timedelta(days=n), *(("none", None) if k % 5 == 0 else ("postal", named[(n + k) % cells])))
        for n in range(count)
        for k in range(25)
    ]
    schema = {"date": pl.Date, "geo_source": pl.String, "ship_geohash": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


def spent(*weights: float) -> list[Spent]:
    """Return the free quota's windows with so much spent of each."""
    at = datetime(2026, 11, 20, 13, tzinfo=UTC)
    return [Spent(window, at, weight) for window, weight in zip(OPEN_METEO_FREE, weights, strict=True)]


def test_quality_is_five_small_pictures() -> None:
    """They are kept with each morning's report: together they must stay small."""
    severities: dict[str, list[str | None]] = {"orders": ["ok", None, "critical"] * 20}
    days = [DAY + timedelta(days=n) for n in range(60)]
    drawn = quality_pictures(severities, days, judged(60), placed(60, 400), spent(40.0, 900.0, 9_500.0))
    assert list(drawn) == ["picture", "orders_against_usual", "places_by_day", "cells", "call_weight"]
    sizes = {name: len(png_of(one)) for name, one in drawn.items()}
    assert max(sizes.values()) < MOST_BYTES, sizes


def test_of_a_new_shop_only_what_is_there_is_drawn() -> None:
    """The first mornings have no usual, few days and maybe no cell; an empty frame looks like an outage."""
    assert counts_picture(judged(FEWEST_DAYS - 1)) is None
    assert counts_picture(judged(FEWEST_DAYS, usual=None)) is not None
    assert places_picture(placed(FEWEST_DAYS - 1, 3)) is None
    assert places_picture(placed(0, 3)) is None
    assert cells_picture(placed(3, 3).with_columns(ship_geohash=pl.lit(None, pl.String))) is None
    assert cells_picture(placed(1, 1)) is not None
    assert weight_picture([]) is None
    assert weight_picture(spent(0.0, 0.0, 30_000.0)) is not None  # one request heavier than the day goes alone
