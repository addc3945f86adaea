"""Weather of a region: weighted by earlier orders, blind for those of the day."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from weathervane_assets.tables import Features, Orders, polars_schema
from weathervane_assets.transforms.regions import weighted_weather

DAY = date(2025, 3, 10)


def orders(*rows: tuple[int, str | None]) -> pl.DataFrame:
    """Return one order for each (days from DAY, cell)."""
    made = [
        {"date": DAY + timedelta(days=n), "order_id": str(k), "is_test": False, "ship_geohash": cell}
        for k, (n, cell) in enumerate(rows)
    ]
    return pl.DataFrame(made, schema=polars_schema(Orders))  # fmt: skip


def features(*rows: tuple[str, float | None]) -> pl.DataFrame:
    made: list[dict[str, Any]] = [
        {"tenant_id": "acme", "date": DAY, "geohash": cell, "temp_c": temp_c, "is_weather_missing": temp_c is None} for cell, temp_c in rows
    ]  # fmt: skip
    return pl.DataFrame(made, schema=polars_schema(Features))


def told(found: pl.DataFrame) -> list[tuple[Any, ...]]:
    return found.select("temp_c", "weather_weight_ratio").rows()


def test_cells_weigh_as_many_orders_as_went_there_before() -> None:
    """The mean over cells gave a village the weight of a city."""
    found = weighted_weather(
        features(("a", 10.0), ("b", 20.0)), orders((-1, "a"), (-2, "a"), (-9, "a"), (-3, "b"), (-1, None))
    )
    assert found.select("tenant_id", "date").rows() == [("acme", DAY)]
    assert told(found) == [(12.5, 1.0)]  # fmt: skip


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from("ab")), max_size=10))
def test_orders_of_the_day_and_later_weigh_nothing(later: list[tuple[int, str]]) -> None:
    """Weighted by same-day orders, the weather of the region says where it sold: the target in disguise."""
    before = [(-1, "a"), (-1, "b"), (-365, "b")]
    rows = features(("a", 10.0), ("b", 20.0))
    assert weighted_weather(rows, orders(*before, *later)).equals(weighted_weather(rows, orders(*before)))


def test_what_is_cancelled_later_weighs_as_what_is_not() -> None:
    """A storm's orders were cancelled a week on: the weather of its day weighed the storm out, knowing the week."""
    rows, sold = features(("a", 10.0), ("b", 20.0)), orders((-1, "a"), (-2, "b"))
    later = pl.lit(datetime(2025, 3, 20, tzinfo=UTC)).dt.cast_time_unit("us")
    cancelled = sold.with_columns(cancelled_at=pl.when(pl.col("ship_geohash") == "a").then(later))
    assert weighted_weather(rows, cancelled).equals(weighted_weather(rows, sold))
    assert told(weighted_weather(rows, sold.with_columns(is_test=pl.col("ship_geohash") == "a"))) == [(20.0, 1.0)]


def test_a_lead_leaves_out_what_the_decision_could_not_count() -> None:
    """Yesterday's orders were not in when the decision was taken yesterday morning."""
    found = weighted_weather(features(("a", 10.0), ("b", 20.0)), orders((-1, "a"), (-2, "b")), lead_days=1)
    assert told(found) == [(20.0, 1.0)]


def test_orders_of_more_than_a_year_ago_weigh_nothing() -> None:
    """Where the shop sold in its first year, it need not sell now."""
    found = weighted_weather(features(("a", 10.0), ("b", 20.0)), orders((-366, "a"), (-365, "b")))
    assert told(found) == [(20.0, 1.0)]


def test_missing_weather_is_left_out_and_counted_and_nothing_is_invented() -> None:
    """A gap as 0 degrees made the region cold."""
    sold = orders((-1, "a"), (-1, "b"), (-2, "b"), (-3, "b"))
    assert told(weighted_weather(features(("a", 10.0), ("b", None)), sold)) == [(10.0, 0.25)]
    assert told(weighted_weather(features(("a", None)), sold)) == [(None, 0.0)]
    assert told(weighted_weather(features(("a", 10.0)), orders())) == [(None, None)]


def test_regions_are_told_apart() -> None:
    """One tenant, two coasts."""
    regions = features(("a", 10.0), ("b", 20.0)).with_columns(region=pl.col("geohash").str.to_uppercase())
    found = weighted_weather(regions, orders((-1, "a"), (-1, "b")), by=["tenant_id", "region"])
    assert found.select("region", "temp_c").rows() == [("A", 10.0), ("B", 20.0)]
