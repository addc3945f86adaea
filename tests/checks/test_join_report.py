"""The report of the weather join, from a real lake, and the command that reads it out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner, Result

from weathervane_assets.cli import main
from weathervane_assets.coverage_weather import Verdict
from weathervane_assets.tables import CONTRACTS, WEATHER_VALUES, key_columns, polars_schema, shape_of
from weathervane_checks.join_report import compare, validate_join
from weathervane_resources.lake import Lake, Shape
from weathervane_resources.tenants import Tenant

DAY = date(2026, 3, 3)
NOW = datetime(2026, 4, 1, 12, tzinfo=UTC)
ACME = Tenant("acme", "Acme", "America/New_York", "USD", date(2026, 1, 1))
VALUES: dict[str, Any] = {**dict.fromkeys(WEATHER_VALUES), "temp_c": 5.0}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    tenants = '[tenants.{}]\ntimezone = "America/New_York"\ncurrency = "USD"\n'
    (tmp_path / "tenants.toml").write_text(tenants.format("acme") + tenants.format("kiwi"))
    monkeypatch.setenv("WEATHERVANE_TENANTS", str(tmp_path / "tenants.toml"))
    monkeypatch.setenv("WEATHERVANE_LAKE", str(tmp_path / "lake"))
    return tmp_path


def put(
    lake: Lake, tenant: str, dataset: str, rows: list[dict[str, Any]], *days: date, source: str = "open_meteo"
) -> None:
    schema = polars_schema(CONTRACTS[dataset])
    ids = {"tenant_id": tenant, "date": DAY, "source": source, "as_of_utc": NOW}
    shape = Shape(schema, tuple(key_columns(CONTRACTS[dataset])))
    frame = pl.DataFrame([{**ids, **row} for row in rows], schema=schema)
    lake.replace(tenant, dataset, frame, shape=shape, days=days or [DAY], source=source, run_id="r", now=NOW)


def fill(lake: Lake, tenant: str = "acme", *, known: int = 4, cells: int = 4, leak: bool = False) -> None:
    """Write a matrix of `cells` rows, `known` of them with weather; with `leak`, weather of another day."""
    weather = [
        {
            **VALUES, "geohash": f"drt2{n}", "local_date": DAY, "local_datetime": datetime(2026, 3, 3), "utc_datetime": datetime(2026, 3, 3, 5, tzinfo=UTC),
            "timezone": "America/New_York", "day_basis": "lst", "day_of_year": 63, "observation_type": "observed", "source_model": "era5_seamless",
        }
        for n in range(known)
    ]  # fmt: skip
    matrix = [
        {
            **(VALUES if n < known else {}), "geohash": f"drt2{n}", "is_first_order_day": False, "orders": n % 2, "net_revenue": Decimal(10) * (n % 2),
            "tenant_orders": 2, "join_mode": "observed", "is_weather_missing": n >= known, "weather_known_at_utc": NOW if n < known else None,
            "observation_type": "observed" if n < known else None,
        }
        for n in range(cells)
    ]  # fmt: skip
    if leak:
        matrix[0]["temp_c"] = 25.0
    put(lake, tenant, "weather_daily", weather)
    put(lake, tenant, "features", matrix)


def report(lake: Lake) -> dict[str, Any]:
    return validate_join(ACME, lake, NOW, None)


@pytest.mark.parametrize(
    ("filled", "status"),
    [({}, "ok"), ({"known": 3}, "warning"), ({"known": 0}, "missing"), ({"leak": True}, "error"), ({"known": 3, "leak": True}, "error"), ({"known": 0, "leak": True}, "error")],
)  # fmt: skip
def test_the_status_says_what_is_worst(lake: Lake, filled: dict[str, Any], status: str) -> None:
    """The baseline was seeded 'ok' with 0 rows and a coverage of 1.0."""
    fill(lake, **filled)
    found = report(lake)
    assert found["status"] == status
    assert bool(found["issues"]) == (status != "ok")


def test_an_empty_lake_is_missing_not_ok(lake: Lake) -> None:
    """trap 24: healthy metrics were invented where the report was missing."""
    found = report(lake)
    assert found["status"] == "missing"
    assert found["join"]["weather_coverage_ratio"] is None
    assert "weather coverage is not known" in found["issues"], "what is not known is not below 0.85"
    line = Verdict("acme", "missing", found).line()
    assert line.endswith(
        f"bring the days in: weathervane backfill --tenant acme --from {found['window']['start']} --to {found['window']['end']}"
    )


def test_the_report_has_the_shape_that_dashboards_read(lake: Lake) -> None:
    """quality.md: a renamed key is an empty dashboard."""
    fill(lake, known=3)
    found = report(lake)
    assert {
        "version",
        "tenant_id",
        "generated_at",
        "window",
        "join",
        "leakage",
        "weather_gaps",
        "coverage",
        "issues",
        "status",
    } == set(found)
    assert found["window"] == {"start": "2026-03-03", "end": "2026-03-03"}
    assert {
        "mode",
        "geography_level",
        "orders_rows",
        "weather_rows",
        "feature_rows",
        "observed_target_rows",
        "geocoded_order_ratio",
        "weather_coverage_ratio",
        "weather_coverage_threshold",
        "geography_fallback_reason",
    } <= set(found["join"])
    assert (found["join"]["weather_rows"], found["join"]["feature_rows"], found["join"]["weather_coverage_ratio"]) == (
        3,
        4,
        0.75,
    )
    assert {"total_rows", "dates", "forward_rows", "forward_dates", "forecast_rows", "forecast_dates"} <= set(
        found["leakage"]
    )
    assert found["weather_gaps"] == {"rows": 1, "dates": ["2026-03-03"]}
    scope = found["coverage"]["geo_scopes"][3]
    assert {
        "geo_scope",
        "geohash",
        "row_count",
        "target_rows",
        "observation_types",
        "forecast_rows",
        "missing_weather_dates",
        "as_of_utc",
    } == set(scope)
    assert scope["missing_weather_dates"] == ["2026-03-03"]
    assert found["coverage"]["geo_scopes"][0]["as_of_utc"]["min"].startswith("2026-04-01T12:00:00")
    assert json.loads(json.dumps(found)) == found  # fmt: skip


def order(number: int, hour: int, cell: str | None, **more: Any) -> dict[str, Any]:
    """Return an order that acme's clock in New York has on DAY: at 5 UTC the day begins, at 29 it is over."""
    at = datetime(2026, 3, 3, tzinfo=UTC) + timedelta(hours=hour)
    return {
        "order_id": str(number), "created_at": at, "updated_at": at, "is_test": False, "currency": "USD", "total_price": Decimal(1),
        "subtotal_price": Decimal(1), "total_tax": Decimal(0), "total_discounts": Decimal(0), "line_item_count": 1,
        "ship_geohash": cell, "geo_source": "postal" if cell else "none", **more,
    }  # fmt: skip


