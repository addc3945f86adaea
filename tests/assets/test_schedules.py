"""Each tenant's night is its own."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import dagster as dg
import pytest

from tests.assets.conftest import Installation
from tests.assets.ticks import JOBS, SCHEDULES, add_run, first_ticks, of_acme, spans, start, tenant, tick
from weathervane_assets import graph
from weathervane_assets.definitions import build_defs
from weathervane_assets.partitions import TENANT_PARTITIONS, TENANT_TAG
from weathervane_assets.run_queue import BACKFILL_PRIORITY
from weathervane_assets.schedules import ROUTINES
from weathervane_assets.tables import CONTRACTS, shape_of
from weathervane_resources.settings import ConfigurationError


@pytest.mark.parametrize(
    "zone",
    ["America/New_York", "Pacific/Auckland", "Asia/Kolkata", "Europe/Helsinki", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC", "America/Santiago"],
)  # fmt: skip
@pytest.mark.parametrize("hour", [2, 3, 4, 5, 6, 7, 8])
def test_a_tenants_hour_strikes_once_a_local_day_through_every_change_of_clocks(zone: str, hour: int) -> None:
    """In Helsinki 03:00 does not exist on one day and comes twice on another: one night was missed, one run twice."""
    acme = tenant(zone)
    struck = first_ticks(acme, hour, datetime(2026, 1, 1, tzinfo=UTC), 366)
    days = sorted(struck)
    assert (days[-1] - days[0]).days + 1 == len(days) >= 365
    assert {at.astimezone(acme.zone).hour for at in list(struck.values())[1:]} <= {hour, hour + 1}


def test_the_night_brings_in_each_tenants_own_yesterday(installation: Installation, daemon: dg.DagsterInstance) -> None:
    """At one hour of UTC for all, Auckland's night ran in the middle of its afternoon, a day late."""
    start(daemon, "nightly", datetime(2026, 11, 19, 23, tzinfo=UTC))
    found = {hour: spans(start(daemon, "nightly", datetime(2026, 11, 20, hour, tzinfo=UTC))) for hour in range(24)}
    assert {hour: keys for hour, keys in found.items() if keys} == {
        8: [("2026-11-19|acme", "2026-11-19|acme")],
        14: [("2026-11-20|kiwi", "2026-11-20|kiwi")],
    }


def test_the_same_tick_twice_is_one_run(installation: Installation, daemon: dg.DagsterInstance) -> None:
    """The daemon tries a tick again that it did not see the end of."""
    at = datetime(2026, 11, 20, 8, tzinfo=UTC)
    (one,), (two,) = of_acme(daemon, "nightly", at), of_acme(daemon, "nightly", at)
    assert one.run_key == two.run_key == "nightly acme 2026-11-19"
    assert one.tags[TENANT_TAG] == "acme"


def test_a_day_that_was_only_read_while_it_went_on_is_caught_up(
    installation: Installation, daemon: dg.DagsterInstance
) -> None:
    """Somebody looked at today's orders at three; that night failed, and the next one left the half day as it was."""
    wrote(installation, "acme", date(2026, 11, 17))
    # 16:00 in New York, still the 18th; by UTC it is over in three hours
    wrote(installation, "acme", date(2026, 11, 18), written_at=datetime(2026, 11, 18, 21, tzinfo=UTC))
    assert spans(of_acme(daemon, "nightly", datetime(2026, 11, 20, 8, tzinfo=UTC))) == [
        ("2026-11-18|acme", "2026-11-19|acme")
    ]
    over = datetime(2026, 11, 19, 5, tzinfo=UTC)
    tables = [name for name in graph.DAILY if name != "weather_forecast"]
    wrote(installation, "acme", date(2026, 11, 18), tables=tables, written_at=over)
    assert spans(of_acme(daemon, "nightly", datetime(2026, 11, 20, 8, tzinfo=UTC))) == [
        ("2026-11-19|acme", "2026-11-19|acme")
    ]


