"""Insight rows in Meta's shape from deliveries. Requests, paging and errors are `meta.py`."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from itertools import groupby
from typing import Any

from weathervane_resources.sandbox.ads_world import Delivery
from weathervane_resources.sandbox.call import Call
from weathervane_resources.sandbox.meta_query import LEVELS, InsightsQuery
from weathervane_resources.sandbox.order_shape import money


def merged(rows: list[Delivery], level: str, *, is_daily: bool) -> list[Delivery]:
    """Return the deliveries summed to a level, by day or over the whole range."""

    def key(row: Delivery) -> tuple[Any, ...]:
        return (row.day if is_daily else None, *(getattr(row.adset, name) for name in LEVELS[level]))

    def order(row: Delivery) -> tuple[Any, ...]:
        return tuple(part.toordinal() if isinstance(part, date) else part or 0 for part in key(row))

    groups = (list(group) for _, group in groupby(sorted(rows, key=order), key=key))
    return [_sum(group) for group in groups]


def _sum(group: list[Delivery]) -> Delivery:
    return replace(
        group[0],
        impressions=sum(row.impressions for row in group),
        clicks=sum(row.clicks for row in group),
        spend_micros=sum(row.spend_micros for row in group),
        conversions=sum(row.conversions for row in group),
        conversion_value_cents=sum(row.conversion_value_cents for row in group),
    )


def insight(call: Call, account: str, row: Delivery, query: InsightsQuery) -> dict[str, Any]:
    """Return one insight row; numbers are strings, and what did not happen is absent."""
    days = (row.day, row.day) if query.is_daily else (query.first, query.last)
    spend, adset = row.spend_micros / 1e6, row.adset
    names: dict[str, Any] = {
        "campaign_id": str(adset.campaign_id),
        "campaign_name": adset.campaign_name,
        "adset_id": str(adset.adset_id),
        "adset_name": adset.adset_name,
    }
    kept = {name: value for name, value in names.items() if name.replace("_name", "_id") in LEVELS[query.level]}
    body: dict[str, Any] = {
        "account_id": account,
        "account_name": f"Sandbox {call.tenant}",
        "account_currency": call.config.profile(call.tenant).currency,
        **kept,
        "impressions": str(row.impressions),
        "reach": str(int(row.impressions * 0.8)),
        "clicks": str(row.clicks),
        "inline_link_clicks": str(row.clicks),
        "spend": money(row.spend_micros // 10_000),
        "cpm": f"{spend / row.impressions * 1000:.6f}",
        "ctr": f"{100 * row.clicks / row.impressions:.6f}",
        "date_start": days[0].isoformat(),
        "date_stop": days[1].isoformat(),
    }
    actions = [("link_click", str(row.clicks))] if row.clicks else []
    if row.conversions:
        actions.append(("purchase", str(int(row.conversions))))
        body["action_values"] = _actions([("purchase", money(row.conversion_value_cents))], query.windows)
    if actions:
        body |= {"actions": _actions(actions, query.windows), "cpc": f"{spend / max(row.clicks, 1):.6f}"}
    return body


def _actions(pairs: list[tuple[str, str]], windows: tuple[str, ...]) -> list[dict[str, str]]:
    return [{"action_type": kind, "value": value, **dict.fromkeys(windows, value)} for kind, value in pairs]