def test_sales_of_another_day_where_they_go_are_counted_and_many_warn(lake: Lake) -> None:
    """A shop in New York sold to Berlin: every order of the evening had the weather of a day that was over, and nothing said so."""
    fill(lake)
    zones = ("America/New_York", "Europe/Berlin", "America/Los_Angeles", "Europe/Berlin")
    frame = lake.scan("acme", "weather_daily", Shape(polars_schema(CONTRACTS["weather_daily"]), ())).sort("geohash")
    put(lake, "acme", "weather_daily", frame.collect().with_columns(timezone=pl.Series(zones)).to_dicts())
    sales = [
        order(1, 28, "drt20"), order(2, 28, "drt21"), order(3, 12, "drt21"), order(4, 7, "drt22"), order(5, 12, "drt22"),
        order(6, 28, "drt23", cancelled_at=NOW), order(7, 28, "drt23", is_test=True), order(8, 28, None), order(9, 28, "drt2z"),
    ]  # fmt: skip
    put(lake, "acme", "orders", sales)
    found = report(lake)
    assert (found["join"]["other_local_day_sales"], found["join"]["other_local_day_ratio"]) == (2, 0.4)
    assert found["status"] == "warning"
    assert found["issues"] == [
        "0.400 of the sales were made on another date where they go, above 0.25; their weather is of the shop's date"
    ]
    patient = replace(ACME, thresholds={"other_local_day_ratio_warning": 0.5})
    assert validate_join(patient, lake, NOW, None)["status"] == "ok"


