"""Where each vendor's answers keep their rows and their next page, for faults that change them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
from aiohttp import web

from weathervane_resources.sandbox.fault_hit import (
    GOOGLE,
    GOOGLE_STREAM,
    KLAVIYO,
    META,
    OPEN_METEO,
    SHOPIFY,
    SHOPIFY_GRAPHQL,
    Hit,
)

LAST_ROWS: web.AppKey[dict[tuple[str, str], Any]] = web.AppKey("fault_last_rows")
_ROWS_KEY = {SHOPIFY: "orders", META: "data", GOOGLE: "results", GOOGLE_STREAM: "results", KLAVIYO: "data"}
_CURSOR_PARAMETER = {SHOPIFY: "page_info", META: "after", KLAVIYO: "page[cursor]"}


@dataclass(frozen=True)
class Page:
    """A decoded answer and where its rows are: `holder[key]`."""

    body: Any
    holder: dict[str, Any]
    key: str

    @property
    def rows(self) -> Any:
        """Return the rows: a list, or for weather the columns."""
        return self.holder[self.key]


def page_of(kind: str, raw: bytes) -> Page | None:
    """Return an answer as a page, None when it has no rows to speak of."""
    try:
        body = msgspec.json.decode(raw)
    except msgspec.DecodeError:
        return None
    first = body[0] if isinstance(body, list) and body else body
    if not isinstance(first, dict):
        return None
    if kind == SHOPIFY_GRAPHQL:
        return _graphql_page(body)
    key = "daily" if kind == OPEN_METEO else _ROWS_KEY[kind]
    return Page(body, first, key) if key in first else None


def _graphql_page(body: dict[str, Any]) -> Page | None:
    """Return the first connection of a GraphQL answer, whatever its alias."""
    data = body.get("data")
    for value in data.values() if isinstance(data, dict) else ():
        for key in ("nodes", "edges"):
            if isinstance(value, dict) and isinstance(value.get(key), list):
                return Page(body, value, key)
    return None


def set_value(kind: str, page: Page, value: Any) -> None:
    """Replace a value that matters in the first row."""
    if kind == OPEN_METEO:
        name = next(name for name in page.rows if name != "time")
        page.rows[name][0] = value
        return
    row = page.rows[0]
    row = row.get("node", row)
    owner = row.get("metrics", row) if kind in (GOOGLE, GOOGLE_STREAM) else row
    wanted = ("id", "legacyResourceId", "spend", "costMicros")
    name = next((name for name in wanted if name in owner), next(iter(owner), "id"))
    owner[name] = value


def set_next(kind: str, response: web.Response, page: Page, url: str) -> None:
    """Say where the next page is, for vendors that say it with a URL."""
    if kind == SHOPIFY:
        response.headers["Link"] = f'<{url}>; rel="next"'
    elif kind == META:
        page.body.setdefault("paging", {})["next"] = url
    elif kind == KLAVIYO:
        page.body["links"]["next"] = url


async def set_next_to_itself(hit: Hit, response: web.Response, page: Page) -> bool:
    """Make a page its own successor; False for a first page, which has no cursor to repeat."""
    if hit.kind in _CURSOR_PARAMETER:
        if _CURSOR_PARAMETER[hit.kind] not in hit.request.query:
            return False
        set_next(hit.kind, response, page, str(hit.request.url))
        return True
    sent = msgspec.json.decode(await hit.request.read())
    if hit.kind == SHOPIFY_GRAPHQL:
        variables = sent.get("variables") or {}
        cursor = next((text for name, text in variables.items() if name in ("after", "cursor")), None)
        info = page.holder.get("pageInfo")
        if cursor is None or not isinstance(info, dict):
            return False
        info |= {"hasNextPage": True, "endCursor": cursor}
        return True
    if "pageToken" in sent:
        page.body["nextPageToken"] = sent["pageToken"]
    return "pageToken" in sent
