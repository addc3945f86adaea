"""What the sections say of tenants that are not well: nothing there, parts missing, names that attack, incidents."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from tests.assets.conftest import NOW, Installation
from tests.assets.tenant_report.documents import Document
from weathervane_assets.backfill import Outcome
from weathervane_assets.graph import NODES
from weathervane_assets.tables import CONTRACTS, shape_of
from weathervane_assets.tenant_report.asset import foreign_references
from weathervane_assets.tenant_report.climate import base_periods
from weathervane_assets.tenant_report.page import examine_tenant
from weathervane_resources.alert_records import Facts, Incident, Snooze, Subject, Verdict
from weathervane_resources.alert_store import AlertStore, Watch
from weathervane_resources.geocoder import PLACES_SCHEMA, PostalPlaces, centre
from weathervane_resources.lake import Lake, LakeError
from weathervane_resources.state import open_state
from weathervane_resources.tenants import Tenant

AT = datetime.fromisoformat(NOW)
ACME = Tenant("acme", "Acme", "America/New_York", "USD", date(2026, 10, 16))
SECTIONS = ("health", "coverage", "weather", "sales", "matrix", "incidents")
ATTACK = '<script>alert(1)</script>"><img src=x onerror=alert(1)>\u202e{{ 7*7 }}</bdi></td>&amp;'
SEEN = '<script>alert(1)</script>"><img src=x onerror=alert(1)> {{ 7*7 }}</bdi></td>&amp;'


@pytest.fixture
def store(tmp_path: Path) -> AlertStore:
    return AlertStore(open_state(f"sqlite:///{tmp_path}/state.db"))


def read(lake: Lake, store: AlertStore, tenant: Tenant = ACME) -> Document:
    return Document(examine_tenant(tenant, lake, store, AT).html())


def copied(source: Installation, folder: Path, gap: tuple[date, ...] = (), **changes: pl.Expr) -> Lake:
    """Return a lake of its own with acme's tables; `changes` by dataset replace a column; orders and ads were not read in `gap`."""
    lake = Lake(str(folder / "lake"))
    for name in NODES:
        rows = source.rows("acme", name)
        if name in ("orders", "ads"):
            rows = rows.filter(~pl.col("date").is_in(gap))
        days = rows["date"].unique().sort().to_list()
        frame = rows.with_columns(changes[name]) if name in changes else rows
        lake.replace(
            "acme", name, frame, shape=shape_of(CONTRACTS[name]), days=days, source="stub", run_id="r", now=AT
        )  # fmt: skip
    return lake


def notes(page: Document, section: str) -> list[str]:
    return [e.text for e in page.section(section).all("div") if e.attrs.get("class") == "note"]


def test_a_tenant_without_anything_is_told_why_and_what_to_do(tmp_path: Path, store: AlertStore) -> None:
    """The first report of a new client was white."""
    page = read(Lake(str(tmp_path / "nothing")), store)
    for section in SECTIONS:
        (said,) = notes(page, section)
        assert " What to do: " in said
    assert "Run weathervane backfill --tenant acme --from 2026-10-16 --to 2026-11-19." in notes(page, "sales")[0]
    assert not page.all("figure")
    assert page.card("Net revenue") == page.card("Orders") == page.card("Newest complete day") == "–"
    assert page.card("Open incidents") == "–"
    assert "critical" in page.one("header").text


def test_days_that_are_late_are_named_with_their_command(tmp_path: Path, store: AlertStore) -> None:
    """`dataset_stale: see docs/alerting.md`, which had no such word; and the matrix was of `not_configured + open_meteo`."""
    lake = Lake(str(tmp_path / "lake"))
    for name in NODES:
        source = "not_configured+open_meteo+shopify_api" if name == "features" else "shopify_api"
        days = [date(2025, 1, 1)] if name == "climatology" else [date(2026, 10, 31)]
        shape = shape_of(CONTRACTS[name])
        lake.replace(
            "acme", name, shape.schema.to_frame(), shape=shape, days=days, source=source, run_id="r", now=AT
        )  # fmt: skip
    rows = {
        row.all("code")[0].text: row.text for row in read(lake, store).section("health").all("tr") if row.all("code")
    }
    command = "weathervane backfill --tenant acme --from 2026-11-01 --to yesterday brings in what is missing"
    assert f"dataset_stale: the newest day is 31 Oct 2026, 19 Nov 2026 is due; {command}" in rows["orders"]
    normals = "weathervane backfill --tenant acme --from yesterday --to yesterday --asset climatology"
    assert f"dataset_stale: the year's normals are missing; {normals}" in rows["climatology"]
    assert "not configured + Open-Meteo + Shopify" in rows["features"]


