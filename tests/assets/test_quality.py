"""Freshness and the quality report, as Dagster runs them over a real lake."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import dagster as dg
import pytest

from tests.assets.conftest import NOW, Installation
from weathervane_assets.backfill import Outcome
from weathervane_assets.definitions import build_defs
from weathervane_assets.graph import NODES
from weathervane_assets.schedules import FRESHNESS
from weathervane_assets.tables import CONTRACTS, shape_of
from weathervane_checks.alert_events import read_events
from weathervane_checks.dq_report import examine_quality, keep_run
from weathervane_resources.clock import Clock
from weathervane_resources.lake import Lake, LakeError
from weathervane_resources.tenants import Tenant, load_tenants


def tenant(here: Installation, name: str = "acme") -> Tenant:
    return load_tenants(here.folder / "tenants.toml", frozenset(), date(2024, 1, 1))[name]


def test_freshness_is_one_evaluation_an_asset_that_names_the_stale_tenants(
    filled: tuple[Installation, Outcome],
) -> None:
    """One green light for all tenants hid the one whose nights had failed for a week; no run brought anything in."""
    here, _ = filled
    result = here.execute(FRESHNESS)
    found = {e.asset_key.path[-1]: e for e in result.get_asset_check_evaluations()}
    assert set(found) == set(NODES)
    assert not result.asset_materializations_for_node("freshness_checks")
    assert all(e.partition is None and e.check_name == FRESHNESS for e in found.values())
    orders = found["orders"]
    metadata = {name: value.value for name, value in orders.metadata.items()}
    assert not orders.passed
    # acme's 19 November is there; kiwi's 20th, over for 4 hours, is not due, and its 19th was never fetched
    assert (metadata["tenant"], metadata["alerts"], metadata["severity"]) == ("kiwi", "not_backfilled", "warning")
    assert metadata["by_tenant"]["acme"]["severity"] == "ok"
    assert metadata["by_tenant"]["kiwi"]["due"] == "2026-11-19"
    assert {"window", "observed", "threshold", "judged_as"} <= metadata.keys()
    assert [record.data["tenant"] for record in orders.metadata["stale_tenants"].records] == ["kiwi"]


def test_the_next_morning_without_a_night_is_stale(filled: tuple[Installation, Outcome]) -> None:
    """Nothing ran, so nothing failed, so nobody was told."""
    result = filled[0].execute(FRESHNESS, now="2026-11-21T13:30:00+00:00")
    orders = next(e for e in result.get_asset_check_evaluations() if e.asset_key.path[-1] == "orders")
    assert orders.metadata["by_tenant"].value["acme"] == {
        "severity": "warning", "newest": "2026-11-19", "due": "2026-11-20", "days_late": 1, "alerts": ["dataset_stale"],
    }  # fmt: skip


def test_runs_that_bring_in_days_do_not_judge_whether_days_are_missing(filled: tuple[Installation, Outcome]) -> None:
    """Each run of one tenant said that all the others were late."""
    here, outcome = filled
    assert not [e for e in here.evaluations(outcome) if e.check_name == FRESHNESS]
    nightly = build_defs(os.environ).resolve_job_def("nightly").asset_layer.asset_graph.asset_check_keys
    assert not [key for key in nightly if key.name == FRESHNESS]
    assert [key for key in nightly if key.name == "row_count_drop"]


def test_a_backfill_marks_what_it_finds_as_history(filled: tuple[Installation, Outcome]) -> None:
    """Two years brought in on a Tuesday woke people for a strike of the year before."""
    here, outcome = filled
    evaluations = here.evaluations(outcome)
    assert {str(e.metadata["judged_as"].value) for e in evaluations} == {"backfill"}


def test_the_report_is_a_table_a_picture_and_a_file(filled: tuple[Installation, Outcome]) -> None:
    """The report of the worst tenant was the report: now each has its own, and each dataset is in it."""
    here, _ = filled
    result = here.execute("dq_report_job", partition="acme")
    (event,) = result.asset_materializations_for_node("dq_report")
    assert event.partition == "acme"
    datasets = {str(r.data["dataset"]): r.data for r in event.metadata["datasets"].records}
    assert set(datasets) == set(NODES)
    assert (datasets["orders"]["status"], datasets["orders"]["alerts"]) == ("needs_attention", "stub_source")
    # its report of the join is of the fixed clock, and the rows are of today's
    assert datasets["features"]["status"] == "ok"
    assert "- features: weather_join_leakage: " in str(event.metadata["not_judged"].value)
    assert "- orders: 2026-11-19: stub rows from the sandbox, not the vendor's" in str(event.metadata["issues"].value)
    assert not {"issues", "not_judged"} & set(datasets["orders"]), (
        "sentences made rows of six lines, cut off on the right"
    )
    picture = str(event.metadata["picture"].value)
    assert picture.startswith("![Severity by dataset and day, 2026-09-21 to 2026-11-19](data:image/png;base64,")
    drawn = [str(event.metadata[name].value) for name in ("picture", "orders_against_usual", "places_by_day", "cells")]
    assert all(one.startswith("![") and len(one) < 80_000 for one in drawn)
    (check,) = [e for e in result.get_asset_check_evaluations() if e.asset_key.path[-1] == "dq_report"]
    assert (check.check_name, check.passed) == ("kept", True)
    report = json.loads(here.lake.files.read("_reports/acme/dq_monitoring.json") or b"")
    run = report["runs"][-1]
    assert (report["version"], report["overall_severity"], run["tenant_id"]) == (1, run["overall_severity"], "acme")
    orders = run["datasets"]["orders"]
    keys = "status severity alerts issues row_count previous_row_count source path metadata metrics rules not_judged history"
    assert set(orders) == set(keys.split())
    rows = here.rows("acme", "orders")
    newest = rows.filter(rows["date"] == date(2026, 11, 19))
    located = newest["ship_geohash"].drop_nulls().len() / newest.height
    assert (orders["row_count"], orders["metrics"]["geocoded_ratio"]) == (newest.height, round(located, 6))
    assert (len(orders["history"]["row_count"]), orders["history"]["row_count"][-1]) == (7, newest.height)


def test_the_alerter_reads_on_after_the_mornings_reports(installation: Installation) -> None:
    """Their partition is a tenant without a day: the alerter took it for a year, and told of nothing from then on."""
    seen: set[int] = set()
    start = read_events(installation.instance, None, seen, datetime.now(UTC)).cursor
    run_ids = {installation.execute("dq_report_job", partition=tenant).run_id for tenant in ("acme", "kiwi")}
    batch = read_events(installation.instance, start, seen, datetime.now(UTC) + timedelta(minutes=1))
    kept = [o for o in batch.observations if o.subject.cause == "kept"]
    assert sorted((o.subject.tenant, o.severity) for o in kept) == [("acme", "ok"), ("kiwi", "ok")]
    ended = [o for o in batch.observations if o.subject.dataset == "run"]
    assert {(o.subject.tenant, o.days, o.severity) for o in ended} == {("acme", (), "ok"), ("kiwi", (), "ok")}
    assert {o.facts.run_id for o in ended} == run_ids


def test_the_alerter_takes_freshness_from_its_job_and_not_from_a_run_of_the_ui(installation: Installation) -> None:
    """Made in the UI, one tenant's orders said of all the others that they were late."""
    seen: set[int] = set()
    start = read_events(installation.instance, None, seen, datetime.now(UTC)).cursor
    own = installation.execute(FRESHNESS)
    key = dg.AssetCheckKey(dg.AssetKey("orders"), FRESHNESS)
    everything = build_defs(os.environ, {"clock": Clock(fixed=NOW)}).resolve_implicit_global_asset_job_def()
    clicked = everything.get_subset(asset_check_selection={key}).execute_in_process(instance=installation.instance)
    assert [e.passed for e in clicked.get_asset_check_evaluations()] == [False]
    batch = read_events(installation.instance, start, seen, datetime.now(UTC) + timedelta(minutes=1))
    late = [o for o in batch.observations if o.subject.cause == FRESHNESS and o.severity != "ok"]
    assert {o.facts.run_id for o in late} == {own.run_id}
    assert {o.subject.tenant for o in late} == {"acme", "kiwi"}


