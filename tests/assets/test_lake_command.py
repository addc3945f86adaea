"""`weathervane optimize`, the weekly job that does the same, and `weathervane restore`."""

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
from weathervane_assets.tables import CONTRACTS, shape_of
from weathervane_resources.lake import Lake

DAYS, NOW = lake_writer.window(2), datetime(2026, 1, 1, tzinfo=UTC)
TENANTS = "".join(f'[tenants.{one}]\ntimezone = "UTC"\ncurrency = "USD"\n' for one in ("acme", "kiwi"))


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """Three single-day commits of each of two tenants."""
    (tmp_path / "tenants.toml").write_text(TENANTS)
    monkeypatch.setenv("WEATHERVANE_TENANTS", str(tmp_path / "tenants.toml"))
    monkeypatch.setenv("WEATHERVANE_LAKE", str(tmp_path / "lake"))
    monkeypatch.setenv("WEATHERVANE_STATE_URL", f"sqlite:///{tmp_path}/state/weathervane.db")
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


@pytest.fixture
def promos(lake: Lake) -> Lake:
    """Two versions of a table of ours: a day with a campaign and a day without, then both without."""
    contract = shape_of(CONTRACTS["promos"])
    row = {"tenant_id": "acme", "date": DAYS[0], "campaign_id": "c-1", "source": "klaviyo_api", "as_of_utc": NOW}
    rows = pl.DataFrame([row], schema=contract.schema)
    for frame in (rows, rows.clear()):
        lake.replace("acme", "promos", frame, shape=contract, days=DAYS, source="klaviyo_api", run_id="r", now=NOW)
    return lake


def restore(*arguments: str, answer: str = "") -> Result:
    command = ["restore", "--tenant", "acme", "--table", "promos", *arguments]
    return CliRunner().invoke(main, command, input=answer)


def test_a_restore_says_what_would_change_and_asks(promos: Lake) -> None:
    """Somebody wanted to look at an old version, and had it in place of the new one."""
    asked = restore("--version", "0", answer="n\n")
    assert asked.exit_code == 1
    assert "acme/promos: 0 rows now (version 1), 1 then (version 0)" in asked.output
    assert f"  {DAYS[0]}: 0 rows now, 1 then (1 come back, 0 change, 0 go)" in asked.output
    assert str(DAYS[1]) not in asked.output
    assert promos.version("acme", "promos") == 1
    done = restore("--version", "0", answer="y\n")
    assert done.exit_code == 0, done.output
    assert "version 2 is as version 0 was; now run the backfill of these days for the tables" in done.output
    assert promos.ledger("acme", "promos").sort("date")["row_count"].to_list() == [1, 0]
    again = restore("--version", "0")
    assert again.exit_code == 0
    assert "every day is as in version 0" in again.output
    assert promos.version("acme", "promos") == 2


def test_a_restore_for_a_machine(promos: Lake) -> None:
    """A script that reads standard output got the question in it."""
    done = restore("--version", "0", "--yes", "--json")
    said = json.loads(done.stdout)
    assert (said["rows_now"], said["rows_then"], said["written_version"]) == (0, 1, 2)
    assert [day["date"] for day in said["days"]] == [str(DAYS[0])]


def test_a_restore_of_what_is_not_there_is_refused(promos: Lake) -> None:
    """One line and exit code 2, whatever is mistyped."""
    assert "has no version 7; choose one of 0 to 1" in restore("--version", "7").stderr
    for wrong in (["--table", "_ledger"], ["--tenant", "nobody"], ["--table", "features"]):
        refused = restore("--version", "0", *wrong)
        assert refused.exit_code == 2
        assert len(refused.stderr.splitlines()) == 1
