"""Faults between the vendors and the client: which requests are hit, and by what.

A mode is a list of faults; modes and single faults combine ("throttle+flaky", "cut_chunk"). Whether a request is hit
depends on the seed, the request itself and how often it was sent, never on what else was asked. Throttles and flaky
answers hit the same request twice in a row at most, so six attempts always get through; a hostile answer stays.

`expired` counts the requests of each access token. The count is not the vendor's clock, so nothing warns of it: a
Shopify, Google or Klaviyo client refreshes, while a Meta token that has expired cannot be exchanged any more, as with
the vendor.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from hashlib import blake2b

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from weathervane_resources.sandbox import fault_flaky as flaky
from weathervane_resources.sandbox import fault_hostile as hostile
from weathervane_resources.sandbox import fault_weather as weather
from weathervane_resources.sandbox import seeding
from weathervane_resources.sandbox.call import CONFIG, bearer, tenant_of
from weathervane_resources.sandbox.config import SandboxConfig
from weathervane_resources.sandbox.fault_hit import (
    DATA,
    EVERY,
    FILE,
    GOOGLE,
    GOOGLE_STREAM,
    KLAVIYO,
    META,
    OPEN_METEO,
    SHOPIFY,
    SHOPIFY_GRAPHQL,
    TOKEN,
    Hit,
    kind_of,
)
from weathervane_resources.sandbox.fault_throttle import throttled, token_expired
from weathervane_resources.sandbox.request_log import FAULT, SECRET_PARAMETERS

_MOST_IN_A_ROW = 2
_URL_PAGES = frozenset({SHOPIFY, META, KLAVIYO})


class UnknownFaultMode(ValueError):
    """The sandbox was asked for a fault mode that it does not have."""


@dataclass(frozen=True)
class Fault:
    """One way to spoil an answer, and for which kinds of requests."""

    spoil: Callable[[Hit], Awaitable[web.StreamResponse]]
    kinds: frozenset[str]
    lasts: bool = False

    @property
    def name(self) -> str:
        """Return the name under which the fault is asked for and logged."""
        return self.spoil.__name__


def _hostile(spoil: Callable[[Hit], Awaitable[web.StreamResponse]], kinds: frozenset[str]) -> Fault:
    return Fault(spoil, kinds, lasts=True)


MODES: dict[str, tuple[Fault, ...]] = {
    "throttle": (Fault(throttled, DATA),),
    "flaky": (
        Fault(flaky.server_error, EVERY),
        Fault(flaky.connection_reset, EVERY),
        Fault(flaky.cut_without_length, DATA | {FILE}),
        Fault(flaky.cut_with_length, DATA | {FILE}),
        Fault(flaky.cut_chunk, DATA | {FILE}),
        Fault(flaky.html_page, DATA),
        Fault(flaky.empty_body, DATA),
        Fault(flaky.transient_flag, frozenset({META})),
        Fault(flaky.error_in_stream, frozenset({OPEN_METEO})),
        Fault(flaky.error_in_graphql, frozenset({SHOPIFY_GRAPHQL})),
        Fault(flaky.error_in_batches, frozenset({GOOGLE_STREAM})),
    ),
    "expired": (Fault(flaky.lost_response, frozenset({TOKEN})),),
    "hostile": (
        _hostile(hostile.repeated_next, _URL_PAGES | {SHOPIFY_GRAPHQL, GOOGLE}),
        _hostile(hostile.foreign_next, _URL_PAGES),
        _hostile(hostile.foreign_redirect, DATA | {FILE}),
        _hostile(hostile.nan_json, DATA),
        _hostile(hostile.null_collection, DATA),
        _hostile(hostile.deep_json, DATA),
        _hostile(hostile.gzip_bomb, DATA | {FILE}),
        _hostile(hostile.duplicate_rows, DATA - {OPEN_METEO}),
        _hostile(hostile.wrong_types, DATA),
    ),
    "weather": tuple(
        _hostile(spoil, frozenset({OPEN_METEO}))
        for spoil in (
            weather.null_days,
            weather.undefined_variable,
            weather.at_sea,
            weather.swapped_coordinates,
            weather.fewer_places,
            weather.lost_day,
            weather.other_days,
        )
    ),
}
SINGLE = {fault.name: fault for faults in MODES.values() for fault in faults}
EXPIRED = "expired"


def parse_modes(text: str) -> dict[str, tuple[Fault, ...]]:
    """Return the faults asked for, by mode. Raises: UnknownFaultMode."""
    names = [name for name in re.split(r"[,+\s]+", text) if name]
    for name in names:
        if name not in MODES and name not in SINGLE:
            msg = f"sandbox: unknown fault mode {name!r}; modes: {', '.join(MODES)}; single faults: {', '.join(SINGLE)}"
            raise UnknownFaultMode(msg)
    return {name: MODES[name] if name in MODES else (SINGLE[name],) for name in names}


@dataclass
class FaultPlan:
    """What is asked for, and what was done so far."""

    modes: dict[str, tuple[Fault, ...]]
    attempts: Counter[str] = field(default_factory=Counter)
    in_a_row: Counter[str] = field(default_factory=Counter)
    uses: Counter[str] = field(default_factory=Counter)

    def pick(self, config: SandboxConfig, kind: str, key: str) -> tuple[Fault, int] | None:
        """Return the fault that hits this attempt at a request, with a number for its variant."""
        attempt = self.attempts[key]
        self.attempts[key] += 1
        for mode, faults in self.modes.items():
            concerned = [fault for fault in faults if kind in fault.kinds]
            lasts = any(fault.lasts for fault in concerned)
            where = ("fault", config.seed, config.fault_seed, mode, key, 0 if lasts else attempt)
            if not concerned or seeding.share(*where) >= config.fault_share:
                continue
            if not lasts and self.in_a_row[key] >= _MOST_IN_A_ROW:
                continue
            self.in_a_row[key] += 1
            draw = seeding.number("variant", *where)
            return concerned[draw % len(concerned)], draw // len(concerned)
        self.in_a_row[key] = 0
        return None

    def has_expired(self, config: SandboxConfig, request: web.Request, kind: str) -> bool:
        """Count a use of the request's access token, and return whether it was one too many."""
        if EXPIRED not in self.modes or kind not in DATA:
            return False
        shopify = request.headers.get("X-Shopify-Access-Token", "")
        token = shopify or bearer(request) or request.query.get("access_token", "")
        self.uses[token] += bool(token)
        return self.uses[token] > config.fault_expire_after


def fault_middleware(text: str) -> Middleware:
    """Return the middleware of the fault modes named in a text; "" passes every request through.

    Raises: UnknownFaultMode.
    """
    plan = FaultPlan(parse_modes(text))

    @web.middleware
    async def spoil(request: web.Request, handler: Handler) -> web.StreamResponse:
        kind = kind_of(request.path) if plan.modes else None
        if kind is None:
            return await handler(request)
        config = request.app[CONFIG]
        if plan.has_expired(config, request, kind):
            FAULT.set("token_expired")
            return token_expired(Hit(request, handler, kind, tenant_of(request), config, 0))
        found = plan.pick(config, kind, await _key(request))
        if found is None:
            return await handler(request)
        fault, draw = found
        FAULT.set(fault.name)
        return await fault.spoil(Hit(request, handler, kind, tenant_of(request), config, draw))

    return spoil


async def _key(request: web.Request) -> str:
    """Return what makes a request the same as one sent before: everything but where it went and who asked."""
    query = sorted((name, value) for name, value in request.query.items() if name not in SECRET_PARAMETERS)
    body = blake2b(await request.read(), digest_size=8).hexdigest()
    return repr((request.method, request.path, query, body))
