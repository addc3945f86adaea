"""The edges of the leakage rules: the last row that breaks one, and beside it the first that does not."""

from __future__ import annotations

from datetime import datetime, time, timedelta, timezone

import pytest

from tests.checks.rules.test_leakage import BAD, CELLS, DAYS, both, clean, decided, on_features
from weathervane_checks.rules.leakage import RULES, judge_leakage


@pytest.mark.parametrize(
    ("late", "codes"),
    [(timedelta(0), ()), (timedelta(microseconds=1), ("leakage_W02",)), (timedelta(hours=6), ("leakage_W02",))],
)
def test_what_was_known_at_the_decision_is_no_leak_and_a_microsecond_later_it_is(
    late: timedelta, codes: tuple[str, ...]
) -> None:
    """Half a day of grace is half a day of the future: the evening's forecast stood in rows that were decided at noon."""
    join = decided(clean())
    at = join.decisions.filter(date=BAD)["decision_at"].item()
    (found,) = judge_leakage(on_features(weather_known_at_utc=at + late)(join), [BAD])
    assert found.alerts == codes


@pytest.mark.parametrize(("hours", "is_one"), [(14, False), (-14, False), (15, True), (-15, True)])
def test_a_day_may_start_fourteen_hours_off_and_not_fifteen(hours: int, is_one: bool) -> None:
    """Kiribati is 14 hours ahead and nobody is 15: a zone that was applied twice stayed within a day."""
    zone = timezone(timedelta(hours=hours))
    starts = datetime.combine(BAD, time(), zone)
    join = both(utc_datetime=starts, local_datetime=datetime.combine(BAD, time()))(clean())
    assert RULES["W10"](join).height == int(is_one)


def test_weather_that_says_it_is_of_another_local_day_is_found() -> None:
    """A row filed under Monday whose own clock said Sunday: sales of the one day with the weather of the other."""
    early = both(local_date=BAD - timedelta(days=1))(clean())
    assert RULES["W10"](early).select("date", "geohash").rows() == [(BAD, CELLS[0])]
    assert "leakage_W10" in judge_leakage(early, DAYS)[DAYS.index(BAD)].alerts


@pytest.mark.parametrize(("snow", "is_one"), [(11.0, False), (12.0, True)])
def test_more_snow_than_three_times_the_rain_and_five_centimetres_is_in_millimetres(snow: float, is_one: bool) -> None:
    """2 mm of water are 1.4 cm of snow, and 14 mm of it: stored as centimetres that was a blizzard."""
    join = both(precip_mm=2.0, snowfall_cm=snow)(clean())
    assert RULES["W13"](join).height == int(is_one)
