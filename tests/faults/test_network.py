"""A bad network between a session and a vendor: a part is never taken for the whole, and every wait ends."""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import time
from typing import Any

import pytest
from aiohttp import web
from yarl import URL

from tests.faults.tcp_proxy import Fault, between
from tests.resources.http.scripted import NOW, Naps, Script, serving
from weathervane_resources.clients.shopify_rest import _PAGE
from weathervane_resources.http.auth import StaticHeaders
from weathervane_resources.http.errors import Unavailable, VendorError
from weathervane_resources.http.pacing import Pace
from weathervane_resources.http.retry import RetryPolicy
from weathervane_resources.http.session import Reply, Request, VendorSession

WHERE = {"vendor": "shopify", "tenant": "acme", "window": "w"}
AT = "2026-11-01T08:00:00Z"
NOISE = random.Random(1)
ROWS = [{"id": n, "name": NOISE.randbytes(40).hex(), "created_at": AT, "updated_at": AT} for n in range(40)]
BODY = json.dumps({"orders": ROWS}).encode()
SMALLEST = gzip.compress(BODY)
FRAMINGS = ("length", "close", "chunked", "gzip")
CEILING_S = 0.4
"""The total time of one request here, which is 60 s and more in production."""


async def framed(request: web.Request) -> web.StreamResponse:
    """The same page in one of four framings, on a connection of its own."""
    framing = request.path.rpartition("/")[2]
    headers = {"Connection": "close", "Content-Type": "application/json"}
    if framing == "length":
        return web.Response(body=BODY, headers=headers)
    if framing == "gzip":
        return web.Response(body=SMALLEST, headers={**headers, "Content-Encoding": "gzip"})
    answer = web.StreamResponse(headers=headers)
    if framing == "chunked":
        answer.enable_chunked_encoding()
    else:
        answer.force_close()
    await answer.prepare(request)
    for start in range(0, len(BODY), 500):
        await answer.write(BODY[start : start + 500])
    await answer.write_eof()
    return answer


def read(fault: Fault, framing: str, attempts: int = 3) -> tuple[list[int], int, float]:
    """Return the ids read through the proxy, the connections hurt, and the seconds it took."""

    def parse(reply: Reply) -> list[int]:
        _, rows, bad = _PAGE.decode(reply.body, WHERE)
        assert not bad
        return [row.id for row in rows]

    async def main() -> Any:
        began = time.monotonic()
        async with serving(Script([framed])) as script, between(fault, URL(script.origin).port or 0) as proxy:
            session = VendorSession(
                "shopify", "acme", proxy.url, StaticHeaders({}), Pace(10_000, 10_000), RetryPolicy(attempts=attempts),
                clock=lambda: NOW, sleep=Naps(), rng=random.Random(1), total_s=CEILING_S,
            )  # fmt: skip
            async with session:
                try:
                    ids = await session.read(Request("GET", f"{proxy.url}/{framing}", window="w"), parse)
                finally:
                    took = time.monotonic() - began
            return ids, proxy.hurt, took

    return asyncio.run(main())


def offsets(many: int) -> list[int]:
    """Byte offsets of all classes: before the status, in status, headers, and body up to its last byte."""
    return sorted({0, 1, 9, 17, 60, 150, *(int(220 + n * len(SMALLEST) / many) for n in range(many))})


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("kind", ["reset", "end"])
@pytest.mark.parametrize("many", [6, pytest.param(60, marks=pytest.mark.faults)])
def test_an_answer_cut_anywhere_is_read_again_whole(kind: str, framing: str, many: int) -> None:
    """A body cut off without Content-Length looks complete to an HTTP client: 3 of 8 runs of a loader lost rows."""
    for at in offsets(many):
        ids, hurt, _ = read(Fault(kind, at), framing)
        assert (ids, hurt) == (list(range(40)), 1), f"{kind} after {at} bytes"


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("kind", ["reset", "end"])
def test_an_answer_that_is_always_cut_is_an_error_and_no_page(kind: str, framing: str) -> None:
    """Half a page is not a small page."""
    with pytest.raises(VendorError):
        read(Fault(kind, 300, times=99), framing)


@pytest.mark.parametrize(
    "framing", [*FRAMINGS[:2], *(pytest.param(one, marks=pytest.mark.faults) for one in FRAMINGS[2:])]
)
@pytest.mark.parametrize(
    ("kind", "at"), [("stall", 0), ("stall", 40), ("stall", 400), ("trickle", 0), ("trickle", 400)]
)
def test_a_half_open_or_trickling_connection_ends_at_the_ceiling(kind: str, at: int, framing: str) -> None:
    """One byte every few seconds keeps every time-out between reads content, for ever."""
    began = time.monotonic()
    with pytest.raises(Unavailable):
        read(Fault(kind, at, times=99), framing, attempts=1)
    assert time.monotonic() - began < CEILING_S + 3


def test_a_connection_that_stalls_once_is_tried_again() -> None:
    """A connection is given up, not the run."""
    ids, hurt, _ = read(Fault("stall", 300), "length")
    assert (ids, hurt) == (list(range(40)), 1)


@pytest.mark.parametrize("url", ["http://no-such-host.invalid", "http://127.0.0.1:1", "https://127.0.0.1:{port}"])
def test_a_name_port_or_certificate_that_is_not_there_is_unavailable(url: str) -> None:
    """DNS, refusal and TLS each raise something else in the HTTP client."""

    async def main() -> None:
        async with serving(Script([framed])) as script:
            origin = url.format(port=URL(script.origin).port)
            session = VendorSession(
                "shopify",
                "acme",
                origin,
                StaticHeaders({}),
                Pace(10_000, 10_000),
                RetryPolicy(attempts=2),
                sleep=Naps(),
            )
            async with session:
                await session.read(Request("GET", f"{origin}/length", window="w"), lambda reply: reply.body)

    with pytest.raises(Unavailable):
        asyncio.run(main())
