"""One request that a fault concerns: which vendor's it is, and how to spoil bytes on the wire. No vendor shapes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Handler

from weathervane_resources.sandbox.config import SandboxConfig

TOKEN, FILE = "token", "file"
SHOPIFY, SHOPIFY_GRAPHQL, META, KLAVIYO, OPEN_METEO = "shopify", "shopify_graphql", "meta", "klaviyo", "open_meteo"
GOOGLE, GOOGLE_STREAM = "google", "google_stream"
DATA = frozenset({SHOPIFY, SHOPIFY_GRAPHQL, META, GOOGLE, GOOGLE_STREAM, KLAVIYO, OPEN_METEO})
EVERY = DATA | {TOKEN, FILE}

_KINDS = (
    (re.compile(r"/oauth/access_token$|/oauth/token$|/token$"), TOKEN),
    (re.compile(r"/export/zip/|\.jsonl$"), FILE),
    (re.compile(r"/graphql\.json$"), SHOPIFY_GRAPHQL),
    (re.compile(r"/admin/"), SHOPIFY),
    (re.compile(r"googleAds:searchStream$"), GOOGLE_STREAM),
    (re.compile(r"googleAds:search$"), GOOGLE),
    (re.compile(r"/v\d+\.\d+/"), META),
    (re.compile(r"/api/campaigns"), KLAVIYO),
    (re.compile(r"/v1/(forecast|archive)$"), OPEN_METEO),
)


def kind_of(path: str) -> str | None:
    """Return what is asked at a path, None for what no fault touches."""
    return next((kind for pattern, kind in _KINDS if pattern.search(path)), None)


@dataclass(frozen=True)
class Hit:
    """A request chosen for a fault; `draw` decides between the fault's variants."""

    request: web.Request
    handler: Handler
    kind: str
    tenant: str
    config: SandboxConfig
    draw: int

    async def answer(self) -> web.Response:
        """Return what the vendor would have said."""
        response = await self.handler(self.request)
        if not isinstance(response, web.Response):
            msg = f"sandbox: no fault can be put on a {type(response).__name__}"
            raise TypeError(msg)
        return response


def body_of(response: web.Response) -> bytes:
    """Return the bytes of an answer."""
    return response.body if isinstance(response.body, bytes) else b""


def hang_up(request: web.Request) -> web.Response:
    """Reset the connection; the answer returned can no longer be sent."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=HTTPStatus.BAD_GATEWAY)


def write_raw(request: web.Request, response: web.Response, headers: str, body: bytes) -> web.Response:
    """Write an answer past the HTTP library, which would not let it lie, and close the connection."""
    if request.transport is not None:
        own = "".join(f"{name}: {value}\r\n" for name, value in response.headers.items() if name != "Content-Length")
        head = f"HTTP/1.1 {response.status} OK\r\n{own}{headers}\r\n"
        request.transport.write(head.encode() + body)
        request.transport.close()
    return response
