"""Join mode as_of on a real instance: the sandbox's forecasts as they were issued, and nothing that came later."""

from __future__ import annotations

from datetime import date

import polars as pl

from tests.assets.conftest import TENANTS, Installation

FIRST, LAST = date(2026, 10, 28), date(2026, 11, 6)
WEATHER_CHECKS = ("weather_join_leakage", "conservation", "weather_join_coverage")


def as_of(installation: Installation, more: str = "") -> None:
    text = TENANTS.replace("[tenants.kiwi]", f'join_mode = "as_of"\n{more}\n[tenants.kiwi]')
    (installation.folder / "tenants.toml").write_text(text)


def test_the_matrix_knows_what_its_decisions_could_know(installation: Installation) -> None:
    """trap 11 and 12: a guard that found nothing, because it compared nothing."""
    as_of(installation)
    outcome = installation.backfill("acme", FIRST, LAST)
    assert outcome.failures == []
    matrix = installation.rows("acme", "features")
    assert set(matrix["join_mode"]) == {"as_of"}
    assert not matrix["is_first_order_day"].any()
    known = matrix.filter(~pl.col("is_weather_missing"))
    local = known["weather_known_at_utc"].dt.convert_time_zone("America/New_York")
    lead = (known["date"] - local.dt.date()).dt.total_days()
    assert lead.min() == 1
    assert (local.dt.hour() <= 6).all()
    assert known.filter(pl.col("date") == LAST)["temp_roll7"].null_count() == 0
    assert known["temp_anomaly"].null_count() == 0
    assert matrix["tenant_ad_spend"].null_count() == matrix.height
    bad = {
        name: counts for name, counts in outcome.checks.items() if name.startswith("features") and counts["critical"]
    }
    assert bad == {}
