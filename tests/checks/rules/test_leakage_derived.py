"""Anomalies and flags that are wrong in the weather and in the matrix alike: both are computed again from what they are made of."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import date

import polars as pl
import pytest

from tests.checks.rules.test_leakage import BAD, CELLS, DAYS, both, clean, decided
from weathervane_assets.transforms.calendar import day_slot
from weathervane_assets.transforms.weather import FlagLimits
from weathervane_checks.rules.join import Join
from weathervane_checks.rules.leakage import RULES
from weathervane_checks.rules.leakage_derived import ANOMALIES, LIMITS, calendar_slot, wrong_anomalies, wrong_flags

HERE = [(BAD, CELLS[0])]


def known(limits: FlagLimits | None = None) -> Join:
    """Return the join with the limits that were noted, its weather written after its normals."""
    noted = pl.DataFrame({"date": DAYS}).with_columns(
        pl.lit(value).alias(name) for name, value in asdict(limits or FlagLimits()).items()
    )
    return replace(clean(), normed=frozenset(DAYS), limits=noted)


def found(join: Join) -> dict[str, list[tuple[date, str]]]:
    broken = {rule: find(join).select("date", "geohash") for rule, find in RULES.items()}
    return {rule: sorted(rows.rows()) for rule, rows in broken.items() if rows.height}


def test_what_our_transforms_make_has_the_anomalies_and_flags_that_are_computed_again() -> None:
    """A blocking check that is red of what is right is switched off."""
    assert found(known()) == {}
    as_of = decided(clean())
    assert found(replace(as_of, normed=frozenset(DAYS), limits=known().limits)) == {}


@pytest.mark.parametrize("wrong", [{"temp_anomaly": 5.0}, {"precip_anomaly": 0.0}])
def test_an_anomaly_against_another_normal_is_found(wrong: dict[str, float]) -> None:
    """Every anomaly was five degrees too high in both tables, and seventeen rules were content."""
    assert found(both(**wrong)(known())) == {"W06": HERE}


def test_normals_that_were_made_again_since_say_nothing_of_an_anomaly() -> None:
    """A new place makes the normals of the year again: no day of before it is a leak."""
    wrong = both(temp_anomaly=5.0)(known())
    assert found(replace(wrong, normed=frozenset(DAYS) - {BAD})) == {}
    assert found(both(temp_anomaly=None)(known())) == {}, "its place was newer than the normals"


def test_an_anomaly_without_a_normal_is_found() -> None:
    """A build that takes zero for an unknown normal makes an anomaly of 20 degrees."""
    join = known()
    bare = replace(join, normals=join.normals.filter(pl.col("geohash") == CELLS[1]))
    assert {cell for _, cell in found(bare)["W06"]} == {CELLS[0]}
    unknown = bare.weather.with_columns(pl.lit(None, pl.Float64).alias(name) for name in ANOMALIES)
    assert RULES["W06"](replace(bare, weather=unknown)).is_empty()


def test_in_mode_as_of_other_rules_look_at_anomalies_and_flags() -> None:
    """A decision of early January uses the normals of the year before, and its flags the limits of the matrix."""
    right = known()
    as_of = replace(decided(clean()), normed=right.normed, limits=right.limits)
    other = both(temp_anomaly=5.0, freeze_flag=1)
    assert wrong_anomalies(other(as_of)).is_empty()
    assert wrong_flags(other(as_of)).is_empty()
    assert (wrong_anomalies(other(right)).height, wrong_flags(other(right)).height) == (1, 1)


def test_a_day_has_the_same_slot_as_in_the_normals() -> None:
    """March 1 is another slot than the 60th day in every year but leap years."""
    days = pl.DataFrame({"date": pl.date_range(date(2023, 1, 1), date(2025, 1, 1), eager=True)})
    slots = days.select(calendar_slot().alias("mine"), day_slot(pl.col("date")).cast(pl.Int16).alias("theirs"))
    assert slots["mine"].equals(slots["theirs"])


@pytest.mark.parametrize(
    ("flag", "value"),
    [("freeze_flag", 1), ("freeze_flag", None), ("snow_event_flag", 0), ("high_wind_flag", 1), ("heatwave_flag", 1)],
)
def test_a_flag_that_the_limits_of_its_day_do_not_set_is_found(flag: str, value: int | None) -> None:
    """A heatwave on every day of March, in both tables."""
    assert found(both(**{flag: value})(known())) == {"W09": HERE}


@pytest.mark.parametrize(
    ("flag", "named", "value", "is_set"),
    [("uv_alert_flag", "uv_index_max", 9.0, 1), ("high_precip_prob_flag", "precip_probability", 0.2, 0)],
)
def test_flags_of_forecasts_are_computed_too(flag: str, named: str, value: float, is_set: int) -> None:
    """The archive has neither UV nor a probability: both flags are of forecasts only."""
    right = both(**{named: value, flag: is_set})(known())
    assert RULES["W09"](right).is_empty()
    assert RULES["W09"](both(**{flag: 1 - is_set})(right)).select("date", "geohash").rows() == HERE
    assert RULES["W09"](both(**{flag: None})(right)).select("date", "geohash").rows() == HERE


@pytest.mark.parametrize(
    ("value", "flag", "is_right"), [(0.0, 1, True), (0.0, 0, False), (0.01, 0, True), (0.01, 1, False)]
)
def test_at_its_very_limit_it_freezes(value: float, flag: int, is_right: bool) -> None:
    """Minima have one decimal, so many are 0.0: each of them was a leak in the report, and none was one."""
    cold = {"temp_min_c": value, "freeze_flag": flag}
    assert RULES["W09"](both(**cold)(known(FlagLimits(freeze_max_c=0.0)))).is_empty() == is_right


def test_flags_are_held_against_the_limits_of_their_own_day() -> None:
    """Limits change: days of before have the flags of before, and days of which no limits were noted are left out."""
    assert set(found(known(FlagLimits(freeze_max_c=2.0)))) == {"W09"}
    wrong = both(freeze_flag=1)(known())
    assert found(replace(wrong, limits=wrong.limits.filter(pl.col("date") != BAD))) == {}
    assert found(replace(wrong, limits=wrong.limits.with_columns(freeze_max_c=pl.lit(None, pl.Float64)))) == {}


def test_every_limit_is_looked_at() -> None:
    """The checks share no code with the transforms, so a new limit has to be written down in both."""
    assert set(LIMITS) == set(asdict(FlagLimits()))
