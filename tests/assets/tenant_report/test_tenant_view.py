"""The tenant's view in the UI: its figures are the ledger's, and its links lead to that tenant's days and runs, no other's."""

from __future__ import annotations

import re
from datetime import date
from urllib.parse import parse_qs, urlsplit

import dagster as dg
import pytest

from tests.assets.conftest import Installation
from weathervane_assets.backfill import Outcome
from weathervane_assets.definitions import build_defs
from weathervane_assets.graph import NODES, ONE_TENANT
from weathervane_resources.partition_keys import TENANT_TAG, tenant_of_key

LINK = re.compile(r"\[([^\]]+)\]\(([^)]+)\)")


def view(here: Installation, tenant: str) -> str:
    (event,) = here.execute("dq_report_job", partition=tenant).asset_materializations_for_node("tenant_report")
    return str(event.metadata["view"].value)


def partition_in(address: str) -> tuple[str, str]:
    """Return the asset and the partition that an address of the UI shows."""
    parts = urlsplit(address)
    assert not parts.netloc, "the UI's own address is not ours to know"
    asked = parse_qs(parts.query)
    assert asked["view"] == ["partitions"]
    return parts.path.removeprefix("/assets/"), asked["partition"][0]


@pytest.fixture(scope="module")
def acme(filled: tuple[Installation, Outcome]) -> str:
    return view(filled[0], "acme")


def test_each_dataset_is_linked_to_the_tenants_newest_day_which_is_there(
    acme: str, filled: tuple[Installation, Outcome]
) -> None:
    """A link to a day that was never made shows an empty page, and one to another tenant's day its figures."""
    here, outcome = filled
    links = dict(LINK.findall(acme))
    assert set(NODES) < set(links)
    for name in NODES:
        asset, key = partition_in(links[name])
        assert asset == name
        assert key == max(here.materializations(outcome, name))
        assert tenant_of_key(key) == "acme"
    rows = here.rows("acme", "orders").filter(date=date(2026, 11, 19)).height
    said = rf"warning \| needs attention \| 2026-11-19 \| {rows} \| made up \(sandbox\) \| stub_source \|"
    assert re.search(rf"\| \[orders\]\(\S+\) \| {said}", acme)


def test_the_runs_are_found_by_the_tag_that_they_carry(acme: str, filled: tuple[Installation, Outcome]) -> None:
    """The list was filtered by a tag that backfills did not have, and looked as if nothing had run."""
    here, outcome = filled
    links = dict(LINK.findall(acme))
    asked = parse_qs(urlsplit(links["all runs of acme"]).query)
    assert asked == {"view": ["runs"], "q[0]": [f"tag:{TENANT_TAG}=acme"]}
    name, _, value = asked["q[0]"][0].removeprefix("tag:").partition("=")
    found = here.instance.get_runs(dg.RunsFilter(tags={name: value}))
    assert {run.run_id for run in found} >= set(outcome.run_ids)
    assert parse_qs(urlsplit(links["failed ones"]).query)["q[1]"] == ["status:FAILURE"]
    assert partition_in(links["its quality report and pictures"]) == ("dq_report", "acme")


def test_a_tenant_without_anything_has_its_view_too_and_no_link_to_what_is_not_there(
    filled: tuple[Installation, Outcome],
) -> None:
    """The new client's view was the one that failed."""
    found = view(filled[0], "kiwi")
    assert "| orders | critical | missing | - | - | nothing written | dataset_missing |" in found
    assert not set(dict(LINK.findall(found))) & set(NODES)
    assert "acme" not in found


def test_each_asset_leads_to_the_view() -> None:
    """Whoever looks for one tenant looks in the catalog, which knows none."""
    graph = build_defs({}).resolve_asset_graph()
    for name in NODES:
        assert (graph.get(dg.AssetKey(name)).description or "").endswith(f"\n\n{ONE_TENANT}")
    (address,) = re.findall(r"\((\S+)\)", ONE_TENANT)
    assert urlsplit(address).path == "/assets/tenant_report"
    assert dg.AssetKey("tenant_report") in graph.get_all_asset_keys()
