"""The application: routes of all vendors, with and without a tenant prefix, behind log, latency and faults."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from weathervane_resources.sandbox import (
    admin,
    geonames,
    google_ads,
    klaviyo,
    meta,
    open_meteo,
    replay,
    request_log,
    shopify,
    shopify_bulk,
    shopify_graphql,
)
from weathervane_resources.sandbox.call import CONFIG, answer, tenant_of
from weathervane_resources.sandbox.config import SandboxConfig
from weathervane_resources.sandbox.fault_pages import LAST_ROWS
from weathervane_resources.sandbox.faults import fault_middleware
from weathervane_resources.sandbox.limits import LIMITS, Limits
from weathervane_resources.sandbox.meta_jobs import JOBS, Jobs
from weathervane_resources.sandbox.oauth import TOKENS, TokenRegistry
from weathervane_resources.sandbox.replay import REPLAY
from weathervane_resources.sandbox.request_log import LOG, RequestLog
from weathervane_resources.sandbox.shopify_bulk import OPERATIONS, Operations

TENANT_PREFIX = "/t/{tenant:[A-Za-z0-9][A-Za-z0-9_-]*}"
_VENDORS = (shopify, shopify_graphql, shopify_bulk, meta, google_ads, klaviyo, open_meteo, geonames)
_MAX_BODY_BYTES = 4 * 2**20


def create_app(config: SandboxConfig) -> web.Application:
    """Return the sandbox as an aiohttp application.

    Raises:
        UnknownFaultMode: the configured fault mode does not exist.
        FileNotFoundError: the replay folder does not exist.
    """
    middlewares = [_logged, _delayed(config.latency_s), fault_middleware(config.faults)]
    app = web.Application(middlewares=middlewares, client_max_size=_MAX_BODY_BYTES)
    app[CONFIG] = config
    app[LOG] = RequestLog()
    app[TOKENS] = TokenRegistry()
    app[LAST_ROWS] = {}
    app[LIMITS] = Limits(time.monotonic)
    app[REPLAY] = replay.load(config.replay_dir) if config.replay_dir is not None else None
    app[JOBS] = Jobs()
    app[OPERATIONS] = Operations()
    app.add_routes([web.get("/healthz", _health), *admin.routes()])
    for vendor in _VENDORS:
        app.add_routes(_with_prefix(vendor.routes()))
    return app


def _with_prefix(routes: Iterable[web.RouteDef]) -> list[web.RouteDef]:
    """Return each route twice: as it is, and below a tenant."""
    plain = list(routes)
    return plain + [web.RouteDef(r.method, TENANT_PREFIX + r.path, r.handler, dict(r.kwargs)) for r in plain]


async def _health(_request: web.Request) -> web.Response:
    return answer({"status": "ok"})


@web.middleware
async def _logged(request: web.Request, handler: Handler) -> web.StreamResponse:
    started_s, status = time.monotonic(), 500
    request_log.FAULT.set("")
    try:
        response = await handler(request)
        status = response.status
    except web.HTTPException as refusal:
        status = refusal.status
        raise
    finally:
        request_log.record(request, tenant_of(request), status, started_s)
    return response


def _delayed(latency_s: float) -> Middleware:
    @web.middleware
    async def delay(request: web.Request, handler: Handler) -> web.StreamResponse:
        if latency_s > 0:
            await asyncio.sleep(latency_s)
        return await handler(request)

    return delay