def demo_days(lake: Lake, *days: date) -> None:
    """Write made-up orders, weather and a matrix of two places that are no shop's, one of them without weather."""
    for name in ("weather_daily", "features"):
        rows = lake.scan("acme", name, Shape(polars_schema(CONTRACTS[name]), ())).filter(date=DAY).collect().tail(2)
        made_up = [row | {"date": day, "source": "stub"} for day in days for row in rows.to_dicts()]
        put(
            lake,
            "acme",
            name,
            [{**row, "geohash": f"9q8{row['geohash'][-2:]}"} for row in made_up],
            *days,
            source="stub",
        )
    orders = [{**order(day.toordinal(), 12, "9q8y0"), "date": day} for day in days]
    put(lake, "acme", "orders", orders, *days, source="stub")


@pytest.mark.parametrize("ago", [1, -1])
def test_what_is_left_over_of_a_demo_is_not_in_the_report(lake: Lake, ago: int) -> None:
    """Coverage of the shop's matrix was that of the demo's rows beside it, and so were its places and days with sales."""
    fill(lake, known=3)
    put(lake, "acme", "orders", [order(1, 12, "drt21")], source="shopify_api")
    before = report(lake)
    demo_days(lake, DAY - timedelta(days=ago), DAY - timedelta(days=3 * ago))
    assert report(lake) == before
    assert (before["join"]["feature_rows"], before["window"]) == (4, {"start": "2026-03-03", "end": "2026-03-03"})


def test_a_demo_that_has_no_shop_yet_is_in_the_report(lake: Lake) -> None:
    """Where all is made up nothing is left over: the demo's own report would be empty."""
    fill(lake, known=3)
    demo_days(lake, DAY - timedelta(days=1))
    assert report(lake)["join"]["feature_rows"] == 6


def test_a_shop_whose_matrix_was_never_made_has_no_report_of_its_demos(lake: Lake) -> None:
    """Every day of the newest ninety was the demo's, the day itself too."""
    fill(lake)
    demo_days(lake, *(day for n in range(100) if (day := NOW.date() - timedelta(days=n)) != DAY))
    for name in ("weather_daily", "features", "orders"):
        put(lake, "acme", name, [], source="stub" if name == "orders" else "open_meteo")
    put(lake, "acme", "orders", [], DAY - timedelta(days=200), source="shopify_api")
    found = report(lake)
    assert (found["status"], found["join"]["feature_rows"]) == ("missing", 0)


def test_leaks_are_counted_by_rule_and_day(lake: Lake) -> None:
    """'error' without a number sends people to look through the code."""
    fill(lake, leak=True)
    leakage = report(lake)["leakage"]
    assert (leakage["total_rows"], leakage["dates"], leakage["rules"]) == (1, ["2026-03-03"], {"W09": 1})


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["coverage", "weather", *arguments])


def test_the_command_names_tenant_and_figure_and_fails_only_if_asked_to(environment: Path, lake: Lake) -> None:
    """trap 25: one global report file, of whichever tenant wrote last."""
    fill(lake, "acme")
    fill(lake, "kiwi", known=3)
    found = run()
    assert found.exit_code == 0, found.output
    assert [line.split()[:2] for line in found.output.splitlines()] == [["ok", "acme"], ["warning", "kiwi"]]
    assert "0.750 of 4 rows" in found.output
    assert "1 of 4 rows have no weather (2026-03-03)" in found.output
    assert run("--fail-on-warning").exit_code == 1
    assert run("--fail-on-warning", "--tenant", "acme").exit_code == 0
    assert run("--tenant", "nobody").exit_code == 2
    for tenant in ("acme", "kiwi"):
        file = environment / "lake" / "_reports" / tenant / "weather_join_validation.json"
        assert json.loads(file.read_text())["tenant_id"] == tenant
    listed = json.loads(run("--json").output)
    assert [row["status"] for row in listed] == ["ok", "warning"]


