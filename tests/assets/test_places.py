"""`weathervane places fetch` and `weathervane coverage geocoding`, as an operator or a cron job runs them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.assets.test_cli import BACKFILL, GOOD
from tests.checks.test_catalog import order, put
from tests.commands import run
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
    assert "XX: the postal table could not be fetched (" in done.stderr, "a country is no window, and no tenant's"
    postal = PostalPlaces(Lake(str(tmp_path / "storage" / "lake")))
    assert postal.countries() == {"US", "CA"}
    before = postal.read(["US"]).height
    again = run(tmp_path, "places", "fetch", "--country", "US", GEONAMES_BASE_URL=sandbox.url)
    assert again.returncode == 0, again.stderr
    assert postal.read(["US"]).height == before > 0


def test_an_address_that_is_none_is_one_line(tmp_path: Path) -> None:
    """GEONAMES_BASE_URL=mirror:8080 was a traceback of a library that named no variable."""
    (tmp_path / "tenants.toml").write_text(GOOD)
    done = run(tmp_path, "places", "fetch", "--country", "US", GEONAMES_BASE_URL="mirror:8080")
    assert done.returncode == 2
    assert "GEONAMES_BASE_URL must be http(s)://host" in done.stderr
    assert "Traceback" not in done.stderr


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


@pytest.mark.slow
def test_a_recent_fall_is_named_though_all_orders_together_are_fine(tmp_path: Path) -> None:
    """Over two years 0.97 have a cell; since Monday it was 0.6, and the command said ok."""
    (tmp_path / "tenants.toml").write_text(GOOD)
    lake = Lake(str(tmp_path / "storage" / "lake"))
    yesterday = datetime.now(tz=UTC).date() - timedelta(days=2)
    days = [yesterday - timedelta(days=n) for n in range(40)]

    def write(fallen: bool) -> None:
        rows = [
            order(m, day, None if fallen and day == yesterday and m % 5 < 2 else "drt2y")
            for day in days
            for m in range(30)
        ]
        rows = [row | {"order_id": f"{row['date']}-{row['order_id']}"} for row in rows]
        put(lake, "orders", rows, days)

    def steady() -> str:
        """A shop of which each day has a cell for 0.85 of its orders: above the floor, below what a day warns of."""
        rows = [
            order(m, day, None if m % 20 < 3 else "drt2y") | {"order_id": f"{day}-{m}"}
            for day in days
            for m in range(40)
        ]
        put(lake, "orders", rows, days)
        (report,) = json.loads(run(tmp_path, "coverage", "geocoding", "--tenant", "acme", "--json").stdout)
        assert report["recent"]["fallen"], "the check warns of each day"
        return str(report["status"])

    write(fallen=False)
    command = ("coverage", "geocoding", "--tenant", "acme", "--fail-on-warning")
    assert run(tmp_path, *command).returncode == 0
    assert steady() == "ok"
    write(fallen=True)
    poor = run(tmp_path, *command)
    assert poor.returncode == 1
    assert f"{yesterday}: 18 of 30 orders have a cell; usually 1.000" in poor.stderr
    (report,) = json.loads(run(tmp_path, *command[:4], "--json").stdout)
    assert (report["status"], [day["date"] for day in report["recent"]["fallen"]]) == (
        "warning",
        [yesterday.isoformat()],
    )
