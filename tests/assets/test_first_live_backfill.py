"""A shop's first morning with credentials: what was brought in of the days before it had no forecast to be had."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from tests import engines
from tests.assets.conftest import NOW, Installation, write_environment
from tests.assets.test_faults import live_installation
from tests.assets.test_quality import tenant
from weathervane_assets.partitions import TENANT_PARTITIONS
from weathervane_assets.schedules import FRESHNESS
from weathervane_checks.dq_report import examine_quality
from weathervane_resources.credentials import NOT_KEPT
from weathervane_resources.sandbox import RunningSandbox

FIRST, YESTERDAY = date(2026, 11, 13), date(2026, 11, 19)
BEFORE = "2026-11-13T15:00:00+00:00"


@pytest.mark.parametrize("had_a_demo", [False, True])
def test_the_first_backfill_of_a_shop_wakes_nobody_for_forecasts_of_its_past(
    tmp_path: Path, sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch, had_a_demo: bool
) -> None:
    """The first day has no forecast because it has the first orders, and passed for one: all days after it were late, and critical.

    So were they since the last made-up day of a demo that had been looked at the week before.
    """
    with engines.chosen().instance() as instance:
        if had_a_demo:
            write_environment(monkeypatch, tmp_path, sandbox.url)
            instance.add_dynamic_partitions(TENANT_PARTITIONS, ["acme"])
            demo = Installation(tmp_path, instance, sandbox)
            day = FIRST - timedelta(days=1)
            assert demo.backfill("acme", day, day, now=BEFORE).failures == []
        here = live_installation(monkeypatch, tmp_path, sandbox.url, instance)
        monkeypatch.setenv("OPEN_METEO_NON_COMMERCIAL", "true")
        assert here.backfill("acme", FIRST, YESTERDAY).failures == []
        noted = here.lake.ledger("acme", "weather_forecast").filter(date=FIRST)
        assert noted.select("row_count", "source").row(0) == (0, "open_meteo"), (
            "the first day is no day that was missed"
        )
        evaluations = here.execute(FRESHNESS).get_asset_check_evaluations()
    (forecast,) = [e for e in evaluations if e.asset_key.path[-1] == "weather_forecast"]
    told = forecast.metadata["by_tenant"].value["acme"]
    assert (told["severity"], told["due"], told["days_late"]) == ("ok", YESTERDAY.isoformat(), 0)
    missed = here.lake.ledger("acme", "weather_forecast").filter(source=NOT_KEPT)
    assert missed.height == (YESTERDAY - FIRST).days
    run = examine_quality(tenant(here), here.lake, datetime.fromisoformat(NOW)).run
    assert run["datasets"]["weather_forecast"]["severity"] == "ok"
    assert run["overall_severity"] != "critical"
