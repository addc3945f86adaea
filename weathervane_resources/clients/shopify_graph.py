"""One GraphQL question to Shopify.

Facts (shopify.dev, read 2026-11): a query is charged what it may cost at most before it runs, and what was not used is
given back; the bucket refills at 100 points a second (Standard) to 2000. The session reads `extensions.cost` of every
answer and holds back the next question; a throttle is HTTP 200, and waited for: (requested - available) / restore rate.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from weathervane_resources.http.session import Reply, Request, VendorSession

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Graph:
    """A shop's GraphQL endpoint. A question is only ever a read, or starts one, so it may be sent twice."""

    session: VendorSession
    url: str

    async def ask(
        self, document: str, variables: Mapping[str, Any], parse: Callable[[Reply], T], window: str = ""
    ) -> T:
        """Return `parse` of the answer."""
        body = {"query": document, "variables": dict(variables)}
        return await self.session.read(Request("POST", self.url, json=body, window=window, is_safe=True), parse)
