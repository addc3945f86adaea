"""Where a fall of the ratio of geocoded orders begins."""

from __future__ import annotations

import pytest

from tests.checks.rules.test_geocoding_fall import judge


@pytest.mark.parametrize(("found", "alerts"), [(951, ()), (949, ("geocoded_ratio_drop",))])
def test_a_fall_of_three_points_is_named_and_a_smaller_one_is_a_days_swing(found: int, alerts: tuple[str, ...]) -> None:
    """At two points a mid-sized shop was told every week, at four the loss of a small country's table never."""
    assert judge((found, 1_000)).alerts == alerts
