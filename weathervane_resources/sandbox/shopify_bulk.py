"""Shopify's bulk operations: a query run at leisure, its rows fetched as JSONL from a URL.

An operation is CREATED, then RUNNING when first looked at, then COMPLETED; one that nobody looks at completes as well.
It sees the shop as it stood when it was created, and is written between other answers from then on.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any

import msgspec
from aiohttp import web

from weathervane_resources.sandbox import seeding
from weathervane_resources.sandbox.graphql_plan import Field, fields_picker
from weathervane_resources.sandbox.order_shape import utc_text

_PREFIX = "gid://shopify/BulkOperation/"
_FORGOTTEN_AFTER_S = 1.0
_ROWS_IN_A_TURN = 200
"""Other answers wait for as many: some 15 ms."""


@dataclass
class Operation:
    """One bulk operation; `lines` are what is written of its result."""

    number: int
    tenant: str
    query: str
    created_at: datetime
    url: str
    run: Callable[[], Iterable[dict[str, Any]]]
    started_s: float = field(default_factory=time.monotonic)
    looks: int = 0
    is_cancelled: bool = False
    lines: list[bytes] = field(default_factory=list)
    work: asyncio.Task[None] | None = None
    _unwritten: Iterator[dict[str, Any]] | None = None
    _failure: Exception | None = None

    @property
    def gid(self) -> str:
        """Return the vendor's id."""
        return f"{_PREFIX}{self.number}"

    @property
    def is_running(self) -> bool:
        """Return whether it is still at work; looking at it moves it on."""
        old = time.monotonic() - self.started_s > _FORGOTTEN_AFTER_S
        return not self.is_cancelled and self.looks < 2 and not old

    async def write(self) -> None:
        """Write the result, a turn after the other, unless it is cancelled; whoever asks for the result is told what went wrong."""
        with suppress(Exception):
            while self._write(_ROWS_IN_A_TURN):
                await asyncio.sleep(0)
                if self.is_cancelled:
                    return

    def result(self) -> list[bytes]:
        """Return the lines of the result, those that are not written yet too."""
        self._write(None)
        return self.lines

    def _write(self, rows: int | None) -> bool:
        """Write so many rows, all that are left for None; return whether there may be more."""
        if self._failure:
            raise self._failure
        written = len(self.lines)
        try:
            if self._unwritten is None:
                self._unwritten = iter(self.run())
            self.lines += map(msgspec.json.encode, islice(self._unwritten, rows))
        except Exception as error:
            self._failure = error  # what is written by then is not all of it
            raise
        return len(self.lines) - written == rows

    @property
    def status(self) -> str:
        """Return how far it is."""
        if self.is_cancelled:
            return "CANCELED"
        return ("RUNNING" if self.looks else "CREATED") if self.is_running else "COMPLETED"

    def look(self) -> dict[str, Any]:
        """Move the operation on, and return it as the vendor shows it."""
        self.looks += 1
        return self.shown()

    def shown(self) -> dict[str, Any]:
        """Return the operation as the vendor shows it."""
        status = self.status
        lines = self.result() if status == "COMPLETED" else []
        roots = sum(b'"__parentId"' not in line for line in lines)
        return {
            "__typename": "BulkOperation",
            "id": self.gid,
            "status": status,
            "createdAt": utc_text(self.created_at),
            "completedAt": utc_text(self.created_at) if status == "COMPLETED" else None,
            "query": self.query,
            "objectCount": str(len(lines)),
            "rootObjectCount": str(roots),
            "fileSize": str(sum(map(len, lines)) + len(lines)) if lines else None,
            "url": self.url if lines else None,
            "type": "QUERY",
        }


@dataclass
class Operations:
    """Every bulk operation of one sandbox."""

    known: dict[int, Operation] = field(default_factory=dict)

    def of(self, tenant: str) -> list[Operation]:
        """Return a shop's operations, the newest first."""
        return [one for one in reversed(self.known.values()) if one.tenant == tenant]

    def find(self, tenant: str, gid: str) -> Operation | None:
        """Return a shop's operation by its id."""
        return next((one for one in self.of(tenant) if one.gid == gid), None)

    def start(
        self, request: web.Request, tenant: str, query: str, now: datetime, run: Callable[[], Iterable[dict[str, Any]]]
    ) -> Operation:
        """Start an operation in the running loop; its result will be at a URL that nobody guesses and that needs no token."""
        number = 1_000_001 + len(self.known)
        signature = f"{seeding.number('bulk', tenant, number, query):016x}"
        prefix = f"/t/{request.match_info['tenant']}" if "tenant" in request.match_info else ""
        url = str(request.url.with_path(f"{prefix}/bulk-results/{number}-{signature}.jsonl"))
        operation = self.known[number] = Operation(number, tenant, query, now, url, run)
        operation.work = asyncio.create_task(operation.write())
        return operation


OPERATIONS = web.AppKey("operations", Operations)


def routes() -> list[web.RouteDef]:
    """Return the route of the results."""
    return [web.get(r"/bulk-results/{number:\d+}-{signature:[0-9a-f]+}.jsonl", _result)]


async def _result(request: web.Request) -> web.Response:
    found = request.app[OPERATIONS].known.get(int(request.match_info["number"]))
    if found is None or not found.url.endswith(request.path):
        raise web.HTTPForbidden(text="<Error><Code>AccessDenied</Code></Error>")
    return web.Response(body=b"".join(line + b"\n" for line in found.result()), content_type="application/jsonl")


def writer(node: Field) -> Callable[[Mapping[str, Any]], Iterator[dict[str, Any]]]:
    """Return what puts each object on a line of its own: first itself without its connections, then their objects."""
    selected = node.fields or ()
    itself = fields_picker(one for one in selected if not one.is_connection)
    nested = [(one.name, writer(below)) for one in selected if one.is_connection and (below := node_of(one))]

    def lines(value: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        yield itself(value)
        for name, below in nested:
            for child in value.get(name) or ():
                for line in below(child):
                    yield line if "__parentId" in line else {**line, "__parentId": value["id"]}

    return lines


def node_of(connection: Field) -> Field | None:
    """Return what is selected of each object of a connection, below `edges { node }` or `nodes`."""
    edges = connection.child("edges")
    return (edges.child("node") if edges else None) or connection.child("nodes")
