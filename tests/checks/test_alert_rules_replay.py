"""How good the row-count rules are, on synthetic shops and on a tenant's own ledger."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from bench.alert_rules import DAYS, LEAST_FOUND, MOST_FALSE_ALARMS, SEED, SHOPS, Score, replay
from tests.checks.test_catalog import ACME
from weathervane_assets.cli import main
from weathervane_checks.replay import join_days, replay_tenant
from weathervane_resources.lake import LEDGER, LEDGER_SCHEMA, Lake

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
LAST = date(2026, 11, 23)


def hold(score: Score, least_found: float) -> None:
    assert score.false_alarms <= MOST_FALSE_ALARMS
    assert score.rate("50%") >= least_found
    assert score.rate("100%") == score.rate("flat") == 1
    assert min(score.planted[kind] for kind in ("30%", "50%", "100%", "flat")) >= 20


def test_five_months_of_twenty_shops() -> None:
    """Each limit alone was plausible; together they were an alarm a week. Twenty drops cannot tell 0.95 from 0.85."""
    hold(replay(20, 150, SEED), 0.8)


@pytest.mark.slow
def test_two_years_of_two_hundred_shops() -> None:
    """The full measure; its figures are in docs/alerting.md."""
    hold(replay(SHOPS, DAYS, SEED), LEAST_FOUND)


def write_ledger(lake: Lake, tenant: str, counts: dict[date, int], dataset: str = "orders") -> None:
    rows = [
        {
            "dataset": dataset, "date": day, "row_count": n, "previous_row_count": 0, "new_rows": n, "updated_rows": 0,
            "removed_rows": 0, "source": "shopify_api", "table_version": 1, "run_id": "run", "written_at_utc": NOW,
        }
        for day, n in counts.items()
    ]  # fmt: skip
    lake.append(tenant, LEDGER, pl.DataFrame(rows, schema=LEDGER_SCHEMA), ["dataset"])


def history(length: int) -> dict[date, int]:
    return {LAST - timedelta(days=n): 100 + n % 7 for n in range(length)}


def test_a_tenants_own_history_is_gone_through_day_by_day(tmp_path: Path) -> None:
    """Limits were switched on and found out in the channel; now they are tried on what has been."""
    lake = Lake(str(tmp_path))
    three = [date(2026, 11, 2) + timedelta(days=n) for n in range(3)]
    write_ledger(lake, "acme", history(100) | dict.fromkeys(three, 0) | {date(2026, 11, 10): 40})
    orders, *others = replay_tenant(ACME, lake, NOW, 60)
    assert (orders.dataset, orders.days, orders.not_judged) == ("orders", 60, 0)
    assert [(a.first, a.last, a.severity) for a in orders.alarms] == [
        (three[0], three[2], "critical"),
        (date(2026, 11, 10), date(2026, 11, 10), "warning"),
    ]
    assert all(other.days == 0 for other in others)
    assert list(join_days([])) == []


def test_the_command_prints_what_would_have_alerted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same, as an operator asks for it."""
    file = tmp_path / "tenants.toml"
    file.write_text('[tenants.acme]\ntimezone = "America/New_York"\ncurrency = "USD"\nquiet_days = ["sunday"]\n')
    monkeypatch.setenv("WEATHERVANE_TENANTS", str(file))
    monkeypatch.setenv("WEATHERVANE_LAKE", str(tmp_path / "lake"))
    yesterday = datetime.now(tz=UTC).date() - timedelta(days=2)
    counts = {yesterday - timedelta(days=n): 100 for n in range(40)}
    closed = {day: 0 for day in counts if day.weekday() == 6}
    bad = max(day for day in sorted(counts)[:-7] if day.weekday() == 2)  # not beside the newest, which may be due
    write_ledger(Lake(str(tmp_path / "lake")), "acme", counts | closed | {bad: 0})
    done = CliRunner().invoke(main, ["alerts", "replay", "--tenant", "acme", "--json"])
    assert done.exit_code == 0, done.output
    orders = json.loads(done.output)[0]
    alarms = orders["alarms"]
    assert orders["tenant"] == "acme"
    assert {"first": bad.isoformat(), "alerts": ["new_rows_drop_critical", "row_count_zero"]}.items() <= alarms[
        0
    ].items()
    text = CliRunner().invoke(main, ["alerts", "replay", "--days", "30"]).output
    assert f"critical {bad}" in text
    assert "acme  meta_ads: no history" in text
    assert CliRunner().invoke(main, ["alerts", "replay", "--tenant", "nobody"]).exit_code == 2
