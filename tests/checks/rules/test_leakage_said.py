"""A build that is wrong is wrong in the weather and in the matrix alike: both are held against what the hosts said."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta

import polars as pl
import pytest

from tests.checks.rules.test_leakage import BAD, CELLS, DAYS, clean, decided, normals
from weathervane_assets.tables import WEATHER_VALUES, WeatherDaily, conform
from weathervane_assets.transforms.weather import FlagLimits, describe_days
from weathervane_checks.rules.join import ROLLED, Join
from weathervane_checks.rules.leakage import RULES, judge_leakage

BEGIN, NIGHTS = date(2025, 3, 10), 18
GAP, ARCHIVED_AFTER, AHEAD = 0.1, 6, 3
PLACES = pl.DataFrame(
    [(CELLS[0], "Europe/Berlin", 1), (CELLS[1], "America/New_York", -5)],
    schema={"geohash": pl.String, "timezone": pl.String, "lst_offset_hours": pl.Int8},
    orient="row",
)
Tampering = Callable[[pl.DataFrame], pl.DataFrame]


def seen(join: Join) -> Join:
    """Return the join in mode observed with the versions it was made from."""
    return replace(join, versions=decided(join).versions)


def in_both(change: Tampering, join: Join) -> Join:
    """Change the weather, and let the matrix carry it: as a build does that is wrong."""
    weather = change(join.weather)
    carried = [name for name in weather.columns if name in join.features.columns and name in (*WEATHER_VALUES, *ROLLED)]
    of_weather = weather.select("date", "geohash", *carried)
    matrix = join.features.drop(carried).join(of_weather, on=["date", "geohash"], how="left", validate="1:1")
    return replace(join, weather=weather, features=matrix.select(join.features.columns))


def of_the_next_day(weather: pl.DataFrame) -> pl.DataFrame:
    values = [
        pl.col(name).shift(-1).over("geohash", order_by="date").fill_null(pl.col(name)) for name in WEATHER_VALUES
    ]
    return weather.with_columns(values)


def centred(weather: pl.DataFrame) -> pl.DataFrame:
    """Return the means of three days before, the day and three after it; at the ends of fewer."""
    means = [
        pl.col(value).rolling_mean(7, min_samples=4, center=True).over("geohash", order_by="date").alias(rolled)
        for rolled, value in ROLLED.items()
    ]
    return weather.with_columns(means)


def found(join: Join) -> dict[str, list[tuple[date, str]]]:
    broken = {rule: find(join).select("date", "geohash") for rule, find in RULES.items()}
    return {rule: sorted(rows.rows()) for rule, rows in broken.items() if rows.height}


def test_the_weather_of_tomorrow_in_both_tables_is_found() -> None:
    """Every measured value was a day early with its lags right: seventeen rules, none broken."""
    wrong = in_both(of_the_next_day, seen(clean()))
    rows = found(wrong)
    assert rows.keys() == {"W09"}
    assert (BAD, CELLS[0]) in rows["W09"]
    assert "leakage_W09" in judge_leakage(wrong, [BAD])[0].alerts


def test_one_value_that_nobody_said_is_found_of_a_known_day_too() -> None:
    """The gust of another day, all else right: no version says the two together."""

    def gust(weather: pl.DataFrame) -> pl.DataFrame:
        is_bad = (pl.col("date") == BAD) & (pl.col("geohash") == CELLS[1])
        return weather.with_columns(pl.col("wind_gust_max_kmh") + pl.when(is_bad).then(1.0).otherwise(0.0))

    assert found(in_both(gust, seen(clean()))) == {"W09": [(BAD, CELLS[1])]}
    assert found(in_both(gust, decided(clean()))) == {"W09": [(BAD, CELLS[1])]}, (
        "a rebuild by the code that made it is no proof"
    )


def test_another_source_and_a_place_without_orders_are_not_held_against_the_versions() -> None:
    """Rows of a demo before the credentials, and of a place whose order went elsewhere: no version here speaks of them."""
    join = in_both(of_the_next_day, seen(clean()))
    demo = replace(join, weather=join.weather.with_columns(source=pl.lit("stub")))
    assert RULES["W09"](demo).is_empty()
    gone = replace(join, versions=join.versions.with_columns(geohash=pl.lit("u0000")))
    assert RULES["W09"](gone).is_empty()


@pytest.mark.parametrize("shift", [0.01, -0.01])
def test_a_mean_that_the_week_before_does_not_have_is_found(shift: float) -> None:
    """In mode observed nobody looked at means: `temp_roll7` could have been next week's."""
    join = seen(clean())
    moved = [pl.col(name) + shift for name in ROLLED]
    rows = found(in_both(lambda weather: weather.with_columns(moved), join))
    known = join.weather.select("date", "geohash").rows()
    assert rows == {"W05": sorted(known)}
    night = replace(join, weather=join.weather.filter(date=BAD))
    assert RULES["W05"](night).is_empty()
    assert RULES["W05"](in_both(lambda weather: weather.with_columns(moved), night)).height == len(CELLS)


