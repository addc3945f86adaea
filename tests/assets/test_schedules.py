"""Each tenant's night is its own."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from tests.assets.conftest import Installation
from weathervane_assets import graph
from weathervane_assets.definitions import build_defs
from weathervane_assets.overridable import OVERRIDABLE
from weathervane_assets.partitions import RANGE_END, RANGE_START, TENANT_PARTITIONS, TENANT_TAG
from weathervane_assets.run_queue import BACKFILL_PRIORITY
from weathervane_assets.schedules import (
    NEW_CELLS_HOUR,
    NORMALS_HOUR,
    ROUTINES,
    build_schedules,
    has_struck,
    normals_are_due,
)
from weathervane_assets.tables import CONTRACTS, polars_schema, shape_of
from weathervane_assets.transforms.as_of import decision_frame
from weathervane_resources.clock import Clock
from weathervane_resources.lake import Shape
from weathervane_resources.platform import Platform
from weathervane_resources.settings import ConfigurationError
from weathervane_resources.tenants import Tenant
from weathervane_resources.weather_cache import archive_end

JOBS, SCHEDULES = build_schedules()
BY_NAME = {schedule.name.removesuffix("_schedule"): schedule for schedule in SCHEDULES}


def tenant(timezone: str, start: date = date(2024, 1, 1)) -> Tenant:
    return Tenant("acme", "Acme", timezone, "USD", start)


def tick(instance: dg.DagsterInstance, name: str, at: datetime) -> list[dg.RunRequest]:
    platform = Platform(threshold_names=sorted(OVERRIDABLE))
    resources = {"platform": platform}
    # as a context manager, and with its resources: else it opens the instance and never closes it
    with dg.build_schedule_context(instance, scheduled_execution_time=at, resources=resources) as context:
        result = BY_NAME[name](context)
    return result if isinstance(result, list) else []


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """A schedule opens the instance by its reference, so it must be one that is kept."""
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        instance.add_dynamic_partitions(TENANT_PARTITIONS, ["acme", "kiwi"])
        yield instance


def of_acme(instance: dg.DagsterInstance, name: str, at: datetime) -> list[dg.RunRequest]:
    """Return what a tick asks for of acme; the other tenant's clock is elsewhere."""
    return [request for request in tick(instance, name, at) if request.tags[TENANT_TAG] == "acme"]


def start(instance: dg.DagsterInstance, name: str, at: datetime) -> list[dg.RunRequest]:
    """Let a tick start its runs, as the daemon does."""
    requests = tick(instance, name, at)
    for request in requests:
        add_run(instance, name, request)
    return requests


def add_run(
    instance: dg.DagsterInstance,
    name: str,
    request: dg.RunRequest,
    status: dg.DagsterRunStatus = dg.DagsterRunStatus.SUCCESS,
) -> None:
    tags = {**request.tags, "dagster/run_key": request.run_key or "", "dagster/schedule_name": f"{name}_schedule"}
    instance.run_storage.add_run(dg.DagsterRun(job_name=name, tags=tags, status=status))


def spans(requests: list[dg.RunRequest]) -> list[tuple[str, str]]:
    return [(request.tags[RANGE_START], request.tags[RANGE_END]) for request in requests]


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


def first_ticks(tenant: Tenant, hour: int, begin: datetime, days: int) -> dict[date, datetime]:
    """Return for each of the tenant's days the first hourly tick at which its clock has struck."""
    struck: dict[date, datetime] = {}
    for at in (begin + timedelta(hours=n) for n in range(24 * days)):
        if has_struck(tenant, hour, at):
            struck.setdefault(tenant.today(at), at)
    return struck


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


WHOLE = {"observation_type": "observed", "temp_max_c": 9.0, "temp_min_c": 2.0, "precip_mm": 0.0, "snowfall_cm": 0.0}


@pytest.mark.parametrize(
    "told", [{"observation_type": "forecast"}, {"precip_mm": None}, {"snowfall_cm": None}, {"temp_max_c": None}, {"temp_min_c": None}],
    ids=lambda told: next(iter(told)),
)  # fmt: skip
@pytest.mark.parametrize(("days_old", "first"), [(9, "2026-11-10"), (30, "2026-10-21"), (71, "2026-11-10")])
def test_weather_that_the_archive_may_still_mend_is_read_again(
    installation: Installation, daemon: dg.DagsterInstance, days_old: int, first: str, told: dict[str, object]
) -> None:
    """A pause of two weeks left forecasts in the history for ever, and so did a late answer of the archive its gaps: rain
    that the archive named after 12 days stayed null, since nobody read the day again."""
    write_weather(installation, {date(2026, 11, 20) - timedelta(days=days_old): WHOLE | told, date(2026, 10, 1): WHOLE})
    assert spans(of_acme(daemon, "restate_weather", datetime(2026, 11, 20, 10, tzinfo=UTC))) == [
        (f"{first}|acme", "2026-11-19|acme")
    ]


