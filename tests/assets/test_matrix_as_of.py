"""Join mode as_of on a real instance: the sandbox's forecasts as they were issued, and nothing that came later."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from tests.assets.conftest import TENANTS, Installation
from weathervane_assets.instance import sync_tenants
from weathervane_assets.overridable import OVERRIDABLE
from weathervane_assets.transforms.as_of import decision_frame
from weathervane_checks.dq_report import examine_quality
from weathervane_resources.platform import Platform
from weathervane_resources.tenants import FIRST_HOUR_WITH_TODAYS_FORECAST

FIRST, LAST = date(2026, 10, 28), date(2026, 11, 6)


def as_of(installation: Installation, more: str = "") -> None:
    text = TENANTS.replace("[tenants.kiwi]", f'join_mode = "as_of"\n{more}\n[tenants.kiwi]')
    (installation.folder / "tenants.toml").write_text(text)


def test_the_matrix_knows_what_its_decisions_could_know(installation: Installation) -> None:
    """trap 11 and 12: a guard that found nothing, because it compared nothing."""
    as_of(installation)
    outcome = installation.backfill("acme", FIRST, LAST)
    assert outcome.failures == []
    matrix = installation.rows("acme", "features")
    assert set(matrix["join_mode"]) == {"as_of"}
    assert not matrix["is_first_order_day"].any()
    known = matrix.filter(~pl.col("is_weather_missing"))
    local = known["weather_known_at_utc"].dt.convert_time_zone("America/New_York")
    lead = (known["date"] - local.dt.date()).dt.total_days()
    assert lead.min() == 1
    assert (local.dt.hour() <= 6).all()
    assert known.filter(pl.col("date") == LAST)["temp_roll7"].null_count() == 0
    assert known["temp_anomaly"].null_count() == 0
    assert matrix["tenant_ad_spend"].null_count() == matrix.height
    bad = {
        name: counts for name, counts in outcome.checks.items() if name.startswith("features") and counts["critical"]
    }
    assert bad == {}
    found = json.loads(installation.lake.files.read("_reports/acme/weather_join_validation.json") or b"")
    assert (found["join"]["join_mode"], found["leakage"]["total_rows"]) == ("as_of", 0)
    joined = [e for e in installation.evaluations(outcome) if e.check_name == "weather_join_coverage" and e.partition]
    said = {e.metadata["other_local_day_ratio"].value for e in joined}
    assert said == {found["join"]["other_local_day_ratio"]}, "the check shows what the report counts"


def test_what_was_decided_before_the_first_forecast_is_no_warning(installation: Installation) -> None:
    """The first nights, and each day of the first backfill, were warnings that nobody could mend."""
    as_of(installation)
    first, last = LAST - timedelta(days=1), LAST
    installation.backfill("acme", first - timedelta(days=2), first - timedelta(days=1), "orders")
    outcome = installation.backfill("acme", first, last)
    matrix = installation.rows("acme", "features").group_by("date").agg(pl.col("is_weather_missing").all())
    assert dict(matrix.iter_rows()) == {first: True, last: False}
    joined = [e for e in installation.evaluations(outcome) if e.check_name == "weather_join_coverage" and e.partition]
    said = {str(e.partition)[:10]: (e.passed, "before the first forecast" in str(e.description)) for e in joined}
    assert said == {first.isoformat(): (True, True), last.isoformat(): (True, False)}


@pytest.mark.parametrize("had_a_demo", [pytest.param(True, marks=pytest.mark.slow), False])
def test_before_any_forecast_was_kept_there_is_none_to_warn_of(
    installation: Installation, monkeypatch: pytest.MonkeyPatch, *, had_a_demo: bool
) -> None:
    """All days of a shop's first backfill with credentials were warnings: the first forecast is kept the night after it."""
    as_of(installation)
    if had_a_demo:
        before = FIRST - timedelta(days=1)
        assert installation.backfill("acme", before, before).failures == []
    for name, path in (("FORECAST", "forecast"), ("ARCHIVE", "archive")):
        monkeypatch.setenv(f"OPEN_METEO_{name}_URL", f"{installation.sandbox.url}/t/acme/v1/{path}")
    outcome = installation.backfill("acme", FIRST, FIRST + timedelta(days=2))
    assert outcome.failures == []
    assert installation.rows("acme", "features")["is_weather_missing"].all()
    joined = [e for e in installation.evaluations(outcome) if e.check_name == "weather_join_coverage" and e.partition]
    said = {str(e.partition)[:10]: (e.passed, str(e.metadata["observed"].value)) for e in joined}
    assert said[(FIRST + timedelta(days=2)).isoformat()] == (True, "0.0")
    assert all(passed for passed, _ in said.values())
    tenant = Platform(threshold_names=sorted(OVERRIDABLE)).tenants()["acme"]
    quality = examine_quality(tenant, installation.lake, datetime(2026, 11, 1, 15, tzinfo=UTC))
    assert "weather_join_coverage_low" not in quality.run["datasets"]["features"]["alerts"], "the report says it too"


