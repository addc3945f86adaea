"""The session over real HTTP, against what servers really do."""

import asyncio
import gzip
import logging
import zlib
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from aiohttp import web

from tests.resources.http.scripted import NOW, SECRET, Naps, Script, calling, json_answer, serving
from weathervane_resources.http.auth import StaticHeaders
from weathervane_resources.http.errors import (
    BadRequest,
    BodyTooLarge,
    Deferred,
    ForeignOrigin,
    Malformed,
    Throttled,
    Unavailable,
    VendorError,
)
from weathervane_resources.http.pacing import Pace
from weathervane_resources.http.retry import COME_BACK_S, RetryPolicy
from weathervane_resources.http.session import Reply, Request, VendorSession
from weathervane_resources.http.strict_json import decode

GOOD = {"orders": [{"id": 1}]}


class Page(msgspec.Struct):
    orders: list[dict[str, Any]]


def parse(reply: Reply) -> Page:
    return decode(reply.body, Page, {"vendor": "shopify", "tenant": "acme", "window": "2026-11"})


def get(script: Script, path: str = "/orders.json", naps: Naps | None = None, **options: Any) -> Page:
    async def main() -> Page:
        async with calling(script, naps=naps, **options) as session:
            return await session.read(Request("GET", f"{session.origin}{path}", window="2026-11"), parse)

    return asyncio.run(main())


def failure(script: Script, kind: type[VendorError], **options: Any) -> VendorError:
    with pytest.raises(kind) as raised:
        get(script, **options)
    assert SECRET not in str(raised.value)
    assert "acme" in str(raised.value)
    assert raised.value.__cause__ is None or isinstance(raised.value.__cause__, VendorError)
    return raised.value


def test_a_body_cut_off_without_content_length_is_read_again() -> None:
    """`Connection: close` and half a body looks whole to HTTP; 3 of 8 runs of a popular loader lost data this way."""

    async def half(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n" + b'{"orders": [{"id"'
        )
        request.transport.close()
        return web.Response()

    script = Script([half, GOOD])
    assert get(script).orders == [{"id": 1}]
    assert len(script.seen) == 2


@pytest.mark.parametrize(
    "body", [b'{"orders": null}', b'{"orders": [{"id": NaN}]}', b"{}", b"", b'{"orders":' + b"[" * 100_000]
)
def test_an_answer_of_the_wrong_shape_is_retried_and_then_raised(body: bytes) -> None:
    """A missing collection, NaN or 100,000 nested arrays: never an empty page, never a crash."""
    script = Script([body])
    failure(script, Malformed)
    assert len(script.seen) == 3


def test_a_throttle_waits_as_told_and_is_counted() -> None:
    """Shopify's float Retry-After, then the page."""
    naps = Naps()
    script = Script([json_answer({"errors": "slow"}, 429, {"Retry-After": "2.0"})] * 4 + [GOOD])

    async def main() -> tuple[int, int, float]:
        async with calling(script, naps=naps) as session:
            await session.get(f"{session.origin}/x")
            return session.requests, session.retries, session.throttled_s

    requests, retries, throttled_s = asyncio.run(main())
    assert (requests, retries) == (5, 4)
    assert all(2 <= nap <= 2.2 for nap in naps.taken)
    assert throttled_s == sum(naps.taken)


def test_a_throttle_inside_a_200_is_not_an_empty_page() -> None:
    """Shopify GraphQL."""
    throttled = {"errors": [{"message": "Throttled", "extensions": {"code": "THROTTLED"}}]}
    assert get(Script([throttled, GOOD])).orders


def test_a_throttle_that_names_no_time_keeps_all_of_its_scope_away_once_patience_is_spent() -> None:
    """Meta's code 4: five minutes of asking, one minute away, and again, each tenant of the app by itself, until the hour was over."""
    told: list[tuple[float, str]] = []

    class Shared(Pace):
        async def pause(self, wait_s: float, scope: str) -> None:
            told.append((wait_s, scope))

    async def main() -> None:
        script = Script([json_answer({"error": {"code": 4, "message": "limit"}}, 403)] * 40)
        async with calling(script, "meta_ads", policy=RetryPolicy(patience_s=60)) as session:
            session._pace = Shared(10_000, 10_000)
            await session.get(f"{session.origin}/x")

    with pytest.raises(Deferred) as raised:
        asyncio.run(main())
    assert raised.value.until - NOW == timedelta(seconds=COME_BACK_S)
    assert told == [(COME_BACK_S, "app")]


def test_a_throttle_beyond_patience_is_deferred_without_sleeping() -> None:
    """Waiting 11 hours in a run holds its slot."""
    naps = Naps()
    error = failure(Script([json_answer({}, 429, {"Retry-After": "40000"})]), Deferred, naps=naps)
    assert (naps.taken, isinstance(error.__cause__, Throttled)) == ([], True)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_server_error_is_retried(status: int) -> None:
    """5xx passes."""
    assert get(Script([web.Response(status=status), GOOD])).orders


