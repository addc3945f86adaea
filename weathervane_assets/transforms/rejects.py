"""What a vendor sent and we cannot use is set aside with its reason, never turned into a null.

Belongs here: telling usable rows from others. Does not belong here: how many may be set aside
(`weathervane_assets.quarantine`) and where they are kept (`weathervane_resources.quarantine`).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import polars as pl
from weathervane_resources.currencies import KNOWN

from weathervane_assets.tables import MONEY

REJECTS = pl.Schema({"date": pl.Date(), "key": pl.String(), "reason": pl.String()})
"""`date` is null where it cannot be read; `reason` names columns, never a value."""


class Sorted(NamedTuple):
    """A vendor's rows, told apart: those that can be used, and `REJECTS` of the others."""

    rows: pl.DataFrame
    rejects: pl.DataFrame


def known_currency(column: str = "currency") -> pl.Expr:
    """Return the currency where it is one, else null."""
    return pl.when(pl.col(column).is_in(list(KNOWN))).then(pl.col(column)).alias(column)


def exact_money(*columns: str) -> pl.Expr:
    """Return amounts sent as text as `Money`, null where that would round them.

    A negative exponent (`1e-5`) moves digits behind the fourth decimal unseen: no vendor writes money so.
    """
    return _exact(pl.col(*columns))


def exact_sum(column: str) -> pl.Expr:
    """Return the sum of each list of amounts sent as text, null where one of them cannot be read."""
    amounts = pl.col(column).list.eval(_exact(pl.element()))
    is_unreadable = amounts.list.eval(pl.element().is_null()).list.any()
    return pl.when(~is_unreadable).then(amounts.list.sum().cast(MONEY, strict=False))


def _exact(text: pl.Expr) -> pl.Expr:
    return pl.when(~text.str.contains(r"\.\d{4}\d*[1-9]|[eE]-")).then(text.cast(MONEY, strict=False))


def instant(*columns: str, written: str) -> pl.Expr:
    """Return times sent as text in a format, in UTC; null in a year that Python's own datetime cannot hold."""
    time = pl.col(*columns).str.to_datetime(written, time_zone="UTC", strict=False)
    return pl.when(time.dt.year().is_between(1, 9999)).then(time)


def set_aside(
    sent: pl.DataFrame, read: pl.DataFrame, required: Collection[str], *, day: pl.Expr, key: pl.Expr
) -> Sorted:
    """Compare columns as they were sent with what was read of them, row by row.

    A row is set aside where a required column has no value, or any column lost the one it had. `day` and `key` are
    computed on `read`.
    """
    marks = pl.DataFrame(
        [
            # an optional value that was not sent is no loss
            read[name].is_null() & (sent[name].is_not_null() | (name in required))
            for name in sent.columns
        ]
    )
    is_lost = marks.select(pl.any_horizontal(pl.all())).to_series()
    words = [pl.when(pl.col(name)).then(pl.lit(f"{name} is missing or not usable")) for name in marks.columns]
    reasons = marks.filter(is_lost).select(pl.concat_str(words, separator="; ", ignore_nulls=True).alias("reason"))
    rejects = read.filter(is_lost).select(day.alias("date"), key.alias("key")).hstack(reasons)
    return Sorted(read.filter(~is_lost), rejects.match_to_schema(REJECTS))
