"""Answers that harm a client which believes them: content that no retry cures. Where rows sit is `fault_pages.py`."""

from __future__ import annotations

import zlib
from functools import lru_cache
from typing import Any

import msgspec
from aiohttp import web

from weathervane_resources.sandbox import fault_pages as pages
from weathervane_resources.sandbox.fault_hit import OPEN_METEO, Hit, body_of
from weathervane_resources.sandbox.fault_pages import Page

DEPTH = 100_000
BOMB_MIB = 160
_MARK = "@sandbox-mark@"
_MARK_JSON = f'"{_MARK}"'.encode()
_BAD_ROWS: tuple[Any, ...] = ("not a row", None, 7, [["row"]])


async def _page(hit: Hit) -> tuple[web.Response, Page | None]:
    response = await hit.answer()
    return response, pages.page_of(hit.kind, body_of(response)) if response.status == 200 else None


def _say(response: web.Response, page: Page) -> web.Response:
    response.body = msgspec.json.encode(page.body)
    return response


async def repeated_next(hit: Hit) -> web.StreamResponse:
    """Say of every page but the first that it is its own successor."""
    response, page = await _page(hit)
    if page is not None and await pages.set_next_to_itself(hit, response, page):
        return _say(response, page)
    return response


async def foreign_next(hit: Hit) -> web.StreamResponse:
    """Say that the next page is on another host."""
    response, page = await _page(hit)
    if page is not None:
        pages.set_next(hit.kind, response, page, hit.config.fault_foreign_origin + hit.request.path_qs)
        return _say(response, page)
    return response


async def foreign_redirect(hit: Hit) -> web.StreamResponse:
    """Redirect to another host."""
    status = (301, 302, 303, 307, 308)[hit.draw % 5]
    location = hit.config.fault_foreign_origin + hit.request.path_qs
    return web.Response(status=status, headers={"Location": location})


async def nan_json(hit: Hit) -> web.StreamResponse:
    """Put NaN, which is no JSON, where a row has a value."""
    return await _with_mark_in_row(hit, b"NaN")


async def deep_json(hit: Hit) -> web.StreamResponse:
    """Put a hundred thousand arrays, one in another, where the rows should be."""
    response, page = await _page(hit)
    if page is not None:
        page.holder[page.key] = _MARK
        response.body = msgspec.json.encode(page.body).replace(_MARK_JSON, b"[" * DEPTH + b"]" * DEPTH)
    return response


async def _with_mark_in_row(hit: Hit, text: bytes) -> web.StreamResponse:
    response, page = await _page(hit)
    if page is not None and page.rows:
        pages.set_value(hit.kind, page, _MARK)
        response.body = msgspec.json.encode(page.body).replace(_MARK_JSON, text)
    return response


async def null_collection(hit: Hit) -> web.StreamResponse:
    """Answer null where the rows should be: malformed, not empty."""
    response, page = await _page(hit)
    if page is None:
        return response
    page.holder[page.key] = None
    return _say(response, page)


async def duplicate_rows(hit: Hit) -> web.StreamResponse:
    """Let pages overlap: repeat the last row of the page before, if known, and this page's own last row."""
    response, page = await _page(hit)
    if page is None or not isinstance(page.rows, list) or not page.rows:
        return response
    before = hit.request.app[pages.LAST_ROWS]
    scope = (hit.tenant, hit.request.path)
    last, own = before.get(scope, page.rows[0]), page.rows[-1]
    page.holder[page.key] = [last, *page.rows, own]
    before[scope] = own
    return _say(response, page)


async def wrong_types(hit: Hit) -> web.StreamResponse:
    """Put something of another type where a row or a value should be."""
    response, page = await _page(hit)
    if page is None or not page.rows:
        return response
    if hit.draw % 2 or hit.kind == OPEN_METEO:
        pages.set_value(hit.kind, page, {"amount": ["N/A"]})
    else:
        page.rows[0] = _BAD_ROWS[hit.draw // 2 % len(_BAD_ROWS)]
    return _say(response, page)


async def gzip_bomb(_hit: Hit) -> web.StreamResponse:
    """Answer a few hundred kilobytes that inflate to hundreds of megabytes."""
    headers = {"Content-Encoding": "gzip"}
    return web.Response(body=_bomb(), headers=headers, content_type="application/json")


@lru_cache(maxsize=1)
def _bomb() -> bytes:
    """Return blank JSON, compressed piece by piece: the sandbox must not be its own victim."""
    packer = zlib.compressobj(level=6, wbits=31)
    blanks = b" " * 2**20
    packed = [packer.compress(b'{"orders": [')]
    packed += [packer.compress(blanks) for _ in range(BOMB_MIB)]
    return b"".join([*packed, packer.compress(b"]}"), packer.flush()])
