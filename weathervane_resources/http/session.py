"""One session for one tenant's use of one vendor: pace, retry, refresh, classify, redact.

    async with VendorSession("shopify", "acme", "https://acme.myshopify.com", auth, Pace(2, 40)) as session:
        reply = await session.get("https://acme.myshopify.com/admin/oauth/access_scopes.json")

The credential goes to the session's own origin only, never after a redirect or a link elsewhere. Request shapes,
paging and row types belong to `clients/`.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self, TypeVar

from yarl import URL

from weathervane_resources.http import errors
from weathervane_resources.http.auth import Auth
from weathervane_resources.http.classify import classify
from weathervane_resources.http.echo import version_note
from weathervane_resources.http.failure import to_error
from weathervane_resources.http.pacing import Pacer, QuotaSpent
from weathervane_resources.http.retry import OUTAGE_S, RetryBudget, RetryPolicy
from weathervane_resources.http.transport import Reply, Request, Transport
from weathervane_resources.http.usage import rest_after
from weathervane_resources.http.verdict import Kind

__all__ = ["Reply", "Request", "VendorSession", "utc_now"]

T = TypeVar("T")

_log = logging.getLogger(__name__)
_MAX_REDIRECTS = 3


def utc_now() -> datetime:
    """Return the time; the default clock of a session."""
    return datetime.now(UTC)


Sign = Callable[[Mapping[str, str]], Mapping[str, str]]


class VendorSession:
    """An aiohttp session with everything a vendor call needs.

    Attributes:
        requests: HTTP requests sent, retries included.
        retries: Requests sent again.
        throttled_s: Seconds waited because the vendor asked for it.
        received_bytes: Bodies of answers, decompressed.
        version_notes: What the vendor says about the API version that was asked for, each once; empty when all is well.
    """

    def __init__(
        self,
        vendor: str,
        tenant: str,
        origin: str,
        auth: Auth,
        pace: Pacer,
        policy: RetryPolicy | None = None,
        *,
        clock: Callable[[], datetime] = utc_now,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        rng: random.Random | None = None,
        extra_headers: Mapping[str, str] | None = None,
        also_origins: Collection[str] = (),
        api_version: str = "",
        sign: Sign | None = None,
        total_s: float = 180.0,
        max_body_bytes: int = 128 * 2**20,
        on_close: Callable[[VendorSession], None] = lambda _: None,
    ) -> None:
        """Open nothing yet.

        Args:
            vendor: shopify, meta_ads, google_ads, klaviyo or open_meteo: chooses the classifier's table.
            tenant: For messages.
            origin: Scheme, host and port the credential may go to; a path is ignored.
            auth: The credential.
            pace: Limits requests a second.
            policy: Attempts and patience.
            clock: Aware UTC time.
            sleep: Waits; tests pass their own.
            rng: Jitter; tests pass a seeded one.
            extra_headers: Sent with every request (a developer token, say).
            also_origins: Further origins of the same vendor, from configuration, never from an answer.
            api_version: The version asked for, compared with the one that the vendor says has answered.
            sign: Makes further query parameters of the credential that goes with a request.
            total_s: Longest single request; a malformed chunk once hung past every socket timeout, and a cold archive
                request takes over 20 s.
            max_body_bytes: Size cap, before and after decompression.
            on_close: Called at the end, to publish what was counted.
        """
        self.vendor = vendor
        self.tenant = tenant
        self.origin = origin
        self.requests = 0
        self.retries = 0
        self.throttled_s = 0.0
        self.received_bytes = 0
        self.version_notes: list[str] = []
        self._auth = auth
        self._pace = pace
        self._policy = policy or RetryPolicy(outage_s=OUTAGE_S)
        self._clock = clock
        self._sleep = sleep
        self._rng = rng or random.Random()
        self._extra_headers = dict(extra_headers or {})
        self._api_version = api_version
        self._sign = sign
        self._on_close = on_close
        self._rests_until: datetime | None = None
        self._transport = Transport((origin, *also_origins), total_s, max_body_bytes)

    async def __aenter__(self) -> Self:
        await self._transport.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._transport.close()
        self._on_close(self)

    def where(self, window: str = "") -> errors.Where:
        """Return whose call it is, for error messages."""
        return {"vendor": self.vendor, "tenant": self.tenant, "window": window}

    async def get(self, url: str, params: Mapping[str, str] | None = None, window: str = "") -> Reply:
        """Return a good answer or raise a `VendorError`."""
        return await self.read(Request("GET", url, params=params, window=window), _whole)

    async def post(
        self,
        url: str,
        json: Any = None,
        form: Mapping[str, str] | None = None,
        window: str = "",
        *,
        is_safe: bool = False,
    ) -> Reply:
        """Return a good answer or raise; unless `is_safe`, sent again only where the vendor refused it unprocessed."""
        return await self.read(Request("POST", url, json=json, form=form, window=window, is_safe=is_safe), _whole)

    async def read(self, request: Request, parse: Callable[[Reply], T]) -> T:
        """Return `parse` of a good answer.

        `parse` runs inside the retry loop: a body cut off without Content-Length looks whole to HTTP, and only the JSON
        shows it.

        Raises:
            VendorError: as drawn in `errors`.
        """
        budget = self.budget()
        refreshed, failures = False, 0
        while True:
            credential = await self._auth.headers()
            try:
                return parse(await self._answer(request, credential))
            except errors.AuthExpired:
                if refreshed or not self._auth.can_refresh:
                    raise
                refreshed = True
                await self._auth.refresh(credential)
            except errors.VendorError as error:
                failures += _weight_of(error, request)
                if 0 < request.too_big_after <= failures:
                    raise errors.TooBig(f"failed on it: {error.message}", **self.where(request.window)) from error
                await self._wait(request, error, budget)
            self.retries += 1

    async def _wait(self, request: Request, error: errors.VendorError, budget: RetryBudget) -> None:
        was_processed = not isinstance(error, errors.Throttled)
        if was_processed and not request.is_safe and request.method != "GET":
            raise error
        await self.rest(error, budget)

    def budget(self) -> RetryBudget:
        """Return what this run puts up with of one question."""
        return RetryBudget(self._policy, self._rng)

    async def rest(self, error: errors.VendorError, budget: RetryBudget) -> None:
        """Wait before the next try, and let all of its scope wait where the vendor asks for a pause.

        Raises:
            VendorError: `error` itself, where it is permanent or the budget is spent; Deferred where the wait is too long.
        """
        if isinstance(error, errors.Throttled) and error.wait_s is not None:
            await self._pace.pause(error.wait_s, error.scope)
        try:
            wait_s = budget.wait_after(error, self._clock())
        except errors.Deferred as deferred:
            if isinstance(error, errors.Throttled) and error.wait_s is None:
                # all of this scope stop, not only who found out
                await self._pace.pause((deferred.until - self._clock()).total_seconds(), error.scope)
            raise
        if isinstance(error, errors.Throttled):
            self.throttled_s += wait_s
        _log.info("%s; waiting %.1f s", error, wait_s)
        await self._sleep(wait_s)

    async def _answer(self, request: Request, credential: Mapping[str, str]) -> Reply:
        """Send, follow redirects within our origin, classify."""
        where = self.where(request.window)
        headers = {**self._extra_headers, **credential, **request.headers}
        url = URL(request.url)
        if request.params:
            url = url.update_query(request.params)
        if self._sign:
            url = url.update_query(self._sign(credential))
        for _ in range(_MAX_REDIRECTS + 1):
            await self._turn(request, where)
            self.requests += 1
            reply, target = await self._transport.send(request, url, headers, where)
            self.received_bytes += len(reply.body)
            if target is None:
                await self._heed(reply)
                return self._classified(reply, headers, where)
            url = target
        raise errors.BadRequest("redirected in circles", hint="check the base URL", **where)

    async def _turn(self, request: Request, where: errors.Where) -> None:
        """Wait until the pace lets the request go, and until a rest that the vendor's headers advised is over."""
        try:
            await self._pace.take(request.weight)
        except QuotaSpent as spent:
            raise errors.Deferred(
                str(spent),
                until=self._clock() + timedelta(seconds=spent.wait_s),
                hint="nothing is lost: run the same window again after that time",
                **where,
            ) from None
        if self._rests_until is not None:
            rest_s = (self._rests_until - self._clock()).total_seconds()
            if rest_s > 0:
                await self._sleep(rest_s)

    async def _heed(self, reply: Reply) -> None:
        """Take the vendor's hints: a quota that is nearly spent, a version that is not the one asked for."""
        rest_s, scope = rest_after(self.vendor, reply.headers, reply.body)
        if rest_s > 0 and reply.status < 400:
            self._rests_until = self._clock() + timedelta(seconds=rest_s)
            await self._pace.pause(rest_s, scope)
            _log.info(
                "%s: the quota of this %s is nearly spent; the next request waits %.1f s", self.vendor, scope, rest_s
            )
        note = version_note(self.vendor, self._api_version, reply.headers)
        if note and note not in self.version_notes:
            self.version_notes.append(note)
            _log.warning("%s", note)

    def _classified(self, reply: Reply, sent: Mapping[str, str], where: errors.Where) -> Reply:
        verdict = classify(self.vendor, reply.status, reply.headers, reply.body, now=self._clock())
        if verdict.kind is Kind.OK:
            return reply
        raise to_error(verdict, reply.status, reply.url_path, sent.values(), where)


def _weight_of(error: errors.VendorError, request: Request) -> int:
    """Return as how many failures of the vendor itself an error counts; one to reach it is none."""
    if not isinstance(error, errors.Unavailable):
        return 0
    return request.too_big_after if error.is_late else int(error.status is not None)


def _whole(reply: Reply) -> Reply:
    return reply
