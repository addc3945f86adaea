"""A tenant changes when a day counts as an event: what was made before is not called a leak, and what leaks still is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import polars as pl
import pytest

from tests.assets.conftest import NOW, TENANTS, Installation
from weathervane_assets.features import open_rebuild
from weathervane_assets.overridable import OVERRIDABLE
from weathervane_assets.tables import CONTRACTS, shape_of
from weathervane_checks.join_report import validate_join
from weathervane_resources.platform import Platform

FIRST, BEFORE, LAST = date(2026, 11, 2), date(2026, 11, 5), date(2026, 11, 6)
COLD = "freeze_max_c = 12.5"
"""November days in New England freeze by it, and by the default do not."""


def settings(installation: Installation, *lines: str) -> None:
    text = TENANTS.replace("[tenants.kiwi]", "\n".join((*lines, "", "[tenants.kiwi]")))
    (installation.folder / "tenants.toml").write_text(text)


def report(installation: Installation) -> dict[str, Any]:
    acme = Platform(threshold_names=sorted(OVERRIDABLE)).tenants()["acme"]
    return validate_join(acme, installation.lake, datetime.fromisoformat(NOW), open_rebuild)


def rewrite(installation: Installation, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    """Change the stored rows of a day as a wrong build would have, with the limits that are noted of it."""
    lake, shape = installation.lake, shape_of(CONTRACTS["features"])
    rows = lake.scan("acme", "features", shape, [BEFORE]).collect()
    noted = lake.ledger("acme", "features").filter(pl.col("date") == BEFORE)["flag_limits"][0]
    lake.replace(
        "acme", "features", change(rows), shape=shape, days=[BEFORE], source="stub", run_id="r", now=datetime.fromisoformat(NOW),
        flag_limits={BEFORE: noted},
    )  # fmt: skip


@pytest.mark.parametrize("mode", ["as_of", pytest.param("observed", marks=pytest.mark.slow)])
def test_rows_that_were_made_with_other_limits_are_no_leak_and_are_named(installation: Installation, mode: str) -> None:
    """A changed `freeze_max_c` was told as a leak (critical) of 90 days, on the night after."""
    settings(installation, f'join_mode = "{mode}"')
    installation.backfill("acme", FIRST, LAST)
    before = installation.rows("acme", "features").filter(pl.col("date") <= BEFORE)
    assert report(installation)["join"]["other_limits_rows"] == 0
    settings(installation, f'join_mode = "{mode}"', COLD)
    outcome = installation.backfill("acme", LAST, LAST, "weather_daily", "features")
    assert outcome.failures == []
    assert not any(counts["critical"] for name, counts in outcome.checks.items() if name.startswith("features"))
    found = report(installation)
    old = before.filter(~pl.col("is_weather_missing"))
    assert old.filter((pl.col("temp_min_c") > 0) & (pl.col("temp_min_c") <= 12.5)).height, (
        "the limit makes no difference"
    )
    assert (found["leakage"]["rules"], found["join"]["other_limits_rows"]) == ({}, old.height)
    days = old["date"].unique().sort().to_list()
    (told,) = [issue for issue in found["issues"] if "other limits" in issue]
    assert f"backfill --tenant acme --from {days[0]} --to {BEFORE} --asset weather_daily --asset features" in told
    assert found["status"] == "warning"
    installation.backfill("acme", days[0], BEFORE, "weather_daily", "features")
    found = report(installation)
    assert (found["leakage"]["rules"], found["join"]["other_limits_rows"]) == ({}, 0)


def test_a_leak_is_found_in_rows_that_were_made_with_other_limits(installation: Installation) -> None:
    """Left out of the rule, every day before a change of limits could have been of any other day."""
    settings(installation, 'join_mode = "as_of"')
    installation.backfill("acme", FIRST, BEFORE)
    settings(installation, 'join_mode = "as_of"', COLD)
    assert report(installation)["leakage"]["rules"] == {}
    for leaked in ("freeze_flag", "heatwave_flag", "temp_c"):
        rewrite(installation, lambda rows, name=leaked: rows.with_columns((1 - pl.col(name)).alias(name)))
        assert "W09" in report(installation)["leakage"]["rules"], leaked
        rewrite(installation, lambda rows, name=leaked: rows.with_columns((1 - pl.col(name)).alias(name)))


@pytest.mark.slow
def test_weather_that_was_made_again_with_other_limits_makes_no_leak_of_the_matrix(installation: Installation) -> None:
    """Half of the advice was followed, for the table that shows the flags: each day of the matrix was critical."""
    installation.backfill("acme", FIRST, BEFORE)
    settings(installation, COLD)
    installation.backfill("acme", FIRST, BEFORE, "weather_daily")
    found = report(installation)
    known = installation.rows("acme", "features").filter(~pl.col("is_weather_missing"))
    assert (found["leakage"]["rules"], found["join"]["other_limits_rows"]) == ({}, known.height)
    rewrite(installation, lambda rows: rows.with_columns(pl.col("temp_c") + 1))
    assert set(report(installation)["leakage"]["rules"]) == {"W09"}
