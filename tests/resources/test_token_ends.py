"""When a credential ends: learnt from the vendor, kept over processes and upgrades, and asked for while it is not known."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.fernet import Fernet

from weathervane_resources.connector import END_AHEAD
from weathervane_resources.grants import meta_grant
from weathervane_resources.http.auth import StaticHeaders, Token
from weathervane_resources.http.errors import AuthDead
from weathervane_resources.http.oauth import MetaExchange, TokenEndpoint
from weathervane_resources.http.pacing import Pace
from weathervane_resources.http.session import VendorSession
from weathervane_resources.state import open_state
from weathervane_resources.state_tables import schema_version
from weathervane_resources.tokens import TokenInfo, Vault, end_of

KEY = Fernet.generate_key().decode()
NOW = datetime(2026, 11, 27, tzinfo=UTC)
LIFE = timedelta(days=60)


@dataclass
class Meta:
    """Meta's two token endpoints, with a clock: each token dies 60 days after its exchange, whoever knows that."""

    state_url: str
    now: datetime = NOW
    names_expiry: bool = False
    is_throttled: bool = False
    seen: dict[str, Any] | None = None
    """What `debug_token` says, where it is not the truth."""
    calls: list[str] = field(default_factory=list)
    ends: dict[str, datetime] = field(default_factory=lambda: {"EAAconfigured": NOW + LIFE})

    async def exchange(self, request: web.Request) -> web.Response:
        self.calls.append("exchange")
        if self.now >= self.ends[request.query["fb_exchange_token"]]:
            gone = {"code": 190, "error_subcode": 463, "type": "OAuthException", "message": "expired"}
            return web.json_response({"error": gone}, status=400)
        token = f"EAA{len(self.ends)}"
        self.ends[token] = self.now + LIFE
        named = {"expires_in": int(LIFE.total_seconds())} if self.names_expiry else {}
        return web.json_response({"access_token": token, "token_type": "bearer", **named})

    async def debug(self, request: web.Request) -> web.Response:
        self.calls.append("debug")
        if self.is_throttled:
            limit = {"code": 4, "type": "OAuthException", "message": "(#4) Application request limit reached"}
            return web.json_response({"error": limit}, status=400)
        ends = int(self.ends[request.query["input_token"]].timestamp())
        return web.json_response({"data": self.seen or {"is_valid": True, "expires_at": ends}})

    def use(self, *, days: float = 0) -> set[str]:
        """Use the credential on that day as a new process does; return what was called."""
        self.now = NOW + timedelta(days=days)
        self.calls.clear()
        asyncio.run(self._use())
        return set(self.calls)

    async def _use(self) -> None:
        app = web.Application()
        app.router.add_get("/v26.0/oauth/access_token", self.exchange)
        app.router.add_get("/v26.0/debug_token", self.debug)
        vault = Vault(open_state(self.state_url), KEY, lambda: self.now)
        async with TestServer(app) as server:
            url = str(server.make_url("/v26.0"))
            plain, pace = StaticHeaders({}), Pace(1_000, 1_000)
            async with VendorSession(
                "meta_ads", "acme", url, plain, pace, sleep=_no_sleep, clock=lambda: self.now
            ) as session:
                endpoint = TokenEndpoint(session, f"{url}/oauth/access_token", "77", "s3cret", lambda: self.now)
                exchange = MetaExchange(endpoint, f"{url}/debug_token")
                auth = meta_grant({"META_ACCESS_TOKEN": "EAAconfigured"}, "acme", exchange, vault)
                sent = (await auth.headers())["Authorization"].removeprefix("Bearer ")
        assert self.now < self.ends[sent], "a dead token was sent"

    @property
    def stored(self) -> TokenInfo:
        (info,) = Vault(open_state(self.state_url), KEY, lambda: self.now).list_tokens()
        return info


async def _no_sleep(_: float) -> None:
    return None


@pytest.fixture
def meta(state_url: str) -> Meta:
    return Meta(state_url)


def test_an_end_that_was_not_learnt_once_is_asked_for_again_and_the_token_lives_on(meta: Meta) -> None:
    """`debug_token` was throttled on the first day; nobody asked again, and on day 60 the token was dead for good."""
    meta.is_throttled = True
    assert meta.use() == {"exchange", "debug"}
    assert meta.stored.expires_at is None
    meta.is_throttled = False
    assert meta.use(days=1)
    assert meta.stored.expires_at == NOW + timedelta(days=1) + LIFE
    for day in range(2, 200):
        meta.use(days=day)
    assert meta.stored.status == "valid"