def test_sources_that_nobody_configured_are_named(tmp_path: Path, store: AlertStore) -> None:
    """An empty shop and a shop without credentials looked alike."""
    lake = Lake(str(tmp_path / "lake"))
    for name in NODES:
        shape = shape_of(CONTRACTS[name])
        days = [date(2026, 11, 18), date(2026, 11, 19)]
        lake.replace(
            "acme", name, shape.schema.to_frame(), shape=shape, days=days, source="not_configured", run_id="r", now=AT
        )  # fmt: skip
    page = read(lake, store)
    assert notes(page, "coverage")[0].startswith(
        "No source of orders is configured. What to do: Set the shop's credentials"
    )
    assert "Not configured, and therefore empty: orders, meta_ads" in page.section("health").text
    assert page.card("Orders") == page.card("Ad spend") == "–"
    assert page.card("Newest complete day") == "19 Nov 2026"


def test_days_that_were_not_read_are_counted_and_are_no_zero(
    filled: tuple[Installation, Outcome], tmp_path: Path, store: AlertStore
) -> None:
    """A week without the shop's answer lay in the report as a week without sales."""
    gap = tuple(date(2026, 11, 2) + timedelta(days=n) for n in range(7))
    page = read(copied(filled[0], tmp_path, gap), store)
    said = [e.text for e in page.all("dd") if "read for" in e.text]
    assert said == [
        "neither test nor cancelled; read for 28 of 35 days", "Meta and Google Ads, by the accounts' days; read for 28 of 35"
    ]  # fmt: skip
    by_day = {row["Day"] for row in page.table("Sales by day")}
    assert len(by_day) == 28
    assert not by_day & {f"{day.day} Nov 2026" for day in gap}


def test_days_of_two_years_have_two_base_periods() -> None:
    """The report of January 10 named ten years of which 80 of its 90 days had used another ten."""
    assert base_periods(ACME, [date(2025, 10, 13), date(2026, 1, 10)]) == "2015 to 2024 and 2016 to 2025"
    assert base_periods(ACME, [date(2026, 2, 1), date(2026, 3, 1)]) == "2016 to 2025"


def test_a_fixed_base_period_is_named_once_for_both_years() -> None:
    """The report said "1991 to 2020 and 1991 to 2020", and of a year within the period that it had been used."""
    fixed = replace(ACME, climatology_base=(1991, 2020))
    assert base_periods(fixed, [date(2025, 10, 13), date(2026, 1, 10)]) == "1991 to 2020"
    assert base_periods(fixed, [date(2020, 12, 1), date(2021, 1, 10)]) == "2010 to 2019 and 1991 to 2020"


def test_missing_normals_and_missing_weather_are_told_apart(
    filled: tuple[Installation, Outcome], tmp_path: Path, store: AlertStore
) -> None:
    """Without normals the picture was empty, and so it was without weather; the cures differ."""
    no_normals = copied(filled[0], tmp_path / "a", features=pl.lit(None, pl.Float64).alias("temp_anomaly"))
    page = read(no_normals, store)
    (said,) = notes(page, "weather")
    assert said.startswith("The normals of 2026 are not there")
    assert "--asset climatology --asset weather_daily --asset features" in said
    assert page.section("weather").all("figure")
    (picture,) = [e for e in page.section("weather").all("svg") if e.attrs.get("role") == "img"]
    assert (
        picture.attrs["aria-label"].endswith("No normals are known.")
        or "No normals are known. Marked" in picture.attrs["aria-label"]
    )
    assert notes(page, "sales")[0].startswith("Only 0 days have both sales and a temperature")
    bare = pl.lit(None, pl.Float64).alias("temp_c"), pl.lit(None, pl.Float64).alias("temp_anomaly")
    no_weather = copied(filled[0], tmp_path / "b", features=bare[0])
    no_weather.replace(
        "acme", "features", filled[0].rows("acme", "features").with_columns(*bare, is_weather_missing=pl.lit(value=True)),
        shape=shape_of(CONTRACTS["features"]), days=filled[0].rows("acme", "features")["date"].unique().to_list(),
        source="stub", run_id="r", now=AT,
    )  # fmt: skip
    page = read(no_weather, store)
    assert notes(page, "weather")[0].startswith(
        "No day of the period has weather. What to do: Run weathervane backfill"
    )
    assert not page.section("weather").all("figure")
    assert page.card("Rows with weather") == "0 %"


