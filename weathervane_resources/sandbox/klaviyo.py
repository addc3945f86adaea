"""Klaviyo's campaigns API. Which campaigns exist is `campaigns_world`."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from weathervane_resources.sandbox import campaigns_world, oauth
from weathervane_resources.sandbox.call import Call, answer, bearer, open_call, pack, unpack
from weathervane_resources.sandbox.campaigns_world import CHANNELS, CampaignState
from weathervane_resources.sandbox.limits import LIMITS
from weathervane_resources.sandbox.order_shape import utc_text
from weathervane_resources.sandbox.replay import REPLAY

MAX_PAGE = 100
PAGE_SIZE_SINCE = "2026-04-15"
BURST_PER_S, STEADY_PER_MIN = 10, 150
_KEY_SCHEME = "klaviyo-api-key"
_CLAUSE = re.compile(r"\s*([a-z-]+)\(\s*([a-z_.]+)\s*,\s*(\[[^\]]*\]|\"[^\"]*\"|'[^']*'|[^,()]+)\s*\)\s*(?:,|$)")
_TIMES = ("created_at", "scheduled_at", "updated_at")
_COMPARE: dict[str, Callable[[datetime, datetime], bool]] = {
    "greater-than": lambda a, b: a > b,
    "greater-or-equal": lambda a, b: a >= b,
    "less-than": lambda a, b: a < b,
    "less-or-equal": lambda a, b: a <= b,
}
_SORTS = {"id": "campaign_id", "name": "name", **{name: name for name in _TIMES}}
Keep = Callable[[CampaignState], bool]


class ApiError(Exception):
    """An error as JSON:API words it."""

    def __init__(self, status: int, code: str, detail: str, source: str = "") -> None:
        super().__init__(detail)
        self.status = status
        where = {"parameter": source} if source else {"pointer": "/data/"}
        one = {"id": "sandbox", "status": status, "code": code, "title": "Invalid input.", "detail": detail}
        self.body = {"errors": [{**one, "source": where}]}


def routes() -> list[web.RouteDef]:
    """Return the routes of this vendor."""
    return [
        web.get("/api/campaigns", _campaigns),
        web.get("/api/campaigns/", _campaigns),
        web.post("/oauth/token", oauth.klaviyo_token),
    ]


async def _campaigns(request: web.Request) -> web.Response:
    call = open_call(request)
    try:
        _check_headers(call)
        headers = _limit_headers(call)
        if "Retry-After" in headers:
            detail = "Request was throttled."
            return answer(ApiError(429, "throttled", detail).body, 429, headers)
        return answer(_page(call), headers=headers)
    except ApiError as error:
        return answer(error.body, error.status)


def _check_headers(call: Call) -> None:
    scheme, _, key = call.request.headers.get("Authorization", "").partition(" ")
    token = key.strip() if scheme.lower() == _KEY_SCHEME else bearer(call.request)
    if not oauth.is_valid(call.request, token):
        detail = "Missing or invalid private key."
        raise ApiError(401, "not_authenticated", detail)
    if token.startswith(oauth.DENIED_PREFIX):
        detail = "The given API key is missing the following scopes: campaigns:read"
        raise ApiError(403, "permission_denied", detail)
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}(\.\w+)?", call.request.headers.get("revision", "")):
        detail = "The revision header is missing or invalid."
        raise ApiError(400, "invalid", detail)


def _limit_headers(call: Call) -> dict[str, str]:
    limits = call.request.app[LIMITS]
    now_s = limits.monotonic()
    burst = limits.window("klaviyo", call.tenant, BURST_PER_S, 1)
    steady = limits.window("klaviyo", call.tenant, STEADY_PER_MIN, 60)
    if call.config.enforce_limits:
        spent = [window for window in (burst, steady) if window.is_spent(now_s)]
        if spent:
            return {"Retry-After": str(max(1, round(max(window.rest_s(now_s) for window in spent))))}
    burst.charge(now_s)
    steady.charge(now_s)
    left = max(0, STEADY_PER_MIN - round(steady.used)) if call.config.enforce_limits else STEADY_PER_MIN - 1
    return {
        "RateLimit-Limit": f"{STEADY_PER_MIN}, {BURST_PER_S};w=1, {STEADY_PER_MIN};w=60",
        "RateLimit-Remaining": str(left),
        "RateLimit-Reset": str(round(steady.rest_s(now_s))),
    }


def _clauses(text: str) -> list[tuple[str, str, str]]:
    text = text.strip()
    if text.startswith("and(") and text.endswith(")"):
        text = text[4:-1]
    found, position = [], 0
    while position < len(text):
        match = _CLAUSE.match(text, position)
        if match is None:
            detail = f"Could not parse filter at: {text[position:]}"
            raise ApiError(400, "invalid", detail, "filter")
        found.append((match[1], match[2], match[3].strip()))
        position = match.end()
    return found


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text.strip("\"'").replace(" ", "+"))
    except ValueError as error:
        detail = f"Invalid datetime: {text}"
        raise ApiError(400, "invalid", detail, "filter") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _keep(operator: str, field: str, value: str) -> Keep:
    """Return the test of one clause. Raises: ApiError: the vendor has no such filter."""
    plain = [item.strip().strip("\"'") for item in value.strip("[]").split(",")]
    if field in _TIMES and operator in _COMPARE:
        compare, bound = _COMPARE[operator], _moment(value)
        return lambda c: (at := getattr(c, field)) is not None and compare(at, bound)
    if (operator, field) == ("equals", "messages.channel") and plain[0] in CHANNELS:
        return lambda c: c.channel == plain[0]
    if (operator, field) == ("equals", "archived") and value.lower() in ("true", "false"):
        return lambda c: c.archived == (value.lower() == "true")
    if field == "status" and operator in ("equals", "any"):
        return lambda c: c.status in plain
    if (operator, field) == ("any", "id"):
        return lambda c: c.campaign_id in plain
    if (operator, field) == ("contains", "name"):
        return lambda c: plain[0].lower() in c.name.lower()
    detail = f"'{operator}' is not an allowed filter on field '{field}' with {value}"
    raise ApiError(400, "invalid", detail, "filter")


def _filters(text: str) -> list[Keep]:
    clauses = _clauses(text)
    if not any(operator == "equals" and field == "messages.channel" for operator, field, _ in clauses):
        detail = "A channel filter is required to list campaigns: equals(messages.channel,'email')"
        raise ApiError(400, "invalid", detail, "filter")
    keeps = [_keep(*clause) for clause in clauses]
    if not any(field == "archived" for _, field, _ in clauses):
        keeps.append(lambda c: not c.archived)
    return keeps


def _page_size(call: Call) -> int:
    text = call.request.query.get("page[size]")
    if text is None:
        return MAX_PAGE
    if call.request.headers["revision"][:10] < PAGE_SIZE_SINCE:
        detail = "'page[size]' is not a valid parameter for this resource."
        raise ApiError(400, "invalid", detail, "page[size]")
    if not text.isdigit() or not 1 <= int(text) <= MAX_PAGE:
        detail = f"Page size must be an integer between 1 and {MAX_PAGE}."
        raise ApiError(400, "invalid", detail, "page[size]")
    return int(text)


def _page_start(call: Call) -> int:
    cursor = call.request.query.get("page[cursor]")
    state = {"at": 0} if cursor is None else unpack(cursor)
    if state is None or not isinstance(state.get("at"), int):
        detail = "Invalid cursor."
        raise ApiError(400, "invalid", detail, "page[cursor]")
    return int(state["at"])


def _page(call: Call) -> dict[str, Any]:
    keeps, size, start = _filters(call.request.query.get("filter", "")), _page_size(call), _page_start(call)
    is_replay = call.request.app[REPLAY] is not None
    states = [] if is_replay else campaigns_world.states(call.config, call.tenant, call.now)
    found = _sorted(call, [state for state in states if all(keep(state) for keep in keeps)])
    url = call.request.url
    forward = str(url.update_query({"page[cursor]": pack({"at": start + size})})) if start + size < len(found) else None
    back = str(url.update_query({"page[cursor]": pack({"at": max(0, start - size)})})) if start else None
    data = [_resource(call, state) for state in found[start : start + size]]
    return {"data": data, "links": {"self": str(url), "next": forward, "prev": back}}


def _sorted(call: Call, states: list[CampaignState]) -> list[CampaignState]:
    text = call.request.query.get("sort", "id")
    name = _SORTS.get(text.removeprefix("-"))
    if name is None:
        detail = f"'{text}' is not a valid sort."
        raise ApiError(400, "invalid", detail, "sort")
    never = datetime.min.replace(tzinfo=UTC)

    def key(state: CampaignState) -> tuple[Any, str]:
        value = getattr(state, name)
        return (never if value is None else value, state.campaign_id)

    return sorted(states, key=key, reverse=text.startswith("-"))


def _resource(call: Call, state: CampaignState) -> dict[str, Any]:
    attributes: dict[str, Any] = {
        "name": state.name,
        "status": state.status,
        "archived": state.archived,
        "created_at": utc_text(state.created_at),
        "scheduled_at": utc_text(state.scheduled_at) if state.scheduled_at else None,
        "updated_at": utc_text(state.updated_at),
        "send_time": utc_text(state.send_time) if state.send_time else None,
    }
    sparse = [name for name in call.request.query.get("fields[campaign]", "").split(",") if name]
    shown = {name: value for name, value in attributes.items() if not sparse or name in sparse}
    own = str(call.request.url.with_query(None) / state.campaign_id)
    return {"type": "campaign", "id": state.campaign_id, "attributes": shown, "links": {"self": own}}
