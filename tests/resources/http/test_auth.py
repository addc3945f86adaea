"""Renewal: one refresher, saved before use, at most once a request."""

import asyncio
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs

import pytest
from aiohttp import web

from tests.resources.http.scripted import NOW, Script, calling, json_answer
from weathervane_resources.http import oauth
from weathervane_resources.http.auth import MemoryStore, RefreshingToken, StaticHeaders, Token, basic, bearer
from weathervane_resources.http.errors import AuthDead, AuthExpired, BadRequest, Malformed, Unavailable

OLD = Token("old-access", NOW + timedelta(hours=1), "refresh-1")


class Exchange:
    """A vendor's rotating refresh: each refresh token works once."""

    def __init__(self, **change: Any) -> None:
        self.sent: list[str] = []
        self.change = change

    async def __call__(self, refresh_token: str) -> Token:
        self.sent.append(refresh_token)
        await asyncio.sleep(0)
        n = len(self.sent)
        life = timedelta(days=self.change.get("days", 0), hours=2)
        return Token(f"new-access-{n}", NOW + life, self.change.get("refresh", f"refresh-{n + 1}"))


def renewing(exchange: Any, token: Token = OLD, store: Any = None) -> RefreshingToken:
    return RefreshingToken(token, exchange, bearer, lambda: NOW, store)


async def _guarded(request: web.Request) -> web.Response:
    if request.headers["Authorization"] == "Bearer old-access":
        return web.json_response({"errors": "[API] Invalid access token"}, status=401)
    return web.json_response({"orders": []})


def test_fifty_concurrent_401s_make_one_refresh() -> None:
    """Trap 17: five concurrent 401s made five refreshes, all with the same refresh token."""
    exchange = Exchange()

    async def main() -> int:
        async with calling(Script([_guarded]), auth=renewing(exchange)) as session:
            replies = await asyncio.gather(*(session.get(f"{session.origin}/x") for _ in range(50)))
            return sum(reply.status == 200 for reply in replies)

    assert asyncio.run(main()) == 50
    assert exchange.sent == ["refresh-1"]


def test_the_new_pair_is_saved_before_it_is_used() -> None:
    """A rotated refresh token lost between the response and the disk locks the tenant out."""
    order: list[str] = []

    class Store(MemoryStore):
        async def save(self, token: Token) -> None:
            order.append(f"saved {token.access_token} {token.refresh_token}")
            await super().save(token)

    async def answer(request: web.Request) -> web.StreamResponse:
        order.append(request.headers["Authorization"])
        return await _guarded(request)

    async def main() -> None:
        async with calling(Script([answer]), auth=renewing(Exchange(), store=Store())) as session:
            await session.get(f"{session.origin}/x")

    asyncio.run(main())
    assert order == ["Bearer old-access", "saved new-access-1 refresh-2", "Bearer new-access-1"]


def test_a_failed_save_means_the_new_token_is_never_used() -> None:
    """Using it would kill the old pair on the vendor's side while ours is not on disk."""

    class Full(MemoryStore):
        async def save(self, token: Token) -> None:
            raise OSError("disk full")

    auth = renewing(Exchange(), store=Full())

    async def main() -> Any:
        with pytest.raises(OSError, match="disk full"):
            await auth.refresh(bearer("old-access"))
        return await auth.headers()

    assert asyncio.run(main()) == bearer("old-access")


def test_a_token_that_another_process_renewed_is_taken_from_the_store() -> None:
    """Two processes refreshing at once lose one rotated token."""
    store = MemoryStore()
    store.token = Token("theirs", NOW + timedelta(hours=1), "refresh-9")
    exchange = Exchange()
    auth = renewing(exchange, store=store)
    asyncio.run(auth.refresh(bearer("old-access")))
    assert asyncio.run(auth.headers()) == bearer("theirs")
    assert exchange.sent == []


def test_a_vendor_that_does_not_rotate_keeps_the_old_refresh_token() -> None:
    """Google returns no refresh_token; storing null would end access in an hour."""
    store = MemoryStore()
    asyncio.run(renewing(Exchange(refresh=None), store=store).refresh(bearer("old-access")))
    assert store.token is not None
    assert store.token.refresh_token == "refresh-1"


def test_a_token_refused_again_after_one_refresh_is_given_up() -> None:
    """At most one refresh a request, or a revoked app refreshes for ever."""
    script = Script([json_answer({"errors": "no"}, 401)])
    exchange = Exchange()

    async def main() -> None:
        async with calling(script, auth=renewing(exchange)) as session:
            await session.get(f"{session.origin}/x")

    with pytest.raises(AuthExpired):
        asyncio.run(main())
    assert (len(script.seen), len(exchange.sent)) == (2, 1)


def test_an_expiring_token_is_renewed_before_the_request() -> None:
    """Google syncs died after exactly one hour (airbyte #32141)."""
    expiring = Token("old-access", NOW + timedelta(seconds=60), "refresh-1")
    assert asyncio.run(renewing(Exchange(), expiring).headers()) == bearer("new-access-1")


