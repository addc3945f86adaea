"""Days of which an ads platform keeps no numbers any more: not asked for, and noted as such.

Belongs here: which days of a window are too old for the vendor, and what the lake says of them. Does not belong here: how long a
vendor keeps its numbers (its client).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta

import dagster as dg
import polars as pl

from weathervane_assets.tables import CONTRACTS, shape_of
from weathervane_assets.transforms.rejects import REJECTS
from weathervane_assets.window import Window
from weathervane_resources.credentials import NOT_KEPT, Access
from weathervane_resources.lake_io import Batch
from weathervane_resources.quarantine import read_quarantine


@dataclass(frozen=True)
class Reach:
    """A window's days that the vendor still has (None where it has none of them), and what is known of the older ones.

    What was read of a day while the vendor had it stays: `rows`, `rejects`; `sources` says of the other days that they are
    not kept, which is neither zero nor missing.
    """

    asked: Window | None
    rows: pl.DataFrame
    rejects: pl.DataFrame
    sources: dict[date, str]

    def joined(self, batch: Batch) -> Batch:
        """Return what was asked for together with the older days."""
        if not self.sources:
            return batch
        rejects = self.rejects if batch.rejects is None else pl.concat([self.rejects, batch.rejects])
        frame = pl.concat([self.rows, batch.frame])
        return replace(batch, frame=frame, rejects=rejects, source_by_day=self.sources)

    def without_asking(self, access: Access) -> Batch:
        """Return the older days, where there are no others."""
        return self.joined(Batch(self.rows.clear(), access.source, {"requests": 0}))


def reach_of(context: dg.AssetExecutionContext, window: Window, access: Access, keeps: timedelta) -> Reach:
    """Return which of the window's days can be asked for; says in the log what is too old."""
    dataset, oldest = context.asset_key.path[-1], window.now.date() - keeps
    asked = tuple(day for day in window.days if day >= oldest)
    old = [day for day in window.days if day < oldest]
    shape = shape_of(CONTRACTS[dataset])
    if not old:
        return Reach(window, shape.schema.to_frame(), REJECTS.to_frame(), {})
    ledger = window.lake.ledger(window.tenant.id, dataset)
    # the rows say it too: a run that was killed between table and ledger noted nothing
    mine = window.lake.scan(window.tenant.id, dataset, shape, old).filter(pl.col("source") == access.source)
    stored = window.whole(dataset, mine)
    read = {*ledger.filter(pl.col("source") == access.source)["date"], *stored["date"]}
    sources = {day: access.source if day in read else NOT_KEPT for day in old}
    _tell(context, window, [day for day in old if day not in read], oldest)
    was_read = pl.col("date").is_in([day for day in old if day in read])
    return Reach(
        replace(window, days=asked) if asked else None,
        stored,
        read_quarantine(window.lake, window.tenant.id, dataset).filter(was_read).select(REJECTS.names()),
        sources,
    )


def _tell(context: dg.AssetExecutionContext, window: Window, days: list[date], oldest: date) -> None:
    if days:
        context.log.warning(
            f"{window.tenant.id}/{context.asset_key.path[-1]}: {days[0]} to {days[-1]} are too old for the vendor, which is asked for"
            f" days since {oldest} only; they are noted as {NOT_KEPT}, and what they cost is null in features."
        )
