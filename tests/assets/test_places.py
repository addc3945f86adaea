"""`weathervane places fetch` and `weathervane coverage geocoding`, as an operator or a cron job runs them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.assets.test_cli import BACKFILL, GOOD, run
from weathervane_resources.geocoder import PostalPlaces
from weathervane_resources.lake import Lake
from weathervane_resources.sandbox import RunningSandbox

TWO = GOOD + '[tenants.kiwi]\ntimezone = "Pacific/Auckland"\ncurrency = "NZD"\n'


def test_postal_tables_are_fetched_and_a_country_that_fails_is_named(tmp_path: Path, sandbox: RunningSandbox) -> None:
    """One country that GeoNames does not have kept the other eleven from coming."""
    (tmp_path / "tenants.toml").write_text(GOOD)
    done = run(tmp_path, "places", "fetch", "--country", "us,XX, CA", GEONAMES_BASE_URL=sandbox.url)
    assert done.returncode == 1
    assert "US: " in done.stdout
    assert "CA: " in done.stdout
    assert "XX: " in done.stderr
    postal = PostalPlaces(Lake(str(tmp_path / "storage" / "lake")))
    assert postal.countries() == {"US", "CA"}
    before = postal.read(["US"]).height
    again = run(tmp_path, "places", "fetch", "--country", "US", GEONAMES_BASE_URL=sandbox.url)
    assert again.returncode == 0, again.stderr
    assert postal.read(["US"]).height == before > 0


@pytest.mark.parametrize("text", ["USA", "U$", "", ","])
def test_what_is_no_country_is_one_line(tmp_path: Path, text: str) -> None:
    """A typo became a path in a URL, and from there a 404 after three retries."""
    done = run(tmp_path, "places", "fetch", "--country", text)
    assert done.returncode == 2
    assert "ISO 3166-1" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_coverage_is_reported_for_all_tenants_and_a_poor_one_ends_with_1(
    tmp_path: Path, sandbox: RunningSandbox
) -> None:
    """A cron job looks at the exit code, and whoever it wakes at the tenant's name and ratio."""
    (tmp_path / "tenants.toml").write_text(TWO)
    assert run(tmp_path, *BACKFILL, "--asset", "orders", WEATHERVANE_SANDBOX_URL=sandbox.url).returncode == 0
    fine = run(tmp_path, "coverage", "geocoding", "--tenant", "acme", "--fail-on-warning")
    assert (fine.returncode, fine.stderr) == (0, "")
    everyone = run(tmp_path, "coverage", "geocoding", "--json")
    assert everyone.returncode == 0
    reports = json.loads(everyone.stdout)
    assert [(report["tenant_id"], report["status"]) for report in reports] == [("acme", "ok"), ("kiwi", "missing")]
    for report in reports:
        file = tmp_path / "storage" / "lake" / "_reports" / report["tenant_id"] / "geocoding.json"
        assert json.loads(file.read_text()) == report
    poor = run(tmp_path, "coverage", "geocoding", "--fail-on-warning")
    assert poor.returncode == 1
    assert "kiwi" in poor.stderr
    strict = TWO.replace('"USD"', '"USD"\ngeocoded_ratio_floor = 1.0')
    (tmp_path / "tenants.toml").write_text(strict)
    below = run(tmp_path, "coverage", "geocoding", "--tenant", "acme", "--fail-on-warning")
    assert below.returncode == 1
    assert f"acme  {reports[0]['ratio']:.3f} of " in below.stderr