@pytest.mark.parametrize(
    ("name", "hour", "span"),
    [
        ("restate_ads", 9, ("2026-10-18|acme", "2026-11-19|acme")),
        ("restate_weather", 10, ("2026-11-10|acme", "2026-11-19|acme")),
        ("issue_forecasts", 7, ("2026-11-20|acme", "2026-11-20|acme")),
    ],
)
def test_restated_days_are_read_again(
    installation: Installation, daemon: dg.DagsterInstance, name: str, hour: int, span: tuple[str, str]
) -> None:
    """Meta changed conversions of four weeks ago; the table still had those of the first morning."""
    assert spans(of_acme(daemon, name, datetime(2026, 11, 20, hour, tzinfo=UTC))) == [span]


def test_a_tenant_says_how_far_back_its_ads_are_restated(
    installation: Installation, daemon: dg.DagsterInstance
) -> None:
    """Google credited conversions for 90 days, and the table kept those of the first month."""
    file = installation.folder / "tenants.toml"
    file.write_text(file.read_text().replace("[tenants.acme]", "[tenants.acme]\nrestate_ads_days = 93"))
    (span,) = spans(of_acme(daemon, "restate_ads", datetime(2026, 11, 20, 9, tzinfo=UTC)))
    assert span == ("2026-08-19|acme", "2026-11-19|acme")


def test_the_last_reading_of_a_day_comes_after_a_window_of_30_days_is_over(
    installation: Installation, daemon: dg.DagsterInstance
) -> None:
    """Day D was read at 04:00 of D+30 for the last time: what was bought later that day and clicked on D was lost."""
    (span,) = spans(of_acme(daemon, "restate_ads", datetime(2026, 11, 20, 9, tzinfo=UTC)))
    assert date.fromisoformat(span[0].split("|")[0]) + timedelta(days=31) < date(2026, 11, 20)


def test_no_day_before_a_tenants_start_and_no_tenant_without_a_partition(
    installation: Installation, daemon: dg.DagsterInstance
) -> None:
    """A new tenant's first month asked for 30 partitions that are not, and the whole run was refused."""
    file = installation.folder / "tenants.toml"
    file.write_text(file.read_text().replace("[tenants.acme]", "[tenants.acme]\nstart_date = 2026-11-10"))
    at = datetime(2026, 11, 20, 9, tzinfo=UTC)
    assert spans(of_acme(daemon, "restate_ads", at)) == [("2026-11-10|acme", "2026-11-19|acme")]
    file.write_text(file.read_text().replace("2026-11-10", "2026-11-20"))
    assert of_acme(daemon, "restate_ads", at) == []
    daemon.delete_dynamic_partition(TENANT_PARTITIONS, "kiwi")
    assert tick(daemon, "nightly", datetime(2026, 11, 20, 14, tzinfo=UTC)) == []


def test_everything_is_off_until_someone_switches_it_on_and_the_night_is_complete() -> None:
    """A schedule that starts with the deployment runs without credentials."""
    assert all(schedule.default_status == dg.DefaultScheduleStatus.STOPPED for schedule in SCHEDULES)
    assert [*(routine.name for routine in ROUTINES), "normals", "freshness", "dq_report_job"] == [
        job.name for job in JOBS
    ]
    assert ROUTINES[0].assets == graph.DAILY
    hours = [routine.hour for routine in ROUTINES]
    assert len(hours) == len(set(hours))


