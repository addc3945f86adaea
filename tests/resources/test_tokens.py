"""The vault: nothing is lost, nothing is renewed twice, nothing is shown."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import signal
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet

from tests.forks import forks
from tests.resources.worker import KEY, call_once, expire_together, hold_lock, open_at_once
from weathervane_resources.http.auth import Token
from weathervane_resources.sandbox import RunningSandbox, SandboxConfig
from weathervane_resources.state import open_state
from weathervane_resources.state_tables import tokens
from weathervane_resources.tokens import TokenKeyError, Vault, fingerprint

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
PAIR = Token("shpat_planted_access", NOW + timedelta(hours=1), "shprt_planted_refresh")


class Time:
    """The sandbox's clock, moved by the test: every token of the sandbox expires at once."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def expire_all(self) -> None:
        self.ahead += timedelta(hours=2)


def vault(url: str, key: str | None = KEY) -> Vault:
    return Vault(open_state(url), key, lambda: NOW)


def test_a_pair_comes_back_as_it_was_saved(state_url: str) -> None:
    """And a newer one replaces it."""

    async def main() -> list[Token | None]:
        store = vault(state_url).store("shopify", "acme", fingerprint("a"))
        seen = [await store.load()]
        for token in (PAIR, Token("second")):
            async with store.exclusive():
                await store.save(token)
            seen.append(await store.load())
        return seen

    assert asyncio.run(main()) == [None, PAIR, Token("second")]


def test_a_newly_configured_credential_starts_a_new_row(state_url: str) -> None:
    """Setting a fresh refresh token must leave a dead pair behind."""

    async def main() -> Token | None:
        await vault(state_url).store("shopify", "acme", fingerprint("old")).save(PAIR)
        return await vault(state_url).store("shopify", "acme", fingerprint("new")).load()

    assert asyncio.run(main()) is None


def test_the_wrong_key_says_what_to_do(state_url: str) -> None:
    """A lost key file must not look like a missing token: the refresh token in the environment is long used up."""
    store = vault(state_url).store("shopify", "acme", "f")
    asyncio.run(store.save(PAIR))
    other = vault(state_url, Fernet.generate_key().decode())
    with pytest.raises(TokenKeyError, match=r"tenant acme .* WEATHERVANE_TOKEN_KEY"):
        asyncio.run(other.store("shopify", "acme", "f").load())
    assert asyncio.run(other.store("shopify", "acme", "f", is_replaceable=True).load()) is None
    assert [info.status for info in other.list_tokens()] == ["unreadable"]


def test_a_key_is_changed_by_putting_the_new_one_in_front(state_url: str) -> None:
    """Old rows stay readable, new ones are written with the new key."""
    asyncio.run(vault(state_url).store("shopify", "acme", "f").save(PAIR))
    new = Fernet.generate_key().decode()
    store = vault(state_url, f"{new},{KEY}").store("shopify", "acme", "f")
    assert asyncio.run(store.load()) == PAIR
    asyncio.run(store.save(PAIR))
    assert asyncio.run(vault(state_url, new).store("shopify", "acme", "f").load()) == PAIR


def test_a_pair_copied_to_another_tenant_is_refused(state_url: str) -> None:
    """One tenant's token can never reach another's shop, not even by editing the database."""
    asyncio.run(vault(state_url).store("shopify", "acme", "f").save(PAIR))
    with open_state(state_url).begin() as connection:
        connection.execute(sa.update(tokens).values(tenant="kiwi"))
    with pytest.raises(TokenKeyError):
        asyncio.run(vault(state_url).store("shopify", "kiwi", "f").load())


@pytest.mark.parametrize("key", ["too-short", "", " , "])
def test_a_key_that_is_none_is_refused(key: str, tmp_path: Path) -> None:
    """Empty means unset: a key file is made; anything else must be a Fernet key."""
    url = f"sqlite:///{tmp_path}/w.db"
    if key:
        with pytest.raises(TokenKeyError, match="WEATHERVANE_TOKEN_KEY") as raised:
            vault(url, key)
        assert "too-short" not in str(raised.value)
    else:
        vault(url, key)
        assert (tmp_path / "w.key").stat().st_mode & 0o777 == 0o600


def test_many_processes_make_one_key(tmp_path: Path) -> None:
    """Two keys would lock out whoever wrote with the one that lost; an empty database is opened by all at once."""
    context, count = forks(), 6
    start, out = context.Barrier(count), context.Queue()
    url = f"sqlite:///{tmp_path}/deep/er/w.db"
    running = [context.Process(target=open_at_once, args=(url, start, out)) for _ in range(count)]
    for process in running:
        process.start()
    sealed = [out.get(timeout=30) for _ in running]
    for process in running:
        process.join(30)
    cipher = Fernet((tmp_path / "deep" / "er" / "w.key").read_text())
    assert all(cipher.decrypt(text.encode()) for text in sealed)


def test_the_list_shows_expiry_and_never_a_token(state_url: str) -> None:
    """`weathervane tokens list` prints this."""

    async def main() -> None:
        await vault(state_url).store("shopify", "acme", "a").save(PAIR)
        await vault(state_url).store("google_ads", "kiwi", "b").save(Token("ya29.x", NOW - timedelta(hours=1)))
        store = vault(state_url).store("meta_ads", "kiwi", "c")
        await store.save(Token("EAAx"))
        await store.condemn()

    asyncio.run(main())
    listed = vault(state_url).list_tokens()
    assert [(i.vendor, i.tenant, i.status) for i in listed] == [
        ("google_ads", "kiwi", "expired"),
        ("meta_ads", "kiwi", "dead"),
        ("shopify", "acme", "valid"),
    ]
    assert listed[2].expires_at == PAIR.expires_at
    assert listed[2].refreshed_at == NOW


