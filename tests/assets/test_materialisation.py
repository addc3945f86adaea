"""The whole graph on a real instance, real Delta tables and the sandbox over HTTP."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import dagster as dg
import duckdb
import polars as pl
import pytest
from deltalake import DeltaTable

from tests.assets.conftest import NOW, PROFILES, Installation
from weathervane_assets.backfill import Outcome
from weathervane_assets.graph import DAILY, NODES
from weathervane_assets.tables import CONTRACTS, shape_of
from weathervane_resources.sandbox import SandboxConfig, truth

Filled = tuple[Installation, Outcome]
FIRST, LAST = date(2026, 10, 16), date(2026, 11, 19)
RAW = ("orders", "meta_ads", "google_ads", "promos", "climatology", "weather_daily", "weather_forecast")


def test_every_asset_materialises_and_no_check_is_critical(filled: Filled) -> None:
    """The demo must be green on the first try, and only say that its rows are made up."""
    _here, outcome = filled
    assert outcome.failures == []
    assert set(outcome.rows) == set(NODES)
    assert all(outcome.rows[name] > 0 for name in NODES)
    assert all(outcome.partitions[name] == 35 for name in DAILY)
    assert outcome.partitions["climatology"] == 1
    bad = {name: dict(counts) for name, counts in outcome.checks.items() if counts["warning"] or counts["critical"]}
    assert bad == {f"{name}.live_source": {"warning": 1} for name in RAW}


def test_orders_equal_the_shop_to_the_cent_in_its_own_days(filled: Filled) -> None:
    """Days were cut in UTC once: every evening's orders went to the wrong day, and no sum matched the shop's."""
    here, _ = filled
    config = SandboxConfig(tenants=PROFILES)
    at = here.sandbox.config.clock()
    orders = here.rows("acme", "orders")
    for day in (FIRST, date(2026, 11, 1), LAST):
        expected = truth.order_day(config, "acme", day, at)
        mine = orders.filter(pl.col("date") == day)
        assert mine.height == expected.orders
        assert mine["net_revenue"].sum() == expected.net_revenue


def test_no_personal_data_reaches_the_disk(filled: Filled) -> None:
    """A sample of rows in the event log, or a parquet file with a street in it, is a data breach."""
    here, _ = filled
    files = here.lake.files
    for path in files.paths():
        content = files.read(path) or b""
        assert b"@example.com" not in content
        assert b"first_name" not in content


def test_each_partition_says_what_it_holds(filled: Filled) -> None:
    """Someone who looks at one day in the UI must see its rows, source and version, never a row."""
    here, outcome = filled
    for asset in NODES:
        by_partition = here.materializations(outcome, asset)
        for partition, materialization in by_partition.items():
            metadata = materialization.metadata
            assert {"dagster/partition_row_count", "source", "path", "table_version", "window"} <= set(metadata), asset
            assert {"new_rows", "updated_rows", "removed_rows"} <= set(metadata)
            assert not any(isinstance(value, dg.TableMetadataValue) for value in metadata.values())
            assert partition is not None
    day = here.materializations(outcome, "orders")["2026-11-19|acme"].metadata
    assert 0.8 < float(day["geocoded_ratio"].value) <= 1
    assert day["geo_tags"].value in ("", "geo.partial")
    assert str(day["checkpoint"].value).startswith("2026-11")
    assert str(day["orders"].value).startswith("![Orders by day")
    for asset in ("weather_daily", "weather_forecast", "features"):
        ratio = here.materializations(outcome, asset)["2026-11-19|acme"].metadata["weather_coverage_ratio"].value
        assert 0.9 < float(ratio) <= 1, asset


def test_a_long_range_evaluates_partitions_that_are_not_ok_and_one_summary(filled: Filled) -> None:
    """35 partitions of a green check would be 35 events that say nothing; a red day must still have its own."""
    here, outcome = filled
    evaluations = here.evaluations(outcome)
    contract = [e for e in evaluations if e.check_name == "contract" and e.asset_key.path[-1] == "orders"]
    assert [e.partition for e in contract] == [None]
    stub = [e for e in evaluations if e.check_name == "live_source" and e.asset_key.path[-1] == "orders"]
    assert len([e for e in stub if e.partition]) == 35
    summary = next(e for e in stub if e.partition is None)
    assert summary.metadata["days_not_ok"].value == 35
    assert summary.severity == dg.AssetCheckSeverity.WARN


def test_a_short_range_evaluates_every_partition(installation: Installation) -> None:
    """Dagster alone records one evaluation without a partition for a range, and the days stay grey."""
    outcome = installation.backfill("acme", date(2026, 11, 1), date(2026, 11, 3), "orders")
    by_check: dict[str, set[str | None]] = {}
    for evaluation in installation.evaluations(outcome):
        by_check.setdefault(evaluation.check_name, set()).add(evaluation.partition)
        for name in ("tenant", "window", "observed", "threshold", "severity", "alerts"):
            assert name in evaluation.metadata, (evaluation.check_name, name)
    wanted = {None, "2026-11-01|acme", "2026-11-02|acme", "2026-11-03|acme"}
    assert set(by_check) == {"contract", "live_source", "geocoding_coverage", "row_count_drop", "completeness"}
    assert all(partitions == wanted for partitions in by_check.values())


def test_the_same_partitions_twice_are_the_same_rows(installation: Installation) -> None:
    """A backfill that is run again must change nothing but the table's version."""
    span = (date(2026, 11, 10), date(2026, 11, 14))
    installation.backfill("acme", *span)
    before = {name: installation.rows("acme", name) for name in NODES}
    again = installation.backfill("acme", *span, now="2026-11-20T16:30:00+00:00")
    assert again.failures == []
    for name, rows in before.items():
        keys = [
            c for c in rows.columns if c in ("date", "order_id", "campaign_id", "adset_id", "geohash", "valid_date")
        ]
        keys += ["day_of_year"] if name == "climatology" else []
        assert installation.rows("acme", name).sort(keys).equals(rows.sort(keys)), name
    for metadata in installation.materializations(again, "orders").values():
        assert metadata.metadata["updated_rows"].value == 0
        assert metadata.metadata["table_version"].value == 1


