"""Work that a vendor does at leisure (Shopify's bulk operations, Meta's reports): its id, and waiting for it.

A job outlives the run that asked for it: a run that is started again finds the id by what was asked, and goes on
waiting instead of asking once more. Does not belong here: how a vendor is asked; where ids are kept in the state
database (`weathervane_resources/jobs.py`).
"""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from weathervane_resources.http.errors import Deferred, Where

T = TypeVar("T")

FIRST_WAIT_S, WAIT_GROWTH, LONGEST_WAIT_S = 0.2, 1.5, 15.0
PATIENCE_S = 1_800.0
"""Longer than this a run does not wait: it is deferred, frees its slot, and finds the job again."""
COME_BACK_AFTER = timedelta(minutes=10)


@dataclass(slots=True)
class Patience:
    """How long a run has waited so far, over all the jobs of one window."""

    waited_s: float = 0.0


class Jobs(Protocol):
    """Ids of jobs by the mark of what was asked."""

    async def find(self, mark: str) -> str | None:
        """Return the id of the job that was asked for and not used up, None where there is none or it is too old."""

    async def keep(self, mark: str, job_id: str) -> None:
        """Return when the id outlives this process; kept once more, it is as if it were asked for now."""

    async def drop(self, mark: str) -> None:
        """Forget a job that is used up or failed."""


class MemoryJobs:
    """Ids as long as this process lives: for stub rows and tests."""

    def __init__(self) -> None:
        """Start empty."""
        self.ids: dict[str, str] = {}

    async def find(self, mark: str) -> str | None:
        """Return the id."""
        return self.ids.get(mark)

    async def keep(self, mark: str, job_id: str) -> None:
        """Remember the id."""
        self.ids[mark] = job_id

    async def drop(self, mark: str) -> None:
        """Forget it."""
        self.ids.pop(mark, None)


def job_mark(*asked: str) -> str:
    """Return what tells one question from another: the shop or account, the version and the whole query."""
    return hashlib.sha256("\0".join(asked).encode()).hexdigest()[:32]


async def wait_for(
    look: Callable[[], Awaitable[T | None]],
    sleep: Callable[[float], Awaitable[object]],
    clock: Callable[[], datetime],
    where: Where,
    patience: Patience | None = None,
) -> T:
    """Return what `look` finds, asking less and less often while it finds nothing.

    `patience`: of the jobs that were waited for before; without it they do not count.

    Raises: Deferred: not within the patience.
    """
    spent, wait_s = patience or Patience(), FIRST_WAIT_S
    while (found := await look()) is None:
        if spent.waited_s >= PATIENCE_S:
            until = clock() + COME_BACK_AFTER
            message = f"the vendor's job was not done after {spent.waited_s / 60:.0f} minutes"
            raise Deferred(message, until=until, hint="the job goes on; the run finds it when it resumes", **where)
        await sleep(wait_s)
        spent.waited_s += wait_s
        wait_s = min(wait_s * WAIT_GROWTH, LONGEST_WAIT_S)
    return found