def test_an_early_refresh_that_fails_does_not_stop_a_token_that_still_works() -> None:
    """The token endpoint being down for a minute is no reason to fail a run."""

    async def down(_: str) -> Token:
        raise Unavailable("down", vendor="google_ads", tenant="acme")

    expiring = Token("old-access", NOW + timedelta(seconds=60), "refresh-1")
    assert asyncio.run(renewing(down, expiring).headers()) == bearer("old-access")
    with pytest.raises(Unavailable):
        asyncio.run(renewing(down, Token("old-access", NOW, "r")).headers())


def test_a_refresh_without_effect_is_not_recorded_or_repeated() -> None:
    """Meta may return the same token (nango #1531): not a success, and no refresh before every request."""
    expiring = Token("same", NOW + timedelta(seconds=60))
    calls: list[str] = []
    store = MemoryStore()

    async def same(token: str) -> Token:
        calls.append(token)
        return expiring

    async def main() -> None:
        auth = renewing(same, expiring, store)
        for _ in range(5):
            assert await auth.headers() == bearer("same")

    asyncio.run(main())
    assert (calls, store.token) == (["same"], None)


def _exploring(exchange: Any, store: MemoryStore) -> RefreshingToken:
    return RefreshingToken(Token("configured"), exchange, bearer, lambda: NOW, store, timedelta(days=7), explores=True)


def test_a_token_of_unknown_expiry_is_exchanged_once_to_learn_it() -> None:
    """A configured Meta token ends some day within 60; exchanged only after that day, it is lost."""
    exchange, store = Exchange(refresh=None), MemoryStore()

    async def main() -> list[Any]:
        first, second = _exploring(exchange, store), _exploring(exchange, store)
        return [await first.headers(), await second.headers(), await first.headers()]

    exchange.change["days"] = 60
    assert asyncio.run(main())[0] == bearer("new-access-1")
    assert exchange.sent == ["configured"]


@pytest.mark.parametrize("error", [Unavailable, BadRequest])
def test_a_token_that_cannot_be_exchanged_is_used_as_it_is(error: Any) -> None:
    """A system user's token never expires, and Meta may refuse to exchange it: no reason to fail a run that works."""
    tries: list[str] = []

    async def refused(token: str) -> Token:
        tries.append(token)
        raise error("no", vendor="meta_ads", tenant="acme")

    auth = _exploring(refused, MemoryStore())

    async def main() -> list[Any]:
        return [await auth.headers() for _ in range(3)]

    assert asyncio.run(main()) == [bearer("configured")] * 3
    assert len(tries) == 1


def test_a_renewed_token_that_ends_no_later_is_kept_but_not_renewed_before_every_request() -> None:
    """The expiry must have moved; a new string alone proves nothing."""
    exchange, store = Exchange(refresh=None), MemoryStore()
    soon = Token("old-access", NOW + timedelta(hours=3))
    auth = RefreshingToken(soon, exchange, bearer, lambda: NOW, store, timedelta(days=7))

    async def main() -> list[Any]:
        return [await auth.headers() for _ in range(3)]

    assert asyncio.run(main()) == [bearer("new-access-1")] * 3
    assert len(exchange.sent) == 1


def test_a_dead_grant_is_noted_in_the_store() -> None:
    """So that `weathervane tokens list` can tell the operator."""

    async def revoked(_: str) -> Token:
        raise AuthDead("revoked", vendor="shopify", tenant="acme")

    store = MemoryStore()
    with pytest.raises(AuthDead):
        asyncio.run(renewing(revoked, Token(""), store).headers())
    assert store.is_dead


def test_metas_expiry_is_looked_up_where_the_exchange_does_not_tell_it() -> None:
    """`expires_in` is absent at times; `debug_token` knows, and 0 means never."""
    ends = int((NOW + timedelta(days=60)).timestamp())
    found = []
    for expires_at in (ends, 0):
        script = Script([{"access_token": "a2"}, {"data": {"expires_at": expires_at, "is_valid": True}}])

        async def main(script: Script = script) -> Token:
            async with calling(script, "meta_ads", StaticHeaders({})) as session:
                endpoint = oauth.TokenEndpoint(session, f"{script.origin}/token", "id", "secret", lambda: NOW)
                return await oauth.MetaExchange(endpoint, f"{script.origin}/debug_token")("a1")

        found.append(asyncio.run(main()).expires_at)
    assert found == [NOW + timedelta(days=60), None]


def test_a_token_never_shows_in_its_repr() -> None:
    """Dataclasses print their fields, and logs print dataclasses."""
    assert "old-access" not in repr(OLD)
    assert "refresh-1" not in repr(OLD)
    assert "shpat" not in repr(StaticHeaders({"X": "shpat_1"}))


async def _exchange(kind: Any, script: Script, vendor: str, given: str, auth: Any = None) -> Token:
    async with calling(script, vendor, auth or StaticHeaders({})) as session:
        endpoint = oauth.TokenEndpoint(session, f"{script.origin}/token", "the-id", "the-secret", lambda: NOW)
        return await kind(endpoint)(given)