def test_an_end_that_nobody_tells_is_asked_for_once_a_day_and_the_token_lives_on(meta: Meta) -> None:
    """Before each request would cost the app's quota; never again was the end of the token."""
    meta.is_throttled = True
    assert [bool(meta.use(days=hours / 24)) for hours in (0, 0, 1, 12, 23)] == [True, False, False, False, False]
    assert [bool(meta.use(days=hours / 24)) for hours in (24, 25, 47, 49)] == [True, False, False, True]
    for day in range(4, 200):
        assert meta.use(days=day)


def test_a_token_that_never_ends_is_asked_about_once(meta: Meta) -> None:
    """`expires_at: 0` is an answer: never. It looked like none."""
    meta.ends["EAA1"] = meta.ends["EAAconfigured"] = NOW + timedelta(days=9_999)
    meta.seen = {"expires_at": 0, "is_valid": True}
    assert meta.use() == {"exchange", "debug"}
    meta.ends["EAA2"] = NOW + timedelta(days=9_999)
    assert not any(meta.use(days=day) for day in (0, 1, 20, 59, 61, 400))
    assert meta.stored.is_endless
    assert meta.stored.expires_at is None


@pytest.mark.parametrize("seen", [{"is_valid": True}, {"is_valid": False, "expires_at": 0}])
def test_an_answer_without_an_end_does_not_mean_never(meta: Meta, seen: dict[str, Any]) -> None:
    """A field that is missing was read as 0, and 0 as never."""
    meta.seen = seen
    meta.use()
    assert not meta.stored.is_endless
    assert meta.use(days=1)


def test_a_token_that_died_meanwhile_is_told_as_dead(meta: Meta) -> None:
    """Asking for an end must not hide that there was one."""
    meta.is_throttled = True
    meta.use()
    with pytest.raises(AuthDead, match="connect the Meta account again"):
        meta.use(days=61)
    assert meta.stored.status == "dead"


def test_tokens_of_an_earlier_version_are_read_and_asked_about(meta: Meta) -> None:
    """The columns were added to the table that was there: nobody connects an account again for an upgrade."""
    meta.is_throttled = True
    meta.use()
    state = open_state(meta.state_url)
    with state.begin() as connection:
        for column in ("is_endless", "refresh_expires_at"):
            connection.exec_driver_sql(f"ALTER TABLE tokens DROP COLUMN {column}")
        connection.execute(sa.update(schema_version).values(version=2))
    state.close()
    meta.state_url = upgraded(meta.state_url)
    assert (meta.stored.status, meta.stored.expires_at, meta.stored.is_endless) == ("valid", None, False)
    meta.is_throttled = False
    assert not meta.use(days=0.5)
    assert meta.use(days=1)
    assert meta.stored.expires_at is not None
    assert "EAA2" in meta.ends, "the stored token was exchanged, not the configured one"


def test_what_was_renewed_in_vain_is_left_two_weeks_before_its_end(meta: Meta) -> None:
    """A warning each month of a token that is renewed as it should be is read by nobody."""
    meta.names_expiry = True
    for day in range(200):
        meta.use(days=day)
        assert meta.stored.ends_at is not None
        assert meta.stored.ends_at > meta.now + END_AHEAD


def test_the_end_of_a_refresh_token_is_kept(state_url: str) -> None:
    """Saved with the pair, by which a run of another machine finds it."""
    store = Vault(open_state(state_url), KEY, lambda: NOW).store("shopify", "acme", "mark")
    pair = Token("shpat_x", NOW + timedelta(hours=1), "shprt_x", refresh_expires_at=NOW + timedelta(days=30))
    asyncio.run(store.save(pair))
    assert asyncio.run(store.load()) == pair
    assert end_of(open_state(state_url), "shopify", "acme", "mark") == pair.refresh_expires_at
    assert end_of(open_state(state_url), "shopify", "acme", "another") is None
    asyncio.run(store.condemn())
    assert end_of(open_state(state_url), "shopify", "acme", "mark") is None, "its runs fail, and say so"


def upgraded(url: str) -> str:
    """Return another spelling of the database's URL, which a process opens as if it were its first."""
    folder, _, name = url.rpartition("/")
    return f"{folder}/./{name}" if "sqlite" in url else f"{url}?application_name=new"
