"""What a vendor sent and we cannot read is refused, never turned into a null."""

from __future__ import annotations

from collections.abc import Collection

import polars as pl


def refuse_unusable(what: str, sent: pl.DataFrame, read: pl.DataFrame, required: Collection[str]) -> None:
    """Compare columns as they were sent with what was read of them.

    Raises: ValueError: a required column has a null, or another one a value that was lost in reading; counts them by
        column and never quotes a value.
    """
    lost = {
        name: count
        for name in sent.columns
        if (count := read[name].null_count() - (0 if name in required else sent[name].null_count()))
    }
    if lost:
        raise ValueError(f"{what} without a usable value: {lost}")
