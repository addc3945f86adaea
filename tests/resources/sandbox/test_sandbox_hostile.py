"""Hostile answers: each is what it says, and stays for as long as the request is repeated."""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import Callable
from typing import Any

import aiohttp
import msgspec
import pytest

from weathervane_resources.sandbox import RunningSandbox
from weathervane_resources.sandbox.fault_hostile import BOMB_MIB, DEPTH

Make = Callable[..., RunningSandbox]
Ask = Get = Callable[..., Any]
ROWS = {"shopify": "orders", "meta": "data", "google": "results", "klaviyo": "data"}
GRAPHQL = """query($after: String) { orders(first: 5, after: $after) {
  pageInfo { hasNextPage endCursor } nodes { id } } }"""
SHOP = {"X-Shopify-Access-Token": "any"}


def _next_link(answer: Any) -> str:
    found = re.search(r'<([^>]+)>; rel="next"', answer.headers["Link"])
    assert found
    return found.group(1)


def test_a_page_that_follows_itself(faulty: Make, call: Ask, get: Get) -> None:
    """The same next page for ever: ordinary clients ran endlessly."""
    with faulty("repeated_next") as running:
        url = _next_link(call(running, "shopify"))
        second = get(url, headers=SHOP)
        assert _next_link(second) == url
        assert get(url, headers=SHOP).data == second.data
        body = {"query": GRAPHQL, "variables": {"after": None}}
        where = f"{running.url}/t/acme/admin/api/2026-07/graphql.json"
        body["variables"]["after"] = get(where, "POST", headers=SHOP, json=body).data["data"]["orders"]["pageInfo"][
            "endCursor"
        ]
        assert get(where, "POST", headers=SHOP, json=body).data["data"]["orders"]["pageInfo"] == {
            "hasNextPage": True,
            "endCursor": body["variables"]["after"],
        }
        page = call(running, "meta").data
        url = page["paging"]["next"]
        assert get(url).data["paging"]["next"] == url


def test_links_and_redirects_lead_to_another_host(faulty: Make, call: Ask, vendors: list[str]) -> None:
    """Ordinary clients sent the shop's token there."""
    with faulty("foreign_next", fault_foreign_origin="http://elsewhere.invalid") as running:
        assert _next_link(call(running, "shopify")).startswith("http://elsewhere.invalid/t/acme/admin/")
        assert call(running, "meta").data["paging"]["next"].startswith("http://elsewhere.invalid/")
        assert call(running, "klaviyo").data["links"]["next"].startswith("http://elsewhere.invalid/")
    with faulty("foreign_redirect", fault_foreign_origin="http://elsewhere.invalid") as running:
        for vendor in vendors:
            answer = call(running, vendor)
            assert answer.status in (301, 302, 303, 307, 308)
            assert answer.headers["Location"].startswith("http://elsewhere.invalid/t/acme/")


def test_nan_and_depth_are_in_the_bytes(faulty: Make, call: Ask, vendors: list[str]) -> None:
    """Lenient parsers stored ids that are NaN; deep JSON ends in a RecursionError."""
    for fault, text in (("nan_json", b"NaN"), ("deep_json", b"[" * DEPTH + b"]" * DEPTH)):
        with faulty(fault) as running:
            for vendor in vendors:
                answer = call(running, vendor)
                assert (answer.status, answer.body.count(text)) == (200, 1)


def _moved(plain: Any, own_url: str, running: RunningSandbox) -> Any:
    """Return an answer of one sandbox as another would give it: links carry the port."""
    return msgspec.json.decode(plain.body.replace(own_url.encode(), running.url.encode()))


@pytest.mark.parametrize("vendor", list(ROWS))
def test_rows_are_null_repeated_or_of_another_type(faulty: Make, call: Ask, vendor: str) -> None:
    """A null collection is malformed, not empty; overlapping pages made duplicates."""
    with faulty("") as running:
        plain, own_url = call(running, vendor), running.url
    with faulty("null_collection") as running:
        assert call(running, vendor).data[ROWS[vendor]] is None
    with faulty("duplicate_rows") as running:
        rows = _moved(plain, own_url, running)[ROWS[vendor]]
        found = call(running, vendor).data[ROWS[vendor]]
        assert found == [rows[0], *rows, rows[-1]]
        assert call(running, vendor).data[ROWS[vendor]][0] == rows[-1]
    with faulty("wrong_types") as running:
        rows = _moved(plain, own_url, running)[ROWS[vendor]]
        found = call(running, vendor).data[ROWS[vendor]]
        assert found[0] != rows[0]
        assert found[1:] == rows[1:]
        assert call(running, vendor).data[ROWS[vendor]] == found


async def _raw(url: str) -> tuple[str, bytes]:
    async with aiohttp.ClientSession(auto_decompress=False) as session, session.get(url, headers=SHOP) as response:
        return response.headers["Content-Encoding"], await response.read()


def test_a_gzip_bomb_is_small_on_the_wire(faulty: Make) -> None:
    with faulty("gzip_bomb") as running:
        encoding, body = asyncio.run(_raw(f"{running.url}/t/acme/admin/api/2026-07/orders.json"))
    assert (encoding, len(body) < 2**20) == ("gzip", True)
    unpack = zlib.decompressobj(wbits=31)
    size = 0
    while chunk := unpack.decompress(unpack.unconsumed_tail or (body if size == 0 else b""), 2**24):
        size += len(chunk)
    assert size > BOMB_MIB * 2**20
