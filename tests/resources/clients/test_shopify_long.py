"""Long windows of a large shop: operations that take longer than a run waits, files that are too large, and a clock that is simulated."""

from __future__ import annotations

import asyncio
import gc
import itertools
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.resources.clients.loopback import NEW_YORK, NOW, PROFILES, base_of, reaching
from tests.resources.clients.shops import days_of, facts, rest
from weathervane_assets.quarantine import read_frame
from weathervane_assets.transforms.orders import order_columns
from weathervane_resources import jobs as kept_jobs
from weathervane_resources.clients import jobs, shopify_bulk, shopify_long, shopify_parts
from weathervane_resources.clients.jobs import PATIENCE_S
from weathervane_resources.clients.rows import BadRow
from weathervane_resources.clients.shopify import Order, OrdersPage
from weathervane_resources.clients.shopify_graphql import ShopifyGraphql
from weathervane_resources.clients.shopify_long import AT_ONCE, LongWindow
from weathervane_resources.clients.shopify_parts import Part, halves, joined, pieces
from weathervane_resources.http.errors import Deferred
from weathervane_resources.jobs import StateJobs
from weathervane_resources.sandbox import RunningSandbox, SandboxConfig
from weathervane_resources.sandbox.shopify_bulk import Operation, Operations
from weathervane_resources.state import State, open_state

FIRST, DAYS = date(2026, 8, 1), 100
EDGES = days_of(NEW_YORK, FIRST, DAYS)


@dataclass
class Shop:
    """The sandbox's shop, whose operations take `minutes`, read by runs one after the other; waiting moves its clock."""

    state: State
    minutes: float = 20.0
    version: str = "2026-10"
    now: datetime = NOW
    operations: list[Operation] = field(default_factory=list)
    runs: int = 0

    def clock(self) -> datetime:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def is_running(self, operation: Operation) -> bool:
        return self.now - operation.created_at < timedelta(minutes=self.minutes)

    async def pages(self, sandbox: RunningSandbox) -> AsyncGenerator[OrdersPage]:
        self.runs += 1
        async with reaching(sandbox, "shopify", naps=self.sleep) as session:  # type: ignore[arg-type]
            ids = StateJobs(self.state, "shopify_api", "acme", self.clock)
            client = ShopifyGraphql(session, base_of(sandbox), self.version, ids, self.clock, self.sleep)
            async for page in client.orders(EDGES[0], EDGES[-1]):
                yield page
                del page

    async def once(self, sandbox: RunningSandbox) -> list[Order]:
        found = [page async for page in self.pages(sandbox)]
        assert not [bad for page in found for bad in page.bad]
        return sorted((row for page in found for row in page.rows), key=lambda order: order.id)

    def backfill(self, sandbox: RunningSandbox, most_runs: int = 60) -> list[Order]:
        """As the sensor does it: a run that is deferred is started again when its time has come."""
        for _ in range(most_runs):
            try:
                return asyncio.run(self.once(sandbox))
            except Deferred as deferred:
                self.now = max(self.now, deferred.until)
        raise AssertionError(f"not done after {most_runs} runs and {len(self.operations)} operations")


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """2,000 orders, of which 700 are as many as a part may have; it is looked at less often than a real one."""
    shop = Shop(open_state(f"sqlite:///{tmp_path / 'state.db'}"))
    start = Operations.start

    def started(self: Operations, *args: Any) -> Operation:
        shop.operations.append(start(self, *args))
        return shop.operations[-1]

    monkeypatch.setattr(Operations, "start", started)
    monkeypatch.setattr(Operation, "is_running", property(shop.is_running))
    monkeypatch.setattr(shopify_parts, "MOST_ORDERS", 700)
    monkeypatch.setattr(jobs, "LONGEST_WAIT_S", 300.0)
    return shop


@pytest.fixture
def sandbox(shop: Shop) -> Iterator[RunningSandbox]:
    with RunningSandbox(SandboxConfig(tenants=PROFILES, clock=shop.clock)) as running:
        yield running