def wrote(
    installation: Installation,
    tenant_id: str,
    *days: date,
    tables: Sequence[str] = graph.DAILY,
    written_at: datetime = datetime(2026, 11, 22, tzinfo=UTC),
    source: str = "stub",
) -> None:
    """Put a night's tables into the lake, empty: the ledger says that they were written."""
    for name in tables:
        shape = shape_of(CONTRACTS[name])
        installation.lake.replace(
            tenant_id, name, shape.schema.to_frame(), shape=shape, days=days, source=source, run_id="r",
            now=written_at,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("complete", "first"),
    [
        ([date(2026, 11, 18)], "2026-11-19"),
        ([date(2026, 11, 15)], "2026-11-16"),
        ([date(2026, 11, 15), date(2026, 11, 17), date(2026, 11, 18)], "2026-11-16"),
        ([date(2026, 9, 1)], "2026-11-06"),
        ([date(2026, 11, 19)], "2026-11-19"),
        ([date(2026, 11, 20)], "2026-11-19"),
    ],
)
def test_missed_nights_are_caught_up_as_one_range(
    installation: Installation, daemon: dg.DagsterInstance, complete: list[date], first: str
) -> None:
    """A machine that was off over a long weekend left three holes, which nobody saw before the month's report."""
    wrote(installation, "acme", *complete)
    assert spans(of_acme(daemon, "nightly", datetime(2026, 11, 20, 8, tzinfo=UTC))) == [
        (f"{first}|acme", "2026-11-19|acme")
    ]


@pytest.mark.parametrize("lost", ["stub", "not_configured"])
def test_nights_without_credentials_are_caught_up_once_they_are_back(
    installation: Installation, daemon: dg.DagsterInstance, lost: str
) -> None:
    """The container had lost its secrets for two nights: their tables were written, empty, and nobody ever read those days."""
    wrote(installation, "acme", date(2026, 11, 15), date(2026, 11, 18), source="live")
    wrote(installation, "acme", date(2026, 11, 16), date(2026, 11, 17), source=lost)
    assert spans(of_acme(daemon, "nightly", datetime(2026, 11, 20, 8, tzinfo=UTC))) == [
        ("2026-11-16|acme", "2026-11-19|acme")
    ]


def test_a_source_that_was_given_up_is_not_caught_up_each_night(
    installation: Installation, daemon: dg.DagsterInstance
) -> None:
    """Klaviyo was given up: its days stay empty, and each night would read two weeks of everything again."""
    wrote(installation, "acme", date(2026, 11, 15), source="live")
    days = [date(2026, 11, day) for day in (16, 17, 18)]
    wrote(installation, "acme", *days, tables=[name for name in graph.DAILY if name != "promos"], source="live")
    wrote(installation, "acme", *days, tables=["promos"], source="not_configured")
    assert spans(of_acme(daemon, "nightly", datetime(2026, 11, 20, 8, tzinfo=UTC))) == [
        ("2026-11-19|acme", "2026-11-19|acme")
    ]


def test_ads_that_are_made_up_in_part_are_not_the_shops_own(
    installation: Installation, daemon: dg.DagsterInstance
) -> None:
    """Google was live and Meta of the demo: the day counted as the shop's own to the nights, and as made up to all others."""
    for day, source in ((15, "google_ads_api+stub"), (16, "google_ads_api+stub"), (18, "google_ads_api+meta_api")):
        wrote(installation, "acme", date(2026, 11, day), tables=["ads"], source=source)
    others = [name for name in graph.DAILY if name != "ads"]
    wrote(installation, "acme", *(date(2026, 11, day) for day in range(14, 19)), tables=others, source="live")
    wrote(
        installation, "acme", date(2026, 11, 14), date(2026, 11, 17), tables=["ads"], source="google_ads_api+meta_api"
    )
    assert spans(of_acme(daemon, "nightly", datetime(2026, 11, 20, 8, tzinfo=UTC))) == [
        ("2026-11-15|acme", "2026-11-19|acme")
    ]


