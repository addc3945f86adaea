"""The shop's own count of orders beside each day, and what is said where the shop does not let us look."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from tests.assets.conftest import PROFILES, Installation, still
from weathervane_resources.sandbox import RunningSandbox, SandboxConfig, truth


@pytest.mark.parametrize("protocol", ["graphql", "rest"])
def test_the_ledger_says_how_many_orders_the_shop_counts_for_each_local_day(
    installation: Installation, protocol: str
) -> None:
    """A page lost on the way was a quiet Tuesday; the shop's own count tells them apart."""
    tenants = installation.folder / "tenants.toml"
    tenants.write_text(tenants.read_text().replace('D"\n', f'D"\nshopify_protocol = "{protocol}"\n'))
    first, last = date(2026, 9, 25), date(2026, 9, 29)
    outcome = installation.backfill("kiwi", first, last, "orders")
    assert outcome.checks["orders.completeness"]["ok"] == 1
    config, at = SandboxConfig(tenants=PROFILES), installation.sandbox.config.clock()
    for row in installation.lake.ledger("kiwi", "orders").iter_rows(named=True):
        assert row["expected_rows"] == truth.order_day(config, "kiwi", row["date"], at).orders == row["row_count"]
        assert row["expected_days"] == 1


def test_a_long_window_is_counted_once(installation: Installation) -> None:
    """A count for each day of a two-year backfill would be 700 requests before the first order."""
    first, last = date(2026, 9, 1), date(2026, 10, 5)
    outcome = installation.backfill("acme", first, last, "orders")
    assert outcome.checks["orders.completeness"]["ok"] == 1
    ledger = installation.lake.ledger("acme", "orders")
    assert ledger["expected_days"].unique().to_list() == [35]
    assert ledger["expected_rows"].unique().to_list() == [installation.rows("acme", "orders").height]


def test_orders_that_the_token_may_not_see_are_a_failure_and_a_note(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without `read_all_orders` Shopify leaves out older orders and says nothing: two empty years in the matrix."""
    config = SandboxConfig(tenants=PROFILES, clock=still, shopify_scopes=("read_orders",))
    with RunningSandbox(config) as sandbox:
        monkeypatch.setenv("WEATHERVANE_SANDBOX_URL", sandbox.url)
        old = sandbox.config.clock().date() - timedelta(days=90)
        outcome = installation.backfill("acme", old, old, "orders")
    assert "read_all_orders" in outcome.failures[0]
    assert installation.lake.version("acme", "orders") is None

    from weathervane_resources.refusals import read_refusals

    (refusal,) = read_refusals(installation.lake, "acme", "orders").to_dicts()
    assert refusal["date"] == old
    assert "read_all_orders" in refusal["reason"]