def test_a_tenant_east_of_greenwich_loses_no_day(installation: Installation) -> None:
    """trap 1: the UTC date of local midnight is a day early in Auckland, and the last day was lost."""
    outcome = installation.backfill("kiwi", date(2026, 9, 25), date(2026, 9, 29))
    assert outcome.failures == []
    weather = installation.rows("kiwi", "weather_daily")
    days = [date(2026, 9, 25 + n) for n in range(5)]
    assert weather["date"].unique().sort().to_list() == days
    assert (weather["date"] == weather["local_date"]).all()
    orders = installation.rows("kiwi", "orders")
    local = orders["created_at"].dt.convert_time_zone("Pacific/Auckland").dt.date()
    assert (local == orders["date"]).all()
    matrix = installation.rows("kiwi", "features")
    assert matrix["is_weather_missing"].sum() == 0


def test_the_last_days_are_forecast_until_the_archive_has_them(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """trap 5 and 8: days the archive does not have were stored as zeros, or as forecast for ever."""
    url = installation.sandbox.url
    monkeypatch.setenv("OPEN_METEO_FORECAST_URL", f"{url}/v1/forecast")
    monkeypatch.setenv("OPEN_METEO_ARCHIVE_URL", f"{url}/v1/archive")
    now = installation.sandbox.config.clock()
    last = now.date()
    first = last.fromordinal(last.toordinal() - 9)
    outcome = installation.backfill("acme", first, last, "orders", "weather_daily", now=now.isoformat())
    assert outcome.failures == []
    weather = installation.rows("acme", "weather_daily")
    kinds = dict(weather.group_by("date").agg(pl.col("observation_type").unique().first()).iter_rows())
    assert [kinds[day] for day in sorted(kinds)] == ["observed"] * 3 + ["forecast"] * 7
    assert set(weather["source"]) == {"open_meteo"}
    observed = weather.filter(pl.col("observation_type") == "observed")
    assert observed["uv_index_max"].null_count() == observed.height
    assert observed["uv_alert_flag"].null_count() == observed.height


def test_neither_stub_rows_nor_none_replace_a_vendors(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """trap 26: missing credentials wrote a made-up order into the real lake."""
    day = date(2026, 11, 3)
    with monkeypatch.context() as live:
        live.setenv("SHOPIFY_BASE_URL", f"{installation.sandbox.url}/t/acme")
        live.setenv("ACME__SHOPIFY_SHOP_DOMAIN", "acme")
        live.setenv("ACME__SHOPIFY_ACCESS_TOKEN", "shpat_live")
        outcome = installation.backfill("acme", day, day, "orders")
    assert outcome.failures == []
    before = installation.rows("acme", "orders")
    assert set(before["source"]) == {"shopify_api"}
    assert outcome.checks["orders.live_source"]["ok"] == 1
    refused = installation.backfill("acme", day, day, "orders")
    assert "made-up rows do not go beside them" in refused.failures[0]
    monkeypatch.setenv("WEATHERVANE_STUBS", "never")
    assert installation.backfill("acme", day, day, "orders").failures == []
    assert installation.rows("acme", "orders").equals(before)


def test_a_live_source_that_lost_its_credentials_does_not_go_on_quietly(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a reboot the shell lacked the shop's variables: made-up orders of new days stood beside real ones, all checks green."""
    day, next_day = date(2026, 11, 3), date(2026, 11, 4)
    with monkeypatch.context() as live:
        live.setenv("SHOPIFY_BASE_URL", f"{installation.sandbox.url}/t/acme")
        live.setenv("ACME__SHOPIFY_SHOP_DOMAIN", "acme")
        live.setenv("ACME__SHOPIFY_ACCESS_TOKEN", "shpat_live")
        assert installation.backfill("acme", day, day, "orders").failures == []
    refused = installation.backfill("acme", next_day, next_day, "orders")
    assert "acme/orders: 1 days were read from the vendor, and no credentials are set now" in refused.failures[0]
    assert set(installation.rows("acme", "orders")["date"]) == {day}
    monkeypatch.setenv("WEATHERVANE_STUBS", "never")
    empty = installation.backfill("acme", next_day, next_day, "orders")
    assert empty.failures == []
    assert empty.checks["orders.live_source"] == {"warning": 1}


def test_ads_of_one_platform_are_no_total_while_the_other_was_never_read(installation: Installation) -> None:
    """A year of Meta was read without Google: the matrix said that Meta's spend was all there was."""
    day = date(2026, 11, 3)
    read = ("orders", "meta_ads", "promos", "climatology", "weather_daily")
    assert installation.backfill("acme", day, day, *read).failures == []
    spends = pl.col("tenant_ad_spend", "tenant_meta_spend").unique()
    for step in (["ads"], ["features"]):
        assert installation.backfill("acme", day, day, *step).failures == []
    ((total, meta),) = installation.rows("acme", "features").select(spends).rows()
    assert meta > 0
    assert total is None
    for step in (["google_ads"], ["ads"], ["features"]):
        assert installation.backfill("acme", day, day, *step).failures == []
    ((total, meta),) = installation.rows("acme", "features").select(spends).rows()
    assert total > meta > 0


def test_a_source_that_is_not_configured_is_empty_and_unknown_not_zero(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No ads account is not the same as no spend: the matrix must say null."""
    monkeypatch.setenv("WEATHERVANE_STUBS", "never")
    for name, value in {"SHOP_DOMAIN": "acme", "ACCESS_TOKEN": "shpat_live"}.items():
        monkeypatch.setenv(f"ACME__SHOPIFY_{name}", value)
    monkeypatch.setenv("SHOPIFY_BASE_URL", f"{installation.sandbox.url}/t/acme")
    monkeypatch.setenv("GEONAMES_BASE_URL", installation.sandbox.url)
    monkeypatch.setenv("OPEN_METEO_FORECAST_URL", f"{installation.sandbox.url}/v1/forecast")
    monkeypatch.setenv("OPEN_METEO_ARCHIVE_URL", f"{installation.sandbox.url}/v1/archive")
    outcome = installation.backfill("acme", date(2026, 11, 3), date(2026, 11, 4))
    assert outcome.failures == []
    matrix = installation.rows("acme", "features")
    assert matrix.height > 0
    assert matrix["tenant_ad_spend"].null_count() == matrix.height
    assert matrix["tenant_promos"].null_count() == matrix.height
    assert set(matrix["source"]) == {"not_configured+open_meteo+shopify_api"}
    metadata = installation.materializations(outcome, "meta_ads")["2026-11-03|acme"].metadata
    assert metadata["source"].value == "not_configured"
    assert metadata["dagster/partition_row_count"].value == 0


def test_half_set_credentials_fail_and_name_what_is_missing(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stub rows in place of a shop whose token was forgotten would be believed."""
    monkeypatch.setenv("ACME__SHOPIFY_SHOP_DOMAIN", "acme")
    outcome = installation.backfill("acme", date(2026, 11, 3), date(2026, 11, 3), "orders")
    assert "SHOPIFY_ACCESS_TOKEN" in outcome.failures[0]
    assert installation.lake.version("acme", "orders") is None


def test_the_tables_open_in_polars_and_duckdb_outside_the_project(filled: Filled) -> None:
    """A lake that only its own code can read is a silo."""
    here, _ = filled
    uri = here.lake.uri("acme", "features")
    frame = pl.read_delta(uri)
    sales = DeltaTable(uri).to_pyarrow_dataset()
    query = "SELECT sum(orders)::INT AS orders, sum(net_revenue) AS revenue FROM sales WHERE date = DATE '2026-11-19'"
    orders, revenue = duckdb.sql(query).fetchall()[0]
    mine = frame.filter(pl.col("date") == LAST)
    assert (orders, Decimal(revenue)) == (mine["orders"].sum(), mine["net_revenue"].sum())
    assert sales.schema.field("net_revenue").type.scale == 4


def test_forecasts_are_as_issued_and_not_rewritten(installation: Installation) -> None:
    """A forecast that a later run replaces with what happened is no forecast."""
    span = (date(2026, 11, 12), date(2026, 11, 14))
    installation.backfill("acme", *span, "orders", "weather_forecast")
    before = installation.rows("acme", "weather_forecast")
    assert set(before["lead_days"]) == set(range(8))
    assert (before["known_at_utc"].dt.convert_time_zone("America/New_York").dt.date() == before["date"]).all()
    installation.backfill("acme", *span, "weather_forecast", now="2026-11-25T15:00:00+00:00")
    assert installation.rows("acme", "weather_forecast").equals(before)


def test_a_forecast_outlives_the_orders_that_it_was_asked_for_on_account_of(installation: Installation) -> None:
    """An order was deleted at Shopify, and what had been forecast for its place was gone with the next backfill."""
    span = date(2026, 11, 12), date(2026, 11, 13)
    installation.backfill("acme", *span, "orders", "weather_forecast")
    before, orders = installation.rows("acme", "weather_forecast"), installation.rows("acme", "orders")
    gone = before["geohash"][0]
    left = orders.filter(pl.col("ship_geohash").ne_missing(gone))
    now = datetime(2026, 11, 25, 15, tzinfo=UTC)
    installation.lake.replace(
        "acme", "orders", left, shape=shape_of(CONTRACTS["orders"]), days=span, source="stub", run_id="r", now=now
    )
    installation.backfill("acme", *span, "weather_forecast", now=now.isoformat())
    assert installation.rows("acme", "weather_forecast").sort(before.columns).equals(before.sort(before.columns))


def test_a_live_forecast_of_a_past_day_of_issue_is_not_made_up(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The forecast host answers for past days with what happened: filed under the past, that is the future leaking."""
    monkeypatch.setenv("OPEN_METEO_FORECAST_URL", f"{installation.sandbox.url}/v1/forecast")
    monkeypatch.setenv("OPEN_METEO_ARCHIVE_URL", f"{installation.sandbox.url}/v1/archive")
    outcome = installation.backfill("acme", date(2026, 11, 12), date(2026, 11, 13), "orders", "weather_forecast")
    assert outcome.failures == []
    assert installation.rows("acme", "weather_forecast").height == 0


def test_an_unknown_tenant_fails_and_says_so(installation: Installation) -> None:
    """A partition of a tenant that left the file must not be filled from another's credentials."""
    installation.instance.add_dynamic_partitions("tenant", ["ghost"])
    outcome = installation.backfill("ghost", date(2026, 11, 3), date(2026, 11, 3), "orders")
    assert "tenant ghost is not in" in outcome.failures[0]
    assert NOW


def test_a_night_lists_nobodys_partitions(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """To say what was judged, Dagster listed every day of every tenant once an asset: 8 CPU seconds a night at 100 tenants."""
    listed: list[int] = []
    count = dg.MultiPartitionsDefinition.get_partition_keys

    def counting(self: dg.MultiPartitionsDefinition, *given: object, **named: object) -> object:
        listed.append(1)
        return count(self, *given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(dg.MultiPartitionsDefinition, "get_partition_keys", counting)
    outcome = installation.backfill("acme", date(2026, 11, 18), date(2026, 11, 19), "orders", "weather_daily")
    assert outcome.failures == []
    assert listed == []
    kind = dg.DagsterEventType.ASSET_MATERIALIZATION
    # a range's days are noted in no order of theirs: the last day's is not always the last event
    last_days = {
        max(
            (str(record.partition_key), record.storage_id)
            for record in installation.instance.get_records_for_run(run, of_type=kind).records
        )[1]
        for run in outcome.run_ids
    }
    summaries = [one for one in installation.evaluations(outcome) if one.partition is None]
    judged = {one.target_materialization_data.storage_id for one in summaries if one.target_materialization_data}
    assert judged == last_days