def by_rest(sandbox: RunningSandbox) -> list[Order]:
    async def main() -> list[Order]:
        async with reaching(sandbox, "shopify") as session:
            client = rest(session, base_of(sandbox), None)  # type: ignore[arg-type]
            return [row async for page in client.orders(EDGES[0], EDGES[-1]) for row in page.rows]

    return sorted(asyncio.run(main()), key=lambda order: order.id)


def same(one: list[Order], two: list[Order]) -> bool:
    return [facts(order) for order in one] == [facts(order) for order in two]


def test_a_window_of_many_slow_operations_is_done_with_each_of_them_once(shop: Shop, sandbox: RunningSandbox) -> None:
    """Each run began with the whole window again, and forgot the parts it had: after 14 days there were 522 operations."""
    shop.minutes = 45.0
    found = shop.backfill(sandbox)
    assert (len(shop.operations), shop.runs) == (4, 3)
    assert same(found, by_rest(sandbox))


@pytest.mark.parametrize(("version", "at_once"), [("2026-10", AT_ONCE), ("2025-10", 1)])
def test_operations_are_made_together_as_far_as_shopify_lets_them(
    shop: Shop, sandbox: RunningSandbox, version: str, at_once: int
) -> None:
    """Five are allowed since 2026-01, and each waited for the one before; before, there is one place, and the next gets it in its turn."""
    shop.version, shop.minutes = version, 5.0
    found = shop.backfill(sandbox)
    begun = [one.created_at for one in shop.operations]
    going = [sum(at <= now < at + timedelta(minutes=shop.minutes) for at in begun) for now in begun]
    assert (len(begun), max(going)) == (4, at_once)
    assert (shop.now - NOW < timedelta(minutes=3 * shop.minutes)) == (at_once > 1)
    assert same(found, by_rest(sandbox))


