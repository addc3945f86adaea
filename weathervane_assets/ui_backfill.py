"""What the UI asks for is what is run: a backfill of days has those days of every daily asset, and no others.

Belongs here: cutting the days of a backfill to those that were chosen. Does not belong here: the order of a backfill's runs (Dagster's),
`weathervane backfill` (`backfill.py`).

Dagster walks from the chosen days of `orders` down the graph: to the year of normals that they lie in, and from there to all days
of that year. Whether it keeps them depends on the order of a set, which is another in each process: two days were two or 332.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from dagster._core.execution.asset_backfill import AssetBackfillData

Build = Callable[..., AssetBackfillData]


def replace_build() -> None:
    """Let this process, which is asked for backfills, build none of days that were not chosen."""
    build = AssetBackfillData.from_asset_partitions

    def build_chosen(_: object, /, **asked: Any) -> AssetBackfillData:
        return of_chosen_days(build, **asked)

    AssetBackfillData.from_asset_partitions = classmethod(build_chosen)  # type: ignore[assignment, method-assign]


def of_chosen_days(
    build: Build, *, asset_graph: Any, partition_names: Sequence[str] | None, **asked: Any
) -> AssetBackfillData:
    """Return what `build` returns, without days that are not in `partition_names`; None is all days.

    Assets of other partitions (the normals, by year) keep what they have.
    """
    data = build(asset_graph=asset_graph, partition_names=partition_names, **asked)
    subsets = data.target_subset.partitions_subsets_by_asset_key
    wanted = {key: [name for name in partition_names or () if name in subset] for key, subset in subsets.items()}
    chosen = {
        key: asset_graph.get(key).partitions_def.subset_with_partition_keys(names)
        for key, names in wanted.items()
        if names
    }
    kept = data.target_subset._replace(partitions_subsets_by_asset_key={**subsets, **chosen})
    return data._replace(target_subset=kept)
