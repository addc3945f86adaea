"""Days before a tenant's `start_date`: nobody writes them, wherever a run was started."""

from __future__ import annotations

from datetime import UTC, date, datetime

import dagster as dg

from tests.assets.conftest import Installation
from tests.assets.test_weather_schedules import of_acme, spans, write_weather
from weathervane_checks.alert_runs import ENDS, observe_end

FIRST = date(2026, 11, 18)


def begin(installation: Installation, first: date) -> None:
    """Let acme begin on a day."""
    file = installation.folder / "tenants.toml"
    text = file.read_text().replace("[tenants.acme]", f"[tenants.acme]\nstart_date = {first}")
    file.write_text(text)


def test_a_run_with_a_day_before_the_start_is_refused_as_a_whole_and_tells_nobody(installation: Installation) -> None:
    """The UI offers every day of the installation for every tenant; it wrote 2026-11-01 of a tenant that began on 2026-11-20, a day that
    the command refuses and that no restatement ever reads again."""
    begin(installation, FIRST)
    outcome = installation.backfill("acme", date(2026, 11, 17), date(2026, 11, 19), "orders")
    said = "2026-11-17 is before 2026-11-18, the first day of acme; choose days from then on, or set an earlier start_date in tenants.toml"
    assert said in outcome.failures[0]
    assert installation.rows("acme", "orders").is_empty()
    [run_id] = outcome.run_ids
    run = installation.instance.get_run_by_id(run_id)
    assert run is not None
    assert run.tags["dagster/max_retries"] == "0"
    [end] = installation.instance.get_records_for_run(run_id, of_type=set(ENDS)).records
    assert not list(observe_end(installation.instance, end, datetime.now(UTC)))


def test_the_first_day_and_the_normals_of_its_year_and_the_year_before_are_made(installation: Installation) -> None:
    """A year of normals begins on January 1, before most tenants do."""
    begin(installation, FIRST)
    assert installation.backfill("acme", FIRST, FIRST, "orders", "climatology").is_good
    assert installation.backfill("acme", date(2025, 12, 31), date(2025, 12, 31), "climatology").is_good


def test_unsettled_weather_before_a_start_that_was_moved_is_not_read_again(
    installation: Installation, daemon: dg.DagsterInstance
) -> None:
    """`restate_weather` reached back to a forecast that was kept of a day that is none of the tenant's any more: every night's run
    would be refused for it."""
    forecast = {"observation_type": "forecast"}
    write_weather(installation, {date(2026, 10, 18): forecast}, datetime(2026, 10, 18, tzinfo=UTC))
    at = datetime(2026, 11, 20, 12, tzinfo=UTC)
    assert spans(of_acme(daemon, "restate_weather", at)) == [("2026-10-18|acme", "2026-11-19|acme")]
    begin(installation, FIRST)
    assert spans(of_acme(daemon, "restate_weather", at)) == [("2026-11-18|acme", "2026-11-19|acme")]
