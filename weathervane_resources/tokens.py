"""The vault: token pairs in the state database, encrypted.

Belongs here: what a row holds, the key, and the lock of a credential. Does not belong here: when a token is renewed
(`http/auth.py`) and how (`http/oauth.py`).

A row belongs to vendor, tenant and the fingerprint of the credential that the operator configured: configuring a new
one starts a new row, so a dead pair is left behind by setting a fresh refresh token.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime

import msgspec
import sqlalchemy as sa
from cryptography.fernet import InvalidToken

from weathervane_resources.credentials import META
from weathervane_resources.http.auth import Token
from weathervane_resources.state import State
from weathervane_resources.state_tables import tokens
from weathervane_resources.token_key import TokenKeyError, token_cipher

__all__ = ["TokenInfo", "TokenKeyError", "Vault", "VaultStore", "end_of", "fingerprint"]

_log = logging.getLogger(__name__)


class _Pair(msgspec.Struct, frozen=True):
    """What is encrypted. `owner` ties it to its row: a pair copied to another tenant's row is refused."""

    owner: list[str]
    access_token: str
    refresh_token: str | None

    def __repr__(self) -> str:
        return "_Pair(...)"


@dataclass(frozen=True)
class TokenInfo:
    """One stored credential as `weathervane tokens list` shows it.

    Attributes:
        expires_at: When the access token ends; None where the vendor does not say, or never.
        is_endless: It never ends.
        refresh_expires_at: When the refresh token ends, as the vendor said.
        status: `valid`, `expired` (renewed at the next use), `dead` (connect the account again) or `unreadable` (the
            key is not the one it was stored with).
        mark: The fingerprint of the credential that it came from; never shown.
    """

    vendor: str
    tenant: str
    expires_at: datetime | None
    refreshed_at: datetime
    status: str
    is_endless: bool = False
    refresh_expires_at: datetime | None = None
    mark: str = field(default="", repr=False)

    @property
    def ends_at(self) -> datetime | None:
        """When only a person can help, None where that is not known: Meta's token is renewed by itself, while it is valid."""
        return self.expires_at if self.vendor == META.vendor else self.refresh_expires_at


def fingerprint(*credential: str) -> str:
    """Return what tells one configured credential from another and gives away neither."""
    return hashlib.sha256("\0".join(credential).encode()).hexdigest()[:32]


class Vault:
    """The stored tokens of a state database."""

    def __init__(self, state: State, key: str | None, clock: Callable[[], datetime]) -> None:
        """Open the vault; without a key, one is kept in a file (0600) beside a local state file.

        Raises: TokenKeyError: the key is not one, or there is none and no place to keep one.
        """
        self.state = state
        self.clock = clock
        self._cipher = token_cipher(state.path, key)

    def __repr__(self) -> str:
        return f"Vault({self.state!r})"

    def store(self, vendor: str, tenant: str, mark: str, *, is_replaceable: bool = False) -> VaultStore:
        """Return the store of one credential, `mark` being its fingerprint.

        `is_replaceable`: losing the row costs one renewal (nothing in it rotates), so an unreadable one is replaced.
        """
        return VaultStore(self, (vendor, tenant, mark), is_replaceable=is_replaceable)

    def seal(self, owner: Sequence[str], token: Token) -> bytes:
        """Return the pair, encrypted."""
        return self._cipher.encrypt(msgspec.json.encode(_Pair(list(owner), token.access_token, token.refresh_token)))

    def unseal(self, owner: Sequence[str], secret: bytes) -> Token:
        """Return the pair, without what stands beside it in its row.

        Raises: TokenKeyError: not written with this key, or for another row.
        """
        try:
            pair = msgspec.json.decode(self._cipher.decrypt(secret), type=_Pair)
        except (InvalidToken, msgspec.MsgspecError):
            pair = None
        if pair is None or pair.owner != list(owner):
            raise _unreadable(owner)
        return Token(pair.access_token, None, pair.refresh_token)

    def list_tokens(self) -> list[TokenInfo]:
        """Return every stored credential, by vendor and tenant; never a token.

        Raises: StateError: the database cannot be read.
        """
        with self.state.begin() as connection:
            rows = connection.execute(sa.select(tokens).order_by(tokens.c.vendor, tokens.c.tenant)).all()
        return [_info(row, self._status(row)) for row in rows]

    def _status(self, row: sa.Row[tuple[object, ...]]) -> str:
        if row.is_dead:
            return "dead"
        try:
            self.unseal((row.vendor, row.tenant, row.fingerprint), row.secret)
        except TokenKeyError:
            return "unreadable"
        return "expired" if row.expires_at and row.expires_at <= self.clock() else "valid"


