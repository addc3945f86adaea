"""Orders and revenue before the join and after it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import polars as pl
import pytest

from weathervane_checks.findings import Finding
from weathervane_checks.rules.conservation import judge_conservation

DAY, NEXT = date(2025, 6, 20), date(2025, 6, 21)
MONEY = pl.Decimal(18, 4)
ORDERS = {
    "date": pl.Date,
    "ship_geohash": pl.String,
    "net_revenue": MONEY,
    "is_test": pl.Boolean,
    "cancelled_at": pl.Datetime("us", "UTC"),
    "currency": pl.String,
}
FEATURES = {"date": pl.Date, "geohash": pl.String, "orders": pl.Int32, "net_revenue": MONEY, "tenant_orders": pl.Int32}
THEN = datetime(2025, 6, 21, tzinfo=UTC)


def sold(*rows: tuple[str | None, str | None], day: date = DAY) -> pl.DataFrame:
    data = [(day, cell, None if money is None else Decimal(money), False, None, "EUR") for cell, money in rows]
    return pl.DataFrame(data, schema=ORDERS, orient="row")


def joined(*rows: tuple[str, int, str], tenant_orders: int, day: date = DAY) -> pl.DataFrame:
    data = [(day, cell, count, Decimal(money), tenant_orders) for cell, count, money in rows]
    return pl.DataFrame(data, schema=FEATURES, orient="row")


BEFORE = sold(("a", "70.00"), ("a", "0.10"), ("b", "29.90"), (None, "5.00"))
AFTER = joined(("a", 2, "70.10"), ("b", 1, "29.90"), ("c", 0, "0"), tenant_orders=4)


def judge(orders: pl.DataFrame, features: pl.DataFrame, day: date = DAY) -> Finding:
    (finding,) = judge_conservation(orders, features, [day], "EUR")
    return finding


def test_the_same_before_and_after_is_ok_to_the_cent() -> None:
    """As floats, sums differ in the last digit, and the tolerance needed hides a lost order."""
    finding = judge(BEFORE, AFTER)
    assert (finding.severity, finding.observed, finding.threshold) == ("ok", "100.0000", "100.0000")
    assert finding.extra["unlocated_orders"] == 1
    assert finding.extra["unlocated_revenue"] == "5.0000"


BROKEN = {
    "fan-out: joined on the date alone": AFTER.join(pl.DataFrame({"weather_of": ["a", "b", "c"]}), how="cross").drop(
        "weather_of"
    ),
    "a row doubled": pl.concat([AFTER, AFTER.head(1)]),
    "a row lost": AFTER.filter(pl.col("geohash") != "b"),
    "all rows lost": AFTER.clear(),
    "a cent off": AFTER.with_columns(
        net_revenue=pl.when(pl.col("geohash") == "a").then(Decimal("70.11")).otherwise("net_revenue")
    ),
    "an order off": AFTER.with_columns(orders=pl.when(pl.col("geohash") == "a").then(1).otherwise("orders")),
    "the tenant's orders off": AFTER.with_columns(tenant_orders=pl.lit(3)),
    "the unlocated order given to a cell": joined(("a", 2, "70.10"), ("b", 2, "34.90"), tenant_orders=4),
}


@pytest.mark.parametrize("after", BROKEN.values(), ids=BROKEN)
def test_a_join_that_loses_or_doubles_is_critical(after: pl.DataFrame) -> None:
    """A revenue of 100 became 300, and the model was trained on it."""
    finding = judge(BEFORE, after)
    assert (finding.severity, finding.alerts) == ("critical", ("conservation_broken",))


def test_cancelled_and_test_orders_are_not_sales_on_either_side() -> None:
    """Counted on one side only, each cancellation was a broken join."""
    spoilt = sold(("a", "9.00")).with_columns(is_test=pl.lit(value=True))
    cancelled = sold(("b", "9.00")).with_columns(cancelled_at=pl.lit(THEN).dt.cast_time_unit("us"))
    assert judge(pl.concat([BEFORE, spoilt, cancelled]), AFTER).severity == "ok"


def test_revenue_the_vendor_did_not_give_is_a_warning_not_a_zero() -> None:
    """The target was null in every live row, summed to 0, and 'conserved' perfectly."""
    finding = judge(sold(("a", "70.10"), ("b", None)), joined(("a", 1, "70.10"), ("b", 1, "0"), tenant_orders=2))
    assert (finding.severity, finding.alerts) == ("warning", ("revenue_unknown",))
    assert "1 sales have no revenue" in finding.note


def test_sales_in_another_currency_are_a_warning() -> None:
    """The shop's currency moved from GBP to EUR in July: the first half of the year was pounds in a column of euros."""
    currency = pl.when(pl.col("ship_geohash") == "b").then(pl.lit("GBP")).otherwise("currency").alias("currency")
    finding = judge(BEFORE.with_columns(currency), AFTER)
    assert (finding.severity, finding.alerts) == ("warning", ("revenue_currency",))
    assert finding.note.startswith("1 sales are not in the currency")
    tests = BEFORE.with_columns(currency, is_test=pl.lit(value=True))
    assert judge(tests, AFTER.clear()).severity == "ok"


def test_a_day_without_orders_is_in_balance() -> None:
    """Nothing before and nothing after: zero rows is not a failed join."""
    assert judge(sold(), joined(("a", 0, "0"), tenant_orders=0)).severity == "ok"
    assert judge(sold(), AFTER.clear()).severity == "ok"


def test_revenue_moved_to_another_day_is_seen_on_both() -> None:
    """The total of the window was right, and each day of it wrong."""
    after = joined(("a", 1, "10.00"), tenant_orders=1, day=NEXT)
    findings = judge_conservation(sold(("a", "10.00")), after, [NEXT, DAY], "EUR")
    assert [(f.day, f.severity) for f in findings] == [(DAY, "critical"), (NEXT, "critical")]
