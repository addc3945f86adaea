"""The matrix of days whose orders were never read."""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest

from tests.assets.conftest import TENANTS, Installation

READ, FAILED = date(2026, 11, 3), date(2026, 11, 4)


@pytest.mark.parametrize("mode", ["observed", "as_of"])
def test_a_day_whose_orders_were_never_read_has_no_rows_and_no_zero_sales(
    installation: Installation, mode: str
) -> None:
    """Ads of a failed night were read again, with its matrix: a day without sales in every cell, and no check said so."""
    text = TENANTS.replace("[tenants.kiwi]", f'join_mode = "{mode}"\n[tenants.kiwi]')
    (installation.folder / "tenants.toml").write_text(text)
    installation.backfill("acme", date(2026, 11, 1), READ, "orders")
    outcome = installation.backfill("acme", READ, FAILED, "features")
    assert outcome.failures == []
    assert installation.rows("acme", "features")["date"].unique().to_list() == [READ]


def test_a_day_whose_ads_never_came_has_no_zero_spend(installation: Installation) -> None:
    """Google failed one night, so `ads` was not written; weather that came next made it a day without any spend."""
    installation.backfill("acme", READ, FAILED, "orders", "meta_ads")
    installation.backfill("acme", READ, READ, "google_ads", "ads")
    installation.backfill("acme", READ, FAILED, "features")
    spend = installation.rows("acme", "features").select("date", pl.col("^tenant_.*(spend|clicks|impressions)$"))
    read, failed = (spend.filter(pl.col("date") == day).drop("date").unique() for day in (READ, FAILED))
    assert failed.row(0) == (None,) * failed.width
    assert all(value > 0 for value in read.row(0))


def test_a_platform_that_is_read_after_the_ads_were_joined_is_unknown_not_zero(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`ads` of the day says what it was made from: Google was configured a week later and its spend is not in there."""
    installation.backfill("acme", READ, READ, "orders")
    with monkeypatch.context() as patch:
        for name, value in {"ACCESS_TOKEN": "EAAlive", "AD_ACCOUNT_ID": "1"}.items():
            patch.setenv(f"ACME__META_{name}", value)
        patch.setenv("META_BASE_URL", f"{installation.sandbox.url}/t/acme")
        patch.setenv("WEATHERVANE_STUBS", "never")
        installation.backfill("acme", READ, READ, "google_ads", "meta_ads", "ads")
    installation.backfill("acme", READ, READ, "google_ads")
    installation.backfill("acme", READ, READ, "features")
    assert set(installation.lake.ledger("acme", "ads")["source"]) == {"meta_api+not_configured"}
    row = installation.rows("acme", "features").select("tenant_meta_spend", "tenant_google_spend").unique()
    assert row.row(0)[1] is None
    assert row.row(0)[0] > 0
