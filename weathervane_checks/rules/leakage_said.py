"""The stored weather against the versions it was made from: what no host ever said of a cell and day is of another one.

The matrix is joined from `weather_daily`, so a build that is wrong is wrong in both alike, and holding one against the other
finds nothing. Versions are only ever added, so what none of them says was never said. Ids as in docs/weather.md.
"""

from __future__ import annotations

from datetime import timedelta

import polars as pl

from weathervane_checks.rules.join import KEYS, ROLL_DAYS, ROLL_MIN_DAYS, ROLLED, Join, nothing
from weathervane_checks.rules.leakage_sources import MEASURED

TOLERANCE = 1e-6
OUT_OF_ORDER = timedelta(hours=1)
"""How much earlier a version may say that it was known than one that was stored before it: clocks differ."""


def told_of(join: Join) -> pl.DataFrame:
    """Return the rows of the weather that the versions can speak of: of their source and cells. Others are left over of before."""
    mine = join.weather.filter(pl.col("source").is_in(join.versions["source"].unique().implode()))
    return mine.join(join.versions.select("geohash").unique(), on="geohash", how="semi")


def never_said(join: Join) -> pl.DataFrame:
    """Return the days and cells whose measured values no version of that cell and day says, all of them at once."""
    if not join.versions.width:
        return nothing()
    said = join.versions.select("geohash", pl.col("valid_date").alias("date"), *MEASURED)
    return told_of(join).join(said, on=[*KEYS, *MEASURED], how="anti", nulls_equal=True).select(KEYS)


def mean_was_never_known(join: Join) -> pl.DataFrame:
    """Return the days and cells in join mode observed whose mean no versions of the 7 days before can give.

    Most are what the newest versions give; only of the others it is asked what could be known when they were made.
    """
    if join.is_as_of or not join.versions.width:
        return nothing()
    rows = told_of(join).select(*KEYS, "as_of_utc", *ROLLED, pl.col("date").dt.truncate("1mo").alias("_month"))
    months = rows.partition_by("_month", include_key=False)  # all versions of a year at once are gigabytes
    return pl.concat([nothing(), *(_never_known_in_month(month, join.versions) for month in months)])


def _never_known_in_month(rows: pl.DataFrame, versions: pl.DataFrame) -> pl.DataFrame:
    first, last = rows["date"].min(), rows["date"].max()
    values = versions.select("geohash", "valid_date", "is_archived", "known_at_utc", *ROLLED.values()).filter(
        pl.col("valid_date").dt.offset_by(f"{ROLL_DAYS}d") >= first, pl.col("valid_date") < last
    )
    ordered = values.sort("is_archived", "known_at_utc").with_row_index("_order")
    other = _not_of_the_newest(rows, ordered.unique(["geohash", "valid_date"], keep="last", maintain_order=True))
    return _out_of_reach(other, ordered).select(KEYS) if other.height else other.select(KEYS)


def _week_before(rows: pl.DataFrame, versions: pl.DataFrame) -> pl.DataFrame:
    """Return the versions of the days before each row, with when the row was known as `_at`."""
    back = pl.LazyFrame({"_back": range(1, ROLL_DAYS + 1)}, schema={"_back": pl.Int64})
    days = rows.lazy().select(*KEYS, pl.col("as_of_utc").alias("_at")).join(back, how="cross")
    dated = days.with_columns((pl.col("date") - pl.duration(days=pl.col("_back"))).alias("valid_date"))
    return dated.join(versions.lazy(), on=["geohash", "valid_date"], how="inner").collect()


def _not_of_the_newest(rows: pl.DataFrame, newest: pl.DataFrame) -> pl.DataFrame:
    means = (
        _week_before(rows, newest)
        .group_by(KEYS)
        .agg(
            pl.when(pl.col(value).count() >= ROLL_MIN_DAYS).then(pl.col(value).mean()).alias(f"_{rolled}")
            for rolled, value in ROLLED.items()
        )
    )
    both = rows.join(means, on=KEYS, how="left", maintain_order="left")
    return both.filter(pl.any_horizontal(map(differs, ROLLED))).select(rows.columns)


def _out_of_reach(rows: pl.DataFrame, versions: pl.DataFrame) -> pl.DataFrame:
    """Return the rows whose mean lies outside what the least and the greatest values of the days before can give.

    Where a day may have had no value yet when the row was made, it may have been left out: then the mean only lies among the values.
    """
    days = _readable(_week_before(rows, versions)).group_by(*KEYS, "valid_date")
    was_there = (pl.col("known_at_utc") <= pl.col("_at")).any()
    spans = days.agg(*(_span(rolled, value, was_there) for rolled, value in ROLLED.items()))
    bounds = spans.group_by(KEYS).agg(*(_bounds(rolled) for rolled in ROLLED))
    both = rows.join(bounds, on=KEYS, how="left", maintain_order="left")
    return both.filter(pl.any_horizontal(map(_is_outside, ROLLED)))


def _readable(week: pl.DataFrame) -> pl.DataFrame:
    """Return the versions that a row may have been made from: the best that was there for sure, and all that count before it.

    The row's own value had come then, so those that had come long before it were there.
    """
    was_there = pl.col("known_at_utc") <= pl.col("_at") - OUT_OF_ORDER
    best = pl.col("_order").filter(was_there).max().over(*KEYS, "valid_date")
    return week.filter(pl.col("_order") >= best.fill_null(0))


def _span(rolled: str, value: str, was_there: pl.Expr) -> pl.Expr:
    """Return the least and the greatest value of a day, and whether it had one for sure."""
    is_sure = was_there & (pl.col(value).null_count() == 0)
    return pl.struct(low=pl.col(value).min(), high=pl.col(value).max(), is_sure=is_sure).alias(rolled)


def _bounds(rolled: str) -> pl.Expr:
    """Return what a mean lies between, of how many days it may be, and of how many it is for sure."""
    low, high, is_sure = (pl.col(rolled).struct.field(name) for name in ("low", "high", "is_sure"))
    days, sure = low.count(), is_sure.sum()
    return pl.struct(
        least=pl.when(days == sure).then(low.mean()).otherwise(low.min()),
        most=pl.when(days == sure).then(high.mean()).otherwise(high.max()),
        days=days,
        sure=sure,
    ).alias(f"_{rolled}")


def _is_outside(rolled: str) -> pl.Expr:
    mine, bound = pl.col(rolled), pl.col(f"_{rolled}").struct
    is_other = ~mine.is_between(bound.field("least") - TOLERANCE, bound.field("most") + TOLERANCE)
    too_few = (bound.field("days") < ROLL_MIN_DAYS).fill_null(value=True)
    enough = (bound.field("sure") >= ROLL_MIN_DAYS).fill_null(value=False)
    return pl.when(mine.is_null()).then(enough).otherwise(too_few | is_other)


def differs(name: str) -> pl.Expr:
    """Return whether a column is another than the one of its name with a `_` before it."""
    mine, other = pl.col(name), pl.col(f"_{name}")
    return (mine.is_null() != other.is_null()) | ((mine - other).abs() > TOLERANCE).fill_null(value=False)
