"""Shopify's GraphQL Admin API over HTTP: queries, their cost, bulk operations. Shapes are `graphql_orders.py`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp import web
from graphql import GraphQLError

from weathervane_resources.sandbox import oauth, shopify
from weathervane_resources.sandbox.call import Call, answer, open_call
from weathervane_resources.sandbox.graphql_plan import Field, picker, plan
from weathervane_resources.sandbox.limits import LIMITS, LeakyBucket
from weathervane_resources.sandbox.shopify_orders import BadOrderQuery
from weathervane_resources.sandbox.shopify_roots import MAX_PAGE, ROOTS, Refusal

MAX_COST = 1_000
BUCKET, RESTORE_PER_S = 2_000.0, 100.0


def routes() -> list[web.RouteDef]:
    """Return the routes of this vendor."""
    return [web.post("/admin/api/{version}/graphql.json", _graphql)]


async def _graphql(request: web.Request) -> web.Response:
    call, headers = open_call(request), {"X-Shopify-API-Version": request.match_info["version"]}
    if not oauth.is_valid(request, request.headers.get("X-Shopify-Access-Token", "")):
        return answer({"errors": shopify.UNAUTHORISED}, 401)
    if request.headers["X-Shopify-Access-Token"].startswith(oauth.DENIED_PREFIX):
        errors = [{"message": "Access denied for orders field.", "extensions": {"code": "ACCESS_DENIED"}}]
        return answer({"errors": errors, "data": None}, headers=headers)
    try:
        body: Any = msgspec.json.decode(await request.read())
        text, variables = body["query"], body.get("variables") or {}
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError):
        return answer({"errors": {"query": "Required parameter missing or invalid"}}, 400, headers)
    try:
        fields = plan(str(text), variables, body.get("operationName"))
    except GraphQLError as error:
        return answer({"errors": [_worded(error)]}, headers=headers)
    return answer(_run(call, fields), headers=headers)


def _worded(error: GraphQLError) -> dict[str, Any]:
    code = "undefinedField" if "Cannot query field" in error.message else "invalid"
    places = [{"line": place.line, "column": place.column} for place in error.locations or ()]
    return {"message": error.message, "locations": places, "extensions": {"code": code}}


def _run(call: Call, fields: tuple[Field, ...]) -> dict[str, Any]:
    """Return the body of an answer, charged to the shop's bucket; what was not used is given back."""
    requested, limits = sum(field.cost for field in fields), call.request.app[LIMITS]
    bucket = limits.bucket("shopify graphql", call.tenant, BUCKET, RESTORE_PER_S)
    if requested > MAX_COST:
        message = f"Query cost is {requested}, which exceeds the single query max cost limit ({MAX_COST})."
        return {"errors": [{"message": message, "extensions": {"code": "MAX_COST_EXCEEDED", "cost": requested}}]}
    if call.config.enforce_limits and not bucket.take(limits.monotonic(), requested):
        errors = [{"message": "Throttled", "extensions": {"code": "THROTTLED"}}]
        return {"errors": errors, "extensions": {"cost": _cost(bucket, requested, None)}}
    try:
        data = {field.alias: picker(field)(ROOTS[field.name](call, field)) for field in fields}
    except (Refusal, BadOrderQuery) as error:
        code = error.code if isinstance(error, Refusal) else "BAD_USER_INPUT"
        return {"errors": [{"message": str(error), "extensions": {"code": code}}], "data": None}
    actual = _actual(fields, data)
    if call.config.enforce_limits:
        bucket.give_back(requested - actual)
    return {"data": data, "extensions": {"cost": _cost(bucket, requested, actual)}}


def _cost(bucket: LeakyBucket, requested: int, actual: int | None) -> dict[str, Any]:
    available = {"maximumAvailable": BUCKET, "currentlyAvailable": round(BUCKET - bucket.level, 1)}
    status = {**available, "restoreRate": RESTORE_PER_S}
    return {"requestedQueryCost": requested, "actualQueryCost": actual, "throttleStatus": status}


def _actual(fields: tuple[Field, ...], data: Mapping[str, Any]) -> int:
    """Return what a query turned out to cost: a short page costs less than the one that was asked for."""
    total = 0
    for field in fields:
        found = data[field.alias] if field.is_connection else {}
        length = max((len(part) for part in found.values() if isinstance(part, list)), default=None)
        first = field.arguments.get("first") or MAX_PAGE
        total += field.cost if length is None else 2 + (field.cost - 2) * min(length, first) // first
    return total
