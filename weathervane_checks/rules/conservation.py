"""Nothing is lost or doubled between the orders and the matrix."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import polars as pl

from weathervane_checks.findings import Finding

ZERO = Decimal(0)


def judge_conservation(
    orders: pl.DataFrame,
    features: pl.DataFrame,
    days: Sequence[date],
    currency: str,
    left_out: pl.DataFrame | None = None,
) -> list[Finding]:
    """Return one finding a day: located sales and their revenue, before the join and after it.

    `currency`: of the tenant; orders in another one warn, since sums of both mean nothing.
    `left_out`: `date`, `geohash` of the cells that join mode as_of leaves out, since the decision could not know them.

    A join that matches a row twice makes 300 of a revenue of 100 and still looks like data; sums do not lie.
    """
    before = _sales_by_day(orders if left_out is None else _without_cells(orders, left_out), currency)
    after = {
        row["date"]: row
        for row in features.group_by("date")
        .agg(pl.col("orders").sum(), pl.col("net_revenue").sum(), pl.col("tenant_orders").max())
        .iter_rows(named=True)
    }
    return [_judge(day, before.get(day, {}), after.get(day, {})) for day in sorted(days)]


def _without_cells(orders: pl.DataFrame, left_out: pl.DataFrame) -> pl.DataFrame:
    """Return the orders, those to the cells that are left out as orders without a place."""
    marked = orders.join(
        left_out.with_columns(_is_left_out=pl.lit(value=True)),
        left_on=["date", "ship_geohash"],
        right_on=["date", "geohash"],
        how="left",
        validate="m:1",
    )
    return marked.with_columns(ship_geohash=pl.when(pl.col("_is_left_out").is_null()).then("ship_geohash"))


def _sales_by_day(orders: pl.DataFrame, currency: str) -> dict[date, dict[str, Any]]:
    sales = orders.filter(~pl.col("is_test") & pl.col("cancelled_at").is_null())
    located = pl.col("ship_geohash").is_not_null()
    table = sales.group_by("date").agg(
        located.sum().alias("orders"),
        pl.col("net_revenue").filter(located).sum().alias("net_revenue"),
        (~located).sum().alias("unlocated_orders"),
        pl.col("net_revenue").filter(~located).sum().alias("unlocated_revenue"),
        pl.col("net_revenue").null_count().alias("without_revenue"),
        (pl.col("currency") != currency).sum().alias("foreign"),
        pl.len().alias("tenant_orders"),
    )
    return {row["date"]: row for row in table.iter_rows(named=True)}


def _judge(day: date, before: dict[str, Any], after: dict[str, Any]) -> Finding:
    sold, joined = int(before.get("orders", 0)), int(after.get("orders") or 0)
    revenue, joined_revenue = before.get("net_revenue") or ZERO, after.get("net_revenue") or ZERO
    extra = {
        "orders_before": sold,
        "orders_after": joined,
        "revenue_before": str(revenue),
        "revenue_after": str(joined_revenue),
        "unlocated_orders": int(before.get("unlocated_orders", 0)),
        "unlocated_revenue": str(before.get("unlocated_revenue") or ZERO),
    }
    if sold != joined or revenue != joined_revenue:
        note = f"{sold} orders and {revenue} before the join, {joined} and {joined_revenue} after it"
        return Finding(day, "critical", str(joined_revenue), str(revenue), ("conservation_broken",), note, extra=extra)
    if after and int(after["tenant_orders"]) != int(before.get("tenant_orders", 0)):
        note = f"tenant_orders is {after['tenant_orders']}, the orders are {before.get('tenant_orders', 0)}"
        return Finding(day, "critical", joined, sold, ("conservation_broken",), note, extra=extra)
    if before.get("foreign"):
        note = f"{before['foreign']} sales are not in the currency of tenants.toml, and are added as if they were"
        return Finding(day, "warning", str(joined_revenue), str(revenue), ("revenue_currency",), note, extra=extra)
    if before.get("without_revenue"):
        note = f"{before['without_revenue']} sales have no revenue from the vendor and are not in the sum"
        return Finding(day, "warning", str(joined_revenue), str(revenue), ("revenue_unknown",), note, extra=extra)
    return Finding(day, "ok", str(joined_revenue), str(revenue), note=f"{joined} orders, {joined_revenue}", extra=extra)
