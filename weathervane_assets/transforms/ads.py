"""Meta and Google ad reports to rows of `Ads`: one schema, Decimal money, account-local days."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

import polars as pl
from weathervane_resources.clients.google_ads import CampaignDay, Metrics
from weathervane_resources.clients.meta_ads import Action, Insight

from weathervane_assets.tables import MONEY, Ads, conform
from weathervane_assets.transforms.rejects import REJECTS, Sorted, exact_money, known_currency, set_aside

MICROS = Decimal(1_000_000)
PURCHASE_ACTIONS = ("omni_purchase", "purchase", "offsite_conversion.fb_pixel_purchase")
"""Meta reports one purchase under several action types; the first of these that is present is taken, never their sum."""
INTEGERS = ("impressions", "clicks")
CONTRADICTED = "contradicts another row of the same ad set and day"
KEYS = ("account_id", "campaign_id", "adset_id")
NAMES = ("campaign_name", "adset_name")


def meta_rows(insights: Sequence[Insight], *, tenant_id: str, currency: str, source: str, as_of: datetime) -> Sorted:
    """Return one row per ad set and account-local day; `currency` is the account's. Unusable rows are set aside.

    So is a row whose spend has more than four decimals: no currency has. The value of its purchases, converted from their
    currencies, is rounded to four, half to even.
    """
    columns: dict[str, list[str | None]] = {
        "date": [row.date_start for row in insights],
        "account_id": [row.account_id for row in insights],
        "campaign_id": [row.campaign_id for row in insights],
        "campaign_name": [row.campaign_name for row in insights],
        "adset_id": [row.adset_id for row in insights],
        "adset_name": [row.adset_name for row in insights],
        "currency": [row.account_currency or currency for row in insights],
        "spend": [row.spend for row in insights],
        "impressions": [row.impressions for row in insights],
        "clicks": [row.clicks for row in insights],
        "conversions": [purchases(row.actions) for row in insights],
        "conversion_value": [purchases(row.action_values) for row in insights],
    }
    return _finish(_text(columns), platform="meta", tenant_id=tenant_id, source=source, as_of=as_of)


def purchases(actions: Sequence[Action] | None) -> str | None:
    """Return the purchases among a row's actions, or None where the row reports none (missing is not zero)."""
    by_type = {action.action_type: action.value for action in actions or ()}
    return next((by_type[name] for name in PURCHASE_ACTIONS if by_type.get(name) is not None), None)


def google_rows(days: Sequence[CampaignDay], *, tenant_id: str, source: str, as_of: datetime) -> Sorted:
    """Return one row per campaign and account-local day.

    A campaign-day that is reported with any number and without cost, impressions or clicks had none of those: the three
    are always selected. One without any number says nothing, and is set aside. Absent conversions stay null.
    Money is rounded to four decimals, half to even: Google counts millionths, and its conversion value is a double.
    Unusable rows are set aside.
    """
    metrics = [row.metrics for row in days]
    columns: dict[str, list[str | None]] = {
        "date": [row.segments.date for row in days],
        "account_id": [row.customer.id for row in days],
        "campaign_id": [row.campaign.id for row in days],
        "campaign_name": [row.campaign.name for row in days],
        "adset_id": [None for _ in days],
        "adset_name": [None for _ in days],
        "currency": [row.customer.currency_code for row in days],
        "spend": [_from_micros(m.cost_micros) if _is_measured(m) else None for m in metrics],
        "impressions": [(m.impressions or "0") if _is_measured(m) else None for m in metrics],
        "clicks": [(m.clicks or "0") if _is_measured(m) else None for m in metrics],
        "conversions": [_text_of(m.conversions) for m in metrics],
        "conversion_value": [_text_of(m.conversions_value) for m in metrics],
    }
    return _finish(_text(columns), platform="google", tenant_id=tenant_id, source=source, as_of=as_of)


def _is_measured(metrics: Metrics) -> bool:
    return metrics != Metrics()


def _from_micros(micros: str | None) -> str:
    return format(Decimal(micros or "0") / MICROS, ".4f")


def _text_of(number: float | None) -> str | None:
    return None if number is None else repr(number)


def _text(columns: dict[str, list[str | None]]) -> pl.DataFrame:
    return pl.DataFrame([pl.Series(name, values, dtype=pl.String) for name, values in columns.items()])


def _finish(text: pl.DataFrame, *, platform: str, tenant_id: str, source: str, as_of: datetime) -> Sorted:
    typed = text.with_columns(
        pl.col("date").str.to_date("%Y-%m-%d", strict=False),
        _not_negative(exact_money("spend")),
        pl.col("conversion_value").cast(MONEY, strict=False),
        _not_negative(pl.col(*INTEGERS).cast(pl.Int64, strict=False)),
        _not_negative(_finite("conversions")),
        known_currency(),
        *(pl.col(name).replace("", None) for name in KEYS),
        tenant_id=pl.lit(tenant_id),
        platform=pl.lit(platform),
        source=pl.lit(source),
        as_of_utc=pl.lit(as_of).dt.cast_time_unit("us"),
    )
    keys = KEYS if platform == "meta" else KEYS[:2]
    key = pl.concat_str(keys, separator="/", ignore_nulls=True)
    usable, rejects = set_aside(
        text, typed, ("date", "currency", "spend", *INTEGERS, *keys), day=pl.col("date"), key=key
    )
    once, contradictions = _once(usable, key)
    frame = conform(once.sort("date", *KEYS), Ads)
    return Sorted(frame, pl.concat([rejects.unique(maintain_order=True), contradictions]))


def _finite(column: str) -> pl.Expr:
    number = pl.col(column).cast(pl.Float64, strict=False)
    return pl.when(number.is_finite()).then(number).alias(column)


def _not_negative(number: pl.Expr) -> pl.Expr:
    """Return what can be counted or spent, else null: a row that breaks the contract would fail all of its day."""
    return pl.when(number >= 0).then(number)


def _once(rows: pl.DataFrame, key: pl.Expr) -> Sorted:
    """Return each row once: overlapping pages repeat rows, and a repeated row must not be added twice.

    One that was renamed between two pages has the name that came last. Where one ad set and day came with two sets of numbers,
    which is right cannot be known: all of them are set aside.
    """
    distinct = rows.unique(pl.exclude(NAMES), keep="last", maintain_order=True)
    is_contradicted = pl.len().over("date", *KEYS) > 1
    contradictions = distinct.filter(is_contradicted).select(
        "date", key.alias("key"), pl.lit(CONTRADICTED).alias("reason")
    )
    return Sorted(distinct.filter(~is_contradicted), contradictions.match_to_schema(REJECTS))
