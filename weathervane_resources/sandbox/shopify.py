"""Shopify's Admin REST API: orders, count, shop, access scopes. Which orders exist is not decided here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from math import ceil
from typing import Any
from zoneinfo import ZoneInfo

from aiohttp import web
from yarl import URL

from weathervane_resources.sandbox import oauth, seeding, shopify_orders
from weathervane_resources.sandbox.call import Call, answer, open_call, pack, unpack
from weathervane_resources.sandbox.limits import LIMITS
from weathervane_resources.sandbox.replay import REPLAY
from weathervane_resources.sandbox.shopify_orders import BadOrderQuery, OrderQuery, OrderTable

MAX_PAGE, DEFAULT_PAGE = 250, 50
BUCKET, LEAK_PER_S = 40, 2.0
ALL_ORDERS, VISIBLE_WITHOUT_SCOPE = "read_all_orders", timedelta(days=60)
_BESIDE_PAGE_INFO = frozenset({"page_info", "limit", "fields"})
DENIED = "[API] This action requires merchant approval for read_orders scope."
UNAUTHORISED = "[API] Invalid API key or access token (unrecognized login or wrong password)"


def routes() -> list[web.RouteDef]:
    """Return the routes of this vendor."""
    return [
        web.get("/admin/api/{version}/orders.json", _guarded(_orders)),
        web.get("/admin/api/{version}/orders/count.json", _guarded(_count)),
        web.get("/admin/api/{version}/shop.json", _guarded(_shop)),
        web.get("/admin/oauth/access_scopes.json", _guarded(_scopes)),
        web.post("/admin/oauth/access_token", oauth.shopify_token),
    ]


def _guarded(show: Any) -> Any:
    """Return a handler that checks token and limit, then shows; every answer carries the vendor's headers."""

    async def handler(request: web.Request) -> web.Response:
        call = open_call(request)
        if not oauth.is_valid(request, request.headers.get("X-Shopify-Access-Token", "")):
            return answer({"errors": UNAUTHORISED}, 401)
        if request.headers["X-Shopify-Access-Token"].startswith(oauth.DENIED_PREFIX):
            return answer({"errors": DENIED}, 403)
        limits = request.app[LIMITS]
        bucket = limits.bucket("shopify", call.tenant, BUCKET, LEAK_PER_S)
        fits = bucket.take(limits.monotonic()) if call.config.enforce_limits else True
        used = round(bucket.level) if call.config.enforce_limits else 1
        headers = {"X-Shopify-Shop-Api-Call-Limit": f"{used}/{BUCKET}"}
        if version := request.match_info.get("version"):
            headers["X-Shopify-API-Version"] = version
        if not fits:
            message = (
                "Exceeded 2 calls per second for api client. Reduce request rates to resume uninterrupted service."
            )
            return answer({"errors": message}, 429, {**headers, "Retry-After": "2.0"})
        try:
            response: web.Response = show(call)
        except BadOrderQuery as error:
            response = answer({"errors": error.errors}, 400)
        response.headers.update(headers)
        return response

    return handler


def _orders(call: Call) -> web.Response:
    parameters, cursor, is_backward = _page_request(call)
    query = permitted(call, shopify_orders.parse_query(parameters, zone_of(call)))
    table = order_table(call, query, None if is_backward else cursor)
    rows, start, size = shopify_orders.select(table, query), 0, _page_size(call)
    stop = start + size
    if cursor is not None:
        start = shopify_orders.position(table, query, rows, cursor)
        stop = start + size
    if is_backward:
        start, stop = max(0, start - 1 - size), start - 1
    page = rows[start:stop]
    fields = [name for name in parameters.get("fields", "").split(",") if name]
    shown = [_only(table.show(int(row)), fields) for row in page]
    response = answer({"orders": shown})
    keys = shopify_orders.keys(table, query, page)
    links = []
    if keys and start > 0:
        links.append(_link(call, parameters, size, {"before": keys[0]}, "previous"))
    if keys and stop < rows.size:
        links.append(_link(call, parameters, size, {"after": keys[-1]}, "next"))
    if links:
        response.headers["Link"] = ", ".join(links)
    return response


