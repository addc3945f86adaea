"""A shop that counts more orders than its pages bring."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from datetime import date

import aiohttp
import pytest
from aiohttp import web

from tests.assets.conftest import Installation


@pytest.fixture
def forgetful(installation: Installation) -> Iterator[str]:
    """The sandbox behind a proxy that drops the Link header, so that every listing ends after its first page."""
    loop, started, box = asyncio.new_event_loop(), threading.Event(), {}

    async def forward(request: web.Request) -> web.Response:
        # 250 a page would hold the whole window; two a page make the loss visible
        query = {**request.query, **({"limit": "2"} if "limit" in request.query else {})}
        url = f"{installation.sandbox.url}{request.path}"
        async with aiohttp.ClientSession() as client, client.get(url, params=query, headers=_kept(request)) as reply:
            return web.Response(body=await reply.read(), status=reply.status, content_type="application/json")

    def _kept(request: web.Request) -> dict[str, str]:
        return {k: v for k, v in request.headers.items() if k.lower().startswith("x-")}

    async def serve() -> None:
        app = web.Application()
        app.router.add_get("/{path:.*}", forward)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        box["port"], box["stop"] = runner.addresses[0][1], asyncio.Event()
        started.set()
        await box["stop"].wait()
        await runner.cleanup()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    started.wait(10)
    yield f"http://127.0.0.1:{box['port']}/t/acme"
    loop.call_soon_threadsafe(box["stop"].set)
    thread.join(10)
    loop.close()


def test_one_page_where_the_count_says_more_is_an_error(
    installation: Installation, forgetful: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A popular connector read 392 of 8,000 orders, and its sync was green."""
    monkeypatch.setenv("SHOPIFY_BASE_URL", forgetful)
    monkeypatch.setenv("ACME__SHOPIFY_SHOP_DOMAIN", "acme")
    monkeypatch.setenv("ACME__SHOPIFY_ACCESS_TOKEN", "shpat_live")
    outcome = installation.backfill("acme", date(2026, 11, 3), date(2026, 11, 3), "orders")
    assert "2 orders came, but Shopify counts" in outcome.failures[0]
    assert installation.lake.version("acme", "orders") is None
