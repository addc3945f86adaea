"""Reading an insights request, and the Graph API's errors. No HTTP and no rows: those are `meta.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import msgspec

LEVELS = {"account": (), "campaign": ("campaign_id",), "adset": ("campaign_id", "adset_id")}
STATUSES = frozenset({"ACTIVE", "PAUSED", "CAMPAIGN_PAUSED", "IN_PROCESS", "WITH_ISSUES", "ARCHIVED", "DELETED"})
KEPT = timedelta(days=1_127)
"""37 months, the longest they can be."""
SHOWN_UNASKED = STATUSES - {"DELETED"}
_DEAD_WINDOWS = frozenset({"7d_view", "28d_view"})
INSIGHT_FIELDS = frozenset({
    "account_id", "account_name", "account_currency", "campaign_id", "campaign_name", "adset_id", "adset_name",
    "impressions", "reach", "clicks", "inline_link_clicks", "spend", "cpc", "cpm", "ctr", "actions", "action_values",
    "date_start", "date_stop",
})  # fmt: skip


class GraphError(Exception):
    """An error as the Graph API words it."""

    def __init__(self, message: str, code: int, subcode: int | None = None, kind: str = "OAuthException") -> None:
        super().__init__(message)
        self.body = {"message": message, "type": kind, "code": code, "fbtrace_id": "AsandboxTrace0"}
        if subcode is not None:
            self.body["error_subcode"] = subcode


@dataclass(frozen=True)
class InsightsQuery:
    """What an insights request asks for, whichever way it is sent."""

    fields: frozenset[str]
    level: str
    first: date
    last: date
    is_daily: bool
    windows: tuple[str, ...]
    statuses: frozenset[str] = SHOWN_UNASKED


def parse(parameters: Mapping[str, str], today: date, allowed: frozenset[str] | None = INSIGHT_FIELDS) -> InsightsQuery:
    """Read a request; `allowed` None accepts any field and day. Raises: GraphError."""
    fields = {*asked_fields(parameters, allowed), "date_start", "date_stop"}
    windows, level = _attribution_windows(parameters), parameters.get("level", "account")
    if level not in LEVELS:
        message = f"(#100) level must be one of {', '.join(LEVELS)}."
        raise GraphError(message, 100)
    first, last = _days(parameters, today, is_limited=allowed is not None)
    is_daily, statuses = parameters.get("time_increment") == "1", _statuses(parameters, level)
    return InsightsQuery(frozenset(fields), level, first, last, is_daily, windows, statuses)


def asked_fields(parameters: Mapping[str, str], allowed: frozenset[str] | None) -> list[str]:
    """Return the fields that a request names. Raises: GraphError."""
    fields = [name for name in parameters.get("fields", "").split(",") if name]
    if not fields:
        message = "(#100) The parameter fields is required."
        raise GraphError(message, 100)
    unknown = [name for name in fields if allowed is not None and name not in allowed]
    if unknown:
        message = f"(#100) {unknown[0]} is not valid for fields param."
        raise GraphError(message, 100)
    return fields


def _days(parameters: Mapping[str, str], today: date, *, is_limited: bool) -> tuple[date, date]:
    text = parameters.get("time_range")
    if text is None:
        return today - timedelta(days=30), today - timedelta(days=1)
    try:
        asked = msgspec.json.decode(text)
        first, last = date.fromisoformat(asked["since"]), date.fromisoformat(asked["until"])
    except (msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
        message = "(#100) time_range must be a valid JSON object with since and until."
        raise GraphError(message, 100) from error
    if is_limited and first < today - KEPT:
        message = "(#3018) The start date of the time range cannot be beyond 37 months from the current date"
        raise GraphError(message, 3018)
    if last < first:
        message = "(#100) since must be before until."
        raise GraphError(message, 100)
    return first, last


def _attribution_windows(parameters: Mapping[str, str]) -> tuple[str, ...]:
    text = parameters.get("action_attribution_windows", "[]")
    try:
        windows = msgspec.json.decode(text, type=list[str])
    except msgspec.DecodeError:
        windows = text.split(",")
    dead = _DEAD_WINDOWS.intersection(windows)
    if dead:
        message = f"(#100) action_attribution_windows[0] must be one of the supported windows, not {min(dead)}."
        raise GraphError(message, 100)
    return tuple(windows)


class _Filter(msgspec.Struct):
    field: str
    operator: str
    value: list[str]


def _statuses(parameters: Mapping[str, str], level: str) -> frozenset[str]:
    """Return the statuses whose objects are shown: the vendor leaves deleted ones out unless a filter names them."""
    wanted = SHOWN_UNASKED
    try:
        filters = msgspec.json.decode(parameters.get("filtering", "[]"), type=list[_Filter])
    except msgspec.DecodeError as error:
        message = "(#100) filtering must be a JSON array of objects with field, operator and value."
        raise GraphError(message, 100) from error
    for one in filters:
        if (one.field, one.operator) != (f"{level}.effective_status", "IN") or not STATUSES.issuperset(one.value):
            message = (
                f"(#100) Filtering field {one.field} with operation {one.operator} and this value is not supported."
            )
            raise GraphError(message, 100)
        wanted = frozenset(one.value)
    return wanted
