"""Credentials on requests, renewed without anyone noticing.

Rotating refresh tokens make two rules: one refresher at a time, and the new pair is saved before it is used. Whoever
waited for the refresher takes its token (five concurrent 401s once made five refreshes with the same refresh token,
traps.md 17). An auth object belongs to one event loop: make it inside the run.
"""

import asyncio
import base64
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol

from weathervane_resources.http.errors import AuthDead, AuthExpired, VendorError

RETRY_EARLY_AFTER = timedelta(minutes=1)
EXPLORE_AGAIN_AFTER = timedelta(days=1)
"""A token whose end is still not known is renewed so long after the last time, in the hope to learn it."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Token:
    """An access token and what renews it. `expires_at` None: never where it `is_endless`, else not known (Meta may omit it).

    `refresh_expires_at` is the end of the refresh token, None: not known. `renewed_at` is when the pair came; None of one
    that was configured.
    """

    access_token: str = field(repr=False)
    expires_at: datetime | None = None
    refresh_token: str | None = field(default=None, repr=False)
    is_endless: bool = False
    refresh_expires_at: datetime | None = None
    renewed_at: datetime | None = field(default=None, compare=False)


class Auth(Protocol):
    """What a session asks of a credential."""

    @property
    def can_refresh(self) -> bool:
        """Whether a refused credential can be renewed."""

    async def headers(self) -> Mapping[str, str]:
        """Return the headers that carry the credential, renewed beforehand if it is about to expire."""

    async def refresh(self, refused: Mapping[str, str]) -> None:
        """Renew the credential whose headers were refused, unless someone has done so meanwhile."""


@dataclass(frozen=True, slots=True)
class StaticHeaders:
    """A credential that does not expire: an API key, a custom app's token, or none at all."""

    fixed: Mapping[str, str] = field(repr=False)

    @property
    def can_refresh(self) -> bool:
        """Return False: a refused key stays refused."""
        return False

    async def headers(self) -> Mapping[str, str]:
        """Return the fixed headers."""
        return self.fixed

    async def refresh(self, refused: Mapping[str, str]) -> None:
        """Do nothing."""


def bearer(token: str) -> dict[str, str]:
    """Return the Authorization header of Google, Meta and Klaviyo OAuth."""
    return {"Authorization": f"Bearer {token}"}


def shopify_token(token: str) -> dict[str, str]:
    """Return Shopify's header."""
    return {"X-Shopify-Access-Token": token}


def basic(client_id: str, client_secret: str) -> StaticHeaders:
    """Return HTTP Basic client authentication (Klaviyo's token endpoint)."""
    pair = base64.b64encode(f"{client_id}:{client_secret}".encode()).decode()
    return StaticHeaders({"Authorization": f"Basic {pair}"})


class TokenStore(Protocol):
    """Where a token pair outlives the process; a database vault goes beneath this."""

    def exclusive(self) -> AbstractAsyncContextManager[None]:
        """Return a lock over all processes, held for load, refresh and save."""

    async def load(self) -> Token | None:
        """Return the newest pair."""

    async def save(self, token: Token) -> None:
        """Return when the pair is on disk."""

    async def condemn(self) -> None:
        """Note that the vendor calls the grant dead."""


class MemoryStore:
    """A store for tests and for tokens whose refresh token does not rotate."""

    def __init__(self) -> None:
        """Start empty."""
        self.token: Token | None = None
        self.is_dead = False

    @asynccontextmanager
    async def exclusive(self) -> AsyncIterator[None]:
        """Lock nothing: there is one process."""
        yield

    async def load(self) -> Token | None:
        """Return the last pair saved."""
        return self.token

    async def save(self, token: Token) -> None:
        """Keep the pair."""
        self.token = token
        self.is_dead = False

    async def condemn(self) -> None:
        """Remember it."""
        self.is_dead = True


