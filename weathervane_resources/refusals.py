"""Days that a vendor would not let us read: the third thing beside "no rows" and "never asked".

Belongs here: `<lake>/<tenant>/_refusals/<dataset>`. A day that was read later than it was refused is no longer refused:
the ledger knows when (`lake.ledger`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

import polars as pl

from weathervane_resources.lake import Lake, day_predicate, whole

REFUSALS_SCHEMA = pl.Schema({"date": pl.Date(), "reason": pl.String(), "seen_at_utc": pl.Datetime("us", "UTC")})


def read_refusals(lake: Lake, tenant: str, dataset: str) -> pl.DataFrame:
    """Return the days refused, each once, with the reason and when."""
    return whole(lake.scan_shared(tenant, _table(dataset), REFUSALS_SCHEMA), lake.uri(tenant, _table(dataset)))


def note_refusal(lake: Lake, tenant: str, dataset: str, days: Sequence[date], reason: str, now: datetime) -> None:
    """Remember that these days may not be read."""
    rows = pl.DataFrame({"date": sorted(days)}, schema={"date": pl.Date}).with_columns(
        reason=pl.lit(reason), seen_at_utc=pl.lit(now).dt.cast_time_unit("us")
    )
    lake.replace_shared(tenant, _table(dataset), rows, day_predicate(days), [])


def _table(dataset: str) -> str:
    return f"_refusals/{dataset}"