async def _dropped(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.close()
    return web.Response()


@pytest.mark.parametrize(("away_s", "is_read"), [(60, True), (121, False)])
def test_a_vendor_that_is_away_for_a_minute_costs_waiting_and_not_the_night(away_s: int, is_read: bool) -> None:
    """The session of production, whose only wait is a clock that jumps."""
    now = NOW

    async def nap(seconds: float) -> None:
        nonlocal now
        now += timedelta(seconds=seconds)

    async def door(_request: web.Request) -> web.StreamResponse:
        is_back = now >= NOW + timedelta(seconds=away_s)
        return web.json_response({"orders": []}, status=200 if is_back else 503)

    async def main() -> int:
        async with serving(Script([door])) as script:
            session = VendorSession(
                "shopify", "acme", script.origin, StaticHeaders({}), Pace(10_000, 10_000), clock=lambda: now, sleep=nap
            )
            async with session:
                return (await session.get(f"{script.origin}/orders.json")).status

    if is_read:
        assert asyncio.run(main()) == 200
    else:
        with pytest.raises(Unavailable):
            asyncio.run(main())
    assert now - NOW <= timedelta(seconds=120)


def test_a_dropped_connection_is_retried_for_get_and_safe_post_only() -> None:
    """A POST retried blindly does its work twice."""
    assert get(Script([_dropped, GOOD])).orders

    async def post(script: Script, is_safe: bool) -> Reply:
        async with calling(script) as session:
            return await session.post(f"{session.origin}/x", json={"query": "q"}, is_safe=is_safe)

    assert asyncio.run(post(Script([_dropped, GOOD]), True)).status == 200
    for first in (_dropped, web.Response(status=502)):
        script = Script([first, GOOD])
        with pytest.raises(Unavailable):
            asyncio.run(post(script, False))
        assert len(script.seen) == 1
    assert asyncio.run(post(Script([web.Response(status=429), GOOD]), False)).status == 200


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("way", ["{}/steal?a=1", "//{host}/steal", "http://acme@{host}/steal", "https://{host}/steal"])
def test_a_redirect_to_another_host_gets_no_token(status: int, way: str) -> None:
    """Ordinary clients followed it with the shop's token in hand."""

    async def main() -> Script:
        async with serving(Script([GOOD])) as foreign:
            there = way.format(foreign.origin, host=foreign.origin.partition("//")[2])
            script = Script([web.Response(status=status, headers={"Location": there})])
            async with calling(script) as session:
                with pytest.raises(ForeignOrigin):
                    await session.get(f"{session.origin}/x")
            return foreign

    assert asyncio.run(main()).seen == []


def test_a_request_to_another_origin_is_never_sent() -> None:
    """A next link is data from outside."""

    async def main() -> Script:
        async with serving(Script([GOOD])) as foreign, calling(Script([GOOD])) as session:
            with pytest.raises(ForeignOrigin):
                await session.get(f"{foreign.origin}/x")
            with pytest.raises(ForeignOrigin):
                await session.get("not a url")
            return foreign

    assert asyncio.run(main()).seen == []


def test_a_redirect_within_the_origin_is_followed_a_few_times() -> None:
    """A shop's own redirect is fine; a circle is not; a redirected POST is an error."""
    hop = web.Response(status=301, headers={"Location": "/elsewhere.json"})
    assert get(Script([hop, GOOD])).orders
    failure(Script([hop]), BadRequest)

    async def post() -> None:
        async with calling(Script([hop])) as session:
            await session.post(f"{session.origin}/x", json={}, is_safe=True)

    with pytest.raises(BadRequest):
        asyncio.run(post())


def test_a_gzip_bomb_is_stopped_while_it_expands() -> None:
    """64 MB of zeros are 64 kB on the wire."""
    bomb = web.Response(body=gzip.compress(bytes(64 * 2**20)), headers={"Content-Encoding": "gzip"})
    failure(Script([bomb]), BodyTooLarge, max_body_bytes=2**20)
    failure(Script([b" " * 2**21]), BodyTooLarge, max_body_bytes=2**20)


def test_compressed_bodies_are_read_and_damaged_ones_refused() -> None:
    """A gzip stream that ends early must not pass for a short body."""
    body = b'{"orders": [{"id": 1}]}'

    def sent(content: bytes, encoding: str) -> web.Response:
        return web.Response(body=content, headers={"Content-Encoding": encoding})

    assert get(Script([sent(gzip.compress(body), "gzip")])).orders
    assert get(Script([sent(zlib.compress(body), "deflate")])).orders
    nested = body
    for _ in range(5):
        nested = gzip.compress(nested)
    for encoding in ("gzip", "gzip, gzip, gzip, gzip, gzip"):
        failure(Script([sent(nested, encoding)]), Malformed)
    for content, encoding in ((gzip.compress(body)[:-6], "gzip"), (b"plain", "gzip"), (body, "br"), (body, "zstd")):
        failure(Script([sent(content, encoding)]), Malformed)


def test_a_hanging_answer_ends_at_the_total_timeout() -> None:
    """A malformed chunk hung past the socket timeout."""

    async def hang(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(5)
        return web.Response()

    failure(Script([hang]), Unavailable, total_s=0.05)


def test_a_vendor_that_echoes_the_token_does_not_get_it_into_the_message(caplog: pytest.LogCaptureFixture) -> None:
    """Error texts reach logs, alerts and the UI."""
    caplog.set_level(logging.DEBUG)
    failure(Script([json_answer({"errors": f"Invalid token {SECRET}"}, 401)]), VendorError)
    failure(Script([json_answer({"errors": f"down {SECRET}"}, 503)]), Unavailable)
    assert SECRET not in caplog.text


def test_the_credential_user_agent_and_extra_headers_are_sent() -> None:
    """Vendors block unnamed agents."""
    script = Script([GOOD])
    get(script, extra_headers={"developer-token": "dev"})
    headers = script.seen[0].headers
    assert headers["User-Agent"].startswith("weathervane/")
    assert (headers["X-Shopify-Access-Token"], headers["developer-token"]) == (SECRET, "dev")


def test_a_session_outside_its_context_says_so() -> None:
    """A session belongs to the loop it was opened in."""

    async def main() -> None:
        async with calling(Script([GOOD])) as session:
            pass
        await session.get(f"{session.origin}/x")

    with pytest.raises(RuntimeError, match="async with"):
        asyncio.run(main())
