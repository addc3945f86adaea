"""A source that was live and has no credentials any more, with `WEATHERVANE_STUBS=never`: lost at first, then given up."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime, timedelta

import dagster as dg
import polars as pl
import pytest

from tests.assets.conftest import Installation
from weathervane_assets.definitions import build_defs
from weathervane_assets.partitions import day_key, range_tags, year_key
from weathervane_assets.tables import CONTRACTS, shape_of
from weathervane_resources import lake_io
from weathervane_resources.clock import Clock

FIRST, LAST = date(2026, 11, 12), date(2026, 11, 14)
NEXT = LAST + timedelta(days=1)
META = {"ACME__META_ACCESS_TOKEN": "EAAlive", "ACME__META_AD_ACCOUNT_ID": "1"}
KLAVIYO = {"ACME__KLAVIYO_API_KEY": "pk_live"}
SHOP = {"ACME__SHOPIFY_SHOP_DOMAIN": "acme", "ACME__SHOPIFY_ACCESS_TOKEN": "shpat_live"}
OPEN_METEO = {"OPEN_METEO_FORECAST_URL": "v1/forecast", "OPEN_METEO_ARCHIVE_URL": "v1/archive"}
MATRIX = ("orders", "meta_ads", "google_ads", "ads", "features")
Warned = dict[date, set[tuple[str, str]]]


@pytest.fixture(autouse=True)
def no_stubs(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every source is reached in the sandbox as if it were the vendor, once its credentials are set."""
    url = installation.sandbox.url
    monkeypatch.setenv("WEATHERVANE_STUBS", "never")
    for vendor in ("SHOPIFY", "META", "KLAVIYO"):
        monkeypatch.setenv(f"{vendor}_BASE_URL", f"{url}/t/acme")
    set_up(monkeypatch, {name: f"{url}/{path}" for name, path in OPEN_METEO.items()})


def set_up(patch: pytest.MonkeyPatch, *sources: dict[str, str]) -> None:
    for name, value in (pair for source in sources for pair in source.items()):
        patch.setenv(name, value)


def give_up(patch: pytest.MonkeyPatch, *sources: dict[str, str]) -> None:
    for name in (name for source in sources for name in source):
        patch.delenv(name)


def written_at(patch: pytest.MonkeyPatch, day: date) -> None:
    """Let what is written from now on be of that day: the lake notes the machine's own time."""
    patch.setattr(lake_io, "system_now", lambda: datetime(day.year, day.month, day.day, 12, tzinfo=UTC))


def scheduled(here: Installation, job: str, first: date, last: date) -> dg.ExecuteInProcessResult:
    """Run a schedule's job over acme's days, the night after the last."""
    at = datetime(last.year, last.month, last.day, tzinfo=UTC) + timedelta(days=1, hours=12)
    defs = build_defs(os.environ, {"clock": Clock(fixed=at.isoformat())})
    keys = [year_key("acme", day.year) if job == "normals" else day_key("acme", day) for day in (first, last)]
    tags = range_tags("acme", *keys)
    return defs.resolve_job_def(job).execute_in_process(instance=here.instance, tags=tags, raise_on_error=False)


def warned(result: dg.ExecuteInProcessResult) -> Warned:
    """Return the days with a check that is not ok, and which of which asset; none of them may be critical."""
    found: dict[date, set[tuple[str, str]]] = {}
    for one in result.get_asset_check_evaluations():
        if one.partition and not one.passed:
            assert one.metadata["severity"].value == "warning"
            found.setdefault(date.fromisoformat(one.partition[:10]), set()).add(
                (one.asset_key.path[-1], one.check_name)
            )
    return found


def noted(here: Installation, dataset: str) -> pl.DataFrame:
    return here.lake.ledger("acme", dataset).sort("date")


