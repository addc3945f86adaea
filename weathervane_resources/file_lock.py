"""A lock over all processes of one machine that no crash can leave behind.

Belongs here: `flock` on a file of its own. The kernel drops it when the holder dies, kill -9 included, which a row in a
table or a file that merely exists does not. The file stays; its content means nothing.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

FIRST_POLL_S, LONGEST_POLL_S = 0.002, 0.05


class LockTimeout(Exception):
    """Another process held the lock for longer than the patience."""


@contextmanager
def file_lock(path: Path, patience_s: float = 60.0) -> Iterator[None]:
    """Hold the lock, blocking the thread.

    Raises: LockTimeout: not within the patience; OSError: the file cannot be made.
    """
    descriptor = _open(path)
    try:
        deadline = time.monotonic() + patience_s
        for pause_s in _pauses():
            if _is_taken(descriptor):
                break
            _check(path, deadline, patience_s)
            time.sleep(pause_s)
        yield
    finally:
        os.close(descriptor)


@asynccontextmanager
async def async_file_lock(path: Path, patience_s: float) -> AsyncIterator[None]:
    """Hold the lock; waiting does not block the event loop and can be cancelled.

    Raises: LockTimeout: not within the patience; OSError: the file cannot be made.
    """
    descriptor = _open(path)
    try:
        deadline = time.monotonic() + patience_s
        for pause_s in _pauses():
            if _is_taken(descriptor):
                break
            _check(path, deadline, patience_s)
            await asyncio.sleep(pause_s)
        yield
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    """Each open file has a lock of its own, so two tasks of one process exclude each other too."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _is_taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _pauses() -> Iterator[float]:
    pause_s = FIRST_POLL_S
    while True:
        yield pause_s
        pause_s = min(pause_s * 2, LONGEST_POLL_S)


def _check(path: Path, deadline: float, patience_s: float) -> None:
    if time.monotonic() > deadline:
        raise LockTimeout(
            f"{path} has been locked by another process for {patience_s:.0f} s; end that process, or try again later"
        )
