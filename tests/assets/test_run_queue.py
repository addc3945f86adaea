"""The queue knows whose a run is, however it was started."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest
import yaml

from weathervane_assets.partitions import range_tags
from weathervane_assets.run_queue import (
    BACKFILL_PRIORITY,
    TenantRunCoordinator,
    missing_tags,
    split_by_tenant,
    vendor_tags,
)

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("tags", "missing"),
    [
        ({"dagster/partition": "2026-11-19|acme"}, {"weathervane/tenant": "acme"}),
        ({"dagster/partition": "acme|2026"}, {"weathervane/tenant": "acme"}),
        ({"dagster/partition": "acme"}, {"weathervane/tenant": "acme"}),
        (
            {"dagster/asset_partition_range_start": "2026-11-01|acme", "dagster/backfill": "x"},
            {"weathervane/tenant": "acme", "dagster/priority": BACKFILL_PRIORITY},
        ),
        ({**range_tags("acme", "2026-11-01|acme", "2026-11-02|acme"), "dagster/priority": "10"}, {}),
        ({"dagster/backfill": "x", "dagster/priority": "3"}, {}),
        ({}, {}),
    ],
)
def test_a_run_gets_the_tags_it_lacks_and_keeps_those_it_has(tags: dict[str, str], missing: dict[str, str]) -> None:
    """Runs of the UI carry no tenant: two of one tenant wrote the same days at the same time."""
    assert missing_tags(tags) == missing


@pytest.mark.parametrize(
    ("first", "last", "parts"),
    [
        ("2026-11-19|acme", "2026-11-19|zoo", ["2026-11-19|acme", "2026-11-19|kiwi", "2026-11-19|zoo"]),
        ("kiwi|2026", "zoo|2026", ["kiwi|2026", "zoo|2026"]),
        ("kiwi", "zoo", ["kiwi", "zoo"]),
        ("2026-11-01|acme", "2026-11-19|acme", [None]),
        ("2026-11-19|gone", "2026-11-19|zoo", [None]),
        ("", "", [None]),
    ],
)
def test_a_run_of_one_day_of_many_tenants_is_one_for_each(first: str, last: str, parts: list[str | None]) -> None:
    """Yesterday, all tenants, in the UI was a single run, which failed for all of them."""
    start, end = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
    found = split_by_tenant({start: first, end: last}, ["acme", "kiwi", "zoo"])
    assert [part.get(start) for part in found] == [part.get(end) for part in found] == parts


def test_a_run_is_counted_for_each_vendor_that_it_reads_from() -> None:
    """A backfill of forty tenants had forty runs at one vendor, whose quota of an app they all share."""
    tags = vendor_tags({"shopify", "derived", "openmeteo"})
    assert tags == {"weathervane/vendor-openmeteo": "reads", "weathervane/vendor-shopify": "reads"}
    assert vendor_tags({"derived"}) == {}


def test_our_instance_queues_through_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Named in dagster.yaml by a path that nothing else checks."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    (tmp_path / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text())
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert isinstance(instance.run_coordinator, TenantRunCoordinator)
        queue = instance.run_coordinator.get_run_queue_config()
    limits = {limit["key"]: limit["limit"] for limit in queue.tag_concurrency_limits}
    assert limits == {"weathervane/tenant": 1, "dagster/backfill": 2, "weathervane/backfill": 2}
    assert limits["dagster/backfill"] < queue.max_concurrent_runs
    assert yaml.safe_load((ROOT / "dagster.yaml").read_text())["run_monitoring"]["enabled"]
