"""Join mode as_of: a row knows what its decision could know, and a shuffled future changes no byte of it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weathervane_assets.tables import WEATHER_VALUES, Ads, Orders, Promos, WeatherDaily, polars_schema
from weathervane_assets.transforms.as_of import decision_frame, describe_as_of, known_cells, latest_known
from weathervane_assets.transforms.calendar import active_cells, day_frame
from weathervane_assets.transforms.features import build_matrix, planned_promos, tenant_ads
from weathervane_assets.transforms.weather import FlagLimits
from weathervane_checks.rules.canary import canary, perturbed
from weathervane_checks.rules.conservation import judge_conservation

FIRST = date(2025, 3, 3)
DAYS = [FIRST + timedelta(days=n) for n in range(3)]
CELL = "u33d8"
HOUR = timedelta(hours=1)


def decision(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 6, tzinfo=UTC) - timedelta(days=1)


DECISIONS = decision_frame({day: decision(day) for day in DAYS})
CELLS = pl.DataFrame(
    [(CELL, "Europe/Berlin", 1)],
    schema={"geohash": pl.String, "timezone": pl.String, "lst_offset_hours": pl.Int8},
    orient="row",
)
VERSION_SCHEMA = {
    "geohash": pl.String,
    "valid_date": pl.Date,
    "known_at_utc": pl.Datetime("us", "UTC"),
    "is_archived": pl.Boolean,
    **dict.fromkeys(WEATHER_VALUES, pl.Float64),
    "observation_type": pl.String,
    "source_model": pl.String,
    "source": pl.String,
    "as_of_utc": pl.Datetime("us", "UTC"),
}


def version(day: date, known_at: datetime, temp_c: float, *, archived: bool = False) -> dict[str, object]:
    return {
        "geohash": CELL, "valid_date": day, "known_at_utc": known_at, "is_archived": archived, "temp_c": temp_c, "temp_max_c": temp_c + 4,
        "temp_min_c": temp_c - 4, "precip_mm": abs(temp_c), "observation_type": "observed" if archived else "forecast",
        "source_model": "era5_seamless" if archived else "best_match", "source": "open_meteo", "as_of_utc": known_at,
    }  # fmt: skip


def versions(*rows: dict[str, object]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=VERSION_SCHEMA).sort("valid_date", "known_at_utc", "temp_c")


def normals(*years: int) -> pl.DataFrame:
    rows = [(CELL, year, slot, float(year), 2.0, 20.0) for year in years for slot in range(1, 367)]
    schema = {"geohash": pl.String, "year": pl.Int32, "day_of_year": pl.Int16, "temp_mean_c": pl.Float64, "precip_mean_mm": pl.Float64, "temp_p90_c": pl.Float64}  # fmt: skip
    return pl.DataFrame(rows, schema=schema, orient="row")


def described(known: pl.DataFrame, *, days: list[date] = DAYS, decisions: pl.DataFrame = DECISIONS) -> pl.DataFrame:
    spine = pl.DataFrame({"date": days, "geohash": [CELL] * len(days)}, schema={"date": pl.Date, "geohash": pl.String})
    return describe_as_of(spine, known, normals(2024, 2025), CELLS, decisions, FlagLimits())


def test_a_row_has_the_newest_version_that_its_decision_could_know() -> None:
    """trap 12: as_of_utc was recorded and compared with nothing."""
    at = decision(FIRST)
    found = described(
        versions(
            version(FIRST, at - 2 * HOUR, 1.0),
            version(FIRST, at, 2.0),
            version(FIRST, at + timedelta(microseconds=1), 3.0),
            version(FIRST, at + 200 * HOUR, 4.0, archived=True),
        )
    )
    assert found.select("date", "geohash", "temp_c", "as_of_utc").rows() == [(FIRST, CELL, 2.0, at)]


def test_the_archives_value_counts_before_a_newer_forecast() -> None:
    """weather_daily prefers the archive; the matrix must not prefer otherwise."""
    at = decision(FIRST)
    old = FIRST - timedelta(days=7)
    found = latest_known(
        pl.DataFrame({"geohash": [CELL], "valid_date": [old], "decision_at": [at]}, schema_overrides={"decision_at": pl.Datetime("us", "UTC")}),
        versions(version(old, at - 5 * HOUR, 1.0, archived=True), version(old, at - HOUR, 2.0)),
    )  # fmt: skip
    assert found["temp_c"].to_list() == [1.0]


def test_yesterday_is_what_was_known_of_it_at_the_decision() -> None:
    """A lag taken from the finished table is the observation of a day that was not over: the commonest leak there is."""
    at = decision(FIRST)
    yesterday = FIRST - timedelta(days=1)
    known = versions(
        version(FIRST, at, 9.0), version(yesterday, at, 5.0), version(yesterday, at + 24 * HOUR, 8.0, archived=True)
    )
    assert described(known)["temp_c_lag1"].to_list() == [5.0]
    unknown = known.filter((pl.col("valid_date") != yesterday) | (pl.col("known_at_utc") > at))
    assert described(unknown)["temp_c_lag1"].to_list() == [None]


def test_rolling_means_are_of_the_snapshot_too() -> None:
    """Five forecasts of the week are a mean; four are none, whatever was learnt later."""
    at = decision(FIRST)
    week = [version(FIRST - timedelta(days=n), at, float(n)) for n in range(6)]
    later = [version(FIRST - timedelta(days=n), at + HOUR, 30.0, archived=True) for n in range(8)]
    assert described(versions(*week, *later))["temp_roll7"].to_list() == [3.0]
    assert described(versions(*week[:5], *later))["temp_roll7"].to_list() == [None]


@pytest.mark.parametrize(
    ("day", "year"),
    [(date(2025, 1, 3), 2024), (date(2025, 1, 8), 2024), (date(2025, 1, 9), 2025), (date(2025, 12, 31), 2025)],
)
def test_normals_are_of_the_decisions_year_once_they_can_be_out(day: date, year: int) -> None:
    """On January 2 the normals of the year held days of December that nobody had measured yet."""
    decisions = decision_frame({day: decision(day)})
    found = described(versions(version(day, decision(day), 10.0)), days=[day], decisions=decisions)
    assert found["temp_anomaly"].to_list() == [10.0 - year]


def test_a_cell_nobody_had_shipped_to_at_the_decision_is_left_out() -> None:
    """Its row in the matrix says that an order is coming."""
    orders = pl.DataFrame({"date": [DAYS[0], DAYS[2]], "geohash": ["a", "b"]})
    spine = pl.DataFrame([(day, cell) for day in DAYS for cell in "ab"], schema=["date", "geohash"], orient="row")
    assert known_cells(spine, orders, 0).rows() == [(DAYS[1], "a"), (DAYS[2], "a")]
    assert known_cells(spine, orders, 1).rows() == [(DAYS[2], "a")]


@pytest.mark.parametrize(("days_ago", "is_known"), [(364, True), (365, False)])
def test_a_cell_is_known_for_a_year_after_its_last_order_and_no_day_longer(days_ago: int, is_known: bool) -> None:
    """The day's own order brought a forgotten cell back into the matrix: its row said that an order was coming."""
    visits = pl.DataFrame({"date": [FIRST - timedelta(days=days_ago), FIRST], "geohash": ["a", "a"]})
    spine = pl.DataFrame({"date": [FIRST], "geohash": ["a"]})
    assert known_cells(spine, visits, 0).height == int(is_known)


