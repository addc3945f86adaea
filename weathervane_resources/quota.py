"""Quotas that several runs share: a `Pacer` over the state database.

Belongs here: who may go when, over all processes. Does not belong here: which scope a connector has (`connectors.py`)
and what a vendor's throttle means (`http/`).

A rate is a generic cell rate (one number: the time at which the bucket would be empty), a window a counter that starts
again at every multiple of its length. A turn is reserved in one transaction and then slept for, so nobody overtakes
and no one polls. A process that dies before its turn leaves a turn unused, never one too many.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import sqlalchemy as sa

from weathervane_resources.http.pacing import QuotaSpent, check_rate
from weathervane_resources.state import State
from weathervane_resources.state_tables import quotas

PATIENCE_S = 300.0
PAUSE = "pause"
TINY_S = 1e-5
"""Below what a float holds of the seconds since 1970, two times are one."""


@dataclass(frozen=True)
class Cell:
    """A stored number of a quota: a time, in seconds since 1970, and what is used."""

    at_s: float
    used: float


EMPTY = Cell(0.0, 0.0)
LENGTHS = {60: "minute", 3_600: "hour", 86_400: "day"}
LONGEST_AHEAD = 10
"""Windows that are reserved at most ahead of time; further ones mean a clock that went back."""


class Limit(Protocol):
    """One limit of a quota. Pure: what is stored goes in, the wait and what to store come out."""

    @property
    def part(self) -> str:
        """The name of its row."""

    @property
    def keeps(self) -> str:
        """What it keeps for others, for whom it holds back to read; empty where all of it is for everyone."""

    def reserve(self, cell: Cell, now_s: float, weight: float) -> tuple[float, Cell]:
        """Return the seconds to wait, and the cell that holds the turn."""


@dataclass(frozen=True)
class Rate:
    """`per_s` requests a second on average, `burst` at once; counts requests, not weight.

    One place of the burst stays free, for requests that take their time between their turn and the vendor.
    """

    per_s: float
    burst: float = 1.0

    def __post_init__(self) -> None:
        check_rate(self.per_s, self.burst)

    @property
    def part(self) -> str:
        """The name of its row; two rates of one scope have two rows."""
        return f"rate {self.per_s:g}"

    @property
    def keeps(self) -> str:
        """Nothing: it is whole again within seconds."""
        return ""

    def reserve(self, cell: Cell, now_s: float, weight: float) -> tuple[float, Cell]:  # noqa: ARG002 - see the class
        """Return the wait for the next place. A bucket fuller than anyone waits for means a clock that went back."""
        depth_s = max(1.0, self.burst - 1) / self.per_s
        empty_at_s = cell.at_s if cell.at_s <= now_s + depth_s + PATIENCE_S + 1 else now_s
        empty_at_s = max(empty_at_s, now_s) + 1 / self.per_s
        return max(0.0, empty_at_s - depth_s - now_s), Cell(empty_at_s, 0.0)


@dataclass(frozen=True)
class Window:
    """At most `limit` of weight in each `length_s` seconds, counted from 00:00 UTC; the last `kept` of it is for others.

    A request heavier than what is left goes alone in a window, as Open-Meteo charges only afterwards. With and without
    `kept` it is one window: what is spent either way is counted in one row.
    """

    limit: float
    length_s: int
    kept: float = 0.0

    @property
    def part(self) -> str:
        """The name of its row."""
        return f"window {self.length_s}"

    @property
    def keeps(self) -> str:
        """How much of it is for others."""
        return f"{self.kept:,.0f} of the {LENGTHS[self.length_s]}'s {self.limit:,.0f}" if self.kept else ""

    def reserve(self, cell: Cell, now_s: float, weight: float) -> tuple[float, Cell]:
        """Return the wait for the first window with room."""
        this_one_s = now_s // self.length_s * self.length_s
        if cell.at_s < this_one_s or cell.at_s > this_one_s + LONGEST_AHEAD * self.length_s:
            cell = Cell(this_one_s, 0.0)
        if cell.used > 0 and cell.used + weight > self.limit - self.kept:
            cell = Cell(cell.at_s + self.length_s, 0.0)
        return max(0.0, cell.at_s - now_s), Cell(cell.at_s, cell.used + weight)


OPEN_METEO_FREE = (Window(600, 60), Window(5_000, 3_600), Window(10_000, 86_400))
"""The free hosts, by weight and address (open-meteo.com/en/pricing, read 2026-11)."""
KEPT_FOR_NIGHTS = 0.2
"""The part of a long window that history leaves: 2,000 of a free day are the nights and restatements of about 450 places."""
LONG_S = 3_600
"""From here on nobody sits a spent window through: who comes last is deferred."""


def beside_nights(windows: Iterable[Window]) -> tuple[Window, ...]:
    """Return the windows as a fetch of history may use them, so that the nights of all tenants still find their part."""
    return tuple(replace(w, kept=w.limit * KEPT_FOR_NIGHTS) if w.length_s >= LONG_S else w for w in windows)


class SharedQuota:
    """The limits of one scope, over all processes that use the state database."""

    def __init__(
        self,
        state: State,
        scope: str,
        limits: tuple[Limit, ...],
        *,
        throttle_scope: str = "",
        patience_s: float = PATIENCE_S,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """Touch nothing yet.

        Args:
            state: The state database.
            scope: What is shared: `shopify:acme.myshopify.com`. No credential; take a fingerprint of it.
            limits: All of them hold.
            throttle_scope: The vendor's word for this scope in a throttle (`developer_token`); others are not for it.
            patience_s: Longest wait for a turn.
            clock: Seconds since 1970; on a database server its clock is asked instead, for all machines alike.
            sleep: Waits; tests pass their own.
        """
        self.scope = scope
        self._state = state
        self._limits = limits
        self._throttle_scope = throttle_scope
        self._patience_s = patience_s
        self._clock = clock
        self._sleep = sleep

    async def take(self, weight: float = 1.0) -> None:
        """Return when one request may go.

        Raises: QuotaSpent: the next turn is beyond the patience; it is not reserved. StateError: no database.
        """
        wait_s = await asyncio.to_thread(self._reserve, weight)
        if wait_s > 0:
            await self._sleep(wait_s)

    async def pause(self, wait_s: float, scope: str) -> None:
        """Give nobody a turn for `wait_s` seconds, if the vendor meant this scope."""
        if scope == self._throttle_scope:
            await asyncio.to_thread(self._pause, wait_s)

    def _reserve(self, weight: float) -> float:
        with self._state.begin(durable=False) as connection:
            cells, now_s = self._read(connection)
            go_s, reserved = self._turn(cells, max(now_s, cells.get(PAUSE, EMPTY).at_s), weight)
            if go_s - now_s > self._patience_s:
                raise QuotaSpent(self.scope, go_s - now_s, self._kept(cells, now_s, weight))
            self._write(connection, cells, reserved)
            return go_s - now_s

    def _turn(self, cells: Mapping[str, Cell], go_s: float, weight: float) -> tuple[float, dict[str, Cell]]:
        """Return the first time at which every limit lets the request go: a later time may be in another window."""
        while True:
            turns = {limit.part: limit.reserve(cells.get(limit.part, EMPTY), go_s, weight) for limit in self._limits}
            wait_s = max(wait_s for wait_s, _ in turns.values())
            if wait_s < TINY_S:
                return go_s, {part: cell for part, (_, cell) in turns.items()}
            go_s += wait_s

    def _kept(self, cells: Mapping[str, Cell], now_s: float, weight: float) -> str:
        """Return what is kept for the nights of the limits that hold the request back for longer than anyone waits."""
        waits_s = [(limit, limit.reserve(cells.get(limit.part, EMPTY), now_s, weight)[0]) for limit in self._limits]
        kept = [limit.keeps for limit, wait_s in waits_s if limit.keeps and wait_s > self._patience_s]
        return f"{' and '.join(kept)} are kept for the nights" if kept else ""

    def _pause(self, wait_s: float) -> None:
        with self._state.begin(durable=False) as connection:
            cells, now_s = self._read(connection)
            until_s = max(cells.get(PAUSE, EMPTY).at_s, now_s + wait_s)
            self._write(connection, cells, {PAUSE: Cell(until_s, 0.0)})

    def _read(self, connection: sa.Connection) -> tuple[dict[str, Cell], float]:
        self._state.lock_in(connection, f"quota {self.scope}")
        rows = connection.execute(sa.select(quotas).where(quotas.c.scope == self.scope))
        return {row.part: Cell(row.at_s, row.used) for row in rows}, self._now_s(connection)

    def _now_s(self, connection: sa.Connection) -> float:
        if self._state.is_sqlite or self._clock is not time.time:
            return self._clock()
        return float(connection.execute(sa.text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())

    def _write(self, connection: sa.Connection, known: Mapping[str, Cell], cells: Mapping[str, Cell]) -> None:
        for part, cell in cells.items():
            values = {"at_s": cell.at_s, "used": cell.used}
            if part in known:
                row = sa.and_(quotas.c.scope == self.scope, quotas.c.part == part)
                connection.execute(sa.update(quotas).where(row).values(values))
            else:
                connection.execute(sa.insert(quotas).values(scope=self.scope, part=part, **values))
