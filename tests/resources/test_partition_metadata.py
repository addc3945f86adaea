"""What each partition of a range shows, and what it costs to say."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from weathervane_resources.partition_metadata import show_partitions

DAYS = 60
KEYS = [f"{date(2025, 1, 1) + timedelta(days=n)}|acme" for n in range(DAYS)]
PARTITIONS = dg.MultiPartitionsDefinition(
    {
        "tenant": dg.DynamicPartitionsDefinition(name="tenant"),
        "date": dg.DailyPartitionsDefinition(start_date="2025-01-01", end_date="2025-03-02"),
    }
)


class Lake(dg.ConfigurableIOManager):
    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        show_partitions(context, {key: {"rows": n} for n, key in enumerate(KEYS)})

    def load_input(self, context: dg.InputContext) -> None:
        """Nothing reads."""


@dg.asset(partitions_def=PARTITIONS, backfill_policy=dg.BackfillPolicy.single_run())
def table() -> int:
    return 1


def shown(tmp_path: Path) -> dict[str, int]:
    """Materialise the range; return what each partition shows."""
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        instance.add_dynamic_partitions("tenant", ["acme"])
        tags = {"dagster/asset_partition_range_start": KEYS[0], "dagster/asset_partition_range_end": KEYS[-1]}
        assert dg.materialize([table], instance=instance, resources={"io_manager": Lake()}, tags=tags).success
        records = instance.fetch_materializations(dg.AssetKey("table"), limit=DAYS + 1).records
        return {r.partition_key: r.asset_materialization.metadata["rows"].value for r in records}


def test_every_partition_of_a_range_shows_its_own_figures(tmp_path: Path) -> None:
    """A private name of Dagster's is relied on: a new release that moves it must be seen here, not in an empty UI."""
    assert shown(tmp_path) == {key: n for n, key in enumerate(KEYS)}


def test_a_range_is_not_listed_again_for_each_of_its_partitions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """365 days of nine tables took 30 s longer than they needed, only to attach figures."""
    listed = []
    real = dg.MultiPartitionsDefinition.get_partition_keys_in_range

    def counting(self: dg.MultiPartitionsDefinition, *args: Any, **kwargs: Any) -> Any:
        listed.append(args)
        return real(self, *args, **kwargs)

    monkeypatch.setattr(dg.MultiPartitionsDefinition, "get_partition_keys_in_range", counting)
    shown(tmp_path)
    assert len(listed) < DAYS


def test_a_dagster_without_the_accumulator_is_told_the_public_way() -> None:
    """An upgrade may be slower; it may not lose what a partition shows."""
    told = []

    class Step:
        def add_asset_metadata(self, metadata: Any, asset_key: Any, partition_key: str) -> None:
            told.append((partition_key, metadata))

    class Context:
        step_context = Step()
        asset_key = dg.AssetKey("table")

    show_partitions(Context(), {"a": {"rows": 1}, "b": {"rows": 2}})  # type: ignore[arg-type]
    assert told == [("a", {"rows": 1}), ("b", {"rows": 2})]