def test_operations_that_take_longer_than_ids_are_kept_are_waited_for(
    shop: Shop, sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After six hours an operation that still ran was forgotten, and so were those that were done."""
    monkeypatch.setattr(kept_jobs, "KEPT", timedelta(hours=1))
    shop.minutes = 70.0
    found = shop.backfill(sandbox)
    assert len(shop.operations) == 4
    assert same(found, by_rest(sandbox))


def test_what_is_too_large_is_remembered(shop: Shop, sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """The count said that it fits; each run asked for the same file that is too large, and threw it away."""
    monkeypatch.setattr(shopify_bulk, "MAX_FILE_BYTES", 700_000)
    monkeypatch.setattr(shopify_parts, "MOST_ORDERS", 1_200)
    found = shop.backfill(sandbox)
    large = [one for one in shop.operations if sum(map(len, one.result())) > shopify_bulk.MAX_FILE_BYTES]
    assert large
    assert len(shop.operations) == len({one.query for one in shop.operations}), "no search was asked for twice"
    assert len(shop.operations) == 2 * len(large) + 2
    assert same(found, by_rest(sandbox))


def let_the_first_fail(shop: Shop, patch: pytest.MonkeyPatch, error_code: str) -> None:
    """Let the first operation end as FAILED, after as long as the others take."""
    plain = Operation.shown

    def shown(self: Operation) -> dict[str, Any]:
        is_first = self is shop.operations[0] and not self.is_running
        return {**plain(self), "status": "FAILED", "errorCode": error_code, "url": None} if is_first else plain(self)

    patch.setattr(Operation, "shown", shown)


def test_an_operation_that_fails_is_not_tried_again_by_each_run(
    shop: Shop, sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """20 minutes until it failed, then no time for the others: it would be so for ever. Its part is read in pages."""
    let_the_first_fail(shop, monkeypatch, "TIMEOUT")
    found = shop.backfill(sandbox)
    assert len(shop.operations) == 4
    assert same(found, by_rest(sandbox))


def test_an_operation_that_failed_by_chance_is_started_once_more(
    shop: Shop, sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its part was read in pages by each run that came after; a cancelled one's too."""
    let_the_first_fail(shop, monkeypatch, "INTERNAL_SERVER_ERROR")
    found = shop.backfill(sandbox)
    assert [one.query for one in shop.operations].count(shop.operations[0].query) == 2
    assert len(shop.operations) == 5
    assert same(found, by_rest(sandbox))


def test_an_operation_that_always_fails_keeps_no_window_from_its_end(
    shop: Shop, sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It fails after longer than a run waits: started again at once, it would be all that any run waits for."""
    plain = Operation.shown
    shop.minutes = 35.0

    def shown(self: Operation) -> dict[str, Any]:
        fails = self.query == shop.operations[0].query and not self.is_running
        return {**plain(self), "status": "FAILED", "errorCode": None, "url": None} if fails else plain(self)

    monkeypatch.setattr(Operation, "shown", shown)
    assert same(shop.backfill(sandbox), by_rest(sandbox))


def test_changes_that_cannot_be_read_come_once_for_all_parts(
    shop: Shop, sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each part had those of the whole shop once more: four of each, behind which twelve lost orders could hide."""
    whole = by_rest(sandbox)
    plain, some = shopify_long.pages, [whole[3].id, whole[-3].id]
    unread = [BadRow("no", str(some[0])), BadRow("no", str(some[1])), BadRow("no", "7"), BadRow("no key", None)]

    async def pages(graph: Any, by: Any, *span: Any) -> AsyncGenerator[OrdersPage]:
        async for page in plain(graph, by, *span):
            yield OrdersPage(page.rows, unread) if by == "updated_at" else page

    monkeypatch.setattr(shopify_long, "pages", pages)

    async def until_done() -> list[OrdersPage]:
        while True:
            try:
                return await pages_of(shop, sandbox)
            except Deferred as deferred:
                shop.now = max(shop.now, deferred.until)

    found = asyncio.run(until_done())
    assert len(found) == 5
    assert sorted(bad.key or "" for page in found for bad in page.bad) == sorted([*map(str, some), "7", ""])
    assert sum(len(page.rows) for page in found) == len(whole) - 2


def test_a_second_backfill_asks_for_everything_again(shop: Shop, sandbox: RunningSandbox) -> None:
    """Who asks for days that were read an hour ago wants them as they are now."""
    shop.minutes = 3.0
    shop.backfill(sandbox)
    shop.backfill(sandbox)
    assert len(shop.operations) == 8


def test_an_order_that_was_deleted_since_is_not_taken_from_an_old_file(
    shop: Shop, sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No list of changes tells of it; the count does. Within six hours it may still come, as it always might."""
    shop.minutes = 200.0
    plain = Operation.result
    ghost = {"id": "gid://shopify/Order/9", "legacyResourceId": "9", "createdAt": "2026-08-03T08:00:00Z"}

    def result(self: Operation) -> list[bytes]:
        is_first = self is shop.operations[0]
        return [*plain(self), msgspec.json.encode(ghost)] if is_first else plain(self)

    monkeypatch.setattr(Operation, "result", result)
    found = shop.backfill(sandbox, most_runs=200)
    assert [one.query for one in shop.operations].count(shop.operations[0].query) == 2
    assert same(found, by_rest(sandbox))


def test_a_run_that_dies_while_it_reads_files_asks_for_no_operation_again(shop: Shop, sandbox: RunningSandbox) -> None:
    """The operations of the parts that were read are still there for the next run."""
    shop.minutes = 3.0

    async def dies() -> None:
        async with aclosing(shop.pages(sandbox)) as found:
            await anext(found)
            await anext(found)

    asyncio.run(dies())
    shop.now += timedelta(hours=1)
    assert same(shop.backfill(sandbox), by_rest(sandbox))
    assert len(shop.operations) == 4


def test_the_patience_is_for_all_operations_of_a_window(shop: Shop, sandbox: RunningSandbox) -> None:
    """A run that waits 29 minutes for each of 16 would keep its slot for a night."""
    with pytest.raises(Deferred):
        asyncio.run(shop.once(sandbox))
    assert PATIENCE_S <= (shop.now - NOW).total_seconds() <= PATIENCE_S + 300


@pytest.mark.slow
def test_of_a_long_window_one_part_is_in_memory_at_a_time(shop: Shop, sandbox: RunningSandbox) -> None:
    """An order is 3 KB as an object: a run with 2 GiB was killed at 450,000 orders, whatever the parts were."""
    shop.minutes, held, clock = 0.1, [0], shop.clock

    def watched() -> datetime:  # it is read after each file
        held.append(sum(isinstance(one, Order) for one in gc.get_objects()))
        return clock()

    shop.clock = watched  # type: ignore[method-assign]
    gc.collect()
    frame, _ = asyncio.run(read_frame(shop.pages(sandbox), order_columns, most=50))
    assert len(shop.operations) == 4
    assert frame.height == len(by_rest(sandbox)) > 3 * max(held)
    assert max(held) > 0


def test_rows_are_turned_into_columns_some_at_a_time(shop: Shop, sandbox: RunningSandbox) -> None:
    """Whatever the size of the pages, they are the same columns in the same order."""
    shop.minutes = 0.1
    some, _ = asyncio.run(read_frame(shop.pages(sandbox), order_columns, most=50))
    whole = order_columns([row for page in asyncio.run(pages_of(shop, sandbox)) for row in page.rows])
    assert some.equals(whole)
    assert some.n_chunks() > 1

    async def nothing() -> AsyncGenerator[OrdersPage]:
        for page in ():
            yield page

    assert asyncio.run(read_frame(nothing(), order_columns))[0].schema == whole.schema


async def pages_of(shop: Shop, sandbox: RunningSandbox) -> list[OrdersPage]:
    return [page async for page in shop.pages(sandbox)]


@given(st.lists(st.integers(0, 250), min_size=32, max_size=32), st.integers(0, 31), st.integers(1, 5))
def test_parts_are_few_and_stay_when_orders_come(counts: list[int], at: int, more: int) -> None:
    """Parts that moved with every order would all be asked for again; all but the one with the order stay."""
    edges = pieces(datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))

    def parts(counts: list[int]) -> list[Part]:
        spans = [Part(*span, count) for span, count in zip(itertools.pairwise(edges), counts, strict=True)]
        return joined(spans)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shopify_parts, "MOST_ORDERS", 1_000)
        before, after = parts(counts), parts([n + more * (k == at) for k, n in enumerate(counts)])
    assert [before[0].start, *(part.end for part in before)] == sorted({part.start for part in before} | {edges[-1]})
    assert sum(part.count for part in before) == sum(counts)
    assert all(part.count <= 1_000 for part in before)
    assert (len(before) == 1) == (sum(counts) <= 1_000)
    moved = {(part.start, part.end) for part in before} - {(part.start, part.end) for part in after}
    assert all(start <= edges[at] < end for start, end in moved)


def test_a_piece_with_too_much_is_cut_and_counted_again() -> None:
    """A shop whose year is one sale would have one part with nearly all of it."""
    start, sale = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 11, 23, tzinfo=UTC)
    placed = [start + timedelta(days=n / 10) for n in range(3_000)] + [
        sale + timedelta(hours=n / 20) for n in range(3_000)
    ]

    async def count(_: str, edges: Sequence[datetime]) -> list[int]:
        return [sum(first <= at < last for at in placed) for first, last in itertools.pairwise(edges)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shopify_parts, "MOST_ORDERS", 1_000)
        window = LongWindow(None, count, "created_at")  # type: ignore[arg-type]
        parts = asyncio.run(window._parts(start, start + timedelta(days=365)))
    assert [one.end for one in parts[:-1]] == [two.start for two in parts[1:]]
    assert sum(part.count for part in parts) == len(placed)
    assert max(part.count for part in parts) <= 1_000


def test_a_part_of_a_second_has_no_halves() -> None:
    """It would be halved for ever."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    assert len(halves(Part(at, at + timedelta(seconds=1), 1))) == 2
    assert halves(Part(at, at + timedelta(seconds=2), 1)) == [at, at + timedelta(seconds=1), at + timedelta(seconds=2)]
