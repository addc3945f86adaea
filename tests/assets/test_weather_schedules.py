"""When weather is read, read again and forecast, and when its normals are made."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from tests.assets.conftest import TENANTS, Installation
from tests.assets.ticks import first_ticks, of_acme, spans, start, tenant, tick
from weathervane_assets.definitions import build_defs
from weathervane_assets.partitions import TENANT_TAG
from weathervane_assets.schedules import NEW_CELLS_HOUR, NORMALS_HOUR, ROUTINES, normals_are_due
from weathervane_assets.tables import CONTRACTS, polars_schema, shape_of
from weathervane_assets.transforms.as_of import decision_frame
from weathervane_assets.unread import WEATHER_DAYS
from weathervane_checks.evidence import restatement_days
from weathervane_checks.thresholds import Thresholds
from weathervane_resources.clock import Clock
from weathervane_resources.lake import Shape
from weathervane_resources.tenants import Tenant
from weathervane_resources.weather_cache import ARCHIVED, archive_end

WHOLE: dict[str, object] = {"observation_type": "observed", **dict.fromkeys(ARCHIVED, 9.0)}
MORNING = datetime(2026, 11, 20, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    "told",
    [{"observation_type": "forecast"}, *({name: None} for name in ARCHIVED if name != "temp_c")],
    ids=lambda told: next(iter(told)),
)
@pytest.mark.parametrize(("days_old", "first"), [(9, "2026-11-10"), (30, "2026-10-21"), (71, "2026-11-10")])
def test_weather_that_the_archive_may_still_mend_is_read_again(
    installation: Installation, daemon: dg.DagsterInstance, days_old: int, first: str, told: dict[str, object]
) -> None:
    """A pause of two weeks left forecasts in the history for ever, and so did a late answer of the archive its gaps: rain
    that the archive named after 12 days stayed null, since nobody read the day again. Humidity and wind were forgotten."""
    write_weather(installation, {date(2026, 11, 20) - timedelta(days=days_old): WHOLE | told, date(2026, 10, 1): WHOLE})
    assert spans(of_acme(daemon, "restate_weather", MORNING)) == [(f"{first}|acme", "2026-11-19|acme")]


def test_what_a_place_never_has_is_not_waited_for(installation: Installation, daemon: dg.DagsterInstance) -> None:
    """A place without gusts and one without snow: each night read 70 days again for values that nobody will ever send."""
    lacks = {"drt2y": "wind_gust_max_kmh", "rckq2": "snowfall_cm"}
    days = [date(2026, 11, 20) - timedelta(days=n) for n in range(7, 71)]
    never: dict[str, dict[str, object]] = {place: WHOLE | {name: None} for place, name in lacks.items()}
    write_places(installation, dict.fromkeys(days, never))
    assert spans(of_acme(daemon, "restate_weather", MORNING)) == [("2026-11-10|acme", "2026-11-19|acme")]
    write_places(installation, {days[13]: {place: row | {"snowfall_cm": None} for place, row in never.items()}})
    assert spans(of_acme(daemon, "restate_weather", MORNING)) == [("2026-10-31|acme", "2026-11-19|acme")]


@pytest.mark.slow
def test_a_gap_that_stays_is_looked_at_less_and_less(installation: Installation, daemon: dg.DagsterInstance) -> None:
    """One day without rain in the archive itself: for 60 nights up to 70 days were read again, for nothing."""
    gap, dry = date(2026, 8, 1), WHOLE | {"precip_mm": None}
    write_weather(installation, {gap - timedelta(days=1): WHOLE}, datetime(2026, 8, 8, tzinfo=UTC))
    ages = []
    for night in (datetime(2026, 8, 8, 10, tzinfo=UTC) + timedelta(days=n) for n in range(80)):
        ((first, _),) = spans(of_acme(daemon, "restate_weather", night))
        if first[:10] <= gap.isoformat():
            ages.append((night.date() - gap).days)
            write_weather(installation, {gap: dry}, night + timedelta(minutes=5))
    assert ages == [7, 8, 9, 10, 13, 17, 22, 28, 35, 44, 55, 69]


def write_weather(
    installation: Installation, days: dict[date, dict[str, object]], now: datetime = datetime(2026, 11, 1, tzinfo=UTC)
) -> None:
    """Write a row of weather of one place of acme's for each day, with the values that are given."""
    write_places(installation, {day: {"drt2y": values} for day, values in days.items()}, now)


