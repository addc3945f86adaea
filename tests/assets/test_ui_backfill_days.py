"""A backfill of two days that is chosen in the UI for all assets is one of two days, in every process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ASKS = """
import json, os, sys
import dagster as dg
from dagster._core.execution.asset_backfill import AssetBackfillData
from weathervane_assets.graph import GRAPH
from weathervane_assets.definitions import build_defs
from weathervane_assets.ui_backfill import replace_build

if sys.argv[1] == "ours":
    replace_build()
graph = build_defs(os.environ).get_repository_def().asset_graph
chosen = sys.argv[2:]
with dg.DagsterInstance.ephemeral() as instance:
    instance.add_dynamic_partitions("tenant", ["acme", "kiwi"])
    data = AssetBackfillData.from_asset_partitions(
        asset_graph=graph, partition_names=chosen or None, asset_selection=[dg.AssetKey(node.name) for node in GRAPH],
        dynamic_partitions_store=instance, backfill_start_timestamp=1796000000.0, all_partitions=not chosen)
    subsets = data.target_subset.partitions_subsets_by_asset_key
    print(json.dumps({key.path[-1]: sorted(subset.get_partition_keys()) for key, subset in subsets.items()}))
"""
DAYS = ["2026-11-25|acme", "2026-11-26|acme"]


def asked(folder: Path, seed: int, *arguments: str) -> dict[str, list[str]]:
    """Return the partitions of each asset in a process with that order of sets."""
    (folder / "tenants.toml").write_text('[tenants.acme]\ntimezone = "America/New_York"\ncurrency = "USD"\n')
    env = os.environ | {"PYTHONHASHSEED": str(seed), "WEATHERVANE_TENANTS": str(folder / "tenants.toml")}
    command = [sys.executable, "-c", ASKS, *arguments]
    done = subprocess.run(command, env=env, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("seed", [0, 1, 5])
def test_two_days_of_all_assets_are_two_days(tmp_path: Path, seed: int) -> None:
    """Two days were chosen, and the weather of 332 was made: a year of quota, and empty days before the shop's first."""
    found = asked(tmp_path, seed, "ours", *DAYS)
    assert found.pop("climatology") == ["acme|2026"]
    assert len(found) == 8
    assert all(days == DAYS for days in found.values()), {name: len(days) for name, days in found.items()}


def test_a_year_of_normals_has_the_days_that_are_made_with_them(tmp_path: Path) -> None:
    """Whoever chooses all partitions gets them."""
    found = asked(tmp_path, 0, "ours")
    assert {len(days) for name, days in found.items() if name != "climatology"} == {len(found["orders"])}
    assert len(found["orders"]) > 700
