"""Meta's Marketing API: account, insights at once and as jobs, token exchange. How much was delivered is `ads_world`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from inspect import isawaitable
from typing import Any

import msgspec
from aiohttp import web

from weathervane_resources.sandbox import ads_world, oauth, seeding
from weathervane_resources.sandbox.call import CONFIG, Call, answer, bearer, open_call, pack, unpack
from weathervane_resources.sandbox.limits import LIMITS
from weathervane_resources.sandbox.meta_jobs import JOBS, Job
from weathervane_resources.sandbox.meta_query import INSIGHT_FIELDS, GraphError, InsightsQuery, asked_fields, parse
from weathervane_resources.sandbox.meta_rows import insight, merged
from weathervane_resources.sandbox.oauth import DENIED_PREFIX, EXPIRED_PREFIX, TOKENS
from weathervane_resources.sandbox.replay import REPLAY

DEFAULT_PAGE = 25
CALLS_PER_HOUR = 600
TOO_MANY_ROWS = 1487534
_EXCHANGE_DAYS = 60


def routes() -> list[web.RouteDef]:
    """Return the routes of this vendor."""
    version = r"/{version:v\d+\.\d+}"
    return [
        web.get(version + r"/act_{account:\d+}", _guarded(_account)),
        web.get(version + r"/act_{account:\d+}/insights", _guarded(_insights)),
        web.post(version + r"/act_{account:\d+}/insights", _guarded(_start_job)),
        web.get(version + r"/{run:\d+}", _guarded(_job_status)),
        web.get(version + r"/{run:\d+}/insights", _guarded(_job_insights)),
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
            shown = show(call)
            return answer(await shown if isawaitable(shown) else shown, headers=headers)
        except GraphError as error:
            return answer({"error": error.body}, 400)

    return handler


def _check_token(call: Call) -> None:
    token = _token(call)
    if not token:
        message = "An access token is required to request this resource."
        raise GraphError(message, 190)
    if not oauth.is_valid(call.request, token):
        message = "Error validating access token: Session has expired on Friday, 18-Aug-23 10:00:00 PDT."
        raise GraphError(message, 190, 463)
    if token.startswith(DENIED_PREFIX):
        message = "(#200) Ad account owner has NOT grant ads_management or ads_read permission"
        raise GraphError(message, 200)


def _token(call: Call) -> str:
    return bearer(call.request) or call.request.query.get("access_token", "")


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
    return {"id": known["id"], **{name: known[name] for name in asked_fields(call.request.query, frozenset(known))}}


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


def _query(call: Call, parameters: Mapping[str, str]) -> InsightsQuery:
    allowed = INSIGHT_FIELDS if call.request.app[REPLAY] is None else None
    return parse(parameters, call.now.date(), allowed)


def _insights(call: Call) -> dict[str, Any]:
    rows = _rows(call, call.request.match_info["account"], _query(call, call.request.query))
    if 0 < call.config.meta_max_rows < len(rows):
        message = "Please reduce the amount of data you're asking for, then retry your request"
        raise GraphError(message, 100, TOO_MANY_ROWS)
    return _page(call, rows)


async def _start_job(call: Call) -> dict[str, Any]:
    """Answer `POST .../insights`: the report is made at leisure; parameters come in the query or the body."""
    query = _query(call, {**call.request.query, **await oauth.form_of(call.request)})
    jobs = call.request.app[JOBS]
    job = jobs.start(call.tenant, _token(call), call.request.match_info["account"], query, call.now)
    job.fails = job.number <= call.config.meta_failing_jobs
    return {"report_run_id": job.run_id}


def _job(call: Call) -> Job:
    named = call.request.match_info
    job = call.request.app[JOBS].find(named.get("tenant"), _token(call), named["run"])
    if job is None:
        message = "Unsupported get request. Object does not exist or cannot be loaded due to missing permissions."
        raise GraphError(message, 100, 33, "GraphMethodException")
    return job


def _job_status(call: Call) -> dict[str, Any]:
    return call.request.app[JOBS].look(_job(call))


def _job_insights(call: Call) -> dict[str, Any]:
    job = _job(call)
    if not job.is_complete:
        message = "(#2637) The report is not ready yet."
        raise GraphError(message, 2637, 1815107)
    then = replace(call, tenant=job.tenant, now=job.created_at)
    return _page(then, _rows(then, job.account, job.query))


def _page(call: Call, rows: list[dict[str, Any]]) -> dict[str, Any]:
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
    query = {**call.request.query, "after": after, "access_token": _token(call)}
    return str(call.request.url.with_query(query))


def _rows(call: Call, account: str, query: InsightsQuery) -> list[dict[str, Any]]:
    replay = call.request.app[REPLAY]
    if replay is not None:
        rows = replay.insights_between(query.first, query.last)
    else:
        delivered = ads_world.deliveries(call.config, call.tenant, "meta", query.first, query.last, call.now)
        if query.level == "adset":
            delivered = [row for row in delivered if _status(call, row) in query.statuses]
        sums = merged(delivered, query.level, is_daily=query.is_daily)
        rows = [insight(call, account, row, query) for row in sums]
    return [{name: value for name, value in row.items() if name in query.fields} for row in rows]


def _status(call: Call, row: ads_world.Delivery) -> str:
    is_deleted = call.config.late_events.deleted_at(call.tenant, row.adset.adset_id, call.now) is not None
    return "DELETED" if is_deleted else "ACTIVE"