def week_of_means(join: Join, days: int) -> Join:
    """Return the join with versions of so many days only before its first, and their mean in both tables."""
    before = (pl.col("valid_date") < DAYS[0]) & (pl.col("valid_date") >= DAYS[0] - timedelta(days=days))
    versions = join.versions.filter(before | (pl.col("valid_date") >= DAYS[0]))
    first = replace(join, versions=versions, weather=join.weather.filter(date=DAYS[0]))
    means = {rolled: versions.filter(before, geohash=CELLS[0])[value].mean() for rolled, value in ROLLED.items()}
    return in_both(
        lambda weather: weather.with_columns(pl.lit(mean).alias(name) for name, mean in means.items()), first
    )


def test_four_days_make_no_mean_and_a_mean_of_five_may_not_be_null() -> None:
    """A place that is new had a mean of its only day."""
    assert RULES["W05"](week_of_means(seen(clean()), 4)).height == len(CELLS)
    five = week_of_means(seen(clean()), 5)
    assert RULES["W05"](five).is_empty()
    bare = in_both(lambda weather: weather.with_columns(temp_roll7=pl.lit(None, pl.Float64)), five)
    assert RULES["W05"](bare).height == len(CELLS)


def test_a_day_that_came_after_the_mean_was_made_is_not_missed_in_it() -> None:
    """The archive had a gap, and filled it: the days after it are made again one at a time, if at all."""
    six = week_of_means(seen(clean()), 6)
    learnt_at = six.weather["as_of_utc"].max()
    late = six.versions.filter(valid_date=DAYS[0]).with_columns(
        valid_date=pl.lit(DAYS[0] - timedelta(days=7)),
        known_at_utc=pl.lit(learnt_at + timedelta(days=5)),
        temp_c=pl.lit(-40.0),
    )
    late = late.select(pl.col(name).cast(dtype) for name, dtype in six.versions.schema.items())
    assert RULES["W05"](replace(six, versions=pl.concat([six.versions, late]))).is_empty()
    known = late.with_columns(known_at_utc=pl.lit(learnt_at).dt.cast_time_unit("us"))
    assert RULES["W05"](replace(six, versions=pl.concat([six.versions, known]))).height == len(CELLS)


@pytest.mark.parametrize(("minutes", "is_one"), [(30, False), (120, True)])
def test_a_version_that_came_just_before_a_row_may_not_have_been_read_yet(minutes: int, is_one: bool) -> None:
    """A fetch and a build ran side by side with clocks apart: the row was of the version before, which is no leak."""
    six = week_of_means(seen(clean()), 6)
    made_at = six.weather["as_of_utc"].max()
    again = six.versions.filter(valid_date=DAYS[0] - timedelta(days=3)).with_columns(
        pl.col("temp_c") - 20, known_at_utc=pl.lit(made_at - timedelta(minutes=minutes)).dt.cast_time_unit("us")
    )
    found = RULES["W05"](replace(six, versions=pl.concat([six.versions, again])))
    assert found.height == (len(CELLS) if is_one else 0)


def test_a_centred_mean_in_both_tables_is_found_in_what_was_made_night_by_night() -> None:
    """The mean knew three days that were still to come; by then forecasts had been replaced by observations."""
    for seed in range(2):
        join = lake(seed)
        assert found(join) == {}
        wrong = found(in_both(centred, join))
        assert wrong.keys() == {"W05"}
        assert len(wrong["W05"]) > join.weather.height / 3


@pytest.mark.parametrize("seed", range(4))
def test_days_that_were_made_at_different_times_are_clean(seed: int) -> None:
    """Days are restated one at a time: a mean may be of forecasts that observations have since replaced, or lack a day that came late."""
    join = lake(seed)
    assert found(join) == {}
    for day in join.weather["date"].unique():
        assert RULES["W05"](replace(join, weather=join.weather.filter(date=day))).is_empty()


