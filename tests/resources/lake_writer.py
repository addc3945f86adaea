"""A process that writes one window again and again: `python lake_writer.py <lake> <first> <last> [<days>]`.

Write `n` fills every row of the window with `n`, so that a mix of two writes shows. Each commit prints its number.
"""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime, timedelta

import polars as pl

from weathervane_resources.lake import Lake, Shape

SHAPE = Shape(
    pl.Schema(
        {
            "tenant_id": pl.String,
            "date": pl.Date,
            "row_key": pl.String,
            "amount": pl.Int64,
            "source": pl.String,
            "as_of_utc": pl.Datetime("us", "UTC"),
        }
    ),
    ("row_key",),
)
FIRST = date(2025, 1, 20)
ROWS_A_DAY = 50


def window(days: int) -> list[date]:
    """Return the days written, over two months."""
    return [FIRST + timedelta(days=n) for n in range(days)]


def rows(number: int, days: int) -> pl.DataFrame:
    """Return the rows of write `number`."""
    at = datetime(2025, 6, 1, tzinfo=UTC) + timedelta(minutes=number)
    keyed = [(day, f"row-{n}") for day in window(days) for n in range(ROWS_A_DAY)]
    return pl.DataFrame(
        [("acme", day, key, number, "shopify_api", at) for day, key in keyed], schema=SHAPE.schema, orient="row"
    )


def write(lake: Lake, number: int, days: int) -> None:
    """Write the window once."""
    now = datetime(2025, 6, 1, tzinfo=UTC) + timedelta(minutes=number)
    lake.replace(
        "acme",
        "orders",
        rows(number, days),
        shape=SHAPE,
        days=window(days),
        source="shopify_api",
        run_id=str(number),
        now=now,
    )


if __name__ == "__main__":
    lake, first, last = Lake(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for number in range(first, last):
        write(lake, number, int(sys.argv[4]))
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()
