"""How long to wait, and when to stop waiting.

A throttle is paid from the run's patience (seconds), a failure from its attempts: a busy shop must not look like a
broken one. The clock and the random source are arguments, so no test sleeps.
"""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from random import Random

from weathervane_resources.http.errors import Deferred, Throttled, Unavailable, VendorError

FLOOR_S = 1.0
"""`Retry-After: 0` and dates in the past became a hot loop in another loader (dlt #4036)."""
COME_BACK_S = 900.0
"""How long a run stays away whose patience went into small waits: a vendor that names no time means an hour or a day."""
ABSURD_S = 7 * 86_400.0
"""Google asks for 11 hours and means it; beyond a week the header is nonsense and `datetime` may overflow."""
OUTAGE_S = 60.0
"""A vendor that is away for a minute costs the run this long, and at most twice that; not the night."""
_PLAIN_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?")


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """Return the seconds to wait, between `FLOOR_S` and `ABSURD_S`; None where the header is absent or unreadable.

    Shopify sends a float ("2.0", on which `int()` crashes), Klaviyo an integer, proxies an HTTP date.
    """
    text = (value or "").strip()
    if _PLAIN_NUMBER.fullmatch(text):
        return clamp_wait(float(text))
    try:
        at = parsedate_to_datetime(text)
        if at.tzinfo is None:
            at = at.replace(tzinfo=UTC)
        return clamp_wait((at - now).total_seconds())
    except (TypeError, ValueError, IndexError, OverflowError):
        return None


def clamp_wait(wait_s: float) -> float:
    """Return `wait_s` within the floor and the absurd."""
    return min(max(wait_s, FLOOR_S), ABSURD_S)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How much a run puts up with, per request.

    Attributes:
        attempts: Tries of a request that fails (5xx, network, malformed); throttles do not count.
        base_s: First back-off; doubles each time, with full jitter.
        cap_s: Longest single back-off of our own choosing; a vendor's wait is not capped.
        patience_s: Total seconds of waiting before `Deferred`.
        outage_s: How long a vendor that cannot be reached, or answers 5xx, is tried again whatever the attempts: a restart of
            a minute must not cost the night, since Dagster's own retry of a run comes at once.
    """

    attempts: int = 6
    base_s: float = 0.5
    cap_s: float = 60.0
    patience_s: float = 300.0
    outage_s: float = 0.0

    def backoff_s(self, failures: int, rng: Random) -> float:
        """Return a full-jitter exponential back-off after the n-th failure (n >= 1)."""
        return rng.uniform(0, min(self.cap_s, self.base_s * 2.0 ** min(failures - 1, 32)))


@dataclass(slots=True)
class RetryBudget:
    """The waits and failures of one request, against its policy."""

    policy: RetryPolicy
    rng: Random
    failures: int = field(default=0, init=False)
    waited_s: float = field(default=0.0, init=False)
    _throttles: int = field(default=0, init=False)
    _rested_s: float = field(default=0.0, init=False)
    _failing_since: datetime | None = field(default=None, init=False)

    def wait_after(self, error: VendorError, now: datetime) -> float:
        """Return the seconds to sleep before the next try.

        Raises:
            VendorError: `error` itself, when the attempts are spent or it is permanent.
            Deferred: when the wait would exceed the run's patience.
        """
        if not error.is_transient or isinstance(error, Deferred):
            raise error
        wait_s = self._throttle_s(error) if isinstance(error, Throttled) else self._failure_s(error, now)
        if self.waited_s + wait_s > self.policy.patience_s:
            # who waited so long in vain comes back later, not with the next small wait; one long wait is the vendor's word
            away_s = max(wait_s, COME_BACK_S) if self.waited_s else wait_s
            raise _deferred(error, now + timedelta(seconds=away_s)) from error
        self.waited_s += wait_s
        return wait_s

    def _throttle_s(self, error: Throttled) -> float:
        self._throttles += 1
        if error.wait_s is None:
            return FLOOR_S + self.policy.backoff_s(self._throttles, self.rng)
        return self._jittered(error.wait_s)

    def _failure_s(self, error: VendorError, now: datetime) -> float:
        self.failures += 1
        self._failing_since = self._failing_since or now
        if self.failures >= self.policy.attempts and not self._may_pass(error, now):
            raise error
        if isinstance(error, Unavailable) and error.wait_s is not None:
            wait_s = self._jittered(error.wait_s)
        else:
            wait_s = self.policy.backoff_s(self.failures, self.rng)
        self._rested_s += wait_s
        return wait_s

    def _may_pass(self, error: VendorError, now: datetime) -> bool:
        """Whether it is an outage that began a short while ago; by the clock, or by our waits where the clock went back."""
        since = self._failing_since or now
        failing_s = max((now - since).total_seconds(), self._rested_s)
        return isinstance(error, Unavailable) and failing_s < self.policy.outage_s

    def _jittered(self, wait_s: float) -> float:
        """Never less than the vendor asked; a little more, so that waiters do not wake together."""
        return wait_s + self.rng.uniform(0, min(1.0, wait_s * 0.1))


def _deferred(error: VendorError, until: datetime) -> Deferred:
    return Deferred(
        f"{error.message}; the wait ends {until:%Y-%m-%d %H:%M:%S %Z}, beyond this run's patience",
        until=until,
        vendor=error.vendor,
        tenant=error.tenant,
        window=error.window,
        status=error.status,
        hint="nothing is lost: run the same window again after that time",
    )