def test_leakage_ends_with_1_without_being_asked_to(environment: Path, lake: Lake) -> None:
    """A matrix that knew the future was `error`, and the job that looked at the exit code went on to train."""
    fill(lake, "acme", leak=True)
    found = run("--tenant", "acme")
    assert found.stdout.startswith("error    acme")
    assert found.exit_code == run().exit_code == run("--json").exit_code == 1
    new = run("--tenant", "kiwi")
    assert (new.stdout[:7], new.exit_code) == ("missing", 0), "a tenant without anything yet fails only where asked to"
    assert run("--tenant", "kiwi", "--fail-on-warning").exit_code == 1


def test_what_got_worse_than_the_baseline_warns(environment: Path, lake: Lake) -> None:
    """Coverage fell from 1.0 to 0.87: above every threshold, and a tenth of the weather gone."""
    kept = str(environment / "baseline.json")
    fill(lake, "acme", known=40, cells=40)
    assert run("--tenant", "acme", "--write-baseline", kept).exit_code == 0
    assert run("--tenant", "acme", "--baseline", kept, "--fail-on-warning").exit_code == 0
    fill(lake, "acme", known=39, cells=40)
    assert (
        json.loads(run("--tenant", "acme", "--baseline", kept, "--json").output)[0]["baseline"]["status"]
        == "regression"
    )
    bad = environment / "bad.json"
    bad.write_text("[]")
    assert run("--baseline", str(bad)).exit_code == 2
    assert run("--baseline", str(environment / "none.json")).exit_code == 2  # fmt: skip


def test_a_tenant_that_the_baseline_does_not_know_is_not_compared_with_nothing(lake: Lake) -> None:
    """A new tenant was measured against zeros and was the best of all."""
    fill(lake)
    assert compare(report(lake), None)["status"] == "missing"
    assert (
        compare(report(lake), {"weather_coverage_ratio": 1.0, "leakage_rows": 0, "weather_gap_rows": 0})["status"]
        == "ok"
    )


def test_only_rows_with_an_order_have_a_target(lake: Lake) -> None:
    """Every cell and day was a target row, and nobody saw that a shop had sold almost nothing."""
    fill(lake, known=3, cells=3)
    assert report(lake)["join"]["observed_target_rows"] == 1


@pytest.mark.parametrize(("known", "is_below"), [(17, False), (16, True)])
def test_coverage_at_its_very_limit_is_not_below_it(lake: Lake, known: int, is_below: bool) -> None:
    """'0.850, below 0.85' was read as a bug of the report, and so was the next one, which was none."""
    fill(lake, known=known, cells=20)
    assert any("below 0.85" in issue for issue in report(lake)["issues"]) == is_below


@pytest.mark.parametrize(("ratio", "status"), [(0.88, "ok"), (0.879, "regression")])
def test_two_points_below_the_baseline_are_no_regression_and_more_are(ratio: float, status: str) -> None:
    """As floats, 0.90 less 0.88 is more than 0.02: the job failed on a fall that it is documented to allow."""
    now = {"join": {"weather_coverage_ratio": ratio}, "leakage": {"total_rows": 0}, "weather_gaps": {"rows": 0}}
    assert compare(now, {"weather_coverage_ratio": 0.9, "leakage_rows": 0, "weather_gap_rows": 0})["status"] == status


def test_a_matrix_of_two_join_modes_is_a_warning_that_says_how_to_mend_it(lake: Lake) -> None:
    """The check warned of W14 after join_mode was changed; the command said ok, and its JSON `as_of+observed`."""
    fill(lake)
    rows = lake.scan("acme", "features", shape_of(CONTRACTS["features"])).collect().to_dicts()
    after = DAY + timedelta(days=1)
    put(lake, "acme", "features", [{**row, "date": after, "join_mode": "as_of"} for row in rows], after)
    found = validate_join(replace(ACME, join_mode="as_of"), lake, NOW, None)
    assert found["join"]["other_mode_dates"] == ["2026-03-03"]
    command = "weathervane backfill --tenant acme --from 2026-03-03 --to 2026-03-03 --asset features"
    assert any("mixes join modes" in issue and command in issue for issue in found["issues"])
