"""Made-up rows never take the place of a vendor's, nor stand beside them.

Belongs here: the refusals, before anything is written. Does not belong here: which days a demo left over (`lake_ledger.py`).
"""

from __future__ import annotations

import polars as pl

from weathervane_resources.credentials import NOT_CONFIGURED, STUB
from weathervane_resources.lake_errors import StubWouldReplaceLive
from weathervane_resources.lake_ledger import own_days

UNCLAIMED_SOURCES = frozenset({STUB, NOT_CONFIGURED})


def guard_live_rows(before: pl.DataFrame, source: str, where: str) -> None:
    """Raise StubWouldReplaceLive if `source` is none that has rows and some of `before` came from a vendor."""
    if source not in UNCLAIMED_SOURCES:
        return
    live = before.filter(~pl.col("source").is_in(list(UNCLAIMED_SOURCES))).height
    if live:
        raise StubWouldReplaceLive(
            f"{where}: {live} rows from a vendor would be replaced by {source} data; nothing was written. "
            "Set the source's credentials again, or write stub data to another WEATHERVANE_LAKE."
        )


def guard_live_days(ledger: pl.DataFrame, where: str) -> None:
    """Raise StubWouldReplaceLive if a dataset, of which stub rows are to be written, has days that a vendor answered: it went live."""
    if live := own_days(ledger):
        raise StubWouldReplaceLive(
            f"{where}: {len(live)} days were read from a vendor and no credentials are set now; made-up rows do not go beside"
            " them, and nothing was written. Set the source's credentials again, or, where it was given up, WEATHERVANE_STUBS=never."
        )