def test_no_secret_shows_anywhere(state_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Not in a repr, a message, a log record or a file."""
    caplog.set_level(logging.DEBUG)
    box = vault(state_url)
    store = box.store("shopify", "acme", fingerprint("shprt_planted_configured"))
    asyncio.run(store.save(PAIR))
    other = vault(state_url, Fernet.generate_key().decode())
    with pytest.raises(TokenKeyError) as raised:
        asyncio.run(other.store("shopify", "acme", fingerprint("shprt_planted_configured")).load())
    shown = [repr(x) for x in (box, store, PAIR, box.list_tokens(), raised.value, box.state, box._cipher)]
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert "planted" not in "".join(shown) + str(raised.value) + caplog.text
    assert KEY not in "".join(shown)
    assert not any(b"planted" in content for content in files)


def test_a_cancelled_save_is_finished_before_the_lock_opens(state_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dagster cancels a run at any time; a waiting process must not read the old pair meanwhile."""
    box = vault(state_url)
    store = box.store("shopify", "acme", "f")
    write = store._save
    monkeypatch.setattr(store, "_save", lambda token: (time.sleep(0.1), write(token)))

    async def save_locked() -> None:
        async with store.exclusive():
            await store.save(PAIR)

    async def main() -> Token | None:
        task = asyncio.create_task(save_locked())
        await asyncio.sleep(0.05)
        task.cancel()
        async with store.exclusive():
            return await store.load()

    assert asyncio.run(main()) == PAIR


def test_a_lock_dies_with_its_holder(state_url: str) -> None:
    """A row that says "locked" outlives a kill -9, and every later run waits for it."""
    context = forks()
    held = context.Queue()
    holder = context.Process(target=hold_lock, args=(state_url, held))
    holder.start()
    assert held.get(timeout=30)

    async def take() -> bool:
        async with open_state(state_url).exclusive("token x", patience_s=10):
            return True

    os.kill(holder.pid or 0, signal.SIGKILL)
    assert asyncio.run(take())
    holder.join(10)


@pytest.mark.parametrize(("rounds", "calls"), [(10, 10), pytest.param(200, 3, marks=pytest.mark.slow)])
def test_two_processes_with_one_rotating_credential_refresh_once_each_time(
    state_url: str, rounds: int, calls: int
) -> None:
    """Trap 17 over processes: all requests of a round meet an expired token; one refresh each time, none refused."""
    clock = Time()
    context = forks()
    start, end, out = context.Barrier(3), context.Barrier(3), context.Queue()
    with RunningSandbox(SandboxConfig(clock=clock)) as sandbox:
        urls = (f"{sandbox.url}/t/acme", state_url)
        arguments = (urls, KEY, calls, rounds, start, end, out)
        running = [context.Process(target=expire_together, args=arguments) for _ in range(2)]
        for process in running:
            process.start()
        for round_number in range(1, rounds + 1):
            clock.expire_all()
            start.wait(30)
            end.wait(30)
            grants = sandbox.log.matching("/oauth/access_token")
            assert [record.status for record in grants] == [200] * round_number
        assert [out.get(timeout=30) for _ in running] == [[], []]
        for process in running:
            process.join(30)
        answered = [record.status for record in sandbox.log.matching("/shop.json")]
        assert answered.count(200) == 2 * rounds * calls


def kill_between_answer_and_use(state_url: str, kills: int) -> tuple[int, int]:
    """Kill a fresh process at a random moment after the token endpoint answered; return kills before the first use."""
    clock, dice, context = Time(), random.Random(kills), forks()
    unused = 0
    with RunningSandbox(SandboxConfig(clock=clock)) as sandbox:
        urls = (f"{sandbox.url}/t/acme", state_url)
        for _ in range(kills):
            clock.expire_all()
            sandbox.log.clear()
            unread = context.Queue()
            victim = context.Process(target=call_once, args=(urls, KEY, unread))
            victim.start()
            delay_s = dice.uniform(0, 0.006)
            deadline = time.monotonic() + 20
            while not sandbox.log.matching("/oauth/access_token"):
                assert time.monotonic() < deadline
                time.sleep(0.0002)
            time.sleep(delay_s)
            os.kill(victim.pid or 0, signal.SIGKILL)
            victim.join(10)
            unused += not any(record.status == 200 for record in sandbox.log.matching("/shop.json"))
            grants = [record.status for record in sandbox.log.matching("/oauth/access_token")]
            assert grants == [200]
            out = context.Queue()
            survivor = context.Process(target=call_once, args=(urls, KEY, out))
            survivor.start()
            assert out.get(timeout=20) == []
            survivor.join(10)
            statuses = [record.status for record in sandbox.log.matching("/oauth/access_token")]
            assert set(statuses) == {200}, statuses
    return unused, kills


def test_kill_9_between_the_answer_and_the_first_use_loses_no_credential(state_url: str) -> None:
    """A rotated refresh token lost between the response and the disk locks the tenant out."""
    unused, kills = kill_between_answer_and_use(state_url, 10)
    assert 0 < unused <= kills


@pytest.mark.slow
def test_twenty_more_kills_lose_no_credential(state_url: str) -> None:
    """The same, at other moments."""
    unused, kills = kill_between_answer_and_use(state_url, 20)
    assert 0 < unused <= kills