def write_weather(installation: Installation, days: dict[date, dict[str, object]]) -> None:
    """Write a row of acme's weather for each day, with the values that are given and no gusts."""
    rows = pl.DataFrame(
        [{"tenant_id": "acme", "date": day, "geohash": "drt2y", **values} for day, values in days.items()],
        schema=polars_schema(CONTRACTS["weather_daily"]),
    ).with_columns(pl.lit("open_meteo").alias("source"))
    installation.lake.replace(
        "acme", "weather_daily", rows, shape=shape_of(CONTRACTS["weather_daily"]), days=list(days), source="open_meteo",
        run_id="r", now=datetime(2026, 11, 1, tzinfo=UTC),
    )  # fmt: skip


def test_a_damaged_table_of_weather_stops_nobody_elses_restatement(
    installation: Installation, daemon: dg.DagsterInstance
) -> None:
    """One file of acme's was gone after a power cut, and no tenant's weather was read again until someone looked."""
    if not installation.lake.files.is_local:
        pytest.skip("takes a file away by hand")
    installation.backfill("acme", date(2026, 11, 1), date(2026, 11, 1), "orders", "weather_daily")
    files = list(Path(installation.lake.uri("acme", "weather_daily")).glob("month=*/*.parquet"))
    assert files
    for file in files:
        file.unlink()
    (request,) = of_acme(daemon, "restate_weather", datetime(2026, 11, 20, 10, tzinfo=UTC))
    assert spans([request]) == [("2026-11-10|acme", "2026-11-19|acme")]


@pytest.mark.parametrize(
    ("name", "hour", "span"),
    [
        ("restate_ads", 9, ("2026-10-21|acme", "2026-11-19|acme")),
        ("restate_weather", 10, ("2026-11-10|acme", "2026-11-19|acme")),
        ("issue_forecasts", 7, ("2026-11-20|acme", "2026-11-20|acme")),
    ],
)
def test_restated_days_are_read_again(
    installation: Installation, daemon: dg.DagsterInstance, name: str, hour: int, span: tuple[str, str]
) -> None:
    """Meta changed conversions of four weeks ago; the table still had those of the first morning."""
    assert spans(of_acme(daemon, name, datetime(2026, 11, 20, hour, tzinfo=UTC))) == [span]


@pytest.mark.parametrize(
    "zone", ["America/Los_Angeles", "UTC", "Asia/Kolkata", "Pacific/Auckland", "Pacific/Kiritimati"]
)
@pytest.mark.parametrize("day", [date(2026, 2, 27), date(2026, 9, 26), date(2026, 12, 31)])
def test_every_day_is_read_again_at_least_twice_after_the_archive_has_it(zone: str, day: date) -> None:
    """East of India a day left the week that is read again before the archive had it, and stayed a forecast for ever."""
    (routine,) = (routine for routine in ROUTINES if routine.name == "restate_weather")
    acme, first = tenant(zone), datetime(day.year, day.month, day.day, tzinfo=UTC)
    ticks = first_ticks(acme, routine.hour, first, 16).values()
    spans = {at: routine.span(acme, at, date(2024, 1, 1)) for at in ticks}
    with_it = [at for at, span in spans.items() if span and span[0] <= day <= span[1] and day <= archive_end(at)]
    assert len(with_it) >= 2