GRANT = {"access_token": "a2", "expires_in": 3600, "refresh_token": "r2", "scope": "x"}


def test_shopify_and_google_refresh_with_the_secret_in_the_form() -> None:
    """Both: grant_type=refresh_token; Shopify rotates, Google does not."""
    script = Script([GRANT])
    token = asyncio.run(_exchange(oauth.RefreshGrant, script, "shopify", "r1"))
    assert token == Token("a2", NOW + timedelta(hours=1), "r2")
    sent = {name: value[0] for name, value in parse_qs(script.bodies[0]).items()}
    assert sent == {
        "client_id": "the-id",
        "client_secret": "the-secret",
        "grant_type": "refresh_token",
        "refresh_token": "r1",
    }


@pytest.mark.parametrize(("seconds", "days"), [(2_592_000, 30), (0, 0), (-5, 0), (1e300, 3_650)])
def test_the_end_of_a_refresh_token_is_read(seconds: float, days: int) -> None:
    """It came with every answer and was dropped: after a month's pause the tenant was locked out, and nobody had said so."""
    script = Script([{**GRANT, "refresh_token_expires_in": seconds}])
    token = asyncio.run(_exchange(oauth.RefreshGrant, script, "shopify", "r1"))
    assert token.refresh_expires_at == NOW + timedelta(days=days)


def test_the_end_of_a_refresh_token_goes_with_the_token_it_was_said_of() -> None:
    """A new refresh token of unknown end would have had the old one's; one that stays keeps its own."""
    ends = NOW + timedelta(days=9)
    for came, known in ((Token("a2", None, "r2"), None), (Token("a2"), ends)):
        store = MemoryStore()

        async def exchange(_: str, came: Token = came) -> Token:
            return came

        old = Token("old-access", NOW, "r1", refresh_expires_at=ends)
        asyncio.run(renewing(exchange, old, store).headers())
        assert store.token is not None
        assert store.token.refresh_expires_at == known


def test_klaviyo_refreshes_with_basic_authentication() -> None:
    """The secret is not in its form."""
    script = Script([GRANT])
    asyncio.run(_exchange(oauth.KlaviyoRefresh, script, "klaviyo", "r1", basic("the-id", "the-secret")))
    assert script.seen[0].headers["Authorization"].startswith("Basic ")
    assert "the-secret" not in script.bodies[0]


def test_client_credentials_send_no_refresh_token() -> None:
    """Own-organisation Shopify apps have none."""
    script = Script([{"access_token": "a2", "expires_in": 86_399}])
    token = asyncio.run(_exchange(oauth.ShopifyClientCredentials, script, "shopify", "ignored"))
    assert token.refresh_token is None
    assert "ignored" not in script.bodies[0]


def test_meta_exchanges_the_token_itself_and_expires_in_may_be_missing() -> None:
    """PostHog shipped the wrong grant type (#57615); expires_in is absent at times (pxa_social_feed #105)."""
    script = Script([{"access_token": "a2", "token_type": "bearer"}])
    token = asyncio.run(_exchange(oauth.MetaExchange, script, "meta_ads", "a1"))
    assert token == Token("a2", None, None)
    assert script.seen[0].query["grant_type"] == "fb_exchange_token"
    assert script.seen[0].query["fb_exchange_token"] == "a1"


def test_meta_cannot_exchange_an_expired_token() -> None:
    """There is no refresh token: after 190 only a person can help, and the error must say so without the token."""
    script = Script(
        [json_answer({"error": {"code": 190, "error_subcode": 463, "message": "expired a1-very-secret"}}, 400)]
    )
    with pytest.raises(AuthDead) as raised:
        asyncio.run(_exchange(oauth.MetaExchange, script, "meta_ads", "a1-very-secret"))
    assert "connect the Meta account again" in str(raised.value)
    assert "secret" not in str(raised.value)


def test_an_invalid_grant_is_final() -> None:
    """Retrying a dead grant gets the app rate limited."""
    script = Script([json_answer({"error": "invalid_grant", "error_description": "revoked"}, 400)])
    with pytest.raises(AuthDead):
        asyncio.run(_exchange(oauth.RefreshGrant, script, "google_ads", "r1"))
    assert len(script.seen) == 1


@pytest.mark.parametrize("body", [b'{"access_token": ""}', b'{"access_token": null}', b"{}", b"<html>", b'{"access_to'])
def test_a_token_answer_without_a_token_is_malformed(body: bytes) -> None:
    """`str(None)` was once sent as a token."""
    with pytest.raises(Malformed):
        asyncio.run(_exchange(oauth.RefreshGrant, Script([body]), "google_ads", "r1"))


def test_a_lost_refresh_response_is_asked_for_again_with_the_same_refresh_token() -> None:
    """Shopify keeps the old refresh token valid until the new access token is used (2026-08-28)."""

    async def lost(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    script = Script([lost, GRANT])
    assert asyncio.run(_exchange(oauth.RefreshGrant, script, "shopify", "r1")).access_token == "a2"
    assert script.bodies[0] == script.bodies[1]