@pytest.mark.parametrize(
    ("hour", "lead"), [pytest.param(2, 1, marks=pytest.mark.slow), (3, 7), pytest.param(5, 1, marks=pytest.mark.slow)]
)
def test_made_up_forecasts_are_known_from_the_hour_at_which_real_ones_are(
    installation: Installation, hour: int, lead: int
) -> None:
    """They were known from six: a tenant that decided between three and five, a week ahead, saw a demo without any weather."""
    as_of(installation, f"decision_hour = {hour}\ndecision_lead_days = {lead}")
    installation.backfill("acme", FIRST, LAST)
    matrix = installation.rows("acme", "features")
    decided_on = pl.col("date") - pl.duration(days=lead)
    newest = decided_on - pl.duration(days=int(hour < FIRST_HOUR_WITH_TODAYS_FORECAST))
    rows = matrix.filter(newest >= FIRST)
    assert rows.height
    assert not rows["is_weather_missing"].any()
    local = pl.col("weather_known_at_utc").dt.convert_time_zone("America/New_York")
    assert rows.filter(local.dt.date() != newest).is_empty(), "the newest forecast that was known is joined"
    report = json.loads(installation.lake.files.read("_reports/acme/weather_join_validation.json") or b"")
    assert report["leakage"]["total_rows"] == 0


def test_the_canary_runs_in_the_check_and_finds_a_build_that_looks_ahead(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W16 was a test of ours and no check of theirs: a leak of next month would have found nobody at home."""
    as_of(installation)
    first = date(2026, 11, 3)
    installation.backfill("acme", first, date(2026, 11, 6))

    def hindsight(decisions: Mapping[date, datetime]) -> pl.DataFrame:
        return decision_frame({day: at + timedelta(days=1) for day, at in decisions.items()})

    monkeypatch.setattr("weathervane_assets.as_of.decision_frame", hindsight)
    outcome = installation.backfill("acme", first, date(2026, 11, 6), "features")
    leaks = [e for e in installation.evaluations(outcome) if e.check_name == "weather_join_leakage" and e.partition]
    alerts = {e.partition: str(e.metadata["alerts"].value) for e in leaks}
    assert "leakage_W02" in alerts["2026-11-06|acme"]
    assert "leakage_W16" in alerts["2026-11-06|acme"]


@pytest.mark.parametrize("is_as_of_first", [pytest.param(True, marks=pytest.mark.slow), False])
def test_days_of_the_other_join_mode_are_no_leak(installation: Installation, *, is_as_of_first: bool) -> None:
    """For a quarter after a change of join mode the report said of every day of before that it knew the future."""
    before, after = (date(2026, 10, 30), date(2026, 11, 3)), (date(2026, 11, 4), date(2026, 11, 5))
    plain = (installation.folder / "tenants.toml").read_text()
    if is_as_of_first:
        as_of(installation)
    installation.backfill("acme", *before)
    if is_as_of_first:
        (installation.folder / "tenants.toml").write_text(plain)
    else:
        as_of(installation)
    installation.backfill("acme", *after)
    assert set(installation.rows("acme", "features")["join_mode"]) == {"observed", "as_of"}
    found = json.loads(installation.lake.files.read("_reports/acme/weather_join_validation.json") or b"")
    assert (found["leakage"]["rules"], found["leakage"]["total_rows"]) == ({}, 0)


def test_another_tenants_made_up_forecasts_change_nothing_of_what_was_known(installation: Installation) -> None:
    """A second tenant of another time zone put forecasts among the shared versions that were said to be older than they are."""
    of_two = 'timezone = "Asia/Dubai"\ncurrency = "AED"\nstart_date = 2026-01-01\njoin_mode = "as_of"\n'
    (installation.folder / "tenants.toml").write_text(
        f"[tenants.dune]\n{of_two}[tenants.coast]\n{of_two.replace('Asia/Dubai', 'Europe/Berlin')}"
    )
    sync_tenants(installation.instance, ["dune", "coast"])
    assert installation.backfill("dune", FIRST, LAST).failures == []
    before = matrix_of(installation, "dune")
    assert before["temp_c"].drop_nulls().len()
    assert installation.backfill("coast", FIRST, LAST).failures == []
    places = [set(installation.rows(tenant, "orders")["ship_geohash"].drop_nulls()) for tenant in ("dune", "coast")]
    assert places[0] & places[1], "they ship to the same places"
    outcome = installation.backfill("dune", FIRST, LAST, "features")
    assert matrix_of(installation, "dune").equals(before)
    assert {name: counts for name, counts in outcome.checks.items() if "leakage" in name and counts["critical"]} == {}


def matrix_of(installation: Installation, tenant: str) -> pl.DataFrame:
    return installation.rows(tenant, "features").drop("as_of_utc").sort("date", "geohash")
