"""The calendar of days on which a tenant's silence means nothing."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from tests.resources.test_tenants import GOOD, load
from weathervane_resources.quiet_days import QuietDays
from weathervane_resources.settings import ConfigurationError


def test_weekdays_yearly_days_and_dates_are_quiet(tmp_path: Path) -> None:
    """A shop that is closed on Sundays was reported dead once a week."""
    acme = load(tmp_path, GOOD + 'quiet_days = ["Sunday", "12-25", "02-29", 2026-11-26, "2026-07-04"]\n')["acme"]
    quiet = [date(2026, 11, 22), date(2025, 12, 25), date(2026, 12, 25), date(2028, 2, 29), date(2026, 11, 26)]
    assert all(day in acme.quiet_days for day in [*quiet, date(2026, 7, 4)])
    assert not any(day in acme.quiet_days for day in (date(2026, 11, 23), date(2027, 11, 26), date(2026, 12, 24)))
    assert load(tmp_path, GOOD)["acme"].quiet_days == QuietDays()


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ('"sunday"', "is 'sunday'; it must be a list"),
        ('["sundays"]', "holds 'sundays'; each must be a weekday"),
        ('["13-01"]', "holds '13-01'"),
        ('["02-30"]', "holds '02-30'"),
        ('["2026-02-30"]', "holds '2026-02-30'"),
        ("[6]", "holds 6"),
        ("[2026-11-26T00:00:00Z]", "holds datetime"),
        ('[""]', "holds ''"),
    ],
)
def test_what_is_no_day_is_named_with_file_and_key(tmp_path: Path, value: str, says: str) -> None:
    """A holiday with a typing error was an ordinary day, and nobody knew until it came."""
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, GOOD + f"quiet_days = {value}\n")
    assert str(caught.value).startswith(f"{tmp_path / 'tenants.toml'}: [tenants.acme] quiet_days: ")
    assert says in str(caught.value)