def write_places(
    installation: Installation,
    days: dict[date, dict[str, dict[str, object]]],
    now: datetime = datetime(2026, 11, 1, tzinfo=UTC),
) -> None:
    told = [
        {"tenant_id": "acme", "date": day, "geohash": place, "source": "open_meteo", **values}
        for day, places in days.items()
        for place, values in places.items()
    ]
    rows = pl.DataFrame(told, schema=polars_schema(CONTRACTS["weather_daily"]))
    installation.lake.replace(
        "acme", "weather_daily", rows, shape=shape_of(CONTRACTS["weather_daily"]), days=list(days), source="open_meteo",
        run_id="r", now=now,
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


def test_normals_that_lack_december_are_made_again_when_the_daemon_is_back(
    installation: Installation, daemon: dg.DagsterInstance
) -> None:
    """A machine was off on January 7 and 8: the normals were without the last week of December until the next January."""
    assert tick(daemon, "normals", datetime(2026, 1, 10, 13, tzinfo=UTC)) == [], "no normals, no places"
    normals_made(installation, datetime(2026, 1, 1, 13, tzinfo=UTC))
    off = [datetime(2026, 1, day, 13, tzinfo=UTC) for day in (2, 5, 6)]
    assert [one for at in off for one in tick(daemon, "normals", at)] == [], "the archive has no more than on the 1st"
    back = datetime(2026, 1, 10, 13, tzinfo=UTC)
    assert tick(daemon, "normals", back - timedelta(hours=1)) == [], "before eight"
    for at in (back, back + timedelta(hours=5), back + timedelta(days=50)):
        assert spans(tick(daemon, "normals", at)) == [("acme|2026", "acme|2026")]
    (request,) = start(daemon, "normals", back)
    assert tick(daemon, "normals", back + timedelta(hours=1)) == [], "it was started"
    job = build_defs(os.environ, {"clock": Clock(fixed=back.isoformat())}).resolve_job_def("normals")
    assert job.execute_in_process(instance=installation.instance, tags=request.tags).success
    assert tick(daemon, "normals", back + timedelta(days=1)) == []


@pytest.mark.parametrize("day", [7, 8, 20])
def test_normals_that_have_all_of_december_are_not_made_again(
    installation: Installation, daemon: dg.DagsterInstance, day: int
) -> None:
    """Made again each day, they would cost each tenant ten years of weather to read, all year."""
    normals_made(installation, datetime(2026, 1, day, 13, tzinfo=UTC))
    for later in (datetime(2026, 1, 21, 13, tzinfo=UTC), datetime(2026, 12, 31, 13, tzinfo=UTC)):
        assert tick(daemon, "normals", later) == []


def test_normals_of_a_fixed_base_period_lack_no_december(
    installation: Installation, daemon: dg.DagsterInstance
) -> None:
    """They have nothing of the December before them, and were made again as if they were to have it."""
    text = TENANTS.replace("climatology_years = 4", 'climatology_base = "1991-2020"')
    (installation.folder / "tenants.toml").write_text(text)
    normals_made(installation, datetime(2026, 1, 1, 13, tzinfo=UTC))
    assert tick(daemon, "normals", datetime(2026, 1, 10, 13, tzinfo=UTC)) == []


def test_weather_that_was_given_up_is_not_read_again(installation: Installation, daemon: dg.DagsterInstance) -> None:
    """Days that are kept are never written again: normals were due each day of the year, and old forecasts each night."""
    normals_made(installation, datetime(2026, 1, 2, 13, tzinfo=UTC))
    days = {date(2026, 1, 1): WHOLE, date(2026, 1, 2): WHOLE | {"observation_type": "forecast"}}
    write_weather(installation, days, datetime(2026, 1, 3, tzinfo=UTC))
    at = datetime(2026, 1, 30, 13, tzinfo=UTC)
    assert spans(tick(daemon, "normals", at)) == [("acme|2026", "acme|2026")]
    assert spans(tick(daemon, "restate_weather", at))[0][0] == "2026-01-02|acme"
    shape = shape_of(CONTRACTS["weather_daily"])
    installation.lake.replace(
        "acme", "weather_daily", shape.schema.to_frame(), shape=shape, days=[date(2026, 1, 29)], source="not_configured",
        run_id="r", now=at,
    )  # fmt: skip
    assert tick(daemon, "normals", at) == []
    assert spans(tick(daemon, "restate_weather", at))[0][0] == "2026-01-20|acme"


def normals_made(installation: Installation, at: datetime) -> None:
    """Let the ledger say that acme's normals of 2026 were made."""
    shape = shape_of(CONTRACTS["climatology"])
    installation.lake.replace(
        "acme", "climatology", shape.schema.to_frame(), shape=shape, days=[date(2026, 1, 1)], source="stub", run_id="r", now=at
    )  # fmt: skip


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


@pytest.mark.parametrize(
    ("mode", "start", "years"),
    [("as_of", "2024-01-01", [2025]), ("observed", "2024-01-01", []), ("as_of", "2026-01-01", [])],
)
def test_places_that_are_new_in_january_get_the_normals_that_their_decisions_use(
    installation: Installation, daemon: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, mode: str, start: str, years: list[int],
) -> None:  # fmt: skip
    """Only the new year's were made of them, and the first week's decisions know those of the year before; where the
    installation begins with the year there is no such partition to run."""
    monkeypatch.setenv("WEATHERVANE_START_DATE", start)
    (installation.folder / "tenants.toml").write_text(
        TENANTS.replace("[tenants.kiwi]", f'join_mode = "{mode}"\n\n[tenants.kiwi]')
    )
    day, at = date(2026, 1, 7), datetime(2026, 1, 8, 9, tzinfo=UTC)
    here = {"tenant_id": "acme", "date": day, "geohash": "drt2y", "source": "stub", "as_of_utc": at}
    rows: dict[str, tuple[date, dict[str, object]]] = {
        "weather_daily": (day, {}), "features": (day, {"is_weather_missing": False}), "climatology": (date(2026, 1, 1), {"day_of_year": 1}),
    }  # fmt: skip

    def write(dataset: str, on: date, row: dict[str, object]) -> None:
        shape = shape_of(CONTRACTS[dataset])
        loose = Shape(shape.schema, shape.keys)
        frame = pl.DataFrame([{**here, **row, "date": on}], schema=shape.schema)
        installation.lake.replace("acme", dataset, frame, shape=loose, days=[on], source="stub", run_id="r", now=at)

    for dataset, (on, row) in rows.items():
        write(dataset, on, row)
    assert spans(tick(daemon, "new_cells", at)) == [(f"acme|{year}", f"acme|{year}") for year in years]
    write("climatology", date(2025, 1, 1), {"day_of_year": 1})
    assert tick(daemon, "new_cells", at) == []


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


def test_days_that_are_read_again_are_judged_as_nights_not_as_history() -> None:
    """Weather was read again for ten days and judged as history from the eighth: what was wrong there woke nobody."""
    assert Thresholds().weather_restatement_days == WEATHER_DAYS
    own = replace(Tenant("a", "A", "UTC", "USD", date(2026, 1, 1)), restate_ads_days=90)
    assert restatement_days("ads", Thresholds(), own) == 90
    assert Thresholds().ads_restatement_days == Tenant("a", "A", "UTC", "USD", date(2026, 1, 1)).restate_ads_days
