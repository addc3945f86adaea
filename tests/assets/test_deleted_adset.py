"""What an ad set spent stays spent when it is deleted: Meta leaves deleted ones out unless it is asked for them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from tests import engines
from tests.assets.conftest import PROFILES, Installation, write_environment
from weathervane_assets.partitions import TENANT_PARTITIONS
from weathervane_resources.sandbox import RunningSandbox, SandboxConfig
from weathervane_resources.sandbox.ads_world import adsets
from weathervane_resources.sandbox.late_events import LateEvents

READ, AGAIN = datetime(2026, 11, 10, 15, tzinfo=UTC), datetime(2026, 11, 17, 15, tzinfo=UTC)
FIRST, LAST = date(2026, 9, 21), date(2026, 11, 9)
MONTH = date(2026, 10, 20)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installation]:
    """An installation with a sandbox of its own, because ad sets are deleted in it."""
    config = SandboxConfig(tenants=PROFILES, clock=lambda: AGAIN, late_events=LateEvents())
    with RunningSandbox(config) as sandbox, engines.chosen().instance() as instance:
        write_environment(monkeypatch, tmp_path, sandbox.url)
        instance.add_dynamic_partitions(TENANT_PARTITIONS, ["acme"])
        yield Installation(tmp_path, instance, sandbox)


def spend(here: Installation) -> Decimal:
    return Decimal(here.rows("acme", "meta_ads")["spend"].sum())


@pytest.mark.parametrize("first", [MONTH, FIRST], ids=["at once", "report"])
def test_reading_again_after_an_ad_set_was_deleted_keeps_what_it_spent(here: Installation, first: date) -> None:
    """An ad set was deleted, and the next night took its spend out of the 30 days that it read again."""
    assert here.backfill("acme", first, LAST, "meta_ads", now=READ.isoformat()).failures == []
    before, gone = spend(here), adsets(here.sandbox.config.seed, "acme", "meta")[0].adset_id
    here.sandbox.config.late_events.delete_adset("acme", gone, datetime(2026, 11, 12, tzinfo=UTC))
    assert here.backfill("acme", first, LAST, "meta_ads", now=AGAIN.isoformat()).failures == []
    assert spend(here) == before > 0
    assert str(gone) in set(here.rows("acme", "meta_ads")["adset_id"])


def test_who_wants_no_filter_sends_none(here: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """If Meta refuses a status one day, every night fails until somebody can leave the filter out."""
    monkeypatch.setenv("META_EFFECTIVE_STATUSES", "none")
    gone = adsets(here.sandbox.config.seed, "acme", "meta")[0].adset_id
    here.sandbox.config.late_events.delete_adset("acme", gone, datetime(2026, 11, 12, tzinfo=UTC))
    assert here.backfill("acme", MONTH, LAST, "meta_ads", now=AGAIN.isoformat()).failures == []
    assert here.rows("acme", "meta_ads").height > 0
    assert str(gone) not in set(here.rows("acme", "meta_ads")["adset_id"])
