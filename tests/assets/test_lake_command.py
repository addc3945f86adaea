"""`weathervane optimize`, and the weekly job that does the same."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result

from tests.resources import lake_writer
from weathervane_assets.cli import main
from weathervane_assets.definitions import build_defs
from weathervane_resources.lake import Lake

TENANTS = "".join(f'[tenants.{one}]\ntimezone = "UTC"\ncurrency = "USD"\n' for one in ("acme", "kiwi"))


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """Three single-day commits of each of two tenants."""
    (tmp_path / "tenants.toml").write_text(TENANTS)
    monkeypatch.setenv("WEATHERVANE_TENANTS", str(tmp_path / "tenants.toml"))
    monkeypatch.setenv("WEATHERVANE_LAKE", str(tmp_path / "lake"))
    lake = Lake(str(tmp_path / "lake"))
    for tenant in ("acme", "kiwi"):
        for number in range(3):
            put(lake, tenant, lake_writer.window(3)[number])
    return lake


def put(lake: Lake, tenant: str, day: date) -> None:
    rows = lake_writer.rows(0, 3).filter(pl.col("date") == day)
    shape, now = lake_writer.SHAPE, datetime.now(UTC)
    lake.replace(tenant, "orders", rows, shape=shape, days=[day], source="shopify_api", run_id="r", now=now)


def optimize(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["optimize", *arguments])


def test_each_table_is_a_line_and_all_of_them_one_more(lake: Lake) -> None:
    """Without figures nobody knows whether it was worth the night."""
    done = optimize()
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        "acme/_ledger", "acme/orders", "kiwi/_ledger", "kiwi/orders", "4 tables"
    ]  # fmt: skip
    assert "3 -> 1 files" in lines[1]
    assert "12 -> 4 files" in lines[-1]


def test_one_tenants_tables_as_json(lake: Lake) -> None:
    """An agency tidies the tenant whose backfill has just ended."""
    said = json.loads(optimize("--tenant", "kiwi", "--json").output)
    assert [one["table"] for one in said["tables"]] == ["kiwi/_ledger", "kiwi/orders"]
    assert (said["total"]["files_before"], said["total"]["files_after"]) == (6, 2)
    assert said["tables"][1]["seconds"] > 0
    assert optimize("--tenant", "nobody").exit_code == 2


def test_a_short_retention_is_said(lake: Lake) -> None:
    """A vacuum of zero days under a running reader takes its files away."""
    assert optimize("--retention-days", "7").stderr == ""
    done = optimize("--retention-days", "6", "--json")
    assert "less than 7" in done.stderr
    assert json.loads(done.stdout)["tables"]
    assert optimize("--retention-days", "31").exit_code == 2


def test_the_weekly_job_is_there_and_runs_with_the_automation() -> None:
    """A command that nobody runs is no care."""
    for switch in ("on", "off"):
        schedules = build_defs({"WEATHERVANE_AUTOMATION": switch}).schedules or []
        (schedule,) = (one for one in schedules if one.name == "compaction_schedule")
        assert schedule.default_status.value == {"on": "RUNNING", "off": "STOPPED"}[switch]
        assert schedule.job_name == "compaction"