def test_nights_after_a_source_was_given_up_keep_its_days_and_fail_no_more(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Meta was given up: for 29 nights the restatement of 30 days wanted to write `not configured` over its rows, and failed."""
    set_up(monkeypatch, SHOP, META, KLAVIYO)
    assert installation.backfill("acme", FIRST, LAST).failures == []
    before = {name: installation.rows("acme", name) for name in ("meta_ads", "promos", "ads")}
    written = {name: noted(installation, name) for name in ("meta_ads", "promos")}
    assert before["meta_ads"].height > 0
    give_up(monkeypatch, META, KLAVIYO)

    runs = {
        "nightly": scheduled(installation, "nightly", NEXT, NEXT),
        "restate_ads": scheduled(installation, "restate_ads", FIRST, NEXT),
        "restate_promos": scheduled(installation, "restate_promos", FIRST, NEXT),
    }

    assert [name for name, run in runs.items() if not run.success] == []
    of_ads = {("meta_ads", "live_source"), ("meta_ads", "row_count_drop"), ("ads", "row_count_drop")}
    of_promos = {("promos", "live_source")}
    assert {name: warned(run) for name, run in runs.items()} == {
        "nightly": {NEXT: of_ads | of_promos}, "restate_ads": {NEXT: of_ads}, "restate_promos": {NEXT: of_promos},
    }  # fmt: skip
    for name, ledger in written.items():
        assert noted(installation, name).filter(pl.col("date") <= LAST).equals(ledger)
        assert noted(installation, name).row(-1, named=True)["source"] == "not_configured"
        assert installation.rows("acme", name).equals(before[name])
    assert installation.rows("acme", "ads").drop("as_of_utc").equals(before["ads"].drop("as_of_utc"))
    sources = dict(noted(installation, "ads").select("date", "source").iter_rows())
    assert sources == dict.fromkeys([FIRST, FIRST + timedelta(days=1), LAST], "meta_api+not_configured") | {
        NEXT: "not_configured"
    }
    matrix = installation.rows("acme", "features")
    unknown = matrix.group_by("date").agg(pl.col("tenant_meta_spend", "tenant_promos").is_null().all()).sort("date")
    assert unknown.rows() == [(day, day == NEXT, day == NEXT) for day in sorted(sources)]


@pytest.mark.slow
def test_a_shop_and_a_weather_source_that_were_given_up_leave_their_checks_content(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Days that were kept are as good as they were: counted, covered and conserved. Only the day that is missing is warned of."""
    set_up(monkeypatch, SHOP)
    assert installation.backfill("acme", FIRST, LAST).failures == []
    matrix = installation.rows("acme", "features")
    give_up(monkeypatch, SHOP, OPEN_METEO)
    again = scheduled(installation, "nightly", FIRST, NEXT)
    assert again.success
    of_orders = {("orders", "live_source"), ("orders", "row_count_drop")}
    of_weather = {("weather_daily", "live_source"), ("weather_forecast", "live_source")}
    assert warned(again) == {NEXT: of_orders | of_weather}
    assert installation.rows("acme", "features").drop("as_of_utc").equals(matrix.drop("as_of_utc"))
    assert scheduled(installation, "normals", date(2026, 1, 1), date(2026, 1, 1)).success


def test_a_run_says_how_many_days_it_kept(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was written, nothing failed, and nobody could tell why the days had not changed."""
    set_up(monkeypatch, META)
    installation.backfill("acme", FIRST, LAST, "meta_ads")
    rows = dict(noted(installation, "meta_ads").select("date", "row_count").iter_rows())
    give_up(monkeypatch, META)
    again = installation.backfill("acme", FIRST, NEXT, "meta_ads")
    kept = "3 of 4 days were read from the vendor before and stay as they are; the others stay empty."
    assert again.warnings == [f"meta_ads: acme: no credentials for this source are set; {kept}"]
    shown = {key[:10]: made.metadata for key, made in installation.materializations(again, "meta_ads").items()}
    assert {day: one["kept_days"].value for day, one in shown.items()} == dict.fromkeys(shown, 3)
    assert {day: one["source"].value for day, one in shown.items()} == {
        "2026-11-12": "meta_api", "2026-11-13": "meta_api", "2026-11-14": "meta_api", "2026-11-15": "not_configured",
    }  # fmt: skip
    assert [shown[str(day)]["dagster/partition_row_count"].value for day in rows] == list(rows.values())
    assert {shown[str(FIRST)][f"{change}_rows"].value for change in ("new", "updated", "removed")} == {0}


def test_days_that_were_all_read_before_are_not_written_at_all(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A day on which the vendor had no rows was read, too: written as not configured, no spend would become unknown."""
    set_up(monkeypatch, META)
    installation.backfill("acme", FIRST, LAST, "meta_ads")
    shape = shape_of(CONTRACTS["meta_ads"])
    installation.lake.replace(
        "acme", "meta_ads", shape.schema.to_frame(), shape=shape, days=[NEXT], source="meta_api", run_id="r",
        now=datetime(2026, 11, 16, tzinfo=UTC),
    )  # fmt: skip
    before, version = noted(installation, "meta_ads"), installation.lake.version("acme", "meta_ads")
    give_up(monkeypatch, META)
    again = installation.backfill("acme", FIRST, NEXT, "meta_ads")
    assert again.failures == []
    assert noted(installation, "meta_ads").equals(before)
    assert installation.lake.version("acme", "meta_ads") == version
    shown = installation.materializations(again, "meta_ads")
    assert {made.metadata["table_version"].value for made in shown.values()} == {version}


def test_made_up_days_are_emptied_as_before(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a demo left is nobody's answer: it does not stay beside a vendor's days."""
    monkeypatch.setenv("WEATHERVANE_STUBS", "auto")
    installation.backfill("acme", FIRST, FIRST, "promos")
    monkeypatch.setenv("WEATHERVANE_STUBS", "never")
    assert installation.backfill("acme", FIRST, LAST, "promos").failures == []
    assert installation.rows("acme", "promos").height == 0
    assert set(noted(installation, "promos")["source"]) == {"not_configured"}


def test_a_source_is_lost_for_two_weeks_and_given_up_after_that(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was given up on purpose, and the reminder came each week until someone snoozed it."""
    set_up(monkeypatch, META)
    written_at(monkeypatch, NEXT)
    installation.backfill("acme", LAST, LAST, "meta_ads")
    give_up(monkeypatch, META)
    nights = [LAST + timedelta(days=n) for n in range(1, 17)]
    written_at(monkeypatch, nights[-1] + timedelta(days=1))
    result = scheduled(installation, "restate_ads", nights[0], nights[-1])
    assert result.success
    found = warned(result)
    assert {day for day, checks in found.items() if ("meta_ads", "live_source") in checks} == set(nights[:15])
    assert {day for day, checks in found.items() if ("meta_ads", "row_count_drop") in checks} == set(nights[:15])


def test_a_source_that_was_read_this_morning_is_lost_though_its_days_are_long_past(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An October was brought in as the README says; then the variables were gone, and `backfill` was content with empty days."""
    october = date(2026, 10, 1)
    set_up(monkeypatch, SHOP)
    assert installation.backfill("acme", october, october, "orders").failures == []
    give_up(monkeypatch, SHOP)
    found = warned(scheduled(installation, "nightly", LAST, LAST))
    assert found[LAST] >= {("orders", "live_source"), ("orders", "row_count_drop")}


def test_while_a_platform_is_lost_what_the_other_cost_is_not_the_total(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deployment lost Meta's variables for ten days: spend fell to Google's, as if Meta had been switched off."""
    set_up(monkeypatch, SHOP, META)
    live = dict.fromkeys(("GOOGLE_ADS_DEVELOPER_TOKEN", "GOOGLE_ADS_CLIENT_ID", "GOOGLE_ADS_CLIENT_SECRET"), "g")
    set_up(monkeypatch, {**live, "ACME__GOOGLE_ADS_CUSTOMER_ID": "2", "ACME__GOOGLE_ADS_REFRESH_TOKEN": "1//live"})
    base = f"{installation.sandbox.url}/t/acme"
    set_up(monkeypatch, {"GOOGLE_ADS_BASE_URL": base, "GOOGLE_OAUTH_URL": f"{base}/token"})
    written_at(monkeypatch, NEXT)
    assert installation.backfill("acme", LAST, LAST, *MATRIX).failures == []
    give_up(monkeypatch, META)
    later = LAST + timedelta(days=16)
    for day in (NEXT, later):
        written_at(monkeypatch, day + timedelta(days=1))
        assert (
            installation.backfill("acme", day, day, *MATRIX, now=f"{day + timedelta(days=1)}T12:00:00+00:00").failures
            == []
        )
    spend = installation.rows("acme", "features").select("date", "tenant_ad_spend", "tenant_google_spend").unique()
    known = {day: (total is not None, google is not None) for day, total, google in spend.iter_rows()}
    assert known == {LAST: (True, True), NEXT: (False, True), later: (True, True)}
