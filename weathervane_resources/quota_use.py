"""What was spent of a quota's windows, for someone to look at.

Belongs here: reading the counters of the state database. Does not belong here: who may go when (`quota.py`), drawing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from weathervane_resources.quota import LENGTHS, Window
from weathervane_resources.state import State
from weathervane_resources.state_tables import quotas


@dataclass(frozen=True)
class Spent:
    """The newest window of its length in which anything was spent, over all processes and tenants of a scope.

    `begins_at` is in UTC; it may be a little ahead, since a turn is counted when it is reserved. `weight` is in the
    vendor's units, as `window.limit` is.
    """

    window: Window
    begins_at: datetime
    weight: float

    @property
    def length(self) -> str:
        """`minute`, `hour` or `day`."""
        return LENGTHS[self.window.length_s]

    @property
    def share(self) -> float:
        """The part of the quota, 1 when all of it; above 1 after a single request that was heavier than the quota."""
        return self.weight / self.window.limit

    def __str__(self) -> str:
        """Say which window it is: `hour from 2026-11-20 13:00 UTC`, `day 2026-11-20 UTC`."""
        if self.length == "day":
            return f"day {self.begins_at:%Y-%m-%d} UTC"
        return f"{self.length} from {self.begins_at:%Y-%m-%d %H:%M} UTC"


def spent_of(state: State, scope: str, windows: Iterable[Window]) -> list[Spent]:
    """Return what was spent of each window of a scope, in their order; those that were never used are left out.

    Raises: StateError: no database.
    """
    with state.begin(durable=False) as connection:
        rows = {row.part: row for row in connection.execute(sa.select(quotas).where(quotas.c.scope == scope))}
    used = [(window, rows[window.part]) for window in windows if window.part in rows]
    return [Spent(window, datetime.fromtimestamp(row.at_s, UTC), row.used) for window, row in used]


def spent_metadata(spent: Sequence[Spent]) -> dict[str, float]:
    """Return the weight and the quota of each window, as numbers that the UI plots over the runs."""
    figures: dict[str, float] = {}
    for one in spent:
        figures[f"call_weight_{one.length}"] = round(one.weight, 1)
        figures[f"call_weight_{one.length}_quota"] = float(one.window.limit)
    return figures
