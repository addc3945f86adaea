"""Which rules the quality report asks, over a real lake: what a check would say, the report says too."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.checks.test_join_report import ACME, DAY, NOW, fill, put
from weathervane_assets.tables import CONTRACTS, shape_of
from weathervane_checks.catalog import CHECKS, completeness
from weathervane_checks.dq_report import examine_quality
from weathervane_checks.dq_rules import judge_dataset
from weathervane_checks.evidence import Evidence
from weathervane_checks.join_report import FILE, validate_join, write_join_report
from weathervane_checks.thresholds import Thresholds
from weathervane_resources import lake as lake_module
from weathervane_resources.lake import LEDGER, Lake
from weathervane_resources.lake_ledger import VendorCount
from weathervane_resources.lake_tables import OpenTables
from weathervane_resources.quarantine import replace_quarantine

SOON = datetime(2026, 3, 4, 15, tzinfo=UTC)
"""Ten o'clock of the morning after DAY."""
ORDER: dict[str, Any] = {
    "order_id": "1", "created_at": SOON, "updated_at": SOON, "is_test": False, "currency": "USD", "line_item_count": 1,
    "geo_source": "none", **dict.fromkeys(("total_price", "subtotal_price", "total_tax", "total_discounts"), 0),
}  # fmt: skip


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


def examine(lake: Lake, dataset: str, now: datetime = SOON) -> dict[str, Any]:
    found: dict[str, Any] = examine_quality(ACME, lake, now).run["datasets"][dataset]
    return found


def write(
    lake: Lake,
    dataset: str,
    rows: Sequence[dict[str, Any]] = (),
    day: date = DAY,
    source: str = "open_meteo",
    **more: Any,
) -> None:
    shape = shape_of(CONTRACTS[dataset])
    ids = {"tenant_id": "acme", "date": day, "source": source, "as_of_utc": SOON}
    frame = pl.DataFrame([{**ids, **row} for row in rows], schema=shape.schema)
    lake.replace("acme", dataset, frame, shape=shape, days=[day], source=source, run_id="r", now=SOON, **more)


def test_every_check_is_asked_or_said_to_be_left_out(lake: Lake) -> None:
    """The report was green; four of the rules had never been asked, and nothing in it said so."""
    fill(lake)
    datasets = examine_quality(ACME, lake, SOON).run["datasets"]
    for name, entry in datasets.items():
        names = {check.name for check in CHECKS if check.asset == name} | {"freshness"}
        assert set(entry["rules"]) | set(entry["not_judged"]) == names, name
        assert not set(entry["rules"]) & set(entry["not_judged"]), name
    assert datasets["orders"]["rules"] == ["freshness"]
    assert set(datasets["orders"]["not_judged"].values()) == {"no day of it was written"}
    assert datasets["features"]["not_judged"] == {
        "weather_join_leakage": f"{FILE} was never written; run `weathervane coverage weather --tenant acme`"
    }


@pytest.mark.parametrize("dataset", ["orders", "promos", "weather_daily", "weather_forecast"])
def test_rows_of_the_sandbox_are_not_ok_in_the_report(lake: Lake, dataset: str) -> None:
    """A lake whose every row was made up had `overall_severity: ok` and `alerts: []`."""
    write(lake, dataset, source="stub")
    found = examine(lake, dataset)
    assert "stub_source" in found["alerts"]
    assert found["severity"] != "ok"
    write(lake, "meta_ads", source="meta_api")
    assert "stub_source" not in examine(lake, "meta_ads")["alerts"]


def test_made_up_normals_are_said_of_their_year(lake: Lake) -> None:
    """The days of normals are years, which the sixty days of the report do not hold."""
    write(lake, "climatology", day=date(2026, 1, 1), source="stub")
    quality = examine_quality(ACME, lake, SOON)
    assert quality.run["datasets"]["climatology"]["alerts"] == ["stub_source"]
    assert set(quality.severities["climatology"]) == {"warning"}


