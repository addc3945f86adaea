"""W16, the shuffled future: change all that was learnt after a decision, build again, and compare byte for byte.

It proves that a matrix does not depend on the future without knowing any bug. What builds the matrix is an argument,
since a rule knows no transforms.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import polars as pl

SHIFT = 13.7
"""By how much the future is made to differ; no weather moves by exactly this."""


def canary(
    versions: pl.DataFrame, decision_at: datetime, build: Callable[[pl.DataFrame], pl.DataFrame]
) -> pl.DataFrame:
    """Return `date` and `geohash` of the rows that `build` makes differently when the future is another.

    `versions`: `known_at_utc`, `as_of_utc`, `is_archived`, the values as floats. `build`: the matrix of the days whose
    decision is taken at `decision_at`, from versions.
    """
    before, after = build(versions), build(perturbed(versions, decision_at))
    keys = ["date", "geohash"]
    if _bytes(before) == _bytes(after):
        return before.select(keys).clear()
    gone = before.join(after, on=before.columns, how="anti", nulls_equal=True).select(keys)
    new = after.join(before, on=before.columns, how="anti", nulls_equal=True).select(keys)
    return pl.concat([gone, new]).unique().sort(keys)


def perturbed(versions: pl.DataFrame, decision_at: datetime) -> pl.DataFrame:
    """Return versions that agree in all that was known at `decision_at` and in nothing that was learnt later.

    Later versions are changed; every version also gets a successor of both kinds, learnt just after the decision, so
    that there always is a future.
    """
    values = [name for name, dtype in versions.schema.items() if dtype == pl.Float64]
    shifted = versions.with_columns(pl.col(values).fill_null(0.0) + SHIFT)
    after = pl.lit(decision_at).dt.cast_time_unit("us") + pl.duration(microseconds=1)
    past = versions.filter(pl.col("known_at_utc") <= decision_at)
    future = shifted.filter(pl.col("known_at_utc") > decision_at)
    invented = [
        shifted.with_columns(known_at_utc=after, as_of_utc=after, is_archived=pl.lit(archived))
        for archived in (True, False)
    ]
    return pl.concat([past, future, *invented])


def _bytes(frame: pl.DataFrame) -> bytes:
    return frame.rechunk().write_ipc(None).getvalue()
