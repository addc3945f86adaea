"""The position of a change sensor: no change lost, none new twice, whatever the pages are like."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weathervane_assets.change_cursor import (
    MOST_NEW_PAGES,
    OVERLAP,
    WAITING,
    BadCursor,
    Change,
    Position,
    digest,
    not_after,
    ranges,
    read_changes,
    read_cursor,
    write_cursor,
)
from weathervane_assets.changes import UNSORTED, _changed_campaign
from weathervane_assets.graph import downstream
from weathervane_resources.clients.klaviyo import Campaign
from weathervane_resources.clients.rows import BadRow
from weathervane_resources.tenants import Tenant

T0 = datetime(2026, 11, 20, 12, tzinfo=UTC)
DAY = date(2026, 10, 11)


@dataclass(frozen=True)
class Listed:
    """One page."""

    rows: Sequence[Change | None]
    bad: Sequence[BadRow] = field(default_factory=tuple)


def change(key: str, seconds: int) -> Change:
    return Change(key, T0 + timedelta(seconds=seconds), frozenset({DAY}))


async def pages_of(changes: Sequence[Change], start: Position, until: datetime, size: int) -> AsyncGenerator[Listed]:
    since = start.until - OVERLAP
    mine = sorted((c for c in changes if since <= c.updated_at < until), key=lambda c: c.updated_at)
    for at in range(0, len(mine), size):
        yield Listed(mine[at : at + size])


def read(
    changes: Sequence[Change], start: Position, until: datetime, size: int = 5, *, is_late: bool = False
) -> tuple[list[Change], Position]:
    pages = pages_of(changes, start, until, size)
    new, _, after = asyncio.run(read_changes(pages, lambda row: row, start, until, lambda: is_late))
    return new, after


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 600), max_size=300), st.lists(st.integers(1, 120), min_size=1, max_size=8))
def test_every_change_is_new_exactly_once(at: list[int], steps: list[int]) -> None:
    """An overlap without memory asked for the same run at every tick; no overlap lost what showed up late."""
    changes = [change(str(n), seconds) for n, seconds in enumerate(at)]
    position, found, now = Position(T0), [], T0
    for step in [*steps, 1000, *[1] * 40]:
        now += timedelta(seconds=step)
        new, position = read(changes, position, now)
        found += [c.key for c in new]
    assert sorted(found) == sorted(c.key for c in changes)


def test_a_change_that_shows_up_within_a_minute_is_found() -> None:
    """Shopify's list is a moment behind its clock."""
    _, position = read([], Position(T0), T0 + timedelta(seconds=30))
    late = change("late", 10)
    new, position = read([late], position, T0 + timedelta(seconds=60))
    assert new == [late]
    assert read([late], position, T0 + timedelta(seconds=65))[0] == []


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 3600), max_size=120),
    st.integers(-540, 540),
    st.lists(st.integers(60, 900), min_size=6, max_size=8),
    st.integers(1, 6),
    st.booleans(),
)
def test_no_change_is_lost_where_our_clock_is_wrong(
    at: list[int], ahead_s: int, steps: list[int], size: int, is_late: bool
) -> None:
    """Three minutes fast, it lost 36 of 201 changes: what Shopify stamped after its now and before ours was never asked for."""
    changes = [change(str(n), seconds) for n, seconds in enumerate(at)]
    ahead, now = timedelta(seconds=ahead_s), T0
    position, found = Position(T0 + min(ahead, timedelta(0))), []
    for step in [*steps, 3600, *[600] * (150 if is_late else 30)]:
        now += timedelta(seconds=step)
        visible = [c for c in changes if c.updated_at <= now]
        new, position = read(visible, position, position.span(now + ahead)[1], size, is_late=is_late)
        found += [c.key for c in new]
    assert sorted(found) == sorted(c.key for c in changes)