class RefreshingToken:
    """A token renewed before it expires, and once per request when it is refused.

    The stored pair, where there is one, is newer than the configured one. `refresh` gets the refresh token, or the
    access token where there is none (Meta exchanges the token itself, and only while it is valid: give it an `early`
    of days, and `explores` to renew a token of unknown expiry, which tells its expiry: at once, and then daily until it
    is known).
    """

    def __init__(
        self,
        token: Token,
        refresh: Callable[[str], Awaitable[Token]],
        build_headers: Callable[[str], Mapping[str, str]],
        clock: Callable[[], datetime],
        store: TokenStore | None = None,
        early: timedelta = timedelta(minutes=5),
        *,
        explores: bool = False,
    ) -> None:
        """Nothing is fetched or loaded yet; an empty access token is fetched before the first request."""
        self._token = token
        self._refresh = refresh
        self._build_headers = build_headers
        self._clock = clock
        self._store = store or MemoryStore()
        self._early = early
        self._explores = explores
        self._lock = asyncio.Lock()
        self._is_loaded = False
        self._fruitless = ""
        self._rests_until: datetime | None = None

    @property
    def can_refresh(self) -> bool:
        """Return True."""
        return True

    async def headers(self) -> Mapping[str, str]:
        """Return the headers of a token that is not about to expire.

        An early refresh that fails does no harm while the old token is valid; it is tried again a minute later.
        """
        await self._load_once()
        token = self._token
        if self._is_due(token):
            try:
                await self._renew(token)
            except VendorError as error:
                if not self._still_works(token, error):
                    raise
                self._rests_until = self._clock() + RETRY_EARLY_AFTER
                _log.warning("the token could not be renewed early, it is still valid: %s", error)
        return self._build_headers(self._token.access_token)

    async def refresh(self, refused: Mapping[str, str]) -> None:
        """Renew the token unless the refused headers are not the current ones any more."""
        token = self._token
        if self._build_headers(token.access_token) == refused:
            await self._renew(token)

    async def _load_once(self) -> None:
        if self._is_loaded:
            return
        async with self._lock:
            if not self._is_loaded:
                self._token = await self._store.load() or self._token
                self._is_loaded = True

    def _is_due(self, token: Token) -> bool:
        if self._is_over(token):
            return True
        if token.access_token == self._fruitless or (self._rests_until and self._clock() < self._rests_until):
            return False
        return self._is_unexplored(token) if token.expires_at is None else self._expires_within(token, self._early)

    def _is_unexplored(self, token: Token) -> bool:
        if token.is_endless or not self._explores:
            return False
        return token.renewed_at is None or self._clock() - token.renewed_at >= EXPLORE_AGAIN_AFTER

    def _is_over(self, token: Token) -> bool:
        return not token.access_token or self._expires_within(token, timedelta())

    def _still_works(self, token: Token, error: VendorError) -> bool:
        """A token that never expires may not be exchangeable at all, so exploring may fail for any other reason."""
        is_only_exploring = token.expires_at is None and not isinstance(error, AuthDead | AuthExpired)
        return not self._is_over(token) and (error.is_transient or is_only_exploring)

    def _expires_within(self, token: Token, span: timedelta) -> bool:
        return token.expires_at is not None and token.expires_at <= self._clock() + span

    async def _renew(self, stale: Token) -> None:
        async with self._lock:
            if self._token.access_token != stale.access_token:
                return
            async with self._store.exclusive():
                self._token = await self._stored_by_another(stale) or await self._exchanged(stale)

    async def _stored_by_another(self, stale: Token) -> Token | None:
        stored = await self._store.load()
        if stored is None or stored.access_token == stale.access_token or self._is_over(stored):
            return None
        return stored

    async def _exchanged(self, stale: Token) -> Token:
        """Exchange and save. A "refresh" that returns the same token and expiry is not recorded as success."""
        current = await self._store.load() or stale
        try:
            fresh = await self._refresh(current.refresh_token or current.access_token)
        except AuthDead:
            await self._store.condemn()
            raise
        if fresh.refresh_token is None and current.refresh_token:
            ends = fresh.refresh_expires_at or current.refresh_expires_at
            fresh = replace(fresh, refresh_token=current.refresh_token, refresh_expires_at=ends)
        fresh = replace(fresh, renewed_at=self._clock())
        has_not_moved = bool(
            stale.expires_at and not fresh.is_endless and (not fresh.expires_at or fresh.expires_at <= stale.expires_at)
        )
        if has_not_moved or fresh.access_token == stale.access_token:
            self._fruitless = fresh.access_token
        if has_not_moved:
            _log.warning("the renewed token ends no later than the old one, %s", stale.expires_at)
            if fresh.access_token == stale.access_token:
                return stale
        await self._store.save(fresh)
        return fresh
