"""Versions: pinned, dated, and warned about before they rot in silence."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from weathervane_resources.http.echo import version_note
from weathervane_resources.versions import DEFAULT_VERSIONS, SUNSETS, sunset_of, warnings

TODAY = date(2026, 11, 20)


def test_every_default_is_alive_and_in_the_table() -> None:
    """v21 ended on a Wednesday and took every import with it (OWOX #1504)."""
    assert warnings(TODAY, {}) == []
    assert all(sunset_of(name, version) for name, version in DEFAULT_VERSIONS.items())


def test_the_defaults_warn_before_they_end() -> None:
    """A build that nobody upgrades must say so by itself."""
    latest = max(sunset_of(name, version).ends for name, version in DEFAULT_VERSIONS.items())  # type: ignore[union-attr]
    assert {w.variable for w in warnings(latest, {})} == set(DEFAULT_VERSIONS)


@pytest.mark.parametrize("row", SUNSETS, ids=lambda row: f"{row.variable} {row.version}")
def test_a_version_warns_from_60_days_ahead_and_is_dead_on_its_day(row: object) -> None:
    """Not on the day after: the vendor's clock is ahead of ours somewhere."""
    overrides = {row.variable: row.version}  # type: ignore[attr-defined]
    ends: date = row.ends  # type: ignore[attr-defined]

    def found(day: date) -> list[bool]:
        return [w.is_dead for w in warnings(day, overrides) if w.variable in overrides]

    assert found(ends - timedelta(days=61)) == []
    assert found(ends - timedelta(days=60)) == [False]
    assert found(ends) == [True]


def test_a_version_we_do_not_know_is_said_to_be_unknown() -> None:
    """An override is the way out of a sunset, so it is no error; its end is the operator's to watch."""
    [warning] = warnings(TODAY, {"GOOGLE_ADS_API_VERSION": "v27", "OTHER": "x"})
    assert (warning.ends, warning.is_dead) == (None, False)
    assert "not in our table" in warning.message


@pytest.mark.parametrize(
    ("variable", "version"),
    [("GOOGLE_ADS_API_VERSION", "v20"), ("GOOGLE_ADS_API_VERSION", "v9"), ("META_GRAPH_VERSION", "v21.0"), ("SHOPIFY_API_VERSION", "2025-04"), ("KLAVIYO_REVISION", "2024-07-15")],
)  # fmt: skip
def test_a_version_older_than_one_that_ended_has_ended(variable: str, version: str) -> None:
    """The older the version, the less was said: of one that was in no table any more, nothing."""
    [warning] = warnings(TODAY, {variable: version})
    assert warning.is_dead
    assert f"{variable}={version} ended by " in warning.message


@pytest.mark.parametrize("version", ["v20.1", "unstable", "", "v27"])
def test_a_version_of_another_shape_or_newer_is_not_taken_for_older(version: str) -> None:
    """A text that is compared with a number is older or newer by chance."""
    assert not any(warning.is_dead for warning in warnings(TODAY, {"GOOGLE_ADS_API_VERSION": version}))


def test_projected_dates_say_about() -> None:
    """A date that follows from a rule must not look announced."""
    [projected] = warnings(date(2027, 1, 10), {"GOOGLE_ADS_API_VERSION": "v23"})
    assert "ends about 2027-02-01; set GOOGLE_ADS_API_VERSION=v26" in projected.message
    [announced] = warnings(TODAY, {"META_GRAPH_VERSION": "v24.0"})
    assert "ended 2026-10-06" in announced.message


@pytest.mark.parametrize(
    ("vendor", "asked", "headers", "said"),
    [
        ("shopify", "2025-01", {"x-shopify-api-version": "2026-01"}, "answered as 2026-01, not as 2025-01"),
        ("shopify", "2026-10", {"x-shopify-api-version": "2026-10"}, ""),
        ("shopify", "2026-10", {}, ""),
        (
            "meta_ads",
            "v24.0",
            {"x-ad-api-version-warning": "The call has been auto-upgraded to v25.0"},
            "auto-upgraded",
        ),
        ("meta_ads", "v26.0", {}, ""),
        ("klaviyo", "2026-07-15", {"x-shopify-api-version": "1"}, ""),
    ],
)
def test_the_version_that_answered_is_compared(vendor: str, asked: str, headers: dict[str, str], said: str) -> None:
    """Shopify serves the oldest living version instead of a retired one, with HTTP 200."""
    note = version_note(vendor, asked, headers)
    assert said in note
    assert bool(note) is bool(said)