def test_a_night_whose_orders_failed_is_caught_up_though_its_matrix_was_written_for_the_ads(
    installation: Installation, daemon: dg.DagsterInstance
) -> None:
    """An hour after the failed night the ads were read again, with the matrix: nobody ever fetched that day's orders."""
    wrote(installation, "acme", date(2026, 11, 17))
    wrote(installation, "acme", date(2026, 11, 18), tables=("meta_ads", "google_ads", "ads", "features"))
    assert spans(of_acme(daemon, "nightly", datetime(2026, 11, 20, 8, tzinfo=UTC))) == [
        ("2026-11-18|acme", "2026-11-19|acme")
    ]


@pytest.mark.parametrize(
    ("name", "hour", "span"),
    [
        ("issue_forecasts", 8, ("2026-11-20|acme", "2026-11-20|acme")),
        ("nightly", 13, ("2026-11-19|acme", "2026-11-19|acme")),
        ("restate_ads", 20, ("2026-10-18|acme", "2026-11-19|acme")),
    ],
)
def test_what_was_not_started_in_its_hour_is_started_at_the_next_tick(
    installation: Installation, daemon: dg.DagsterInstance, name: str, hour: int, span: tuple[str, str]
) -> None:
    """A laptop that slept until eight had no night at all, and a daemon off from two to three lost the day's forecast for ever."""
    at = datetime(2026, 11, 20, hour, tzinfo=UTC)
    (request,) = of_acme(daemon, name, at)
    assert spans([request]) == [span]
    add_run(daemon, name, request, dg.DagsterRunStatus.NOT_STARTED)
    assert request.run_key in {one.run_key for one in tick(daemon, name, at)}, (
        "made, but the daemon died before it was queued"
    )
    add_run(daemon, name, request, dg.DagsterRunStatus.FAILURE)
    assert request.run_key not in {one.run_key for one in tick(daemon, name, at + timedelta(hours=1))}


def test_a_ledger_that_cannot_be_read_costs_no_other_tenant_its_night(
    installation: Installation, daemon: dg.DagsterInstance
) -> None:
    """After a power cut one tenant's ledger named a file that was gone, and nobody had a night."""
    for name in ("acme", "kiwi"):
        wrote(installation, name, date(2026, 11, 18))
    for name in ("_ledger", "weather_daily"):
        for file in (installation.folder / "lake" / "acme" / name).rglob("*.parquet"):
            file.unlink()
    at = datetime(2026, 11, 20, 14, tzinfo=UTC)
    assert spans(tick(daemon, "nightly", at)) == [
        ("2026-11-19|acme", "2026-11-19|acme"),
        ("2026-11-19|kiwi", "2026-11-20|kiwi"),
    ]
    assert tick(daemon, "new_cells", at) == []


def test_a_night_goes_before_what_can_wait(installation: Installation, daemon: dg.DagsterInstance) -> None:
    """Thirty days of ads of fifty tenants stood in the queue before everyone's yesterday."""
    (night,) = of_acme(daemon, "nightly", datetime(2026, 11, 20, 8, tzinfo=UTC))
    (ads,) = of_acme(daemon, "restate_ads", datetime(2026, 11, 20, 9, tzinfo=UTC))
    assert int(night.tags["dagster/priority"]) > int(ads.tags["dagster/priority"]) > int(BACKFILL_PRIORITY)


def test_everything_is_on_where_one_asks_for_it() -> None:
    """Nine switches to find in the UI before the first night."""
    for said, is_on in (("on", True), ("off", False)):
        repository = build_defs({"WEATHERVANE_AUTOMATION": said}).get_repository_def()
        running = {s.name for s in repository.schedule_defs if s.default_status == dg.DefaultScheduleStatus.RUNNING}
        running |= {s.name for s in repository.sensor_defs if s.default_status == dg.DefaultSensorStatus.RUNNING}
        everything = {s.name for s in (*repository.schedule_defs, *repository.sensor_defs)}
        assert running == (everything if is_on else {"tenant_sync", "deferred_runs"})
    with pytest.raises(ConfigurationError, match="WEATHERVANE_AUTOMATION is 'maybe'"):
        build_defs({"WEATHERVANE_AUTOMATION": "maybe"})