def test_the_file_keeps_so_many_runs_and_a_broken_one_is_not_begun_anew(
    filled: tuple[Installation, Outcome], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A file that grew by the night was 2 GB by summer; one that could not be read lost its history without a word."""
    here, _ = filled
    few = replace(tenant(here), thresholds={"history_runs": 5})
    quality = examine_quality(few, here.lake, Clock(fixed=NOW).now())
    other = Lake(str(tmp_path_factory.mktemp("other")))
    for _ in range(7):
        report = keep_run(other, quality)
    assert len(report["runs"]) == 5
    file = tmp_path_factory.getbasetemp() / other.root / "_reports" / "acme" / "dq_monitoring.json"
    for text in ("{", "[]", '{"version": 2, "runs": []}'):
        file.write_text(text)
        with pytest.raises(LakeError, match=r"dq_monitoring.json"):
            keep_run(other, quality)
        assert file.read_text() == text


def test_a_tenant_without_anything_is_missing_and_critical(installation: Installation) -> None:
    """Zero rows were healthy: there was nothing wrong with any of them."""
    quality = examine_quality(tenant(installation, "kiwi"), installation.lake, Clock(fixed=NOW).now())
    assert quality.run["overall_severity"] == "critical"
    assert {entry["status"] for entry in quality.run["datasets"].values()} == {"missing"}
    assert quality.run["alerts"] == ["dataset_missing"]


def test_what_the_checks_of_weather_and_join_call_critical_is_not_ok_in_the_report(installation: Installation) -> None:
    """The report was green and read each morning; the weather of every place was gone since Thursday."""
    day = date(2026, 11, 19)
    installation.backfill("acme", day, day, "orders", "weather_daily", "features")
    healthy = examine_quality(tenant(installation), installation.lake, Clock(fixed=NOW).now()).run["datasets"]
    assert [healthy[name]["alerts"] for name in ("weather_daily", "features")] == [["stub_source"], []]
    for name in ("weather_daily", "features"):
        shape, nothing = shape_of(CONTRACTS[name]), installation.rows("acme", name).clear()
        installation.lake.replace(
            "acme", name, nothing, shape=shape, days=[day], source="stub", run_id="r", now=Clock(fixed=NOW).now()
        )
    run = examine_quality(tenant(installation), installation.lake, Clock(fixed=NOW).now()).run
    found = {name: run["datasets"][name] for name in ("weather_daily", "features")}
    assert {name: entry["severity"] for name, entry in found.items()} == dict.fromkeys(found, "critical")
    assert (found["weather_daily"]["alerts"], found["features"]["alerts"]) == (
        ["stub_source", "weather_coverage_critical"],
        ["conservation_broken"],
    )
    assert any(f"{day}: 0 of" in issue for issue in found["weather_daily"]["issues"])
