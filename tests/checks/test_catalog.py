"""What is checked, and each check once against a real lake, without a Dagster run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from weathervane_assets.tables import CONTRACTS, key_columns, polars_schema
from weathervane_checks import catalog
from weathervane_checks.evidence import Evidence
from weathervane_checks.thresholds import THRESHOLD_NAMES, Thresholds
from weathervane_resources.lake import Lake, Shape
from weathervane_resources.tenants import Tenant

MON, TUE = date(2025, 3, 3), date(2025, 3, 4)
NEW_YEAR = date(2025, 1, 1)
NOW = datetime(2025, 4, 1, 12, tzinfo=UTC)
ACME = Tenant("acme", "Acme", "America/New_York", "USD", NEW_YEAR)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path))


def put(
    lake: Lake, dataset: str, rows: Sequence[dict[str, Any]], days: Sequence[date] = (MON, TUE), source: str = "stub"
) -> None:
    schema = polars_schema(CONTRACTS[dataset])
    ids = {"tenant_id": "acme", "source": source, "as_of_utc": NOW}
    frame = pl.DataFrame([{**ids, **row} for row in rows], schema=schema)
    shape = Shape(schema, tuple(key_columns(CONTRACTS[dataset])))
    lake.replace("acme", dataset, frame, shape=shape, days=days, source=source, run_id="run", now=NOW)


def evidence(lake: Lake, dataset: str, days: Sequence[date] = (MON, TUE)) -> Evidence:
    return Evidence(dataset, ACME, {day: f"{day}|acme" for day in days}, lake, NOW, Thresholds())


def order(number: int, day: date = MON, cell: str | None = "drt2y") -> dict[str, Any]:
    return {
        "date": day, "order_id": str(number), "is_test": False, "created_at": NOW, "updated_at": NOW, "currency": "USD",
        **dict.fromkeys(("total_price", "subtotal_price", "total_tax", "total_discounts", "net_revenue"), Decimal(10)),
        "line_item_count": 1, "ship_geohash": cell, "geo_source": "address" if cell else "none",
    }  # fmt: skip


def feature(day: date = MON, orders: int = 1) -> dict[str, Any]:
    return {
        "date": day, "geohash": "drt2y", "is_first_order_day": False, "orders": orders, "net_revenue": Decimal(10) * orders,
        "tenant_orders": orders, "join_mode": "observed", "is_weather_missing": True,
    }  # fmt: skip


def test_a_forecast_of_today_that_is_empty_is_critical_and_an_older_one_is_not_judged(lake: Lake) -> None:
    """An answer without a value was a table without a row, and nothing looked at it."""
    today, before = date(2025, 4, 1), date(2025, 3, 31)
    put(lake, "orders", [order(1, before)], days=[before])
    put(lake, "weather_forecast", [], days=[before, today], source="open_meteo")
    found = severities(catalog.coverage(evidence(lake, "weather_forecast", [before, today])))
    assert found == [(before, "ok"), (today, "critical")]


def test_every_table_has_a_blocking_contract_check() -> None:
    """A table added last was checked by nobody."""
    blocking = {check.asset for check in catalog.CHECKS if check.name == "contract" and check.is_blocking}
    assert blocking == set(CONTRACTS)


def test_leaks_and_broken_joins_block() -> None:
    """A leakage check that only warns is read after the model was trained."""
    blocking = {check.name for check in catalog.CHECKS if check.asset == "features" and check.is_blocking}
    assert blocking == {"contract", "weather_join_leakage", "conservation"}


def test_no_check_is_listed_twice_and_each_says_what_it_looks_for() -> None:
    """Two checks of one name: Dagster keeps one."""
    names = [(check.asset, check.name) for check in catalog.CHECKS]
    assert len(names) == len(set(names))
    assert all(check.rule.__doc__ for check in catalog.CHECKS)
    assert {check.asset for check in catalog.CHECKS} <= set(CONTRACTS)


def test_every_threshold_has_a_unit_and_a_reason() -> None:
    """One ratio had ten different limits, and nobody knew why any of them."""
    assert {field.name for field in fields(Thresholds)} == THRESHOLD_NAMES
    assert all(field.metadata["unit"] and field.metadata["reason"] for field in fields(Thresholds))


def test_the_numbers_are_those_that_were_agreed_on() -> None:
    """design.md, section 3: a changed limit is a decision, not a diff."""
    limits = Thresholds()
    assert (limits.row_count_ratio_warning, limits.row_count_ratio_critical) == (0.8, 0.6)
    assert (limits.new_rows_ratio_warning, limits.new_rows_ratio_critical, limits.new_rows_median_min) == (0.5, 0.1, 20)
    assert (limits.zero_rows_streak_warning, limits.zero_rows_streak_critical) == (2, 4)
    assert (limits.geocoded_ratio_warning, limits.geocoded_ratio_critical, limits.geocoded_ratio_floor) == (
        0.88,
        0.75,
        0.8,
    )
    assert (limits.weather_coverage_warning, limits.history_runs, limits.baseline_days) == (0.85, 90, 7)


def severities(findings: Sequence[Any]) -> list[tuple[date, str]]:
    return [(finding.day, finding.severity) for finding in findings]


def test_the_contract_is_checked_on_what_is_stored(lake: Lake) -> None:
    """The frame was checked before it was written, and the table was something else."""
    put(lake, "orders", [order(1), order(2, TUE) | {"geo_source": "guess"}])
    assert severities(catalog.contract(evidence(lake, "orders"))) == [(MON, "ok"), (TUE, "critical")]


def test_only_the_windows_rows_are_judged(lake: Lake) -> None:
    """A bad day of last year turned every run of today red."""
    put(lake, "orders", [order(1), order(2, TUE) | {"geo_source": "guess"}])
    assert severities(catalog.contract(evidence(lake, "orders", [MON]))) == [(MON, "ok")]


def test_sources_counts_and_cells_come_from_lake_and_ledger(lake: Lake) -> None:
    """Coverage was read from one global report: whichever tenant wrote last."""
    put(lake, "orders", [order(n, MON, "drt2y" if n < 10 else None) for n in range(40)])
    assert severities(catalog.live_source(evidence(lake, "orders"))) == [(MON, "warning"), (TUE, "warning")]
    assert severities(catalog.row_count_drop(evidence(lake, "orders"))) == [(MON, "ok"), (TUE, "critical")]
    assert severities(catalog.geocoding_coverage(evidence(lake, "orders"))) == [(MON, "critical"), (TUE, "ok")]


def test_a_dataset_never_written_is_not_ok(lake: Lake) -> None:
    """The report of a missing table said 'healthy'."""
    assert severities(catalog.row_count_drop(evidence(lake, "ads"))) == [(MON, "critical"), (TUE, "critical")]
    assert severities(catalog.live_source(evidence(lake, "promos"))) == [(MON, "warning"), (TUE, "warning")]


def test_conservation_compares_the_stored_orders_with_the_stored_matrix(lake: Lake) -> None:
    """Compared with the frame it was made from, a matrix is always right."""
    put(lake, "orders", [order(1), order(2, TUE)])
    put(lake, "features", [feature(MON), feature(TUE, orders=2)])
    assert severities(catalog.conservation(evidence(lake, "features"))) == [(MON, "ok"), (TUE, "critical")]


def test_the_leakage_check_reads_the_normals_of_the_windows_years(lake: Lake) -> None:
    """Normals lie on January 1 of their year: a check of March never saw them."""
    put(lake, "features", [feature(MON), feature(TUE)])
    assert severities(catalog.weather_join_leakage(evidence(lake, "features"))) == [(MON, "ok"), (TUE, "ok")]
    normal = {
        "date": NEW_YEAR,
        "geohash": "drt2y",
        "day_of_year": 1,
        "base_start": NEW_YEAR,
        "base_end": MON,
        "years": 1,
        "model": "m",
    }
    put(lake, "climatology", [normal], [NEW_YEAR])
    found = catalog.weather_join_leakage(evidence(lake, "features"))
    assert [finding.alerts for finding in found] == [("leakage_W06",)] * 2


def test_today_is_the_tenants(lake: Lake) -> None:
    """At 01:00 UTC it is still yesterday in New York: the day was judged an evening early."""
    late = Evidence("orders", ACME, {}, lake, datetime(2025, 4, 1, 1, tzinfo=UTC), Thresholds())
    assert late.today == date(2025, 3, 31)