def test_orders_that_shopify_counts_and_the_lake_lacks_are_critical(lake: Lake) -> None:
    """The check said it at night, and the report of the morning had a green light."""
    write(lake, "orders", [ORDER], source="shopify_api", vendor_count=VendorCount({DAY: 1}))
    assert "rows_missing" not in examine(lake, "orders")["alerts"]
    write(lake, "orders", [ORDER], source="shopify_api", vendor_count=VendorCount({DAY: 3}))
    found = examine(lake, "orders")
    assert (found["severity"], "rows_missing" in found["alerts"]) == ("critical", True)
    assert f"{DAY}: 2 of the 3 rows that the vendor counts for the day are missing" in found["issues"]


def test_an_order_of_no_known_day_is_missing_on_none(lake: Lake) -> None:
    """The check of the two nights that were caught up said ok, ok; the report of the morning said that an order is missing."""
    first = DAY - timedelta(days=1)
    orders = [
        {**ORDER, "date": day, "order_id": f"{day}-{n}"} for day, count in ((first, 3), (DAY, 2)) for n in range(count)
    ]
    write(
        lake,
        "orders",
        [ORDER],
        first - timedelta(days=1),
        "shopify_api",
        vendor_count=VendorCount({first - timedelta(days=1): 1}),
    )
    shape = shape_of(CONTRACTS["orders"])
    ids = {"tenant_id": "acme", "source": "shopify_api", "as_of_utc": SOON}
    frame = pl.DataFrame([{**order, **ids} for order in orders], schema=shape.schema)
    known: dict[str, Any] = {"source": "shopify_api", "run_id": "caught up", "now": SOON}
    count = VendorCount(dict.fromkeys((first, DAY), 3))
    lake.replace("acme", "orders", frame, shape=shape, days=[first, DAY], vendor_count=count, **known)
    reject = pl.DataFrame({"date": [first], "key": ["77"], "reason": ["created_at is not a time with an offset"]})
    replace_quarantine(lake, "acme", "orders", reject, days=[first, DAY], **known)
    for days in ([first, DAY], [first], [DAY]):
        evidence = Evidence("orders", ACME, dict.fromkeys(days, ""), lake, SOON, Thresholds())
        assert {finding.severity for finding in completeness(evidence)} == {"ok"}
    assert "rows_missing" not in examine(lake, "orders")["alerts"]


def test_rows_that_break_the_contract_are_critical(lake: Lake) -> None:
    """A blocking check had stopped the night; the report went by counts, which were as ever."""
    campaign = {"campaign_id": "c", "channel": "email", "status": "Sent", "is_archived": False}
    campaign |= dict.fromkeys(("created_at", "updated_at"), SOON)
    write(lake, "promos", [campaign], source="klaviyo_api")
    assert examine(lake, "promos")["alerts"] == []
    write(lake, "promos", [{**campaign, "channel": "pigeon"}], source="klaviyo_api")
    assert examine(lake, "promos")["alerts"] == ["contract_broken"]


def test_a_matrix_that_knows_the_future_is_critical_whatever_day_it_is(lake: Lake) -> None:
    """The newest day was clean, and a model was trained on the others."""
    fill(lake, leak=True)
    write(lake, "features", day=DAY + timedelta(days=1))
    write_join_report(lake, validate_join(ACME, lake, NOW, None))
    quality = examine_quality(ACME, lake, datetime(2026, 3, 5, 15, tzinfo=UTC))
    found = quality.run["datasets"]["features"]
    assert found["metadata"]["day"] == "2026-03-04"
    assert (found["severity"], [code for code in found["alerts"] if "leakage" in code]) == ("critical", ["leakage_W09"])
    assert any("1 of the rows" in issue and "(W09)" in issue for issue in found["issues"])
    assert dict(zip(quality.days, quality.severities["features"], strict=True))[DAY] == "critical"
    assert "weather_join_leakage" in found["rules"]