def _page_request(call: Call) -> tuple[dict[str, str], tuple[int, int] | None, bool]:
    """Return the filters, the cursor and its direction; filters of a later page come from its cursor."""
    sent = dict(call.request.query)
    if "page_info" not in sent:
        return sent, None, False
    for name in sent:
        if name not in _BESIDE_PAGE_INFO:
            raise BadOrderQuery({name: f"{name} cannot be passed when page_info is present."})
    state = unpack(sent["page_info"])
    if state is None or not isinstance(state.get("q"), dict):
        raise BadOrderQuery({"page_info": "Invalid value."})
    key = state.get("after") or state.get("before")
    if not isinstance(key, list):
        raise BadOrderQuery({"page_info": "Invalid value."})
    parameters = {str(name): str(value) for name, value in state["q"].items()}
    if "fields" in sent:
        parameters["fields"] = sent["fields"]
    return parameters, (int(key[0]), int(key[1])), "before" in state


def _page_size(call: Call) -> int:
    text = call.request.query.get("limit", str(DEFAULT_PAGE))
    if not text.isdigit() or int(text) < 1:
        raise BadOrderQuery({"limit": "is invalid"})
    return min(int(text), MAX_PAGE)


def permitted(call: Call, query: OrderQuery) -> OrderQuery:
    """Return the query without what the app may not see: older orders are absent then, which is no error."""
    if ALL_ORDERS in call.config.shopify_scopes:
        return query
    return replace(query, created_min=max(query.created_min, ceil((call.now - VISIBLE_WITHOUT_SCOPE).timestamp())))


def order_table(call: Call, query: OrderQuery, cursor: tuple[int, int] | None) -> OrderTable:
    """Return the orders among which those of a query are, recorded or synthetic."""
    replay = call.request.app[REPLAY]
    if replay is not None:
        return replay.orders
    return shopify_orders.synthetic_table(call, shopify_orders.days_to_read(call, query, cursor))


def _link(call: Call, parameters: dict[str, str], size: int, where: dict[str, tuple[int, int]], rel: str) -> str:
    kept = {name: value for name, value in parameters.items() if name != "limit"}
    query = {"limit": str(size), "page_info": pack({"q": kept, **where})}
    if "fields" in call.request.query:
        query["fields"] = call.request.query["fields"]
    url = URL(str(call.request.url)).with_query(query)
    return f'<{url}>; rel="{rel}"'


def _only(order: Mapping[str, Any], fields: list[str]) -> dict[str, Any]:
    return {name: order[name] for name in fields if name in order} if fields else dict(order)


def _count(call: Call) -> web.Response:
    query = permitted(call, shopify_orders.parse_query(dict(call.request.query), zone_of(call)))
    return answer({"count": int(shopify_orders.select(order_table(call, query, None), query).size)})


def zone_of(call: Call) -> ZoneInfo:
    """Return the shop's time zone."""
    return ZoneInfo(call.config.profile(call.tenant).timezone)


def _shop(call: Call) -> web.Response:
    return answer({"shop": shop_facts(call)})


def shop_facts(call: Call) -> dict[str, Any]:
    """Return what the vendor knows of a shop."""
    profile = call.config.profile(call.tenant)
    return {
        "id": seeding.number("shop id", call.tenant) % 10**10,
        "name": f"Sandbox {call.tenant}",
        "domain": f"{call.tenant}.example.com",
        "myshopify_domain": f"{call.tenant}.myshopify.com",
        "iana_timezone": profile.timezone,
        "currency": profile.currency,
        "country_code": "US",
        "plan_name": "basic",
    }


def _scopes(call: Call) -> web.Response:
    return answer({"access_scopes": [{"handle": scope} for scope in call.config.shopify_scopes]})
