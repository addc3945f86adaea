"""Waits: parsed, floored, jittered, bounded by patience."""

import asyncio
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.resources.http.scripted import run_jumping
from weathervane_resources.http.errors import BadRequest, Deferred, Malformed, Throttled, Unavailable, VendorError
from weathervane_resources.http.pacing import Pace, Paces
from weathervane_resources.http.retry import ABSURD_S, COME_BACK_S, FLOOR_S, RetryBudget, RetryPolicy, parse_retry_after

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
WHERE = {"vendor": "shopify", "tenant": "acme"}


@given(st.text())
def test_any_retry_after_gives_a_bounded_wait_or_none(value: str) -> None:
    """`Retry-After: 0` was a hot loop, "2.0" a crash, a far date an overflow."""
    wait_s = parse_retry_after(value, NOW)
    assert wait_s is None or FLOOR_S <= wait_s <= ABSURD_S


@given(st.floats(min_value=1, max_value=ABSURD_S))
def test_a_plain_number_of_seconds_is_taken_as_it_is(seconds: float) -> None:
    """The predecessor capped at 10 s and was throttled again."""
    assert parse_retry_after(f"{seconds:.3f}", NOW) == pytest.approx(max(1.0, round(seconds, 3)), abs=1e-3)


@given(st.timedeltas(min_value=timedelta(days=-9), max_value=timedelta(days=9)))
def test_an_http_date_is_a_wait_from_now(span: timedelta) -> None:
    """Proxies send dates; one in the past means now, not never."""
    whole = timedelta(seconds=int(span.total_seconds()))
    expected = min(max(whole.total_seconds(), FLOOR_S), ABSURD_S)
    assert parse_retry_after(format_datetime(NOW + whole, usegmt=True), NOW) == expected


@pytest.mark.parametrize(
    ("value", "wait_s"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("1_000", None),
        ("0", 1.0),
        ("-5", 1.0),
        ("2.0", 2.0),
        (" 7 ", 7.0),
        ("9" * 400, ABSURD_S),
        ("1e9", None),
    ],
)
def test_odd_retry_after_values_are_handled(value: str | None, wait_s: float | None) -> None:
    """`float("1_000")` is 1000 in Python, and no server means that."""
    assert parse_retry_after(value, NOW) == wait_s


def test_throttles_cost_patience_and_never_attempts() -> None:
    """Three 429s once ended in "RuntimeError: HTTP request failed without exception"."""
    budget = RetryBudget(RetryPolicy(attempts=2, patience_s=100), random.Random(1))
    waits = [budget.wait_after(Throttled("t", wait_s=10, **WHERE), NOW) for _ in range(8)]
    assert all(10 <= wait <= 11 for wait in waits)
    with pytest.raises(Deferred) as deferred:
        [budget.wait_after(Throttled("t", wait_s=10, **WHERE), NOW) for _ in range(3)]
    assert deferred.value.until - NOW == timedelta(seconds=COME_BACK_S), "not in another ten seconds, all over again"


def _away(wait_s: float) -> Unavailable:
    error = Unavailable("down", **WHERE)
    error.wait_s = wait_s
    return error


@pytest.mark.parametrize("told", [lambda wait_s: Throttled("t", wait_s=wait_s, **WHERE), _away])
def test_those_who_were_told_to_wait_do_not_come_back_together(told: Callable[[float], VendorError]) -> None:
    """Trap 22: fifty tenants were told ten seconds, and all fifty asked in the same millisecond, for ever."""

    def waits(wait_s: float) -> list[float]:
        return [RetryBudget(RetryPolicy(), random.Random(n)).wait_after(told(wait_s), NOW) for n in range(50)]

    long, short = waits(10), waits(1)
    assert len(set(long)) == len(set(short)) == 50
    assert all(10 <= wait <= 11 for wait in long)
    assert max(long) - min(long) > 0.8
    assert all(1 <= wait <= 1.1 for wait in short)


def test_a_wait_beyond_the_patience_is_deferred_at_once() -> None:
    """Google asks for 11 hours: the slot is freed, nothing fails."""
    budget = RetryBudget(RetryPolicy(), random.Random(1))
    with pytest.raises(Deferred) as deferred:
        budget.wait_after(Throttled("t", wait_s=41_732, **WHERE), NOW)
    assert deferred.value.until >= NOW + timedelta(seconds=41_732)


