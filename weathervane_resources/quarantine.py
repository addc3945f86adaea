"""The quarantine: rows that a vendor sent and we could not use, each with its reason.

Belongs here: `<lake>/<tenant>/_quarantine/<dataset>`, replaced by window like the dataset itself. Does not belong here:
what makes a row unusable (`weathervane_assets.transforms.rejects`). A row's content is never kept: it may be personal.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

import polars as pl

from weathervane_resources.lake import Lake, day_predicate, whole

QUARANTINE_SCHEMA = pl.Schema(
    {
        "dataset": pl.String(),
        "date": pl.Date(),
        "key": pl.String(),
        "reason": pl.String(),
        "window": pl.String(),
        "run_id": pl.String(),
        "seen_at_utc": pl.Datetime("us", "UTC"),
        "source": pl.String(),
    }
)


def read_quarantine(lake: Lake, tenant: str, dataset: str) -> pl.DataFrame:
    """Return the rows set aside of a dataset; empty where there are none."""
    return whole(lake.scan_shared(tenant, _table(dataset), QUARANTINE_SCHEMA), lake.uri(tenant, _table(dataset)))


def replace_quarantine(
    lake: Lake,
    tenant: str,
    dataset: str,
    rejects: pl.DataFrame,
    *,
    days: Sequence[date],
    source: str,
    run_id: str,
    now: datetime,
) -> None:
    """Make `rejects` (`date`, `key`, `reason`) those of `days`, in one commit; a run without any takes away old ones."""
    if rejects.is_empty() and read_quarantine(lake, tenant, dataset).filter(pl.col("date").is_in(days)).is_empty():
        return
    rows = rejects.with_columns(
        dataset=pl.lit(dataset),
        window=pl.lit(f"{min(days)}/{max(days)}"),
        run_id=pl.lit(run_id),
        seen_at_utc=pl.lit(now).dt.cast_time_unit("us"),
        source=pl.lit(source),
    ).select(pl.col(name).cast(dtype) for name, dtype in QUARANTINE_SCHEMA.items())
    lake.replace_shared(tenant, _table(dataset), rows, day_predicate(days), [])


def _table(dataset: str) -> str:
    return f"_quarantine/{dataset}"
