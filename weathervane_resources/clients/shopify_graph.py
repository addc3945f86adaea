"""One GraphQL question to Shopify, paced by what it costs.

Facts (shopify.dev, read 2026-11): a query is charged what it may cost at most before it runs, and what was not used is
given back; the bucket refills at 100 points a second (Standard) to 2000; `extensions.cost` tells all of it with every
answer. A throttle is HTTP 200 and is waited for by the session: (requested - available) / restore rate.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from weathervane_resources.http.session import Reply, Request, VendorSession

T = TypeVar("T")


class _Bucket(msgspec.Struct, rename="camel"):
    currently_available: float
    restore_rate: float


class _Cost(msgspec.Struct, rename="camel"):
    requested_query_cost: float
    throttle_status: _Bucket


class _Extensions(msgspec.Struct):
    cost: _Cost | None = None


class _Envelope(msgspec.Struct):
    extensions: _Extensions | None = None


@dataclass(slots=True)
class Graph:
    """A shop's GraphQL endpoint. A question is only ever a read, so it may be sent twice."""

    session: VendorSession
    url: str
    sleep: Callable[[float], Awaitable[object]]
    _costs: dict[str, float] = field(default_factory=dict, init=False)
    _bucket: _Bucket | None = field(default=None, init=False)

    async def ask(
        self, document: str, variables: Mapping[str, Any], parse: Callable[[Reply], T], window: str = ""
    ) -> T:
        """Return `parse` of the answer; first wait until the bucket holds what this document cost the last time."""
        missing = self._costs.get(document, 0.0) - (self._bucket.currently_available if self._bucket else 0.0)
        if self._bucket is not None and missing > 0 and self._bucket.restore_rate > 0:
            await self.sleep(missing / self._bucket.restore_rate)

        def read(reply: Reply) -> T:
            parsed = parse(reply)
            self._heed(document, reply.body)
            return parsed

        body = {"query": document, "variables": dict(variables)}
        return await self.session.read(Request("POST", self.url, json=body, window=window, is_safe=True), read)

    def _heed(self, document: str, body: bytes) -> None:
        """Remember the cost; an answer without one, or with one that cannot be read, only means no pacing."""
        try:
            extensions = msgspec.json.decode(body, type=_Envelope).extensions
        except msgspec.MsgspecError:
            extensions = None
        cost = extensions.cost if extensions else None
        self._bucket = cost.throttle_status if cost else None
        if cost:
            self._costs[document] = cost.requested_query_cost
