"""What is shown of each partition of a run: one metadata record a partition, all at once.

Belongs here: the one place that reaches behind Dagster's public API for speed. `add_asset_metadata` lists the whole range of
the run again, and asks the database about the tenant twice, for every partition that it is told of: 11 ms each for a
year of days, a fifth of a backfill, growing with the square of the range. `tests/resources/test_partition_metadata.py`
pins what is relied on; where a Dagster has no such accumulator, the public way is taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg

try:
    from dagster._core.execution.context import metadata_logging
except ImportError:
    metadata_logging = None  # type: ignore[assignment]


def show_partitions(context: dg.OutputContext, by_key: Mapping[str, Mapping[str, Any]]) -> None:
    """Attach metadata to the materialisations of a run's partitions; `by_key` are partition keys of this run."""
    step, asset_key = context.step_context, context.asset_key
    known = getattr(step, "_metadata_accumulator", None)
    if known is None or metadata_logging is None:
        for key, metadata in by_key.items():
            step.add_asset_metadata(metadata, asset_key=asset_key, partition_key=key)
        return
    # made once: its own `with_additional_asset_metadata` copies and checks all that is there for each partition
    mine: dict[Any, Mapping[str, Any]] = {
        metadata_logging.AssetMetadataHandle(asset_key=asset_key, partition_key=key): {
            **known.get_asset_metadata(asset_key, key),
            **more,
        }
        for key, more in by_key.items()
    }
    shown = metadata_logging.OutputMetadataAccumulator(per_output_metadata={**known.per_output_metadata, **mine})
    step._metadata_accumulator = shown  # noqa: SLF001 - see the module's docstring