def test_todays_forecast_is_there_before_the_decision_of_the_day() -> None:
    """Asked for in the hour of the decision, it came seconds too late: each decision knew the forecast of the day before."""
    (issue,) = (routine for routine in ROUTINES if routine.name == "issue_forecasts")
    assert max(issue.hours) < tenant("America/New_York").decision_hour


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
) -> None:
    """Put a night's tables into the lake, empty: the ledger says that they were written."""
    for name in tables:
        shape = shape_of(CONTRACTS[name])
        installation.lake.replace(
            tenant_id, name, shape.schema.to_frame(), shape=shape, days=days, source="stub", run_id="r",
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
        ("restate_ads", 20, ("2026-10-21|acme", "2026-11-19|acme")),
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


def test_forecasts_are_asked_for_before_the_night_and_after_it(
    installation: Installation, daemon: dg.DagsterInstance
) -> None:
    """Asked for once, at two, the places that the night found at three had no forecast before the next decision."""
    hours = [datetime(2026, 11, 20, hour, tzinfo=UTC) for hour in range(5, 24)]
    started = {at.hour: start(daemon, "issue_forecasts", at) for at in hours}
    assert {hour: spans(of) for hour, of in started.items() if of and of[0].tags[TENANT_TAG] == "acme"} == {
        7: [("2026-11-20|acme", "2026-11-20|acme")],
        10: [("2026-11-20|acme", "2026-11-20|acme")],
    }
    slept = [start(daemon, "issue_forecasts", datetime(2026, 11, 21, hour, tzinfo=UTC)) for hour in (11, 12)]
    assert [spans(of) for of in slept] == [[("2026-11-21|acme", "2026-11-21|acme")], []], (
        "both hours missed are one run"
    )


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


def test_the_normals_of_a_year_are_made_before_its_first_night_and_again_when_december_is_whole(
    installation: Installation, daemon: dg.DagsterInstance
) -> None:
    """From January 2 on every anomaly was null, until someone remembered how it was done last year."""
    zones = {"kiwi": "Pacific/Auckland", "acme": "America/New_York"}
    hours = [datetime(2025, 12, 25, tzinfo=UTC) + timedelta(hours=n) for n in range(24 * 25)]
    due = [at for at in hours if any(normals_are_due(tenant(zone), at) for zone in zones.values())]
    started = [(at.isoformat()[:13], spans(start(daemon, "normals", at))) for at in due]
    assert [one for one in started if one[1]] == [
        ("2025-12-31T19", [("kiwi|2026", "kiwi|2026")]),
        ("2026-01-01T13", [("acme|2026", "acme|2026")]),
        ("2026-01-06T19", [("kiwi|2026", "kiwi|2026")]),
        ("2026-01-07T13", [("acme|2026", "acme|2026")]),
        ("2026-01-07T19", [("kiwi|2026", "kiwi|2026")]),
        ("2026-01-08T13", [("acme|2026", "acme|2026")]),
    ]


@pytest.mark.parametrize("lead", [0, 1])
@pytest.mark.parametrize(
    "zone", ["Pacific/Pago_Pago", "America/New_York", "UTC", "Asia/Shanghai", "Pacific/Kiritimati"]
)
def test_the_first_row_by_a_years_normals_is_stored_when_they_have_all_of_december(zone: str, lead: int) -> None:
    """Made again on the 10th, the normals differed from those of the row of the 9th: `leakage` in every January."""
    noon = datetime(2026, 1, 1, tzinfo=UTC) - timedelta(hours=12)
    acme = tenant(zone)
    made = [at for at in first_ticks(acme, NORMALS_HOUR, noon, 20).values() if normals_are_due(acme, at)]
    nights = first_ticks(acme, ROUTINES[0].hour, noon, 20)
    for hour in range(24):
        mine = replace(acme, decision_hour=hour, decision_lead_days=lead)
        decided = {day: mine.decision_at(day - timedelta(days=1)) for day in nights}
        years = decision_frame(decided)
        stored = [nights[day] for day in years.filter(pl.col("normals_year") == 2026)["date"]]
        assert stored
        assert archive_end(max(at for at in made if at < min(stored))) >= date(2025, 12, 31)


def test_places_that_are_new_get_their_normals_before_the_weather_is_restated(
    installation: Installation, daemon: dg.DagsterInstance
) -> None:
    """A town first shipped to in February had no anomaly until the next January."""
    (restated,) = (routine for routine in ROUTINES if routine.name == "restate_weather")
    assert ROUTINES[0].hour < NEW_CELLS_HOUR < restated.hour
    at = datetime(2026, 11, 20, 9, tzinfo=UTC)
    assert tick(daemon, "new_cells", at) == [], "no weather, no places"
    installation.backfill("acme", date(2026, 11, 17), date(2026, 11, 17))
    assert tick(daemon, "new_cells", at) == [], "a backfill brings the normals of its places"
    for name in ("orders", "weather_daily"):
        installation.backfill("acme", date(2026, 11, 18), date(2026, 11, 19), name)
    before = set(installation.rows("acme", "climatology")["geohash"])
    new = set(installation.rows("acme", "weather_daily")["geohash"]) - before
    assert new, "the two days ship to other places than the first"
    (request,) = tick(daemon, "new_cells", at)
    assert spans([request]) == [("acme|2026", "acme|2026")]
    assert tick(daemon, "new_cells", at - timedelta(hours=1)) == []
    job = build_defs(os.environ, {"clock": Clock(fixed=at.isoformat())}).resolve_job_def("normals")
    assert job.execute_in_process(instance=installation.instance, tags=request.tags).success
    assert new <= set(installation.rows("acme", "climatology")["geohash"])
    assert tick(daemon, "new_cells", at) == []


def test_new_places_are_looked_for_in_both_years_around_january(
    installation: Installation, daemon: dg.DagsterInstance
) -> None:
    """On January 3 the restated days are of two years, and so are their normals."""
    days, learnt = [date(2026, 12, 30), date(2027, 1, 1)], datetime(2027, 1, 2, tzinfo=UTC)
    rows = pl.DataFrame({"date": days, "geohash": ["9q8yy", "9q8yy"]}).with_columns(
        source=pl.lit("stub"), as_of_utc=pl.lit(learnt).dt.cast_time_unit("us")
    )
    shape = Shape(rows.schema, ("geohash",))
    installation.lake.replace(
        "acme", "weather_daily", rows, shape=shape, days=days, source="stub", run_id="r", now=learnt
    )
    found = tick(daemon, "new_cells", datetime(2027, 1, 3, 9, tzinfo=UTC))
    assert spans(found) == [("acme|2026", "acme|2026"), ("acme|2027", "acme|2027")]


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