def lake(seed: int) -> Join:
    """Return what nights leave behind that fetch, make yesterday, and make one earlier day again; the second place is new in between."""
    luck = random.Random(seed)
    versions: list[dict[str, object]] = []
    rows: dict[tuple[date, str], pl.DataFrame] = {}
    for tonight in (BEGIN + timedelta(days=n) for n in range(NIGHTS)):
        cells = CELLS if tonight > BEGIN + timedelta(days=6) else CELLS[:1]
        versions += [one for cell in cells for one in learnt(cell, tonight, versions, luck)]
        again = tonight - timedelta(days=luck.randint(2, 9))
        for day in (again, tonight - timedelta(days=1)):
            made = row_of(day, cells, as_frame(versions)) if day >= BEGIN else pl.DataFrame()
            rows.update({(day, cell): made.filter(geohash=cell) for cell in cells if made.height})
    weather = pl.concat(rows.values())
    shown = [
        name for name in clean().features.columns if name in weather.columns and name not in ("tenant_id", "as_of_utc")
    ]
    matrix = weather.select(shown).with_columns(is_weather_missing=pl.lit(value=False), join_mode=pl.lit("observed"))
    empty = clean().features.clear()
    features = pl.concat([empty, matrix.cast({name: empty.schema[name] for name in matrix.columns})], how="diagonal")
    return Join(features, weather, normals(), today=BEGIN + timedelta(days=60), versions=as_frame(versions))


def learnt(
    cell: str, tonight: date, before: list[dict[str, object]], luck: random.Random
) -> Iterator[dict[str, object]]:
    """Yield what the hosts say on a night: the archive of a day once, with gaps; the forecast host of newer days each night."""
    at = datetime.combine(tonight, time(7), UTC)
    archived = {one["valid_date"] for one in before if one["geohash"] == cell and one["is_archived"]}
    for back in range(-AHEAD, 20):
        day = tonight - timedelta(days=back)
        is_archived = back > ARCHIVED_AFTER
        if (is_archived and day in archived) or luck.random() < GAP:
            continue
        yield {
            "geohash": cell, "valid_date": day, "is_archived": is_archived,
            "known_at_utc": at + timedelta(seconds=0 if is_archived else 30),
            "source_model": "era5_seamless" if is_archived else "best_match",
            "observation_type": "observed" if is_archived else "forecast",
            **said(luck, is_archived=is_archived),
        }  # fmt: skip


def said(luck: random.Random, *, is_archived: bool) -> dict[str, float | None]:
    temp = luck.uniform(-3, 12)
    return {
        "temp_c": temp, "temp_max_c": temp + 4, "temp_min_c": temp - 4, "apparent_temp_c": temp - 1,
        "precip_mm": None if luck.random() < GAP else luck.uniform(0, 9), "humidity_mean": luck.uniform(20, 90),
        "wind_gust_max_kmh": luck.uniform(30, 60), "wind_speed_max_kmh": 20.0, "snowfall_cm": 0.0,
        "precip_probability": None if is_archived else luck.random(), "uv_index_max": None if is_archived else luck.uniform(0, 9),
    }  # fmt: skip


def as_frame(versions: list[dict[str, object]]) -> pl.DataFrame:
    dtypes = dict.fromkeys(WEATHER_VALUES, pl.Float64) | {"known_at_utc": pl.Datetime("us", "UTC")}
    frame = pl.DataFrame(versions, schema_overrides=dtypes, infer_schema_length=None)
    return frame.with_columns(source=pl.lit("open_meteo"), as_of_utc="known_at_utc")


def row_of(day: date, cells: tuple[str, ...], versions: pl.DataFrame) -> pl.DataFrame:
    """Return the day's rows as the asset makes them from all that is known now."""
    latest = versions.sort("is_archived", "known_at_utc").unique(
        ["geohash", "valid_date"], keep="last", maintain_order=True
    )
    near = latest.filter(pl.col("valid_date").is_between(day - timedelta(days=7), day)).rename({"valid_date": "date"})
    active = pl.DataFrame({"date": [day] * len(cells), "geohash": cells})
    usual = normals().with_columns(year=pl.col("date").dt.year())
    described = describe_days(near.drop("is_archived", "known_at_utc"), usual, active, PLACES, FlagLimits())
    return conform(described.with_columns(tenant_id=pl.lit("acme")), WeatherDaily)
