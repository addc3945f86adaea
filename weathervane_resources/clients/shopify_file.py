"""The file that a bulk operation leaves behind: fetched without the shop's token, read line by line.

Facts (shopify.dev, read 2026-11): it is JSONL at another host (Google's cloud storage, by a signed URL that is good for a
week); an order's line items are lines of their own that name the order by `__parentId`; there is no order to the lines.
"""

import asyncio
import io
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

import msgspec
from yarl import URL

from weathervane_resources.clients.rows import BadRow
from weathervane_resources.clients.shopify import Order
from weathervane_resources.clients.shopify_nodes import Line, OrderNode, to_order
from weathervane_resources.http.auth import StaticHeaders
from weathervane_resources.http.errors import ForeignOrigin, Malformed, Where
from weathervane_resources.http.origin import same_origin
from weathervane_resources.http.pacing import Pace
from weathervane_resources.http.session import Request, VendorSession
from weathervane_resources.http.strict_json import UNREADABLE

MAX_FILE_BYTES = 256 * 2**20
LONGEST_FETCH_S = 900.0

_CHILD = b'"__parentId":'
"""Cannot occur inside a value: there its quotation marks are escaped."""


class _Key(msgspec.Struct):
    id: str


_ORDER, _LINE, _KEY = msgspec.json.Decoder(OrderNode), msgspec.json.Decoder(Line), msgspec.json.Decoder(_Key)


@dataclass(frozen=True, slots=True)
class Found:
    """What a file holds."""

    orders: list[Order]
    bad: list[BadRow]


async def fetch(
    url: str,
    objects: int,
    roots: int,
    session: VendorSession,
    where: Where,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> Found:
    """Return the orders at the address that the API itself named; `session` is the shop's and is not used to go there.

    Args:
        url: The operation's own `url`, from an authenticated answer; another host is allowed for that reason only.
        objects: Lines that the operation says it wrote.
        roots: How many of them are orders.
        session: The shop's session, for its names.
        where: For messages.
        sleep: Waits.

    Raises:
        ForeignOrigin: neither HTTPS nor the shop's own address.
        Malformed: fewer or more lines than the operation wrote; a file cut off is fetched again first.
        BodyTooLarge: more than `MAX_FILE_BYTES`.
    """
    if URL(url).scheme != "https" and not same_origin(url, session.origin):
        raise ForeignOrigin(
            "the bulk result is not at an HTTPS address", hint="nothing was fetched from there", **where
        )
    async with VendorSession(
        f"{session.vendor}_files",
        session.tenant,
        str(URL(url).origin()),
        StaticHeaders({}),
        Pace(2.0, 4),
        sleep=sleep,
        total_s=LONGEST_FETCH_S,
        max_body_bytes=MAX_FILE_BYTES,
    ) as files:
        request = Request("GET", url, window=where["window"])
        return await files.read(request, lambda reply: parse(reply.body, objects, roots, where))


def parse(body: bytes, objects: int, roots: int, where: Where) -> Found:
    """Return the orders of a file, each with its line items.

    Raises: Malformed: the number of lines, or of orders among them, is not what the operation wrote.
    """
    lines: dict[str, list[Line]] = defaultdict(list)
    heads = children = 0
    for text in _lines(body):
        if _CHILD in text:
            child = _decode_line(text, where)
            lines[child.parent_id or ""].append(child)
            children += 1
        else:
            heads += 1
    if (heads + children, heads) != (objects, roots):
        came = f"{heads} orders in {heads + children} lines"
        raise Malformed(f"{came} came, but Shopify wrote {roots} in {objects}", **where)
    return _joined((text for text in _lines(body) if _CHILD not in text), lines, where)


def _lines(body: bytes) -> Iterator[bytes]:
    """Yield the lines, one at a time: all of them at once are the file once more."""
    return (text for line in io.BytesIO(body) if (text := line.rstrip(b"\r\n")))


def _joined(heads: Iterable[bytes], lines: dict[str, list[Line]], where: Where) -> Found:
    found = Found([], [])
    for text in heads:
        node = _node(text, where)
        if isinstance(node, BadRow):
            found.bad.append(node)
            lines.pop(node.key or "", None)
        else:
            found.orders.append(to_order(node, lines.pop(node.id, [])))
    if lines:
        raise Malformed(f"line items of {len(lines)} orders that did not come", **where)
    return found


def _node(text: bytes, where: Where) -> OrderNode | BadRow:
    try:
        return _ORDER.decode(text)
    except msgspec.ValidationError as error:
        with suppress(*UNREADABLE):
            return BadRow(str(error), _KEY.decode(text).id)
        return BadRow(str(error), None)
    except UNREADABLE:
        raise _damaged(where) from None


def _decode_line(text: bytes, where: Where) -> Line:
    try:
        return _LINE.decode(text)
    except UNREADABLE:
        raise _damaged(where) from None


def _damaged(where: Where) -> Malformed:
    return Malformed("a line of the bulk result is not what was promised", **where)
