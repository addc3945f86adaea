"""How many unusable rows a run puts up with.

Belongs here: what a run read, and the decision to set rows aside or to fail. Does not belong here: what makes a row
unusable (`transforms/rejects.py`) and where it is kept (`weathervane_resources.quarantine`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence, Sized
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Generic, Protocol, TypeVar

import dagster as dg
import polars as pl

from weathervane_assets.transforms.rejects import REJECTS, Sorted
from weathervane_assets.window import Window
from weathervane_resources.clients.rows import BadRow
from weathervane_resources.failures import needs_someone
from weathervane_resources.http.errors import PermissionLost
from weathervane_resources.lake import VendorCount
from weathervane_resources.refusals import note_refusal

Row = TypeVar("Row")
Rows = TypeVar("Rows", bound=Sized)
Row_co = TypeVar("Row_co", covariant=True)
MOST_REJECTED_RATIO = 0.01
"""Above this it is no longer a few odd rows but a source that changed, and sums without them would be wrong."""
ROWS_AT_ONCE = 20_000
"""As objects, at most and beside a page; a night's window is one frame."""
ALWAYS_TOLERATED = 1
"""One odd row does not fail a small day, of which it is more than the ratio."""
_ID = r"^[A-Za-z0-9_:./|-]{1,100}$"
"""What stands in the place of an id may be anything, a person's address even: only what looks like one is kept."""


class Page(Protocol[Row_co]):
    """One page of a vendor's answer."""

    @property
    def rows(self) -> Sequence[Row_co]:
        """The rows of the promised shape."""

    @property
    def bad(self) -> Sequence[BadRow]:
        """The others."""


@dataclass(frozen=True)
class Fetched(Generic[Rows]):
    """What a vendor sent for a window, and its own count of it, where it has one.

    Its rows are not in its `repr`: `asyncio.run` prints a task with its result when it ends, twice, to throw it away, which
    was a third of the work of a window of 20,000 orders; and rows hold customer data.
    """

    rows: Rows = field(repr=False)
    bad: list[BadRow] = field(repr=False)
    requests: int
    vendor_count: VendorCount | None = None


async def read_pages(pages: AsyncIterator[Page[Row]]) -> tuple[list[Row], list[BadRow]]:
    """Read all pages; return their rows and what is not of the promised shape."""
    rows: list[Row] = []
    bad: list[BadRow] = []
    async for page in pages:
        rows += page.rows
        bad += page.bad
    return rows, bad


async def read_frame(
    pages: AsyncIterator[Page[Row]], as_frame: Callable[[Sequence[Row]], pl.DataFrame], most: int = ROWS_AT_ONCE
) -> tuple[pl.DataFrame, list[BadRow]]:
    """Read all pages as columns, some rows at a time; return them and what is not of the promised shape.

    An order is 3 KB as an object and a tenth of it in columns: a long window of a large shop does not fit in memory otherwise.
    """
    frames: list[pl.DataFrame] = []
    rows: list[Row] = []
    bad: list[BadRow] = []
    async for page in pages:
        rows += page.rows
        bad += page.bad
        del page  # else it is held while the next one is read
        if len(rows) >= most:
            frames.append(as_frame(rows))
            rows = []
    frames.append(as_frame(rows))
    return pl.concat(frames), bad


def tolerate(found: Sorted, sent: Fetched[Any], window: Window, what: str) -> pl.DataFrame:
    """Return the rows to set aside as `REJECTS`, each on a day of the window (its first, where the row's is not known).

    Raises: dagster.Failure: of all that was read, or of what is known to be of one day, they are more than one and more
        than 1% (not retried). Nothing is written.
    """
    misshapen = pl.DataFrame([(None, row.key, row.reason) for row in sent.bad], schema=REJECTS, orient="row")
    known = pl.concat([found.rejects, misshapen]).filter(
        pl.col("date").is_in(list(window.days)) | pl.col("date").is_null()
    )
    _refuse(known, len(sent.rows) + len(sent.bad), str(window), what)
    for day, count in _worst_days(found, known):
        _refuse(known.filter(pl.col("date") == day), count, f"{window.tenant.id} {day}", what)
    return known.with_columns(
        pl.col("date").fill_null(window.first), pl.when(pl.col("key").str.contains(_ID)).then("key").alias("key")
    )


def _worst_days(found: Sorted, known: pl.DataFrame) -> list[tuple[date, int]]:
    """Return the days with rows to set aside, and how many rows each has in all; a broken day must not hide in a long window."""
    days = known.drop_nulls("date").group_by("date").agg(pl.len().alias("bad"))
    usable = found.rows.group_by("date").agg(pl.len().alias("good"))
    both = days.join(usable, on="date", how="left", validate="1:1").sort("date")
    return list(both.select("date", pl.col("bad") + pl.col("good").fill_null(0)).iter_rows())


def _refuse(rejects: pl.DataFrame, read: int, where: str, what: str) -> None:
    if rejects.height <= max(ALWAYS_TOLERATED, MOST_REJECTED_RATIO * read):
        return
    raise needs_someone(
        f"{what} of {where}: {rejects.height} of {read} rows cannot be used, more than {MOST_REJECTED_RATIO:.0%}; "
        f"nothing was written ({_sample(rejects)}). If the vendor changed its format, update Weathervane; a few rows "
        "that are wrong at the vendor must be mended there."
    )


@contextmanager
def noted_refusal(window: Window, dataset: str) -> Iterator[None]:
    """Let a failure pass; where the vendor would not let us read, note it, so that the days are not taken for empty."""
    try:
        yield
    except dg.Failure as failure:
        if isinstance(failure.__cause__, PermissionLost):
            note_refusal(window.lake, window.tenant.id, dataset, window.days, str(failure.__cause__), window.now)
        raise


def _sample(rejects: pl.DataFrame) -> str:
    keys = pl.when(pl.col("key").str.contains(_ID)).then("key").fill_null("no key")
    rows = rejects.head(3).select(keys, "reason").iter_rows()
    return ", ".join(f"{key}: {reason}" for key, reason in rows)