def test_only_plans_that_stood_at_the_decision_count_and_their_absence_proves_nothing() -> None:
    """W18: a campaign's status 'Sent' is of the future; and no plan known is not no plan."""
    before, after = decision(FIRST) - HOUR, decision(FIRST) + HOUR
    rows = [
        campaign("1", "email", "Scheduled", before, before, scheduled_at=after),
        campaign("2", "sms", "Sent", before, after, send_time=after),
        campaign("3", "email", "Draft", before, before),
    ]
    assert planned(*rows) == (None, 1, None, None), "of the text nobody knows whether it was planned"
    assert planned(*rows[::2]) == (1, 1, None, None)


def test_a_campaign_that_was_out_by_the_decision_stands_whatever_became_of_it() -> None:
    """One of two alike counted, because the other one was archived weeks later: the matrix of that day then said another number."""
    before, after = decision(FIRST) - HOUR, decision(FIRST) + HOUR
    sent = campaign("1", "email", "Sent", before, after, send_time=before)
    assert planned(sent) == (1, 1, None, None)
    assert planned(sent | {"status": "Cancelled"}) == (None, None, None, None)
    assert planned(sent | {"created_at": after}) == (None, None, None, None)


@pytest.mark.parametrize(("late", "count"), [(timedelta(0), 1), (timedelta(microseconds=1), None)])
def test_a_campaign_that_goes_out_at_the_very_decision_is_out(late: timedelta, count: int | None) -> None:
    """Campaigns go out on the hour, as decisions are taken: one of six o'clock was unknown at six, for good."""
    at = decision(FIRST)
    sent = campaign("1", "email", "Sent", at - HOUR, at + HOUR, send_time=at + late)
    assert planned(sent)[:2] == (count, count)


