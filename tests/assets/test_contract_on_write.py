"""Rows that break their table's contract never take the place of rows that keep it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import polars as pl
import pytest

from tests.assets.conftest import Installation
from weathervane_assets import promos

FIRST, LAST = date(2026, 11, 2), date(2026, 11, 15)


@pytest.mark.parametrize(
    ("spoil", "rule"),
    [
        (lambda frame: pl.concat([frame, frame.head(1)]), "unique"),
        (lambda frame: frame.with_columns(channel=pl.lit("fax")), "channel: isin"),
        (lambda frame: frame.with_columns(campaign_id=pl.lit(None, pl.String)), "campaign_id: not_nullable"),
    ],
    ids=["a key twice", "an unknown channel", "no key"],
)
def test_rows_that_break_their_contract_are_not_written(
    installation: Installation,
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[pl.DataFrame], pl.DataFrame],
    rule: str,
) -> None:
    """The check spoke after the commit: the good rows were gone, and the next night read the bad ones."""
    assert installation.backfill("acme", FIRST, LAST, "promos").failures == []
    stored, version = installation.rows("acme", "promos"), installation.lake.version("acme", "promos")
    assert stored.height > 0
    made = promos.promo_rows

    def spoilt(*given: Any, **named: Any) -> Any:
        found = made(*given, **named)
        return found._replace(rows=spoil(found.rows))

    monkeypatch.setattr(promos, "promo_rows", spoilt)
    outcome = installation.backfill("acme", FIRST, LAST, "promos")
    assert "break their contract; what was stored before stays as it is" in outcome.failures[0]
    assert rule in outcome.failures[0]
    assert installation.rows("acme", "promos").equals(stored)
    assert installation.lake.version("acme", "promos") == version