def _info(row: sa.Row[tuple[object, ...]], status: str) -> TokenInfo:
    known = (row.vendor, row.tenant, row.expires_at, row.refreshed_at)
    return TokenInfo(*known, status, bool(row.is_endless), row.refresh_expires_at, row.fingerprint)


def end_of(state: State, vendor: str, tenant: str, mark: str) -> datetime | None:
    """Return when only a person can help a credential; None where that is not known, or it is dead already. Needs no key.

    Raises: StateError: the database cannot be read.
    """
    is_it = sa.and_(tokens.c.vendor == vendor, tokens.c.tenant == tenant, tokens.c.fingerprint == mark)
    with state.begin(durable=False) as connection:
        row = connection.execute(sa.select(tokens).where(is_it)).one_or_none()
    return None if row is None or row.is_dead else _info(row, "").ends_at


class VaultStore:
    """One credential's row: a `TokenStore`. Nothing here blocks the event loop."""

    def __init__(self, vault: Vault, owner: tuple[str, str, str], *, is_replaceable: bool) -> None:
        """Touch nothing yet."""
        self._vault = vault
        self._owner = owner
        self._is_replaceable = is_replaceable

    def __repr__(self) -> str:
        return f"VaultStore({self._owner[0]}, {self._owner[1]})"

    @asynccontextmanager
    async def exclusive(self) -> AsyncIterator[None]:
        """Hold this credential's lock over all processes."""
        async with self._vault.state.exclusive(f"token {':'.join(self._owner)}"):
            yield

    async def load(self) -> Token | None:
        """Return the stored pair, None where there is none."""
        return await asyncio.to_thread(self._load)

    async def save(self, token: Token) -> None:
        """Return when the pair is committed to the disk; a cancelled caller waits for that too."""
        await _finish(self._save, token)

    async def condemn(self) -> None:
        """Note that the vendor calls the grant dead, for `tokens list`."""
        await _finish(self._condemn)

    def _row(self) -> sa.ColumnElement[bool]:
        vendor, tenant, mark = self._owner
        return sa.and_(tokens.c.vendor == vendor, tokens.c.tenant == tenant, tokens.c.fingerprint == mark)

    def _load(self) -> Token | None:
        with self._vault.state.begin() as connection:
            row = connection.execute(sa.select(tokens).where(self._row())).one_or_none()
        if row is None:
            return None
        try:
            pair = self._vault.unseal(self._owner, row.secret)
        except TokenKeyError as error:
            if not self._is_replaceable:
                raise
            _log.warning("%s; it is replaced by a new one", error)
            return None
        return replace(
            pair,
            expires_at=row.expires_at,
            is_endless=bool(row.is_endless),
            refresh_expires_at=row.refresh_expires_at,
            renewed_at=row.refreshed_at,
        )

    def _save(self, token: Token) -> None:
        values = {
            "secret": self._vault.seal(self._owner, token),
            "expires_at": token.expires_at,
            "is_endless": token.is_endless,
            "refresh_expires_at": token.refresh_expires_at,
            "refreshed_at": self._vault.clock(),
            "is_dead": False,
        }
        with self._vault.state.begin() as connection:
            if connection.execute(sa.update(tokens).where(self._row()).values(values)).rowcount == 0:
                vendor, tenant, mark = self._owner
                row = {"vendor": vendor, "tenant": tenant, "fingerprint": mark, **values}
                connection.execute(sa.insert(tokens).values(row))

    def _condemn(self) -> None:
        with self._vault.state.begin() as connection:
            connection.execute(sa.update(tokens).where(self._row()).values(is_dead=True))


async def _finish(work: Callable[..., None], *arguments: object) -> None:
    """Run `work` in a thread to its end, whatever happens to the caller: the lock must not open before the commit."""
    task = asyncio.ensure_future(asyncio.to_thread(work, *arguments))
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise


def _unreadable(owner: Sequence[str]) -> TokenKeyError:
    vendor, tenant, _ = owner
    return TokenKeyError(
        f"the stored {vendor} token of tenant {tenant} cannot be read with this key; set WEATHERVANE_TOKEN_KEY (or the"
        " key file beside the state database) back to the key it was stored with, or connect the account again and"
        " configure the new credential"
    )