def campaign(
    number: str, channel: str, status: str, created: datetime, updated: datetime, **times: datetime
) -> dict[str, object]:
    named = {"campaign_id": number, "channel": channel, "status": status}
    return {"date": FIRST, **named, "created_at": created, "updated_at": updated, **times}


def planned(*campaigns: dict[str, object]) -> tuple[object, ...]:
    """Return the counts of the first day: all, e-mail, SMS, push; of the others nothing is known."""
    found = planned_promos(pl.DataFrame(campaigns, schema=polars_schema(Promos)), DECISIONS).sort("date").rows()
    assert found[1:] == [(day, None, None, None, None) for day in DAYS[1:]]
    return found[0][1:]


HISTORY = st.lists(
    st.tuples(st.integers(-9, 2), st.integers(-240, 120), st.floats(-20, 30), st.booleans()), max_size=40
)


@settings(max_examples=40, deadline=None)
@given(HISTORY)
def test_no_future_changes_a_byte_of_the_matrix(drawn: list[tuple[int, int, float, bool]]) -> None:
    """W16: it finds a leak without knowing which bug makes it."""
    rows = [
        version(FIRST + timedelta(days=day), decision(FIRST) + hours * HOUR, temp_c, archived=archived)
        for day, hours, temp_c, archived in drawn
    ]
    known = versions(*{(row["valid_date"], row["known_at_utc"], row["is_archived"]): row for row in rows}.values())
    for day in DAYS:
        assert canary(known, decision(day), lambda v, day=day: described(v, days=[day])).is_empty()


def test_the_canary_sees_a_build_that_looks_ahead() -> None:
    """A canary that nothing can kill is a picture of a bird."""
    known = versions(version(FIRST, decision(FIRST), 5.0))
    tomorrow = decision_frame({FIRST: decision(FIRST) + 24 * HOUR})
    found = canary(known, decision(FIRST), lambda v: described(v, days=[FIRST], decisions=tomorrow))
    assert found.rows() == [(FIRST, CELL)]


def test_the_future_is_never_empty_and_the_past_never_touched() -> None:
    """With nothing learnt after the decision, a shuffle of nothing proves nothing."""
    known = versions(version(FIRST, decision(FIRST), 5.0))
    changed = perturbed(known, decision(FIRST))
    assert changed.filter(pl.col("known_at_utc") <= decision(FIRST)).equals(known)
    assert changed.filter(pl.col("known_at_utc") > decision(FIRST)).height == 2


SOLD = st.lists(
    st.tuples(st.integers(-2, 2), st.sampled_from(["a", "b", None]), st.decimals(0, 99, places=2)), max_size=20
)


@settings(max_examples=40, deadline=None)
@given(SOLD, st.integers(0, 2), st.sets(st.tuples(st.integers(0, 2), st.sampled_from("ab"))))
def test_sales_of_the_cells_that_are_in_are_the_same_before_and_after_the_join(
    sold: list[tuple[int, str | None, Decimal]], lead: int, known: set[tuple[int, str]]
) -> None:
    """What as_of leaves out must be cells that nobody knew, and not a sale more."""
    rows = [
        {"date": FIRST + timedelta(days=n), "order_id": str(k), "is_test": False, "ship_geohash": cell, "net_revenue": money}
        for k, (n, cell, money) in enumerate(sold)
    ]  # fmt: skip
    orders = pl.DataFrame(rows, schema=polars_schema(Orders))
    visits = orders.select("date", pl.col("ship_geohash").alias("geohash"))
    every = active_cells(visits, DAYS)
    spine = known_cells(every, visits, lead)
    left_out = every.join(spine, on=["date", "geohash"], how="anti").select("date", "geohash")
    weather = pl.DataFrame(
        [
            {"date": DAYS[n], "geohash": cell, "temp_c": 1.0, "as_of_utc": decision(DAYS[n])}
            for n, cell in sorted(known)
        ],
        schema=polars_schema(WeatherDaily),
    )
    flags = ("has_meta", "has_google", "no_meta", "no_google")
    unread = day_frame(DAYS).with_columns(pl.lit(value=False).alias(name) for name in flags)
    matrix = build_matrix(
        spine,
        orders,
        tenant_ads(pl.DataFrame(schema=polars_schema(Ads)), unread, "USD"),
        planned_promos(pl.DataFrame(schema=polars_schema(Promos)), DECISIONS),
        weather,
        join_mode="as_of",
    )
    findings = judge_conservation(orders.filter(pl.col("date").is_in(DAYS)), matrix, DAYS, "USD", left_out)
    assert [finding.severity for finding in findings] == ["ok"] * 3
    assert not matrix["is_first_order_day"].any()
    assert matrix.select("date", "geohash").rows() == spine.select("date", "geohash").rows()
