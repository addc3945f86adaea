"""Meta's Marketing API: account, insights, token exchange. How much was delivered is `ads_world`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import msgspec
from aiohttp import web

from weathervane_resources.sandbox import ads_world, oauth, seeding
from weathervane_resources.sandbox.call import CONFIG, Call, answer, bearer, open_call, pack, unpack
from weathervane_resources.sandbox.limits import LIMITS
from weathervane_resources.sandbox.meta_rows import LEVELS, insight, merged
from weathervane_resources.sandbox.oauth import EXPIRED_PREFIX, TOKENS
from weathervane_resources.sandbox.replay import REPLAY

DEFAULT_PAGE = 25
CALLS_PER_HOUR = 600
_DEAD_WINDOWS = frozenset({"7d_view", "28d_view"})
_EXCHANGE_DAYS = 60


class GraphError(Exception):
    """An error as the Graph API words it."""

    def __init__(self, message: str, code: int, subcode: int | None = None, kind: str = "OAuthException") -> None:
        super().__init__(message)
        self.body = {"message": message, "type": kind, "code": code, "fbtrace_id": "AsandboxTrace0"}
        if subcode is not None:
            self.body["error_subcode"] = subcode


def routes() -> list[web.RouteDef]:
    """Return the routes of this vendor."""
    version = r"/{version:v\d+\.\d+}"
    return [
        web.get(version + r"/act_{account:\d+}", _guarded(_account)),
        web.get(version + r"/act_{account:\d+}/insights", _guarded(_insights)),
        web.get(version + "/oauth/access_token", _guarded(_exchange, is_open=True)),
    ]


def _guarded(show: Callable[[Call], Any], *, is_open: bool = False) -> Any:
    """Return a handler that checks token and limit, then shows."""

    async def handler(request: web.Request) -> web.Response:
        call = open_call(request)
        try:
            if not is_open:
                _check_token(call)
            headers = _usage(call)
            return answer(show(call), headers=headers)
        except GraphError as error:
            return answer({"error": error.body}, 400)

    return handler


def _check_token(call: Call) -> None:
    token = bearer(call.request) or call.request.query.get("access_token", "")
    if not token:
        message = "An access token is required to request this resource."
        raise GraphError(message, 190)
    if not oauth.is_valid(call.request, token):
        message = "Error validating access token: Session has expired on Friday, 18-Aug-23 10:00:00 PDT."
        raise GraphError(message, 190, 463)


def _usage(call: Call) -> dict[str, str]:
    account = call.request.match_info.get("account")
    if account is None:
        return {}
    limits = call.request.app[LIMITS]
    window = limits.window("meta", f"{call.tenant} {account}", CALLS_PER_HOUR, 3_600)
    now_s = limits.monotonic()
    if call.config.enforce_limits and window.is_spent(now_s):
        message = "(#80000) There have been too many calls from this ad-account. Wait a bit and try again."
        raise GraphError(message, 80000, 2446079)
    window.charge(now_s)
    percent = int(100 * window.used / CALLS_PER_HOUR) if call.config.enforce_limits else 1
    entry = {"type": "ads_insights", "call_count": percent, "total_cputime": percent, "total_time": percent}
    usage = {account: [{**entry, "estimated_time_to_regain_access": 0}]}
    return {"X-Business-Use-Case-Usage": msgspec.json.encode(usage).decode()}


def _fields(call: Call, allowed: frozenset[str] | None) -> list[str]:
    fields = [name for name in call.request.query.get("fields", "").split(",") if name]
    if not fields:
        message = "(#100) The parameter fields is required."
        raise GraphError(message, 100)
    unknown = [name for name in fields if allowed is not None and name not in allowed]
    if unknown:
        message = f"(#100) {unknown[0]} is not valid for fields param."
        raise GraphError(message, 100)
    return fields


def _account(call: Call) -> dict[str, Any]:
    profile, account = call.config.profile(call.tenant), call.request.match_info["account"]
    known = {
        "account_id": account,
        "id": f"act_{account}",
        "name": f"Sandbox {call.tenant}",
        "currency": profile.currency,
        "timezone_name": profile.timezone,
        "account_status": 1,
    }
    return {"id": known["id"], **{name: known[name] for name in _fields(call, frozenset(known))}}


def _exchange(call: Call) -> dict[str, Any]:
    query = call.request.query
    if query.get("grant_type") != "fb_exchange_token":
        message = "Invalid grant_type."
        raise GraphError(message, 1)
    old = query.get("fb_exchange_token", "")
    if not old or old.startswith(EXPIRED_PREFIX):
        message = "Error validating access token: Session has expired."
        raise GraphError(message, 190, 463)
    tenant = call.request.match_info.get("tenant") or call.tenant or "meta"
    expires_at = call.request.app[CONFIG].clock() + timedelta(days=_EXCHANGE_DAYS)
    token = call.request.app[TOKENS].issue_access("EAA", tenant, expires_at)
    return {"access_token": token, "token_type": "bearer", "expires_in": _EXCHANGE_DAYS * 86_400}


def _days(call: Call) -> tuple[date, date]:
    text = call.request.query.get("time_range")
    if text is None:
        return call.now.date() - timedelta(days=30), call.now.date() - timedelta(days=1)
    try:
        asked = msgspec.json.decode(text)
        first, last = date.fromisoformat(asked["since"]), date.fromisoformat(asked["until"])
    except (msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
        message = "(#100) time_range must be a valid JSON object with since and until."
        raise GraphError(message, 100) from error
    if last < first:
        message = "(#100) since must be before until."
        raise GraphError(message, 100)
    return first, last


def _insights(call: Call) -> dict[str, Any]:
    rows = _rows(call, *_days(call))
    limit = call.request.query.get("limit", str(DEFAULT_PAGE))
    if not limit.isdigit() or int(limit) < 1:
        message = "(#100) limit must be a positive integer."
        raise GraphError(message, 100)
    start, is_retold = _cursor(call)
    stop = _page_end(call.tenant, start, int(limit), is_retold=is_retold)
    page: dict[str, Any] = {"data": rows[start:stop]}
    if not rows:
        return page
    after = pack({"at": min(stop, len(rows)), "retold": stop == start})
    page["paging"] = {"cursors": {"before": pack({"at": start}), "after": after}}
    if stop < len(rows):
        page["paging"]["next"] = _next_url(call, after)
    return page


def _cursor(call: Call) -> tuple[int, bool]:
    after = call.request.query.get("after")
    state = {"at": 0} if after is None else unpack(after)
    if state is None or not isinstance(state.get("at"), int):
        message = "(#100) Invalid cursor."
        raise GraphError(message, 100)
    return int(state["at"]), bool(state.get("retold"))


def _page_end(tenant: str, start: int, limit: int, *, is_retold: bool) -> int:
    """Return where a page ends: like the vendor's, some pages are short and some empty although more follow."""
    mood = seeding.number("page", tenant, start) % 5
    if start and mood == 0 and not is_retold:
        return start
    return start + (max(1, limit // 2) if start and mood == 1 else limit)


def _next_url(call: Call, after: str) -> str:
    token = bearer(call.request) or call.request.query.get("access_token", "")
    query = {**call.request.query, "after": after, "access_token": token}
    return str(call.request.url.with_query(query))


_INSIGHT_FIELDS = frozenset({
    "account_id", "account_name", "account_currency", "campaign_id", "campaign_name", "adset_id", "adset_name",
    "impressions", "reach", "clicks", "inline_link_clicks", "spend", "cpc", "cpm", "ctr", "actions", "action_values",
    "date_start", "date_stop",
})  # fmt: skip


def _rows(call: Call, first: date, last: date) -> list[dict[str, Any]]:
    replay = call.request.app[REPLAY]
    fields = {*_fields(call, _INSIGHT_FIELDS if replay is None else None), "date_start", "date_stop"}
    windows = _attribution_windows(call)
    level = call.request.query.get("level", "account")
    if level not in LEVELS:
        message = f"(#100) level must be one of {', '.join(LEVELS)}."
        raise GraphError(message, 100)
    if replay is not None:
        rows = replay.insights_between(first, last)
    else:
        is_daily = call.request.query.get("time_increment") == "1"
        delivered = ads_world.deliveries(call.config, call.tenant, "meta", first, last, call.now)
        sums = merged(delivered, level, is_daily=is_daily)
        rows = [insight(call, row, level, (row.day, row.day) if is_daily else (first, last), windows) for row in sums]
    return [{name: value for name, value in row.items() if name in fields} for row in rows]


def _attribution_windows(call: Call) -> list[str]:
    text = call.request.query.get("action_attribution_windows", "[]")
    try:
        windows = msgspec.json.decode(text, type=list[str])
    except msgspec.DecodeError:
        windows = text.split(",")
    dead = _DEAD_WINDOWS.intersection(windows)
    if dead:
        message = f"(#100) action_attribution_windows[0] must be one of the supported windows, not {min(dead)}."
        raise GraphError(message, 100)
    return windows
