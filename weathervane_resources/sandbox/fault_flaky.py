"""Servers and networks on a bad day: what a retry cures. Hostile content is `fault_hostile.py`."""

from __future__ import annotations

from datetime import timedelta
from email.utils import format_datetime
from math import ceil

import msgspec
from aiohttp import web

from weathervane_resources.sandbox.call import answer
from weathervane_resources.sandbox.config import utc_now
from weathervane_resources.sandbox.fault_hit import (
    GOOGLE,
    GOOGLE_STREAM,
    KLAVIYO,
    META,
    Hit,
    body_of,
    hang_up,
    write_raw,
)
from weathervane_resources.sandbox.gaql import AdsError
from weathervane_resources.sandbox.klaviyo import ApiError
from weathervane_resources.sandbox.meta_query import GraphError

_HTML = (
    "<!doctype html><html><head><title>Just a moment</title></head><body><h1>We will be right back</h1></body></html>"
)
_STREAM_ERROR = b"Unexpected error while streaming data: timeoutReached"


async def server_error(hit: Hit) -> web.StreamResponse:
    """Answer 500, 502 (a proxy's page) or 503, whose Retry-After is a date except where the vendor says seconds."""
    status = (500, 502, 503)[hit.draw % 3]
    if status == 502:
        return web.Response(text="<html><body>502 Bad Gateway</body></html>", status=status, content_type="text/html")
    headers = {"Retry-After": _retry_after(hit)} if status == 503 else {}
    if hit.kind in (GOOGLE, GOOGLE_STREAM):
        name = "UNAVAILABLE" if status == 503 else "INTERNAL"
        body = AdsError(status, name, "The service failed.", {"internalError": "TRANSIENT_ERROR"}).body("v0")
        return answer([body] if hit.kind == GOOGLE_STREAM else body, status, headers)
    if hit.kind == META:
        return answer({"error": GraphError("An unknown error occurred", 2).body}, status)
    if hit.kind == KLAVIYO:
        return answer(ApiError(status, "error", "A server error occurred.").body, status, headers)
    return answer({"errors": "Internal Server Error"}, status, headers)


def _retry_after(hit: Hit) -> str:
    if hit.kind == KLAVIYO:
        return str(ceil(hit.config.fault_wait_s))
    return format_datetime(utc_now() + timedelta(seconds=hit.config.fault_wait_s), usegmt=True)


async def connection_reset(hit: Hit) -> web.StreamResponse:
    """Hang up without an answer; the vendor has done nothing."""
    return hang_up(hit.request)


async def lost_response(hit: Hit) -> web.StreamResponse:
    """Hang up after the vendor has done its work."""
    await hit.answer()
    return hang_up(hit.request)


async def cut_without_length(hit: Hit) -> web.StreamResponse:
    """Send half a body that ends with the connection: to an HTTP client it looks whole."""
    response = await hit.answer()
    return write_raw(hit.request, response, "Connection: close\r\n", _half(response))


async def cut_with_length(hit: Hit) -> web.StreamResponse:
    """Promise the whole body and send half."""
    response = await hit.answer()
    promise = f"Content-Length: {len(body_of(response))}\r\n"
    return write_raw(hit.request, response, promise, _half(response))


async def cut_chunk(hit: Hit) -> web.StreamResponse:
    """Send half a body as a chunk and never the last one."""
    response = await hit.answer()
    half = _half(response)
    return write_raw(hit.request, response, "Transfer-Encoding: chunked\r\n", b"%x\r\n%b\r\n" % (len(half), half))


def _half(response: web.Response) -> bytes:
    body = body_of(response)
    return body[: len(body) // 2]


async def html_page(_hit: Hit) -> web.StreamResponse:
    """Answer a web page with HTTP 200."""
    return web.Response(text=_HTML, content_type="text/html")


async def empty_body(_hit: Hit) -> web.StreamResponse:
    """Answer nothing with HTTP 200."""
    return web.Response(content_type="application/json")


async def transient_flag(hit: Hit) -> web.StreamResponse:
    """Answer Meta's error that says of itself that it will pass."""
    body = GraphError("Service temporarily unavailable", 2, 1504043).body
    return answer({"error": {**body, "is_transient": True}}, (400, 500)[hit.draw % 2])


async def error_in_stream(hit: Hit) -> web.StreamResponse:
    """Break off Open-Meteo's JSON with its error text, HTTP 200."""
    response = await hit.answer()
    response.body = _half(response) + _STREAM_ERROR
    return response


async def error_in_graphql(hit: Hit) -> web.StreamResponse:
    """Answer a GraphQL error with HTTP 200, with its code or without."""
    coded = {"extensions": {"code": "INTERNAL_SERVER_ERROR", "requestId": "sandbox-request"}}
    message = "Internal error. Looks like something went wrong on our end."
    return answer({"errors": [{"message": message, **(coded if hit.draw % 2 else {})}]})


async def error_in_batches(hit: Hit) -> web.StreamResponse:
    """End Google's array of batches with an error, HTTP 200."""
    response = await hit.answer()
    if response.status == 200:
        error = AdsError(500, "INTERNAL", "Internal error encountered.", {"internalError": "INTERNAL_ERROR"})
        batches = msgspec.json.decode(body_of(response))
        response.body = msgspec.json.encode([*batches, error.body(hit.request.match_info["version"])])
    return response
