"""Tables that are gone while the ledger still lists their days: a folder was removed by hand, or a back-up lacks it.

Belongs here: finding them, and letting the ledger forget their days before another table is begun. Does not belong here: who is
told (`freshness`, the quality report, doctor).

What the ledger lists counts as read, so no night, no check and no report looks for it any more.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import polars as pl
from deltalake import DeltaTable

from weathervane_resources.lake_ledger import LEDGER, LEDGER_SCHEMA
from weathervane_resources.lake_schema import any_may_be_null
from weathervane_resources.lake_tables import is_table

if TYPE_CHECKING:
    from weathervane_resources.lake import Lake


def lost_tables(lake: Lake, tenant: str, ledger: pl.DataFrame) -> Collection[str]:
    """Return the datasets of a ledger whose table is gone. Raises: LakeError: the lake cannot be read."""
    return [name for name in ledger["dataset"].unique().sort() if not is_table(lake.uri(tenant, name))]


def standing(lake: Lake, tenant: str, ledger: pl.DataFrame) -> pl.DataFrame:
    """Return a ledger without the days of tables that are gone: they are as if they had never been written."""
    return ledger.filter(~pl.col("dataset").is_in(list(lost_tables(lake, tenant, ledger))))


def forget_lost(lake: Lake, tenant: str, dataset: str) -> None:
    """Let the ledger forget the days of a table that is gone; where it is there, nothing happens."""
    uri = lake.uri(tenant, dataset)
    if is_table(uri) or lake.ledger(tenant, dataset).is_empty():
        return

    def build(table: DeltaTable | None) -> tuple[pl.DataFrame, None]:
        # another writer may have begun the table meanwhile, and noted its days
        rows = lake.ledger_of(table, tenant, dataset)
        return (rows if is_table(uri) else rows.clear()), None

    shape, predicate = any_may_be_null(LEDGER_SCHEMA), f"dataset = '{dataset}'"
    lake.commit(lake.uri(tenant, LEDGER), build, shape=shape, predicate=predicate, partition_by=["dataset"])
