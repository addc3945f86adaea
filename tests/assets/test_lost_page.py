"""A shop that counts more orders than its pages bring."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import aiohttp
import pytest
from aiohttp import web

from tests.assets.conftest import TENANTS, Installation
from tests.serving import serving


@pytest.fixture
def forgetful(installation: Installation) -> Iterator[str]:
    """The sandbox behind a proxy that drops the Link header, so that every listing ends after its first page."""

    async def forward(request: web.Request) -> web.Response:
        # 250 a page would hold the whole window; two a page make the loss visible
        query = {**request.query, **({"limit": "2"} if "limit" in request.query else {})}
        url = f"{installation.sandbox.url}{request.path}"
        async with aiohttp.ClientSession() as client, client.get(url, params=query, headers=_kept(request)) as reply:
            return web.Response(body=await reply.read(), status=reply.status, content_type="application/json")

    def _kept(request: web.Request) -> dict[str, str]:
        return {k: v for k, v in request.headers.items() if k.lower().startswith("x-")}

    app = web.Application()
    app.router.add_get("/{path:.*}", forward)
    with serving(app) as url:
        yield f"{url}/t/acme"


def test_one_page_where_the_count_says_more_is_an_error(
    installation: Installation, forgetful: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A popular connector read 392 of 8,000 orders, and its sync was green."""
    by_rest = TENANTS.replace('currency = "USD"', 'currency = "USD"\nshopify_protocol = "rest"')
    (installation.folder / "tenants.toml").write_text(by_rest)
    monkeypatch.setenv("SHOPIFY_BASE_URL", forgetful)
    monkeypatch.setenv("ACME__SHOPIFY_SHOP_DOMAIN", "acme")
    monkeypatch.setenv("ACME__SHOPIFY_ACCESS_TOKEN", "shpat_live")
    outcome = installation.backfill("acme", date(2026, 11, 3), date(2026, 11, 3), "orders")
    assert "2 orders came, but Shopify counts" in outcome.failures[0]
    assert installation.lake.version("acme", "orders") is None
