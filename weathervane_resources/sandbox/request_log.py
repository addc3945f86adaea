"""What was asked of the sandbox, in memory, for tests that count requests. No bodies, no headers, no tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from threading import Lock
from typing import overload

from aiohttp import web

SECRET_PARAMETERS = frozenset({"access_token", "apikey", "client_secret", "fb_exchange_token", "refresh_token"})


@dataclass(frozen=True)
class RequestRecord:
    """One answered request; `monotonic_s` is the time it arrived, `fault` the name of what was done to its answer."""

    method: str
    path: str
    query: dict[str, str]
    tenant: str
    status: int
    monotonic_s: float
    fault: str = ""


class RequestLog(Sequence[RequestRecord]):
    """A list of records that one thread appends to and another reads."""

    def __init__(self) -> None:
        self._records: list[RequestRecord] = []
        self._lock = Lock()

    def append(self, record: RequestRecord) -> None:
        """Add one record."""
        with self._lock:
            self._records.append(record)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._records.clear()

    def snapshot(self) -> list[RequestRecord]:
        """Return a copy that no longer changes."""
        with self._lock:
            return list(self._records)

    def matching(self, text: str) -> list[RequestRecord]:
        """Return the records whose path contains a text."""
        return [record for record in self.snapshot() if text in record.path]

    @overload
    def __getitem__(self, index: int) -> RequestRecord: ...
    @overload
    def __getitem__(self, index: slice) -> list[RequestRecord]: ...
    def __getitem__(self, index: int | slice) -> RequestRecord | list[RequestRecord]:
        """Return one record or a slice of a copy."""
        return self.snapshot()[index]

    def __len__(self) -> int:
        """Return how many requests were answered."""
        return len(self._records)

    def __iter__(self) -> Iterator[RequestRecord]:
        """Iterate over a copy."""
        return iter(self.snapshot())


LOG = web.AppKey("request_log", RequestLog)
FAULT: ContextVar[str] = ContextVar("fault", default="")
"""The name of what was done to the answer of the request that is being handled."""


def record(request: web.Request, tenant: str, status: int, started_s: float) -> None:
    """Log one answered request."""
    query = {name: value for name, value in request.query.items() if name not in SECRET_PARAMETERS}
    entry = RequestRecord(request.method, request.path, query, tenant, status, started_s, FAULT.get())
    request.app[LOG].append(entry)
