"""Quotas over processes: nobody exceeds them, nobody sleeps through them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.forks import forks
from tests.resources.http.scripted import NOW, Script, calling, json_answer
from tests.resources.worker import call_in_turn
from weathervane_resources.http.errors import Deferred
from weathervane_resources.http.pacing import QuotaSpent
from weathervane_resources.quota import (
    EMPTY,
    OPEN_METEO_FREE,
    PATIENCE_S,
    Limit,
    Rate,
    SharedQuota,
    Window,
    beside_nights,
)
from weathervane_resources.sandbox import RunningSandbox
from weathervane_resources.state import open_state
from weathervane_resources.weather_plan import ARCHIVE_MODEL, split

MIDNIGHT_S = datetime(2026, 11, 20, tzinfo=UTC).timestamp()


class Clock:
    """Seconds that pass when someone sleeps."""

    def __init__(self, now_s: float = MIDNIGHT_S) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        self.now_s += seconds


def quota(state_url: str, clock: Clock, *limits: Limit, scope: str = "s", patience_s: float = 300) -> SharedQuota:
    return SharedQuota(
        open_state(state_url),
        scope,
        limits,
        throttle_scope="app",
        patience_s=patience_s,
        clock=clock,
        sleep=clock.sleep,
    )


def times(take: Callable[[], Awaitable[None]], clock: Clock, count: int) -> list[float]:
    async def main() -> list[float]:
        at = []
        for _ in range(count):
            await take()
            at.append(clock.now_s - MIDNIGHT_S)
        return at

    return asyncio.run(main())


@pytest.mark.parametrize(("per_s", "burst"), [(20.0, 5.0), (50.0, 10.0)])
def test_four_processes_on_one_scope_stay_within_its_rate(state_url: str, per_s: float, burst: float) -> None:
    """Each process with a limiter of its own makes four times the rate, and a ban for the shop."""
    context = forks()
    start = context.Barrier(4)
    with RunningSandbox() as sandbox:
        urls = (f"{sandbox.url}/t/acme", state_url)
        running = [context.Process(target=call_in_turn, args=(urls, (per_s, burst), 2.0, start)) for _ in range(4)]
        for process in running:
            process.start()
        for process in running:
            process.join(30)
        at = sorted(record.monotonic_s for record in sandbox.log.matching("/shop.json"))
    peak = max(sum(1 for other in at if first <= other < first + 1) for first in at)
    assert peak <= burst + per_s
    assert len(at) >= 2 * per_s * 0.9


def test_a_burst_goes_at_once_and_then_the_rate_holds(state_url: str) -> None:
    """One place of the burst is kept free for requests that dawdle."""
    clock = Clock()
    at = times(quota(state_url, clock, Rate(2, 5)).take, clock, 8)
    assert at == pytest.approx([0, 0, 0, 0, 0.5, 1, 1.5, 2], abs=1e-3)


def test_two_runs_share_one_bucket_and_other_scopes_do_not(state_url: str) -> None:
    """The scope is the vendor's, not the run's."""
    clock = Clock()
    one, two = (quota(state_url, clock, Rate(1, 1)) for _ in range(2))
    assert times(one.take, clock, 2) + times(two.take, clock, 1) == pytest.approx([0, 1, 2], abs=1e-3)
    assert times(quota(state_url, clock, Rate(1, 1), scope="other").take, clock, 1) == pytest.approx([2], abs=1e-3)


def test_a_turn_beyond_the_patience_is_refused_and_not_reserved(state_url: str) -> None:
    """The run is deferred; its turn must not hold back those who stay."""
    clock = Clock()
    shared = quota(state_url, clock, Rate(0.1, 1), patience_s=15)
    shared._sleep = _no_sleep
    assert times(shared.take, clock, 2) == [0, 0]
    for _ in range(5):
        with pytest.raises(QuotaSpent) as raised:
            asyncio.run(shared.take())
        assert raised.value.wait_s == pytest.approx(20, abs=1e-3)


async def _no_sleep(_: float) -> None:
    return None


def test_a_clock_that_went_back_stops_nobody(state_url: str) -> None:
    """NTP sets a clock back by an hour: the bucket looks an hour full."""
    clock = Clock(MIDNIGHT_S + 7_200)
    shared = quota(state_url, clock, Rate(1, 1), Window(10, 60))
    asyncio.run(shared.take())
    clock.now_s = MIDNIGHT_S
    assert times(shared.take, clock, 2)[-1] <= 1.01


def test_the_weight_of_a_minute_and_an_hour_and_a_day_holds(state_url: str) -> None:
    """Open-Meteo's free hosts: 600 a minute, 5,000 an hour, 10,000 a day, by call weight and not by request."""
    clock = Clock()
    shared = quota(state_url, clock, *OPEN_METEO_FREE, patience_s=3_600)
    by_minute, by_hour = {}, {}
    with pytest.raises(QuotaSpent) as raised:
        for _ in range(200):
            asyncio.run(shared.take(117.5))
            elapsed_s = clock.now_s - MIDNIGHT_S
            by_minute[elapsed_s // 60] = by_minute.get(elapsed_s // 60, 0) + 117.5
            by_hour[elapsed_s // 3600] = by_hour.get(elapsed_s // 3600, 0) + 117.5
    assert max(by_minute.values()) <= 600
    assert max(by_hour.values()) <= 5_000
    assert 10_000 - 117.5 < sum(by_hour.values()) <= 10_000
    assert clock.now_s + raised.value.wait_s == pytest.approx(MIDNIGHT_S + 86_400, abs=0.01)


def test_a_request_heavier_than_a_window_goes_alone(state_url: str) -> None:
    """One climatology request weighs 4,500: more than a minute's 600, and the vendor takes it."""
    clock = Clock()
    shared = quota(state_url, clock, Window(600, 60))
    at = []
    for weight in (4_500, 1, 4_500):
        asyncio.run(shared.take(weight))
        at.append(clock.now_s - MIDNIGHT_S)
    assert at == pytest.approx([0, 60, 120], abs=0.01)


def spend_all(shared: SharedQuota, clock: Clock, weight: float) -> tuple[float, dict[float, float], QuotaSpent]:
    """Take until there is no turn; return the sum, the sum by hour, and what was said."""
    by_hour: dict[float, float] = {}
    with pytest.raises(QuotaSpent) as raised:
        for _ in range(200):
            asyncio.run(shared.take(weight))
            hour = clock.now_s // 3_600
            by_hour[hour] = by_hour.get(hour, 0) + weight
    return sum(by_hour.values()), by_hour, raised.value


def test_a_backfill_that_wants_everything_leaves_the_nights_their_part(state_url: str) -> None:
    """A new tenant's ten years took the day at noon, and every tenant's night was deferred to the next."""
    clock = Clock()
    history = quota(state_url, clock, *beside_nights(OPEN_METEO_FREE), patience_s=3_600)
    night = quota(state_url, clock, *OPEN_METEO_FREE, patience_s=3_600)
    taken, by_hour, refused = spend_all(history, clock, 117.5)
    assert max(by_hour.values()) <= 4_000
    assert 8_000 - 117.5 < taken <= 8_000
    assert clock.now_s + refused.wait_s == pytest.approx(MIDNIGHT_S + 86_400, abs=0.01)
    clock.now_s += 60  # the minute is everyone's
    assert times(lambda: night.take(500.0), clock, 1) == [clock.now_s - MIDNIGHT_S], "the night goes at once"
    rest, _, _ = spend_all(night, clock, 117.5)
    assert 10_000 - 117.5 < taken + 500 + rest <= 10_000, "the nights may have all of it, and no more"
    with pytest.raises(QuotaSpent):
        asyncio.run(history.take(1.0))


def test_a_night_finds_room_in_an_hour_that_a_backfill_has_used_up(state_url: str) -> None:
    """The day had enough for all: 5,000 of history at 03:00 put the nights of 03:00 off to 04:00."""
    clock = Clock()
    history, night = (
        quota(state_url, clock, w) for w in (*beside_nights([Window(5_000, 3_600)]), Window(5_000, 3_600))
    )
    assert times(lambda: history.take(2_000.0), clock, 2) == [0, 0]
    with pytest.raises(QuotaSpent):
        asyncio.run(history.take(1.0))
    assert times(lambda: night.take(500.0), clock, 2) == [0, 0]
    with pytest.raises(QuotaSpent):
        asyncio.run(night.take(1.0))


def test_a_request_of_a_backfill_that_is_heavier_than_its_part_still_goes_alone(state_url: str) -> None:
    """Nothing would ever let it go, and the run would be deferred from midnight to midnight."""
    clock = Clock()
    history, night = (
        quota(state_url, clock, w) for w in (*beside_nights([Window(5_000, 3_600)]), Window(5_000, 3_600))
    )
    assert times(lambda: history.take(4_500.0), clock, 1) == [0]
    assert times(lambda: night.take(500.0), clock, 1) == [0]
    with pytest.raises(QuotaSpent) as raised:
        asyncio.run(history.take(4_500.0))
    assert raised.value.wait_s == pytest.approx(3_600)
    clock.now_s += 3_600
    assert times(lambda: history.take(4_500.0), clock, 1) == [3_600]


def test_ten_years_of_a_tenants_places_come_in_although_each_hour_has_its_nights(state_url: str) -> None:
    """Requests of 4,500 need an hour in which nobody asked for anything: with tenants on every continent there is none."""
    clock = Clock()
    history, night = (quota(state_url, clock, *w) for w in (beside_nights(OPEN_METEO_FREE), OPEN_METEO_FREE))
    points = [f"{n / 10:.1f},10.0" for n in range(40)]
    left = split(points, date(2016, 1, 1), date(2025, 12, 31), ARCHIVE_MODEL)
    hours = 0
    while left and hours < 48:
        clock.now_s = MIDNIGHT_S + hours * 3_600
        asyncio.run(night.take(100.0))
        try:
            while left:
                asyncio.run(history.take(left[0].weight))
                left.pop(0)
        except QuotaSpent:
            hours += 1
    assert hours == 24, "10,000 of weight are two hours of one day and one of the next"


@pytest.mark.parametrize(
    ("used", "kept"),
    [
        ((4_000.0,), "; 1,000 of the hour's 5,000 are kept for the nights"),
        ((4_000.0, 4_000.0), "; 1,000 of the hour's 5,000 and 2,000 of the day's 10,000 are kept for the nights"),
    ],
)
def test_a_backfill_that_is_put_off_is_told_what_is_kept_and_for_whom(
    state_url: str, used: tuple[float, ...], kept: str
) -> None:
    """`weather plan` counted 9,000 of 10,000 spent, and nobody could see why the run waited."""
    clock = Clock()
    history = quota(state_url, clock, *beside_nights(OPEN_METEO_FREE), scope="open_meteo:free", patience_s=3_600)
    for weight in used:
        asyncio.run(history.take(weight))
    history._patience_s = PATIENCE_S
    with pytest.raises(QuotaSpent) as raised:
        asyncio.run(history.take(261.0))
    said = f"the shared quota of open_meteo:free has its next turn in {raised.value.wait_s:.0f} s"
    assert str(raised.value) == said + kept


def test_a_night_that_is_put_off_hears_of_no_reserve(state_url: str) -> None:
    """Nothing is kept from it: the quota is spent. Nor does a vendor's pause keep anything for anyone."""
    clock = Clock()
    night = quota(state_url, clock, *OPEN_METEO_FREE)
    asyncio.run(night.take(4_999.0))
    with pytest.raises(QuotaSpent, match=r"next turn in \d+ s$"):
        asyncio.run(night.take(261.0))
    history = quota(state_url, clock, *beside_nights(OPEN_METEO_FREE), scope="other")
    asyncio.run(history.pause(41_732, "app"))
    with pytest.raises(QuotaSpent, match=r"next turn in \d+ s$"):
        asyncio.run(history.take(261.0))


def test_a_throttle_of_the_scope_holds_back_all_runs_and_another_does_not(state_url: str) -> None:
    """One tenant burnt the developer token; everyone else kept asking for five days (pipedream #18715)."""
    clock = Clock()
    one, two = (quota(state_url, clock, Rate(100, 100)) for _ in range(2))
    asyncio.run(one.pause(10, "account"))
    assert times(two.take, clock, 1) == pytest.approx([0], abs=1e-3)
    asyncio.run(one.pause(10, "app"))
    assert times(two.take, clock, 1) == pytest.approx([10], abs=1e-3)
    asyncio.run(one.pause(41_732, "app"))
    with pytest.raises(QuotaSpent):
        asyncio.run(two.take())


def test_a_spent_quota_defers_the_run_and_nothing_is_sent(state_url: str) -> None:
    """Google's retryDelay of 11 hours, learnt by another run."""
    clock = Clock()
    shared = quota(state_url, clock, Rate(100, 100))
    asyncio.run(shared.pause(41_732, "app"))
    script = Script([json_answer({})])

    async def main() -> None:
        async with calling(script, "google_ads") as session:
            session._pace = shared
            await session.get(f"{session.origin}/x")

    with pytest.raises(Deferred, match="shared quota") as raised:
        asyncio.run(main())
    assert (raised.value.until - NOW).total_seconds() == pytest.approx(41_732, abs=1)
    assert script.seen == []


@given(st.floats(0.05, 50), st.integers(1, 40), st.integers(0, 10_000))
def test_no_second_ever_has_more_than_burst_and_rate(per_s: float, burst: int, seed: int) -> None:
    """Whatever the pattern of arrivals."""
    dice, limit = random.Random(seed), Rate(per_s, burst)
    cell, now_s, at = EMPTY, MIDNIGHT_S, []
    for _ in range(80):
        now_s += dice.choice([0, 0, 0, dice.random() * 3 / per_s])
        wait_s, reserved = limit.reserve(cell, now_s, 1.0)
        if wait_s <= PATIENCE_S:  # whoever would wait longer is refused, and reserves nothing
            at.append(now_s + wait_s)
            cell = reserved
    peak = max(sum(1 for other in at if first <= other < first + 1) for first in at)
    assert peak <= burst + per_s + 1e-6


@pytest.mark.parametrize(("per_s", "burst"), [(0, 1), (-1, 1), (float("nan"), 1), (1, 0.5)])
def test_an_impossible_rate_is_refused_at_once(per_s: float, burst: float) -> None:
    """Trap 22."""
    with pytest.raises(ValueError, match="must be"):
        Rate(per_s, burst)
