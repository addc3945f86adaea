"""What the processes of the tests do, with the real vault, quota and session; nothing of Dagster is imported here.

A forkserver that has imported this module once gives a fresh process in a few milliseconds, which is what makes ten
kills affordable.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier

from cryptography.fernet import Fernet

from weathervane_resources.grants import shopify_grant
from weathervane_resources.http.auth import RefreshingToken, StaticHeaders, shopify_token
from weathervane_resources.http.errors import VendorError
from weathervane_resources.http.oauth import TokenEndpoint
from weathervane_resources.http.pacing import Pace
from weathervane_resources.http.session import VendorSession
from weathervane_resources.quota import Rate, SharedQuota
from weathervane_resources.state import State, open_state
from weathervane_resources.tokens import Vault

KEY = Fernet.generate_key().decode()
FIRST = {"SHOPIFY_ACCESS_TOKEN": "expired-first", "SHOPIFY_REFRESH_TOKEN": "shprt_configured"}


def utc_now() -> datetime:
    return datetime.now(UTC)


class Caller:
    """One process's use of one shop: the credential's session and the data's."""

    def __init__(self, shop_url: str, state_url: str, key: str) -> None:
        self.shop_url = shop_url
        self.session = self._session(StaticHeaders({}))
        endpoint = TokenEndpoint(self.session, f"{shop_url}/admin/oauth/access_token", "id", "secret", utc_now)
        vault = Vault(open_state(state_url), key, utc_now)
        self.auth: RefreshingToken = shopify_grant(FIRST, "acme", endpoint, vault)

    def _session(self, auth: StaticHeaders | RefreshingToken) -> VendorSession:
        return VendorSession("shopify", "acme", self.shop_url, auth, Pace(10_000, 10_000))

    async def rounds(self, calls: int, until: Callable[[], bool]) -> list[str]:
        """Call the shop `calls` times at once, as long as `until` says so; return what went wrong."""
        wrong: list[str] = []
        url = f"{self.shop_url}/admin/api/2026-10/shop.json"
        async with self.session, self._session(self.auth) as data:
            while await asyncio.to_thread(until):
                answers = await asyncio.gather(*(data.get(url) for _ in range(calls)), return_exceptions=True)
                wrong += [repr(answer) for answer in answers if isinstance(answer, BaseException)]
        return wrong


def expire_together(
    urls: tuple[str, str], key: str, calls: int, rounds: int, start: Barrier, end: Barrier, out: Queue[list[str]]
) -> None:
    """Meet at `start` before each round and at `end` after it; the parent expires every token in between."""
    left = iter([True] * rounds + [False])
    done = iter([False] + [True] * rounds)

    def until() -> bool:
        if next(done):
            end.wait(30)
        if not next(left):
            return False
        start.wait(30)
        return True

    out.put(asyncio.run(Caller(*urls, key).rounds(calls, until)))


def call_once(urls: tuple[str, str], key: str, out: Queue[list[str]]) -> None:
    """Refresh and use the token once; the parent may kill this process at any point of it."""
    left = iter([True, False])
    out.put(asyncio.run(Caller(*urls, key).rounds(1, lambda: next(left))))


def call_in_turn(urls: tuple[str, str], rate: tuple[float, float], seconds: float, start: Barrier) -> None:
    """Call the shop as fast as the shared quota lets it."""
    asyncio.run(_call_in_turn(urls, rate, seconds, start))


async def _call_in_turn(urls: tuple[str, str], rate: tuple[float, float], seconds: float, start: Barrier) -> None:
    shop_url, state_url = urls
    state: State = open_state(state_url)
    quota = SharedQuota(state, "shopify:acme", (Rate(*rate),), throttle_scope="shop")
    auth = StaticHeaders(shopify_token("shpat_static"))
    async with VendorSession("shopify", "acme", shop_url, auth, quota) as session:
        start.wait(30)
        loop = asyncio.get_running_loop()
        ends = loop.time() + seconds

        async def call() -> None:
            while loop.time() < ends:
                await session.get(f"{shop_url}/admin/api/2026-10/shop.json")

        await asyncio.gather(*(call() for _ in range(3)))


def open_at_once(state_url: str, start: Barrier, out: Queue[str]) -> None:
    """Open an empty state database and its vault together with others."""
    start.wait(30)
    try:
        vault = Vault(open_state(state_url), None, utc_now)
        token = Fernet.generate_key()
        out.put(vault._cipher.encrypt(token).decode())
    except (VendorError, RuntimeError, OSError) as error:
        out.put(f"error {error!r}")


def hold_lock(state_url: str, held: Queue[bool]) -> None:
    """Take a credential's lock and never let go."""

    async def hold() -> None:
        async with open_state(state_url).exclusive("token x"):
            held.put(True)
            await asyncio.sleep(60)

    asyncio.run(hold())