def test_what_was_said_of_an_older_matrix_is_no_verdict_on_this_one(lake: Lake) -> None:
    """A report from before the restatement vouched for the rows that the restatement wrote."""
    fill(lake)
    write_join_report(lake, validate_join(ACME, lake, NOW, None))
    assert "weather_join_leakage" in examine(lake, "features")["rules"]
    write_join_report(lake, validate_join(ACME, lake, NOW - timedelta(hours=1), None))
    said = examine(lake, "features")["not_judged"]["weather_join_leakage"]
    assert said.startswith(f"{FILE} is of 2026-04-01T11:00:00+00:00, before the matrix was last written")
    lake.files.write(f"_reports/acme/{FILE}", "{")
    assert "is not a report" in examine(lake, "features")["not_judged"]["weather_join_leakage"]


def test_the_forecast_of_today_is_judged_while_it_can_still_be_had(lake: Lake) -> None:
    """It was empty at eight, the report looked at yesterday's, and at midnight it was lost for ever."""
    cell = {**ORDER, "ship_geohash": "drt20", "geo_source": "postal"}
    write(lake, "orders", [cell], source="shopify_api")
    today = DAY + timedelta(days=1)
    put(lake, "acme", "weather_forecast", [])
    before = examine(lake, "weather_forecast")
    assert before["alerts"] == []
    assert before["not_judged"]["coverage"].startswith("the forecast of today was not written")
    write(lake, "weather_forecast", day=today)
    found = examine(lake, "weather_forecast")
    assert (found["severity"], "weather_coverage_critical" in found["alerts"]) == ("critical", True)
    assert any(issue.startswith(f"{today}: 0 of 1") for issue in found["issues"])


def cut(lake: Lake, dataset: str) -> None:
    """Leave half of the newest file of a table, as a power cut does."""
    file = max(Path(lake.uri("acme", dataset)).rglob("*.parquet"), key=lambda one: one.stat().st_mtime_ns)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


@pytest.mark.parametrize("dataset", ["orders", "promos"])
def test_one_damaged_file_is_said_of_its_dataset_and_the_others_are_judged(lake: Lake, dataset: str) -> None:
    """A file that a power cut had halved ended the report of all datasets in a panic of polars."""
    fill(lake)
    write(lake, "orders", [ORDER], source="shopify_api")
    campaign = {"campaign_id": "c", "channel": "email", "status": "Sent", "is_archived": False}
    write(lake, "promos", [campaign | dict.fromkeys(("created_at", "updated_at"), SOON)], source="klaviyo_api")
    cut(lake, dataset)
    quality = examine_quality(ACME, lake, SOON)
    found = quality.run["datasets"][dataset]
    assert (found["severity"], "table_unreadable" in found["alerts"]) == ("critical", True)
    assert sum("is gone or damaged" in issue for issue in found["issues"]) == 1
    assert "is gone or damaged" in found["not_judged"]["contract"]
    assert "live_source" in found["rules"], "it reads no rows"
    assert dict(zip(quality.days, quality.severities[dataset], strict=True))[DAY] == "critical"
    other = quality.run["datasets"]["promos" if dataset == "orders" else "orders"]
    assert "contract" in other["rules"]
    assert "table_unreadable" not in other["alerts"]
    assert quality.orders.height == (dataset != "orders")


