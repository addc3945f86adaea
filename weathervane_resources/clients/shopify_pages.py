"""Orders of a window in pages of Shopify's GraphQL: for windows that a bulk operation would not pay for.

A page has at most 250 orders; where the vendor finds such a query too dear, half as many are asked for.
"""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, Generic, TypeVar

import msgspec

from weathervane_resources.clients.rows import BadRow, PageDecoder
from weathervane_resources.clients.shopify import OrdersPage, TimeField
from weathervane_resources.clients.shopify_graph import Graph
from weathervane_resources.clients.shopify_nodes import (
    FIELDS,
    LINES,
    MOST_LINES,
    Line,
    Lines,
    OrderNode,
    PageInfo,
    to_order,
)
from weathervane_resources.clients.shopify_window import ceil_second, kept_page, stamp, window_name
from weathervane_resources.http.errors import Malformed, TooBig, Where
from weathervane_resources.http.paging import Trail
from weathervane_resources.http.session import Reply
from weathervane_resources.http.strict_json import decode

R = TypeVar("R")
PAGE_SIZE = 250

_ORDERS = f"""query Orders($first: Int!, $after: String, $query: String!, $sort: OrderSortKeys!) {{
  orders(first: $first, after: $after, query: $query, sortKey: $sort) {{
    nodes {{ {FIELDS} lineItems(first: {MOST_LINES}) {{ {LINES} }} }} pageInfo {{ hasNextPage endCursor }} }} }}"""
_LINES = f"""query Lines($id: ID!, $after: String) {{
  order(id: $id) {{ lineItems(first: 250, after: $after) {{ {LINES} }} }} }}"""


class _Connection(msgspec.Struct, Generic[R], rename="camel"):
    nodes: list[R]
    page_info: PageInfo


class _Orders(msgspec.Struct, Generic[R]):
    orders: _Connection[R]


class _OrdersAnswer(msgspec.Struct, Generic[R]):
    data: _Orders[R]


class _LinesOf(msgspec.Struct, rename="camel"):
    line_items: Lines


class _LinesData(msgspec.Struct):
    order: _LinesOf


class _LinesAnswer(msgspec.Struct):
    data: _LinesData


_Decoded = tuple[list[OrderNode], list[BadRow], PageInfo, int]
_PAGE: PageDecoder[OrderNode, Any] = PageDecoder(
    msgspec.json.Decoder(_OrdersAnswer[OrderNode]),
    msgspec.json.Decoder(_OrdersAnswer[msgspec.Raw]),
    OrderNode,
    lambda page: list(page.data.orders.nodes),
    ("legacyResourceId",),
)


def search(by: TimeField, start: datetime, end: datetime) -> str:
    """Return the search for a half-open window; without `status:any` archived orders may be left out."""
    return f"status:any AND {by}:>='{stamp(start)}' AND {by}:<'{stamp(ceil_second(end))}'"


async def pages(graph: Graph, by: TimeField, start: datetime, end: datetime) -> AsyncIterator[OrdersPage]:
    """Yield the orders created or updated in [start, end), each once."""
    window = window_name(start, end)
    trail = Trail(graph.session.where(window))
    asked: dict[str, Any] = {"first": PAGE_SIZE, "after": None, "query": search(by, start, end), "sort": by.upper()}
    seen: set[int] = set()
    while True:
        try:
            nodes, bad, info, size = await _page(graph, asked, trail.where)
        except TooBig:
            if asked["first"] == 1:
                raise
            asked["first"] //= 2
            continue
        rows = [to_order(node, await _lines(graph, node, window)) for node in nodes]
        page = kept_page(rows, bad, seen, by, start, end)
        asked["after"] = _follow(trail, info, size, is_stale=bool(rows) and page.duplicates == len(rows))
        yield page
        if asked["after"] is None:
            return


def _follow(trail: Trail, info: PageInfo, size: int = 0, *, is_stale: bool = False) -> str | None:
    if info.has_next_page and not info.end_cursor:
        raise Malformed("more pages without a cursor to them", **trail.where)
    return trail.step(info.end_cursor if info.has_next_page else None, size, is_stale=is_stale)


async def _page(graph: Graph, asked: dict[str, Any], where: Where) -> _Decoded:
    def parse(reply: Reply) -> _Decoded:
        page, nodes, bad = _PAGE.decode(reply.body, where)
        return nodes, bad, page.data.orders.page_info, len(reply.body)

    return await graph.ask(_ORDERS, asked, parse, where["window"])


async def _lines(graph: Graph, node: OrderNode, window: str) -> list[Line]:
    """Return an order's line items; more than came with it are read page by page."""
    if node.line_items is None:
        raise Malformed("an order without its line items", **graph.session.where(window))
    found, info = list(node.line_items.nodes), node.line_items.page_info
    trail = Trail(graph.session.where(window))
    while cursor := _follow(trail, info):
        asked = {"id": node.id, "after": cursor}
        answer = await graph.ask(_LINES, asked, lambda reply: decode(reply.body, _LinesAnswer, trail.where), window)
        found += answer.data.order.line_items.nodes
        info = answer.data.order.line_items.page_info
    return found
