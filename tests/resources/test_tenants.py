"""tenants.toml, and what follows from a tenant's time zone."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weathervane_resources.settings import ConfigurationError
from weathervane_resources.tenants import RATIOS, Tenant, load_tenants

NAMES = frozenset({"geocoded_ratio_warning", "new_rows_median_min"})
START = date(2024, 1, 1)
GOOD = '[tenants.acme]\ntimezone = "America/New_York"\ncurrency = "USD"\n'


def load(tmp_path: Path, text: str) -> dict[str, Tenant]:
    file = tmp_path / "tenants.toml"
    file.write_text(text, encoding="utf-8")
    return load_tenants(file, NAMES, START)


def tenant(zone: str) -> Tenant:
    return Tenant("acme", "Acme", zone, "USD", START)


def test_a_full_tenant_is_read_as_written(tmp_path: Path) -> None:
    """A key that is read under another name than it is documented under is silently ignored."""
    more = (
        'name = "Acme Outdoor"\nstart_date = 2024-06-01\nshopify_protocol = "rest"\nclimatology_years = 30\n'
        'geocoded_ratio_warning = 0.9\nnew_rows_median_min = 50\nalert_urls = ["slack://x"]\n'
        'alert_severity = "critical"\nrestate_ads_days = 93\n'
    )
    acme = load(tmp_path, GOOD + more)["acme"]
    assert acme == Tenant(
        "acme", "Acme Outdoor", "America/New_York", "USD", date(2024, 6, 1), "rest", 30, ("slack://x",),
        {"geocoded_ratio_warning": 0.9, "new_rows_median_min": 50}, alert_severity="critical", restate_ads_days=93,
    )  # fmt: skip


def test_what_a_tenant_leaves_out_has_a_default_but_zone_and_currency_have_none(tmp_path: Path) -> None:
    """A tenant without time zone was given UTC, and its evening orders the next day."""
    acme = load(tmp_path, GOOD)["acme"]
    assert (acme.name, acme.start_date, acme.shopify_protocol, acme.climatology_years) == ("acme", START, "graphql", 10)
    assert (acme.thresholds, acme.restate_ads_days) == ({}, 33)


@pytest.mark.parametrize("years", [(1991, 2020), (1940, 1942), (1940, 2019), (1941, 2020)])
def test_a_fixed_base_period_is_read_and_no_tenant_has_one_by_default(tmp_path: Path, years: tuple[int, int]) -> None:
    """A tenant that asks for the standard normals of 1991-2020 must not get the last ten years without a word."""
    assert load(tmp_path, GOOD)["acme"].climatology_base is None
    acme = load(tmp_path, f'{GOOD}climatology_base = "{years[0]}-{years[1]}"\n')["acme"]
    assert (acme.climatology_base, acme.climatology_years) == (years, 10)


def test_tenants_keep_the_order_of_the_file(tmp_path: Path) -> None:
    """A dictionary by hash order made every listing and every backfill start somewhere else."""
    text = "".join(GOOD.replace("acme", name) for name in ("zeta", "acme", "mid-2"))
    assert list(load(tmp_path, text)) == ["zeta", "acme", "mid-2"]


BAD = {
    "not TOML": ("[tenants.acme\n", "is not valid TOML"),
    "not UTF-8": (None, "cannot be read"),
    "nothing in it": ("", "has no [tenants.<id>] table"),
    "tenants is a value": ("tenants = 3\n", "has no [tenants.<id>] table"),
    "a key outside": ("[tenant.acme]\n" + GOOD, "unknown key 'tenant'; tenants stand under [tenants.<id>]"),
    "a tenant is a value": ("[tenants]\nacme = 1\n", "tenants.acme must be a table"),
    "an unknown key": (GOOD + "time_zone = 'UTC'\n", "[tenants.acme] time_zone: is not a known key or threshold"),
    "a slip in what must be there": (GOOD.replace("timezone", "timzone"), "[tenants.acme] timzone: is not a known key or threshold; did you mean timezone?"),
    "a misspelt threshold": (GOOD + "geocoded_ratio_warn = 0.8\n", "[tenants.acme] geocoded_ratio_warn: is not a known key"),
    "a path in the id": ('[tenants."../other"]\n', "tenant id '../other' is not safe"),
    "upper case": ("[tenants.Acme]\n", "tenant id 'Acme' is not safe"),
    "the separator": ('[tenants."a|b"]\n', "tenant id 'a|b' is not safe"),
    "a leading dash": ("[tenants.-a]\n", "tenant id '-a' is not safe"),
    "a table of ours": ("[tenants._reports]\n", "tenant id '_reports' is not safe"),
    "too long": (f"[tenants.{'a' * 64}]\n", "is not safe"),
    "a trailing newline": ('[tenants."acme\\n"]\n', "is not safe"),
    "a date": ("[tenants.2025-01-01]\n", "tenant id '2025-01-01' is not safe; it must match [a-z0-9][a-z0-9_-]{0,62} and be no date"),
    "no time zone": ("[tenants.acme]\ncurrency = 'USD'\n", "[tenants.acme] timezone: is missing; it must be an IANA time zone"),
    "a bad time zone": (GOOD.replace("America/New_York", "EST5"), "[tenants.acme] timezone: is 'EST5'; it must be an IANA time zone"),
    "no currency": ("[tenants.acme]\ntimezone = 'UTC'\n", "[tenants.acme] currency: is missing"),
    "a bad currency": (GOOD.replace("USD", "usd"), "[tenants.acme] currency: is 'usd'; it must be an ISO 4217 code in use, like USD"),
    "no currency of any country": (GOOD.replace("USD", "XXZ"), "[tenants.acme] currency: is 'XXZ'; it must be an ISO 4217 code in use"),
    "a currency of before": (GOOD.replace("USD", "HRK"), "[tenants.acme] currency: is 'HRK'"),
    "a date as text": (GOOD + "start_date = '2024-01-01'\n", "[tenants.acme] start_date: is '2024-01-01'; it must be a date"),
    "a date with time": (GOOD + "start_date = 2024-01-01T00:00:00Z\n", "[tenants.acme] start_date: is datetime"),
    "an empty name": (GOOD + "name = ' '\n", "[tenants.acme] name: is ' '; it must be a name"),
    "an unknown protocol": (GOOD + "shopify_protocol = 'soap'\n", "[tenants.acme] shopify_protocol: is 'soap'; it must be graphql or rest"),
    "no years": (GOOD + "climatology_years = 0\n", "[tenants.acme] climatology_years: is 0; it must be a number of years, 1-80"),
    "two base periods": (GOOD + "climatology_years = 10\nclimatology_base = '1991-2020'\n", "[tenants.acme] climatology_base: stands beside climatology_years; give one of the two"),
    "a base before the archive": (GOOD + "climatology_base = '1939-1970'\n", "[tenants.acme] climatology_base: is '1939-1970'; it must be years like \"1991-2020\", from 1940 on, 3 to 80 of them"),
    "a base of two years": (GOOD + "climatology_base = '2019-2020'\n", "[tenants.acme] climatology_base: is '2019-2020'"),
    "a base of 81 years": (GOOD + "climatology_base = '1940-2020'\n", "[tenants.acme] climatology_base: is '1940-2020'"),
    "a base that runs backwards": (GOOD + "climatology_base = '2020-1991'\n", "[tenants.acme] climatology_base: is '2020-1991'"),
    "a base of days": (GOOD + "climatology_base = '1991-01-01/2020-12-31'\n", "[tenants.acme] climatology_base: is '1991-01-01/2020-12-31'"),
    "a base with blanks": (GOOD + "climatology_base = '1991 - 2020'\n", "[tenants.acme] climatology_base: is '1991 - 2020'"),
    "an empty base": (GOOD + "climatology_base = ''\n", "[tenants.acme] climatology_base: is ''; it must be years like"),
    "a base that is a difference": (GOOD + "climatology_base = 30\n", "[tenants.acme] climatology_base: is 30; it must be years like"),
    "no days of ads": (GOOD + "restate_ads_days = 0\n", "[tenants.acme] restate_ads_days: is 0; it must be a number of days, 1-100"),
    "a year of ads": (GOOD + "restate_ads_days = 365\n", "[tenants.acme] restate_ads_days: is 365; it must be a number of days, 1-100"),
    "an unknown join mode": (GOOD + "join_mode = 'latest'\n", "[tenants.acme] join_mode: is 'latest'; it must be observed or as_of"),
    "an hour past midnight": (GOOD + "decision_hour = 24\n", "[tenants.acme] decision_hour: is 24; it must be an hour of the day, 0-23"),
    "a decision before any forecast": (GOOD + "decision_lead_days = 8\n", "[tenants.acme] decision_lead_days: is 8; it must be a number of days, 0-7"),
    "a decision before the day's forecast": (GOOD + "decision_lead_days = 7\ndecision_hour = 2\n", "[tenants.acme] decision_lead_days: is 7; it must be a number of days, 0-6"),
    "a decision after the day": (GOOD + "decision_lead_days = -1\n", "[tenants.acme] decision_lead_days: is -1"),
    "years as yes": (GOOD + "climatology_years = true\n", "[tenants.acme] climatology_years: is True"),
    "urls as text": (GOOD + "alert_urls = 'slack://x'\n", "[tenants.acme] alert_urls: is 'slack://x'; it must be a list of Apprise URLs"),
    "a threshold as text": (GOOD + "geocoded_ratio_warning = '0.8'\n", "[tenants.acme] geocoded_ratio_warning: is '0.8'; it must be a ratio, 0-1"),
    "a threshold below zero": (GOOD + "geocoded_ratio_warning = -1\n", "[tenants.acme] geocoded_ratio_warning: is -1"),
    "a threshold that is no number": (GOOD + "geocoded_ratio_warning = nan\n", "[tenants.acme] geocoded_ratio_warning: is nan"),
    "a ratio in per cent": (GOOD + "geocoded_ratio_warning = 88\n", "[tenants.acme] geocoded_ratio_warning: is 88; it must be a ratio, 0-1"),
    "a little more than all": (GOOD + "geocoded_ratio_warning = 1.01\n", "[tenants.acme] geocoded_ratio_warning: is 1.01; it must be a ratio, 0-1"),
    "a number below zero": (GOOD + "new_rows_median_min = -1\n", "[tenants.acme] new_rows_median_min: is -1; it must be a number >= 0"),
    "twins": (GOOD.replace("acme", "a-b") + GOOD.replace("acme", "a_b"), "tenants a-b and a_b share the variable prefix A_B__; rename one"),
    "an endless threshold": (GOOD + "new_rows_median_min = inf\n", "[tenants.acme] new_rows_median_min: is inf"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "says"), BAD.values(), ids=BAD)
def test_a_bad_file_is_one_line_that_names_file_and_key(tmp_path: Path, text: str | None, says: str) -> None:
    """A typo in a key was ignored, and the tenant ran with a default for months."""
    file = tmp_path / "tenants.toml"
    file.write_bytes(b"\xff\xfe" if text is None else text.encode())
    with pytest.raises(ConfigurationError) as caught:
        load_tenants(file, NAMES, START)
    message = str(caught.value)
    assert message.startswith(f"{file}: ")
    assert says in message
    assert "\n" not in message


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    """A stack trace is not an answer to 'what do I do first'."""
    with pytest.raises(ConfigurationError, match=r"absent\.toml: no such file; copy tenants\.example\.toml"):
        load_tenants(tmp_path / "absent.toml", NAMES, START)


def test_the_example_file_is_valid() -> None:
    """The first thing a new user copies did not load."""
    from weathervane_checks.thresholds import THRESHOLD_NAMES

    example = Path(__file__).parents[2] / "tenants.example.toml"
    assert load_tenants(example, THRESHOLD_NAMES, START)


def test_every_ratio_is_known_to_end_at_one(tmp_path: Path) -> None:
    """88 for 0.88 was taken: every day of the tenant was critical, and its other limits were as sensible as ever."""
    from weathervane_assets.transforms.weather import FlagLimits
    from weathervane_checks.thresholds import Thresholds

    limits = [*fields(Thresholds), *fields(FlagLimits)]
    shares = {one.name for one in limits if one.metadata["unit"].startswith(("ratio", "probability"))}
    assert shares - {"unusual_widening"} == RATIOS, "unusual_widening is a factor, not a share"
    assert load(tmp_path, GOOD + "geocoded_ratio_warning = 1\n")["acme"].thresholds == {"geocoded_ratio_warning": 1}


def test_a_limit_in_degrees_may_be_below_zero(tmp_path: Path) -> None:
    """The hard freeze that kills plants, -2.2, was refused."""

    def acme(limit: str) -> Tenant:
        file = tmp_path / "tenants.toml"
        file.write_text(f"{GOOD}freeze_max_c = {limit}\n")
        return load_tenants(file, frozenset({"freeze_max_c"}), START)["acme"]

    assert acme("-2.2").thresholds == {"freeze_max_c": -2.2}
    with pytest.raises(ConfigurationError, match="freeze_max_c: is -273; it must be degrees Celsius, -90 to 60"):
        acme("-273")


def test_thresholds_cannot_be_changed_after_they_were_read(tmp_path: Path) -> None:
    """One tenant's override written into a shared dictionary became everyone's."""
    acme = load(tmp_path, GOOD + "geocoded_ratio_warning = 0.9\n")["acme"]
    with pytest.raises(TypeError):
        acme.thresholds["geocoded_ratio_warning"] = 0.1  # type: ignore[index]


@pytest.mark.parametrize(
    ("zone", "day", "start", "hours"),
    [
        ("Europe/Berlin", date(2025, 7, 1), datetime(2025, 6, 30, 22, tzinfo=UTC), 24),
        ("Europe/Berlin", date(2025, 3, 30), datetime(2025, 3, 29, 23, tzinfo=UTC), 23),
        ("Europe/Berlin", date(2025, 10, 26), datetime(2025, 10, 25, 22, tzinfo=UTC), 25),
        ("America/New_York", date(2025, 3, 9), datetime(2025, 3, 9, 5, tzinfo=UTC), 23),
        ("America/New_York", date(2025, 11, 2), datetime(2025, 11, 2, 4, tzinfo=UTC), 25),
        ("Pacific/Auckland", date(2025, 1, 1), datetime(2024, 12, 31, 11, tzinfo=UTC), 24),
        ("Asia/Kolkata", date(2025, 1, 1), datetime(2024, 12, 31, 18, 30, tzinfo=UTC), 24),
        # midnight does not exist on this day: the clock goes from 23:59:59 to 01:00
        ("Africa/Cairo", date(2024, 4, 26), datetime(2024, 4, 25, 22, tzinfo=UTC), 23),
        # midnight comes twice
        ("America/Havana", date(2025, 11, 2), datetime(2025, 11, 2, 4, tzinfo=UTC), 25),
    ],
)
def test_a_day_starts_at_local_midnight_and_is_as_long_as_the_clock_makes_it(
    zone: str, day: date, start: datetime, hours: int
) -> None:
    """East of Greenwich every row was a day early; on the day the clocks change an hour of orders was lost or doubled."""
    first, after = tenant(zone).window(day, day)
    assert first == start
    assert after - first == timedelta(hours=hours)


ZONES = ("America/New_York", "Europe/Berlin", "Pacific/Auckland", "Africa/Cairo", "America/Havana", "Asia/Kolkata", "Pacific/Kiritimati")  # fmt: skip
INSTANTS = st.datetimes(datetime(2023, 1, 1), datetime(2026, 12, 31), timezones=st.just(UTC))


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(ZONES), INSTANTS)
def test_every_instant_is_in_the_window_of_its_day_and_of_no_other(zone: str, instant: datetime) -> None:
    """Windows that overlap fetch an order twice; windows with a gap never fetch it."""
    shop = tenant(zone)
    day = shop.today(instant)
    first, after = shop.window(day, day)
    assert first <= instant < after
    assert shop.window(day - timedelta(days=1), day - timedelta(days=1))[1] == first
    assert shop.window(day + timedelta(days=1), day + timedelta(days=1))[0] == after


def test_the_decision_is_taken_at_the_tenants_hour_on_the_day_before() -> None:
    """An hour in UTC is yesterday's evening in Auckland and moves with every clock change."""
    kiwi = Tenant("kiwi", "Kiwi", "Pacific/Auckland", "NZD", START)
    assert kiwi.join_mode == "observed"
    assert kiwi.decision_at(date(2026, 9, 26)) == datetime(2026, 9, 24, 18, tzinfo=UTC)
    assert kiwi.decision_at(date(2026, 9, 28)) == datetime(2026, 9, 26, 17, tzinfo=UTC)
    same_day = replace(kiwi, decision_lead_days=0, decision_hour=0)
    assert same_day.decision_at(date(2026, 9, 26)) == same_day.day_start(date(2026, 9, 26))