def test_more_than_a_tick_can_read_again_does_not_hold_it_up() -> None:
    """An app tagged 3,000 orders in ten minutes; of the next tick's time, all went into reading them once more, and so for ever."""
    changes = [change(str(n), n // 5) for n in range(4_000)]
    position, found = Position(T0), []

    async def slow(until: datetime, pages_in_time: int) -> AsyncGenerator[Listed]:
        read_pages = 0
        async for page in pages_of([c for c in changes if c.updated_at < until], position, until, size=250):
            if read_pages == pages_in_time:
                raise TimeoutError
            read_pages += 1
            yield page

    for tick in range(1, 20):
        in_time, looks = 99 if tick == 1 else 8, itertools.count(1)
        until = position.span(T0 + timedelta(minutes=10 * tick))[1]
        pages = slow(until, in_time)
        with suppress(TimeoutError):
            new, _, position = asyncio.run(
                read_changes(pages, lambda row: row, position, until, lambda n=looks, end=in_time: next(n) >= end // 2)
            )
            found += [c.key for c in new]
    assert sorted(found) == sorted(c.key for c in changes)
    assert position.seen == {}


def test_a_row_that_changes_again_is_new_again() -> None:
    """Deduplicated by id alone, the second refund of an order was missed."""
    new, position = read([change("a", 1)], Position(T0), T0 + timedelta(seconds=5))
    again, _ = read([change("a", 8)], position, T0 + timedelta(seconds=10))
    assert [len(new), len(again)] == [1, 1]


def test_more_changes_of_one_second_than_a_tick_reads_are_read_in_the_end() -> None:
    """A price import touched 3,000 orders in one second; the sensor read the same first pages for ever."""
    changes = [change(str(n), 5) for n in range(3 * MOST_NEW_PAGES)]
    position, found = Position(T0), []
    for _ in range(4):
        new, position = read(changes, position, T0 + timedelta(minutes=5), size=1)
        assert len(new) <= MOST_NEW_PAGES
        found += new
    assert len(found) == len({c.key for c in found}) == len(changes)


def test_a_slow_vendor_is_read_page_by_page_over_many_ticks() -> None:
    """More changes than a tick had time for were begun again from the first at every tick, and none ever came in."""
    changes = [change(str(n), 2 * n) for n in range(6)]
    position, found = Position(T0), []
    for _ in changes:
        new, position = read(changes, position, T0 + timedelta(minutes=20), size=1, is_late=True)
        assert len(new) == 1
        found += new
    assert [c.key for c in found] == [c.key for c in changes]
    assert read(changes, position, T0 + timedelta(minutes=20), size=1, is_late=True)[0] == []


def test_a_change_that_is_listed_late_is_found_within_the_lag_of_its_list() -> None:
    """3,000 campaigns were archived at once, and of the one that stood minutes too late in the list nobody ever heard."""
    changes = [change(str(n), n) for n in range(3_000)]
    changes.insert(2_110, changes.pop(1_900))
    position, found = Position(T0), []

    async def listed(since: datetime, until: datetime) -> AsyncGenerator[Listed]:
        mine = [one for one in changes if since <= one.updated_at < until]
        for at in range(0, len(mine), 100):
            yield Listed(mine[at : at + 100])

    for tick in range(1, 9):
        since, until = position.span(T0 + timedelta(minutes=50 + 10 * tick))
        pages = listed(since, until)
        new, _, position = asyncio.run(read_changes(pages, lambda row: row, position, until, lag=UNSORTED))
        found += [one.key for one in new]
    assert sorted(found) == sorted(one.key for one in changes)


def test_a_row_without_a_usable_time_is_counted() -> None:
    """Passed over in silence, it would be missed for ever."""

    async def pages() -> AsyncGenerator[Listed]:
        yield Listed([None, change("a", 1)], [BadRow("no id", None)])

    until = T0 + timedelta(minutes=1)
    new, unreadable, _ = asyncio.run(read_changes(pages(), lambda row: row, Position(T0), until))
    assert (len(new), unreadable) == (1, 2)


def test_days_are_grouped_into_ranges() -> None:
    """One run a range, not one a day."""
    days = [date(2026, 2, 28), date(2026, 3, 1), date(2026, 3, 3), date(2026, 3, 1)]
    assert ranges(days) == [(date(2026, 2, 28), date(2026, 3, 1)), (date(2026, 3, 3), date(2026, 3, 3))]
    assert ranges([]) == []


def test_a_key_is_made_of_the_changes_of_its_days_in_no_order() -> None:
    """Another tenant-day's change must not give this one's run a new key."""
    other = Change("x", T0, frozenset({DAY + timedelta(days=3)}))
    one, two = change("a", 1), change("b", 2)
    assert digest([one, two], DAY, DAY) == digest([two, other, one], DAY, DAY) != digest([one], DAY, DAY)


def test_the_cursor_is_what_was_written() -> None:
    """A cursor that forgets what it saw asks for everything of the last minutes again."""
    positions = {"acme": {"orders": Position(T0, {"1": T0 - timedelta(seconds=3)}), "other": Position(T0, left_at=T0)}}
    assert read_cursor(write_cursor(positions)) == positions
    assert read_cursor(None) == read_cursor("") == {}


def test_only_an_older_note_sets_a_position_back_and_never_beyond_the_earliest() -> None:
    """A daemon that died before the cursor was stored left a newer note: with it, what it had read would have been lost."""
    here, hour, long_ago = Position(T0, {"1": T0}), timedelta(hours=1), T0 - timedelta(days=90)
    assert [here.not_after(noted, long_ago) for noted in (None, T0, T0 + hour)] == [here] * 3
    assert here.not_after(T0 - hour, long_ago) == Position(T0 - hour - WAITING, left_at=T0)
    assert here.not_after(T0 - timedelta(days=200), long_ago) == Position(long_ago, left_at=T0)
    assert here.not_after(T0 - hour, T0 + hour).until == T0, "the cursor itself is as old"
    lists = {"acme": {"a": here, "b": here}, "kiwi": {"a": here}}
    assert not_after(lists, {("acme", "b"): T0 - hour, ("gone", "a"): T0 - hour}, long_ago) == {
        "acme": {"a": here, "b": here.not_after(T0 - hour, long_ago)}, "kiwi": {"a": here}
    }  # fmt: skip


def test_a_position_remembers_through_all_ticks_where_it_was_set_back_from() -> None:
    """Forgotten at the next tick, the keys of the day after were used up."""
    assert read([change("a", 1)], Position(T0, left_at=T0), T0 + timedelta(seconds=5))[1].left_at == T0


@pytest.mark.parametrize(
    "text", ['{"version": 2, "tenants": {}}', "{}", "[]", "12", "x", '{"version": 1, "tenants": 3}']
)
def test_a_cursor_that_is_not_ours_is_an_error_and_not_now(text: str) -> None:
    """Starting from now in silence loses what changed since the last tick."""
    with pytest.raises(BadCursor, match="reset it in the UI"):
        read_cursor(text)


def test_what_is_made_from_orders_and_promos() -> None:
    """A refund that changes orders and not the matrix is half a refund."""
    assert downstream("orders") == ("orders", "weather_daily", "weather_forecast", "features")
    assert downstream("promos") == ("promos", "features")


@pytest.mark.parametrize("send_time", ["9999-12-31T23:59:59+00:00", "0001-01-01T00:00:00+00:00"])
@pytest.mark.parametrize("zone", ["Pacific/Auckland", "America/Los_Angeles"])
def test_a_campaign_at_the_end_of_the_calendar_is_on_the_day_of_its_other_time(zone: str, send_time: str) -> None:
    """East of Greenwich the last second of 9999 has no day: one campaign ended every tick for all tenants."""
    shop = Tenant("acme", "Acme", zone, "USD", date(2026, 1, 1))
    at = "2026-11-01T12:00:00+00:00"
    campaign = Campaign("c1", "email", send_time=send_time, created_at=at, updated_at=at)
    found = _changed_campaign(campaign, shop, frozenset())
    assert found
    assert found.days == {shop.today(datetime.fromisoformat(at))}