def test_failures_end_with_the_last_error_itself() -> None:
    """The caller must see what the vendor said last."""
    budget = RetryBudget(RetryPolicy(attempts=3, base_s=1, cap_s=1.5), random.Random(1))
    error = Unavailable("down", **WHERE)
    assert all(0 <= budget.wait_after(error, NOW) <= 1.5 for _ in range(2))
    with pytest.raises(Unavailable) as raised:
        budget.wait_after(error, NOW)
    assert raised.value is error
    with pytest.raises(BadRequest):
        budget.wait_after(BadRequest("no", **WHERE), NOW)


def _given_up_after(error: VendorError, seed: int, *, request_s: float = 0.0, jump_s: float = 0.0) -> tuple[int, float]:
    """Return how often a request was tried that always fails, each try so long, and for how many seconds."""
    budget, now, tries, passed_s = RetryBudget(RetryPolicy(outage_s=60), random.Random(seed)), NOW, 0, 0.0
    while True:
        tries, passed_s = tries + 1, passed_s + request_s
        now += timedelta(seconds=request_s + jump_s)
        try:
            wait_s = budget.wait_after(error, now)
        except type(error):
            return tries, passed_s
        now, passed_s = now + timedelta(seconds=wait_s), passed_s + wait_s


@given(st.integers())
def test_a_vendor_that_is_away_is_tried_for_a_minute_and_no_more_than_two(seed: int) -> None:
    """Six attempts were over in eight seconds, Dagster's retries came at once: a restart of a minute cost the night."""
    tries, seconds = _given_up_after(Unavailable("down", **WHERE), seed)
    assert tries >= 6
    assert 60 <= seconds <= 120


@given(st.integers())
def test_waiting_an_outage_out_is_for_vendors_that_are_away_and_ends_with_any_clock(seed: int) -> None:
    """A page that is broken stays so; half open connections take minutes each; a clock that goes back is no more patience."""
    assert _given_up_after(Malformed("half", **WHERE), seed)[0] == 6
    assert _given_up_after(Unavailable("stalled", **WHERE), seed, request_s=180)[0] == 6
    assert _given_up_after(Unavailable("down", **WHERE), seed, jump_s=-3_600)[1] <= 120


@given(st.integers(min_value=1, max_value=10_000), st.integers())
def test_back_off_has_full_jitter_within_its_cap(failures: int, seed: int) -> None:
    """2 ** 10000 overflows a float."""
    assert 0 <= RetryPolicy().backoff_s(failures, random.Random(seed)) <= 60


def test_two_callers_do_not_come_back_at_once() -> None:
    """Trap 22: without jitter all that failed together tried again together."""
    waits = [RetryPolicy().backoff_s(4, random.Random(seed)) for seed in range(50)]
    assert len(set(waits)) == 50
    assert min(waits) < max(waits) / 4


async def _seconds(pace: Pace | Paces, takes: int) -> float:
    loop = asyncio.get_running_loop()
    start = loop.time()
    for _ in range(takes):
        await pace.take()
    return loop.time() - start


def test_a_rate_below_one_a_second_still_lets_requests_through() -> None:
    """Trap 22: a limiter with a rate below 1/s never returned."""
    assert run_jumping(_seconds(Pace(0.1), 4)) == pytest.approx(30, rel=0.01)


@given(st.floats(min_value=0.05, max_value=50), st.integers(min_value=1, max_value=20), st.integers(1, 60))
def test_a_pace_never_exceeds_burst_plus_rate(rate: float, burst: int, takes: int) -> None:
    """`max_rate` of aiolimiter is the burst; the rate is max_rate / time_period."""
    elapsed = run_jumping(_seconds(Pace(rate, burst), takes))
    assert elapsed >= max(0, takes - burst) / rate * 0.99 - 1e-6
    assert elapsed <= max(0, takes - burst) / rate * 1.01 + 1e-2 * takes


def test_the_slower_of_two_limits_decides() -> None:
    """Klaviyo: 10 a second and 150 a minute."""
    assert run_jumping(_seconds(Paces([Pace(10, 10), Pace(2.5, 1)]), 21)) == pytest.approx(8, rel=0.05)


def test_one_pace_can_serve_two_event_loops_in_turn() -> None:
    """A limiter belongs to its loop; reuse in another only warned and then misbehaved."""
    pace = Pace(1)
    assert [run_jumping(_seconds(pace, 1)) < 0.01 for _ in range(2)] == [True, True]


@pytest.mark.parametrize(("rate", "burst"), [(0, 1), (-1, 1), (float("nan"), 1), (float("inf"), 1), (1, 0.5)])
def test_an_impossible_pace_is_refused_at_once(rate: float, burst: float) -> None:
    """A bucket smaller than one request never lets one through."""
    with pytest.raises(ValueError, match="must be"):
        Pace(rate, burst)
