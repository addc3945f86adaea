"""The matrix of days whose orders were never read."""

from __future__ import annotations

from datetime import date

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
