"""A table whose folder was removed, while the ledger lists its days: whoever looks is told, before the next night and after it."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from tests.assets.conftest import Installation
from weathervane_assets.doctor import examine
from weathervane_assets.graph import NODES
from weathervane_assets.schedules import FRESHNESS
from weathervane_assets.tables import CONTRACTS, shape_of
from weathervane_resources.settings import read_settings

FIRST, LAST = date(2026, 11, 1), date(2026, 11, 12)
MORNING = datetime(2026, 11, 13, 12, tzinfo=UTC)


def write(installation: Installation, names: list[str], days: list[date], now: datetime) -> None:
    for name in names:
        shape = shape_of(CONTRACTS[name])
        installation.lake.replace(
            "acme", name, shape.schema.to_frame(), shape=shape, days=days, source="live", run_id="r", now=now
        )


@pytest.fixture
def nights(installation: Installation) -> Installation:
    """Twelve days of every table but the normals, written on the morning after."""
    days = [FIRST + timedelta(days=n) for n in range((LAST - FIRST).days + 1)]
    write(installation, [name for name in NODES if name != "climatology"], days, MORNING)
    return installation


def remove(installation: Installation, name: str) -> None:
    shutil.rmtree(Path(installation.lake.uri("acme", name)))


def said(now: datetime) -> list[tuple[str, str]]:
    """Return what doctor says of acme's tables as a whole."""
    lines = examine(read_settings(os.environ), now)
    return [(line.level, line.text) for line in lines if line.subject == "tables acme"]


def test_doctor_names_a_table_that_is_gone_and_how_to_make_it_again(nights: Installation) -> None:
    """The matrix's folder was deleted by hand; doctor, both reports and nine checks were content."""
    assert said(MORNING) == []
    remove(nights, "features")
    ((level, text), *_) = said(MORNING)
    assert level == "finding"
    assert text.startswith("the table features is gone, of which the ledger lists 12 days; ")
    assert text.endswith("weathervane backfill --tenant acme --from 2026-11-01 --to 2026-11-12 --asset features")


def test_after_the_night_that_began_it_anew_the_other_days_are_missing(nights: Installation) -> None:
    """One night later the table was there again, with one day, and nothing looked for the others."""
    remove(nights, "features")
    write(nights, ["features"], [LAST], MORNING)
    assert said(MORNING) == [
        (
            "finding",
            "11 days of other tables (2026-11-01 to 2026-11-11) were never made of features: weathervane backfill --tenant acme --from 2026-11-01 --to 2026-11-11 --asset features",
        )
    ]


def test_without_orders_everything_is_made_again(nights: Installation) -> None:
    """Places come from the orders: the night without them emptied the matrix and the weather."""
    remove(nights, "orders")
    write(nights, ["orders"], [LAST], MORNING)
    ((_, text),) = said(MORNING)
    assert text.endswith("of orders: weathervane backfill --tenant acme --from 2026-11-01 --to 2026-11-11")


def test_a_backfill_of_orders_alone_needs_nobody(installation: Installation) -> None:
    """It is the first step of a long one: the weather's plan needs its places."""
    write(installation, ["orders"], [FIRST], MORNING)
    ((level, text),) = said(MORNING)
    assert level == "note"
    assert "--asset meta_ads" in text
    assert "--asset orders" not in text


def test_freshness_finds_it_within_the_hour(nights: Installation) -> None:
    """Between the deletion and the night that emptied the weather lay eleven hours in which everything was green."""
    now = MORNING + timedelta(days=2)
    write(nights, ["features", "orders"], [LAST + timedelta(days=1)], now)
    alerts = "not_backfilled", "dataset_missing"
    assert [code for code in alerts if code in freshness(nights, now)["features"]] == []
    remove(nights, "features")
    found = freshness(nights, now)
    assert "dataset_missing" in found["features"]
    assert "dataset_missing" not in found["orders"]


def freshness(installation: Installation, now: datetime) -> dict[str, str]:
    """Return the alert codes of acme by asset."""
    result = installation.execute(FRESHNESS, now=now.isoformat())
    return {
        one.asset_key.path[-1]: str(one.metadata["by_tenant"].value["acme"]["alerts"])  # type: ignore[index, call-overload]
        for one in result.get_asset_check_evaluations()
    }
