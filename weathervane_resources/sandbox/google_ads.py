"""The Google Ads REST API: search and searchStream. Queries are `gaql`, delivery is `ads_world`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import msgspec
from aiohttp import web

from weathervane_resources.sandbox import ads_world, oauth
from weathervane_resources.sandbox.ads_world import Delivery
from weathervane_resources.sandbox.call import Call, answer, bearer, open_call, pack, unpack
from weathervane_resources.sandbox.gaql import METRICS, AdsError, Query, parse
from weathervane_resources.sandbox.replay import REPLAY

LAST_RETIRED_VERSION = 21  # sunset 2026-08-05
_BATCH_ROWS = 1_000


def routes() -> list[web.RouteDef]:
    """Return the routes of this vendor."""
    customer = r"/{version:v\d+}/customers/{customer:\d+}/googleAds:"
    return [
        web.post(customer + "search", _guarded(_search)),
        web.post(customer + "searchStream", _guarded(_stream, is_stream=True)),
        web.post("/token", oauth.google_token),
    ]


def _guarded(show: Callable[[Call, dict[str, Any]], Any], *, is_stream: bool = False) -> Any:
    """Return a handler that checks the credentials, then shows; a stream sends its errors inside an array."""

    async def handler(request: web.Request) -> web.Response:
        call = open_call(request)
        headers = {"request-id": "sandbox-request"}
        try:
            _check_credentials(call)
            return answer(show(call, _body(await request.read())), headers=headers)
        except AdsError as error:
            body = error.body(request.match_info["version"])
            return answer([body] if is_stream else body, error.status, headers)

    return handler


def _check_credentials(call: Call) -> None:
    if not oauth.is_valid(call.request, bearer(call.request)):
        message = "Request had invalid authentication credentials. Expected OAuth 2 access token."
        raise AdsError(401, "UNAUTHENTICATED", message, {"authenticationError": "OAUTH_TOKEN_EXPIRED"})
    if bearer(call.request).startswith(oauth.DENIED_PREFIX):
        message = "User doesn't have permission to access customer."
        raise AdsError(403, "PERMISSION_DENIED", message, {"authorizationError": "USER_PERMISSION_DENIED"})
    if int(call.request.match_info["version"][1:]) <= LAST_RETIRED_VERSION:
        message = "Version is deprecated. Requests to this version will be blocked."
        raise AdsError(400, "INVALID_ARGUMENT", message, {"requestError": "UNSUPPORTED_VERSION"})
    if not call.request.headers.get("developer-token"):
        message = "The developer token is missing."
        raise AdsError(400, "INVALID_ARGUMENT", message, {"requestError": "REQUIRED_HEADER_MISSING"})


def _body(raw: bytes) -> dict[str, Any]:
    try:
        body: Any = msgspec.json.decode(raw)
    except msgspec.DecodeError:
        body = None
    if not isinstance(body, dict) or not isinstance(body.get("query"), str):
        raise AdsError(400, "INVALID_ARGUMENT", "The request has no query.", {"queryError": "QUERY_NOT_ALLOWED"})
    if "pageSize" in body:
        message = "Setting the page size is not supported."
        raise AdsError(400, "INVALID_ARGUMENT", message, {"requestError": "PAGE_SIZE_NOT_SUPPORTED"})
    return body


def _search(call: Call, body: dict[str, Any]) -> dict[str, Any]:
    query = parse(body["query"])
    rows, start = _rows(call, query), _page_start(body)
    stop = start + call.config.google_page_size
    page: dict[str, Any] = {"fieldMask": _mask(query), "queryResourceConsumption": "1024"}
    if rows:
        page = {"results": rows[start:stop], **page}
    if stop < len(rows):
        page["nextPageToken"] = pack({"at": stop, "query": body["query"]})
    return page


def _page_start(body: dict[str, Any]) -> int:
    token = body.get("pageToken")
    if not token:
        return 0
    state = unpack(str(token))
    if state is None or state.get("query") != body["query"] or not isinstance(state.get("at"), int):
        message = "The page token is invalid or belongs to another query."
        raise AdsError(400, "INVALID_ARGUMENT", message, {"requestError": "INVALID_PAGE_TOKEN"})
    return int(state["at"])


def _stream(call: Call, body: dict[str, Any]) -> list[dict[str, Any]]:
    query = parse(body["query"])
    rows = _rows(call, query)
    starts = range(0, max(len(rows), 1), _BATCH_ROWS)
    mask, request_id = _mask(query), "sandbox-request"
    return [
        {"results": rows[at : at + _BATCH_ROWS], "fieldMask": mask, "requestId": request_id}
        if rows
        else {"fieldMask": mask, "requestId": request_id}
        for at in starts
    ]


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(part.capitalize() for part in others)


def _mask(query: Query) -> str:
    return ",".join(".".join(_camel(part) for part in field.split(".")) for field in query.fields)


def _rows(call: Call, query: Query) -> list[dict[str, Any]]:
    if call.request.app[REPLAY] is not None:
        return []
    is_measured = "segments.date" in query.fields or not METRICS.isdisjoint(query.fields)
    rows = _measured_rows(call, query) if is_measured else _plain_rows(call, query)
    return rows[: query.limit] if query.limit is not None else rows


def _plain_rows(call: Call, query: Query) -> list[dict[str, Any]]:
    """Return rows of a query without metrics or dates: one a campaign, or one for the customer."""
    adsets = ads_world.adsets(call.config.seed, call.tenant, "google_ads")
    blanks = [Delivery(date.min, adset, 0, 0, 0, 0.0, 0) for adset in adsets]
    return [_row(call, query, [blank]) for blank in (blanks if query.source == "campaign" else blanks[:1])]


def _measured_rows(call: Call, query: Query) -> list[dict[str, Any]]:
    today = call.now.date()
    first, last = query.days or (today.replace(day=1), today)
    groups: dict[tuple[Any, ...], list[Delivery]] = {}
    for row in ads_world.deliveries(call.config, call.tenant, "google_ads", first, last, call.now):
        day = row.day if "segments.date" in query.fields else None
        campaign = row.adset.campaign_id if query.source == "campaign" else None
        groups.setdefault((day, campaign), []).append(row)
    return [_row(call, query, group) for group in groups.values()]


def _row(call: Call, query: Query, group: list[Delivery]) -> dict[str, Any]:
    """Return one result with the selected fields; an absent optional is left out."""
    known = _values(call, group)
    customer = call.request.match_info["customer"]
    resource = f"customers/{customer}"
    body: dict[str, Any] = {}
    if query.source == "campaign":
        body["campaign"] = {"resourceName": f"{resource}/campaigns/{group[0].adset.campaign_id}"}
    if query.source == "customer" or any(field.startswith("customer.") for field in query.fields):
        body["customer"] = {"resourceName": resource}
    for field in query.fields:
        owner, _, name = field.partition(".")
        value = known.get(field)
        if value is not None:
            body.setdefault(owner, {})[_camel(name)] = value
    return body


def _values(call: Call, group: list[Delivery]) -> dict[str, Any]:
    profile, adset = call.config.profile(call.tenant), group[0].adset
    tracked = [row for row in group if row.adset.tracks_conversions]
    return {
        "campaign.id": str(adset.campaign_id),
        "campaign.name": adset.campaign_name,
        "campaign.status": "ENABLED",
        "customer.id": call.request.match_info["customer"],
        "customer.currency_code": profile.currency,
        "customer.time_zone": profile.timezone,
        "customer.descriptive_name": f"Sandbox {call.tenant}",
        "segments.date": group[0].day.isoformat(),
        "metrics.cost_micros": str(sum(row.spend_micros for row in group)),
        "metrics.impressions": str(sum(row.impressions for row in group)),
        "metrics.clicks": str(sum(row.clicks for row in group)),
        "metrics.conversions": sum(row.conversions for row in tracked) if tracked else None,
        "metrics.conversions_value": sum(row.conversion_value_cents for row in tracked) / 100 if tracked else None,
    }