@pytest.fixture
def damaged_ledger(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """A lake whose ledger no new process can read, nor any part of it."""
    fill(lake)
    campaign = {"campaign_id": "c", "channel": "pigeon", "status": "Sent", "is_archived": False}
    write(lake, "promos", [campaign | dict.fromkeys(("created_at", "updated_at"), SOON)], source="klaviyo_api")
    log = max(Path(lake.uri("acme", LEDGER), "_delta_log").glob("*.json"))
    log.write_bytes(log.read_bytes()[:40])
    monkeypatch.setattr(lake_module, "OPEN_TABLES", OpenTables())
    return lake


def test_a_damaged_ledger_is_in_the_report_and_not_its_end(damaged_ledger: Lake) -> None:
    """The report that names damaged tables ended with the error itself, and none of the rows was looked at."""
    quality = examine_quality(ACME, damaged_ledger, SOON)
    assert quality.run["overall_severity"] == "critical"
    for name, entry in quality.run["datasets"].items():
        assert (entry["status"], entry["severity"]) == ("unreadable", "critical"), name
        assert "table_unreadable" in entry["alerts"]
        assert not {"dataset_missing", "dataset_stale"} & set(entry["alerts"]), "nobody knows that"
        assert sum("/acme/_ledger cannot be read" in issue for issue in entry["issues"]) == 1
        assert "/acme/_ledger cannot be read" in entry["not_judged"]["freshness"]
        names = {check.name for check in CHECKS if check.asset == name} | {"freshness"}
        assert (set(entry["rules"]) | set(entry["not_judged"]), "contract" in entry["rules"]) == (names, True)
        assert not set(entry["rules"]) & set(entry["not_judged"])
    of_promos = dict(zip(quality.days, quality.severities["promos"], strict=True))
    assert {day: severity for day, severity in of_promos.items() if severity} == {DAY: "critical"}
    assert "weather_join_coverage" in quality.run["datasets"]["features"]["rules"]


def test_with_the_ledger_a_table_is_damaged_too(damaged_ledger: Lake) -> None:
    """One of the two was said; it was mended, and the report of the next morning was critical again."""
    cut(damaged_ledger, "promos")
    found = examine(damaged_ledger, "promos")
    assert sum("acme/promos is gone or damaged" in issue for issue in found["issues"]) == 1
    assert sum("/acme/_ledger cannot be read" in issue for issue in found["issues"]) == 1
    assert "acme/promos is gone" in found["not_judged"]["contract"]


def test_a_damaged_file_of_the_ledger_is_said_of_the_dataset_whose_days_it_has(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nine tables were called unreadable for a file with the days of one."""
    fill(lake)
    write(lake, "promos", source="klaviyo_api")
    cut(lake, LEDGER)
    monkeypatch.setattr(lake_module, "OPEN_TABLES", OpenTables())
    datasets = examine_quality(ACME, lake, SOON).run["datasets"]
    assert [name for name, entry in datasets.items() if entry["status"] == "unreadable"] == ["promos"]
    assert "acme/_ledger is gone or damaged" in datasets["promos"]["issues"][0]


def test_a_ledger_that_was_moved_away_is_written_anew_by_a_backfill(damaged_ledger: Lake) -> None:
    """Of a ledger that nothing brings back nobody knew what to do."""
    ledger = Path(damaged_ledger.uri("acme", LEDGER))
    ledger.rename(ledger.with_name("moved"))
    assert examine(damaged_ledger, "weather_daily")["status"] == "missing"
    write(damaged_ledger, "weather_daily")
    found = examine(damaged_ledger, "weather_daily")
    assert (found["row_count"], "live_source" in found["rules"]) == (0, True)


def test_of_normals_only_the_years_that_the_report_shows_are_read(lake: Lake) -> None:
    """Each morning every year of normals was held against its contract again."""
    for year in (2019, 2025, 2026):
        write(lake, "climatology", day=date(year, 1, 1))
    limits, ledger = Thresholds(), lake.ledger("acme", "climatology")
    days = [date(2025, 12, 31), date(2026, 1, 1), date(2026, 1, 2)]
    evidence = Evidence("climatology", ACME, dict.fromkeys(days, ""), lake, SOON, limits)
    assert list(judge_dataset(evidence, ledger, None).by_day) == [date(2025, 1, 1), date(2026, 1, 1)]


def test_a_report_of_the_lake_alone_says_that_it_did_not_look_at_credentials(lake: Lake) -> None:
    """It listed `live_source` among the rules it had asked, and never asked when the credential ends."""
    write(lake, "orders", [ORDER], source="shopify_api")
    found = examine(lake, "orders")
    assert "live_source" in found["rules"]
    assert "doctor" in found["not_judged"]["credential_ends"]
