"""A tenant gets another id: docs/operating.md's way keeps what cannot be had again, the forecasts that were issued."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from tests.assets.test_purge import GOES, LAST, STAYS, hits, open_town
from weathervane_resources.lake import Lake
from weathervane_resources.sandbox import RunningSandbox

ISSUED, LATER = "2026-11-19T15:00:00+00:00", "2026-11-21T15:00:00+00:00"
SHOP = "the-one-shop"


def same_shop(patch: pytest.MonkeyPatch, url: str) -> None:
    """Both ids read the orders of one shop, live."""
    patch.setenv("SHOPIFY_BASE_URL", f"{url}/t/acme")
    for prefix in ("ZANZIBAR_Q7", "ACME"):
        patch.setenv(f"{prefix}__SHOPIFY_SHOP_DOMAIN", SHOP)
        patch.setenv(f"{prefix}__SHOPIFY_ACCESS_TOKEN", "shpat_live")


def forecasts(tenant: str) -> pl.DataFrame:
    """Return them from the town's lake, which is a folder on any engine."""
    table = pl.read_delta(Lake(os.environ["WEATHERVANE_LAKE"]).uri(tenant, "weather_forecast"))
    return table.drop("tenant_id").sort(pl.all())


def test_the_new_id_has_the_forecasts_that_were_issued_to_the_old_one(
    tmp_path: Path, sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A vendor gives today's forecast and never yesterday's: a new id without them had no past to train on in join mode as_of."""
    with open_town(tmp_path, sandbox, monkeypatch) as town:
        same_shop(monkeypatch, sandbox.url)
        town.here.backfill(GOES, LAST - timedelta(days=1), LAST, "orders", now=ISSUED)
        town.here.backfill(GOES, LAST, LAST, "weather_forecast", now=ISSUED)
        issued = forecasts(GOES)
        assert issued.height > 7

        town.here.backfill(STAYS, LAST - timedelta(days=1), LAST, "orders", now=LATER)
        renamed = town.here.backfill(STAYS, LAST, LAST, "weather_forecast", now=LATER)
        made = town.here.materializations(renamed, "weather_forecast")
        assert made[f"{LAST}|{STAYS}"].metadata["requests"].value == 0
        assert forecasts(STAYS).equals(issued)

        assert town.purge(GOES, "--yes").exit_code == 0
        (tmp_path / "tenants.toml").write_text(f'[tenants.{STAYS}]\ntimezone = "America/New_York"\ncurrency = "USD"\n')
        assert hits(tmp_path, GOES.encode()) == {}
        town.here.backfill(STAYS, LAST, LAST, "weather_forecast", now=LATER)
        assert forecasts(STAYS).equals(issued)
