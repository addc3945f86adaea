"""A loopback server that answers from a script, a session to call it, and a loop whose clock jumps."""

import asyncio
import random
import selectors
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from aiohttp import web
from aiohttp.test_utils import TestServer

from weathervane_resources.http.auth import Auth, StaticHeaders
from weathervane_resources.http.pacing import Pace
from weathervane_resources.http.retry import RetryPolicy
from weathervane_resources.http.session import VendorSession

T = TypeVar("T")
DATA = Path(__file__).parents[3].parent / "shared" / "data"
NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
SECRET = "shpat_0123456789abcdef"
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Script:
    """Answers in order, the last one for ever; remembers what was asked."""

    answers: list[Answer | web.Response | dict[str, Any] | bytes]
    seen: list[web.Request] = field(default_factory=list)
    bodies: list[str] = field(default_factory=list)
    origin: str = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.bodies.append(await request.text())
        answer = self.answers[min(len(self.seen), len(self.answers) - 1)]
        self.seen.append(request)
        if isinstance(answer, bytes):
            return web.Response(body=answer, content_type="application/json")
        if isinstance(answer, dict):
            return web.json_response(answer)
        if isinstance(answer, web.Response):
            return web.Response(status=answer.status, body=answer.body, headers=answer.headers)
        return await answer(request)


@asynccontextmanager
async def serving(script: Script) -> AsyncIterator[Script]:
    app = web.Application(client_max_size=2**26)
    app.router.add_route("*", "/{tail:.*}", script.handle)
    async with TestServer(app) as server:
        script.origin = str(server.make_url("")).rstrip("/")
        yield script


@dataclass
class Naps:
    """A sleep that does not sleep."""

    taken: list[float] = field(default_factory=list)

    async def __call__(self, seconds: float) -> None:
        self.taken.append(seconds)


@asynccontextmanager
async def calling(
    script: Script, vendor: str = "shopify", auth: Auth | None = None, naps: Naps | None = None, **options: Any
) -> AsyncIterator[VendorSession]:
    async with serving(script):
        session = VendorSession(
            vendor,
            "acme",
            script.origin,
            auth or StaticHeaders({"X-Shopify-Access-Token": SECRET}),
            options.pop("pace", Pace(10_000, 10_000)),
            options.pop("policy", RetryPolicy(attempts=3)),
            clock=lambda: NOW,
            sleep=naps or Naps(),
            rng=random.Random(1),
            **options,
        )
        async with session:
            yield session


def json_answer(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response(body, status=status, headers=headers)


class _NoSelect(selectors.SelectSelector):
    loop: "JumpingLoop"

    def select(self, timeout: float | None = None) -> Any:
        self.loop.now += 1e-6 + max(timeout or 0.0, 0.0)
        return super().select(0)


class JumpingLoop(asyncio.SelectorEventLoop):
    """Waiting costs no wall time: the clock jumps to the next timer. For code without sockets."""

    def __init__(self) -> None:
        selector = _NoSelect()
        selector.loop = self
        self.now = 1_000.0
        super().__init__(selector)

    def time(self) -> float:
        return self.now


def run_jumping(main: Coroutine[Any, Any, T]) -> T:
    loop = JumpingLoop()
    try:
        return loop.run_until_complete(main)
    finally:
        loop.close()
