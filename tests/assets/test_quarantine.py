"""Rows that cannot be used: kept apart with their reason, counted, and no more than a few."""

from __future__ import annotations

import asyncio
import json
from datetime import date
from typing import Any

import polars as pl
import pytest

from tests.assets.conftest import Installation
from weathervane_assets.quarantine import Fetched
from weathervane_resources.quarantine import QUARANTINE_SCHEMA, read_quarantine
from weathervane_resources.sandbox import RunningSandbox, SandboxConfig

DAY, NEXT = date(2026, 11, 3), date(2026, 11, 4)
AMOUNTS = ("total_price", "subtotal_price", "total_tax", "total_discounts", "current_subtotal_price")
SECRET = "Jane Doe, 1 Main Street"


def order(number: int, day: date = DAY, **change: Any) -> dict[str, Any]:
    at = f"{day}T12:00:00-05:00"
    sent = {"id": number, "created_at": at, "updated_at": at, "currency": "USD", **dict.fromkeys(AMOUNTS, "10.00")}
    return {**sent, **change}


@pytest.fixture
def here(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> Installation:
    for name, value in {"SHOP_DOMAIN": "acme", "ACCESS_TOKEN": "shpat_live"}.items():
        monkeypatch.setenv(f"ACME__SHOPIFY_{name}", value)
    tenants = installation.folder / "tenants.toml"
    tenants.write_text(tenants.read_text().replace('currency = "USD"', 'currency = "USD"\nshopify_protocol = "rest"'))
    return installation


def bring_in(here: Installation, orders: list[dict[str, Any]], patch: pytest.MonkeyPatch, *days: date) -> Any:
    recorded = here.folder / "recorded"
    recorded.mkdir(exist_ok=True)
    (recorded / "orders.json").write_text(json.dumps({"orders": orders}))
    with RunningSandbox(SandboxConfig(replay_dir=recorded)) as replay:
        patch.setenv("SHOPIFY_BASE_URL", replay.url)
        return here.backfill("acme", min(days, default=DAY), max(days, default=DAY), "orders")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"currency": "XXX"}, "currency is missing or not usable"),
        ({"total_price": SECRET}, "total_price is missing or not usable"),
        ({"cancelled_at": "2026-02-30T00:00:00Z"}, "cancelled_at is missing or not usable"),
        ({"shipping_address": {"latitude": "N/A", "longitude": 1.0}}, "latitude"),
    ],
)
def test_a_row_that_cannot_be_used_is_set_aside_and_counted(
    here: Installation, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], reason: str
) -> None:
    """One odd order in 10,000 failed the night's run; dropped in silence, the sum was a cent off for ever."""
    outcome = bring_in(here, [*map(order, range(1, 12)), order(99, **change)], monkeypatch)
    assert outcome.failures == []
    assert here.rows("acme", "orders")["order_id"].sort().to_list() == sorted(str(n) for n in range(1, 12))
    kept = read_quarantine(here.lake, "acme", "orders")
    assert kept.schema == QUARANTINE_SCHEMA
    (row,) = kept.to_dicts()
    assert reason in row["reason"]
    assert (row["dataset"], row["date"], row["key"], row["source"]) == ("orders", DAY, "99", "shopify_api")
    assert (row["window"], row["run_id"]) == (f"{DAY}/{DAY}", outcome.run_ids[0])
    metadata = here.materializations(outcome, "orders")[f"{DAY}|acme"].metadata
    assert metadata["quarantined_rows"].value == 1
    files = here.lake.files
    written = b"".join(files.read(path) or b"" for path in files.paths())
    assert b"Jane Doe" not in written


def test_above_one_percent_the_partition_fails_and_nothing_is_written(
    here: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A vendor renamed a field: the day without it would have been half a day."""
    good = [order(n) for n in range(1, 199)]
    assert bring_in(here, [*good, order(901, currency=None)], monkeypatch).failures == []
    before = (here.rows("acme", "orders"), read_quarantine(here.lake, "acme", "orders"))
    bad = [order(900 + n, total_price=SECRET) for n in range(3)]
    outcome = bring_in(here, [*good, *bad], monkeypatch)
    (failure,) = outcome.failures
    assert "3 of 201 rows cannot be used, more than 1%; nothing was written (900: total_price" in failure
    assert SECRET not in failure
    assert here.rows("acme", "orders").equals(before[0])
    assert read_quarantine(here.lake, "acme", "orders").equals(before[1])
    assert bring_in(here, [*good, *bad[:2]], monkeypatch).failures == []
    assert read_quarantine(here.lake, "acme", "orders")["key"].sort().to_list() == ["900", "901"]


def test_a_day_that_is_broken_does_not_hide_in_a_long_window(
    here: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One day of a year's backfill came without amounts: 0.3% of the year, and all of that day."""
    good = [order(n) for n in range(1, 400)]
    bad = [order(900 + n, NEXT, total_price=None) for n in range(2)]
    (failure,) = bring_in(here, [*good, order(990, NEXT), *bad], monkeypatch, DAY, NEXT).failures
    assert f"shopify orders of acme {NEXT}: 2 of 3 rows cannot be used, more than 1%; nothing was written" in failure
    assert here.rows("acme", "orders").is_empty()


def test_a_rerun_replaces_the_windows_and_no_other(here: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set aside once a night, one broken order was 365 rows by the end of the year."""
    bad = [order(998, currency=None), order(999, NEXT, currency=None)]
    rest = [order(n, DAY if n % 2 else NEXT) for n in range(1, 300)]
    for _ in range(2):
        assert bring_in(here, [*rest, *bad], monkeypatch, DAY, NEXT).failures == []
        kept = read_quarantine(here.lake, "acme", "orders").sort("key")
        assert kept.select("date", "key").rows() == [(DAY, "998"), (NEXT, "999")]
    assert bring_in(here, [*rest, order(998), bad[1]], monkeypatch, DAY).failures == []
    assert read_quarantine(here.lake, "acme", "orders")["key"].to_list() == ["999"]


def test_what_stands_in_the_place_of_an_id_is_not_kept(here: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """An e-mail address in the id column of a feed went into the list of broken ids, and from there to a ticket."""
    from weathervane_assets.quarantine import Fetched, tolerate
    from weathervane_assets.transforms.rejects import REJECTS, Sorted
    from weathervane_assets.window import Window
    from weathervane_resources.clients.rows import BadRow
    from weathervane_resources.tenants import Tenant

    tenant = Tenant("acme", "Acme", "America/New_York", "USD", DAY)
    window = Window(tenant, (DAY, NEXT), here.sandbox.config.clock(), here.lake)
    nothing = Sorted(pl.DataFrame(schema={"date": pl.Date}), pl.DataFrame(schema=REJECTS))
    for key, kept in (("gid://shopify/Order/1", "gid://shopify/Order/1"), ("jane@example.com", None), (None, None)):
        rejects = tolerate(nothing, Fetched([], [BadRow("no id", key)], 1), window, "orders")
        assert rejects.rows() == [(DAY, kept, "no id")]


def test_what_was_fetched_is_not_printed_when_its_task_ends() -> None:
    """`asyncio.run` prints the task it ran, with its result, to throw it away: a third of the work of 20,000 orders."""

    class Row:
        printed = 0

        def __repr__(self) -> str:
            Row.printed += 1
            return "a customer's order"

    async def fetch() -> Fetched[list[Row]]:
        return Fetched([Row()], [], 1)

    assert len(asyncio.run(fetch()).rows) == 1
    assert Row.printed == 0