def test_names_from_outside_are_text_wherever_they_stand(
    filled: tuple[Installation, Outcome], tmp_path: Path, store: AlertStore
) -> None:
    """A campaign is named by whoever runs the ads, a place by whoever edits GeoNames, and the page is mailed to a client."""
    hostile = pl.lit(ATTACK)
    lake = copied(filled[0], tmp_path, ads=hostile.alias("campaign_name"), promos=hostile.alias("name"))
    cell = filled[0].rows("acme", "orders")["ship_geohash"].drop_nulls().mode().sort()[0]
    place = (("US", "1", ATTACK, "NY", *centre(cell)),)
    PostalPlaces(lake, is_stub=True).write("US", pl.DataFrame(place, schema=PLACES_SCHEMA, orient="row"))
    with store.session() as session:
        session.save([incident("x", facts=Facts(note=ATTACK))], {}, AT)
        session.beat(Watch(1, AT, 0.0))
    harmless = read(lake, store)
    html = examine_tenant(replace(ACME, name=ATTACK), lake, store, AT).html()
    page = Document(html)
    where = [e.parents[-1].tag for e in page.all("bdi") if e.text.startswith(SEEN[:100])]
    assert where.count("h1") == 1
    assert page.one("h1").text == SEEN
    rows = [*page.table("What cost most"), *page.table("What was sent last")]
    assert {row["Campaign"] for row in rows} == {SEEN}
    assert f"{SEEN}, US" in [row["Place"] for row in page.table("Cells with the most sales")]
    assert SEEN in page.table("Open incidents")[0]["Found, and what to do"]
    assert [e.tag for e in page.elements] == [e.tag for e in harmless.elements]
    assert foreign_references(html) == []
    assert "\u202e" not in html
    assert not page.all("script", "img")


def incident(
    name: str, dataset: str = "orders", cause: str = "row_count_drop", *, tenant: str = "acme", facts: Facts | None = None,
    opened: timedelta = timedelta(hours=26), closed: timedelta | None = None,
) -> Incident:  # fmt: skip
    facts = facts or Facts("3", "40", ("row_count_drop_critical",), f"3 rows, usually 40 ({name})", "run")
    began = AT - opened
    ended = None if closed is None else AT - closed
    return Incident(name, Subject(tenant, dataset, cause), "critical", facts, began, ended or AT, closed_at=ended)


def test_open_and_lately_recovered_incidents_are_told_by_the_tenants_clock(tmp_path: Path, store: AlertStore) -> None:
    """The report said all was well on the day of the outage; the other client's outage stood in it instead."""
    long_ago = timedelta(days=31)
    known = [
        incident("one"),
        incident("two", "meta_ads", "freshness", facts=Facts(note="no run came")),
        incident("kiwis", tenant="kiwi"),
        incident("over", "google_ads", opened=timedelta(days=3), closed=timedelta(days=2)),
        incident("gone", "promos", opened=timedelta(days=40), closed=long_ago),
    ]
    with store.session() as session:
        session.save(known, {(known[0].subject, "2026-11-19"): Verdict("critical", 1, "one")}, AT)
        session.snooze(Snooze(AT + timedelta(days=1), incident_id="two"), AT)
        session.beat(Watch(1, datetime(2026, 11, 20, 14, 59, tzinfo=UTC), 0.0))
    page = read(Lake(str(tmp_path / "nothing")), store)
    rows = {row["What"]: row for row in page.table("Open incidents")}
    assert set(rows) == {"orders row count drop", "meta_ads freshness"}
    first = rows["orders row count drop"]
    assert (first["Since"], first["Days"]) == ("19 Nov 2026, 08:00 EST (1 d 2 h)", "19 Nov 2026")
    assert first["Found, and what to do"].startswith("3 rows, usually 40 (one) A fetch that ended early")
    assert "silenced" in rows["meta_ads freshness"]["Severity"]
    assert "Look whether the schedules are on" in rows["meta_ads freshness"]["Found, and what to do"]
    (over,) = page.table("Recovered incidents")
    assert (over["What"], over["Lasted"]) == ("google_ads row count drop", "1 d 0 h")
    assert page.card("Open incidents") == "2"
    assert notes(page, "incidents") == []
    assert "the alerter last looked 20 Nov 2026, 09:59 EST" in page.section("incidents").text


def test_a_storm_of_incidents_is_bounded(tmp_path: Path, store: AlertStore) -> None:
    """Five hundred incidents after a bad night made a page that no mailbox took."""
    with store.session() as session:
        session.save([incident(f"i{n}", cause=f"check_{n}") for n in range(500)], {}, AT)
        session.beat(Watch(1, AT, 0.0))
    page = read(Lake(str(tmp_path / "nothing")), store)
    assert len(page.table("Open incidents")) == 30
    assert "And 470 more: weathervane alerts list --tenant acme." in page.section("incidents").text
    assert page.card("Open incidents") == "500"


@pytest.mark.parametrize("dataset", ["ads", "features", "orders", "promos"])
def test_a_damaged_table_is_named(
    filled: tuple[Installation, Outcome], tmp_path: Path, store: AlertStore, dataset: str
) -> None:
    """`weathervane report` ended in a panic of polars, which named no table."""
    lake = copied(filled[0], tmp_path)
    for file in Path(lake.uri("acme", dataset)).rglob("*.parquet"):
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(LakeError, match=f"acme/{dataset} is gone or damaged"):
        read(lake, store)
