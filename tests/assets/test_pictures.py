"""The pictures of a run: small, with units, and nothing drawn of nothing."""

from __future__ import annotations

import base64
import re
import struct
from datetime import date, timedelta

import polars as pl
import pytest

from tests.assets.conftest import Installation
from weathervane_assets.backfill import Outcome
from weathervane_assets.pictures import FEWEST_DAYS, sales_picture

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
