"""The key that encrypts stored tokens: from WEATHERVANE_TOKEN_KEY, else from a file beside a local state database.

`WEATHERVANE_TOKEN_KEY` may hold several keys, separated by commas: the first encrypts, all of them decrypt. That is how
a key is changed: put the new one in front.
"""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.fernet import Fernet, MultiFernet

from weathervane_resources.disk import flush
from weathervane_resources.file_lock import LockTimeout, file_lock
from weathervane_resources.state import StateError

MAKE_ONE = 'python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"'


class TokenKeyError(StateError):
    """There is no usable key, or it is not the one that a token was stored with."""


def token_cipher(state_path: Path | None, key: str | None) -> MultiFernet:
    """Return the cipher.

    Args:
        state_path: The local state file; None on a database server, where the key must be configured.
        key: WEATHERVANE_TOKEN_KEY.
    Raises: TokenKeyError: no key, or not one.
    """
    if key:
        return _cipher(key, "WEATHERVANE_TOKEN_KEY")
    if state_path is None:
        raise TokenKeyError(
            f"tokens in a database server need WEATHERVANE_TOKEN_KEY, the same on every machine; make one: {MAKE_ONE}"
        )
    path = state_path.with_suffix(".key")
    return _cipher(_key_in(path), str(path))


def _cipher(keys: str, place: str) -> MultiFernet:
    try:
        return MultiFernet([Fernet(key.strip()) for key in keys.split(",") if key.strip()])
    except ValueError:
        raise TokenKeyError(f"{place} does not hold a Fernet key (32 bytes, base64); make one: {MAKE_ONE}") from None


def _key_in(path: Path) -> str:
    """Return the key in a file, made (0600) where there is none. Any number of processes may do this at once."""
    try:
        with file_lock(path.with_name(f"{path.name}.lock")):
            if not path.exists():
                _write(path, Fernet.generate_key())
            return path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError, LockTimeout) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise TokenKeyError(
            f"the token key {path} cannot be read or made ({reason}); make it readable, or set WEATHERVANE_TOKEN_KEY"
        ) from None


def _write(path: Path, key: bytes) -> None:
    """Write through a file of its own, so that a crash leaves a whole key or none."""
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, key)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    draft.rename(path)
    flush(path.parent)
