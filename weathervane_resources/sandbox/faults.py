"""The seam for faults: a middleware that may answer instead of a vendor, or spoil its answer.

The modes `throttle`, `flaky`, `expired` and `hostile` are not served yet; asking for one is refused, not ignored.
"""

from __future__ import annotations

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware


class UnknownFaultMode(ValueError):
    """The sandbox was asked for a fault mode that it does not have."""


def fault_middleware(mode: str) -> Middleware:
    """Return the middleware of a fault mode; "" passes every request through."""
    if mode:
        msg = f"sandbox fault mode {mode!r} is not available; use '' (no faults)"
        raise UnknownFaultMode(msg)

    @web.middleware
    async def pass_through(request: web.Request, handler: Handler) -> web.StreamResponse:
        return await handler(request)

    return pass_through
