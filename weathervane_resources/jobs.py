"""Ids of vendors' jobs in the state database, so that a run that is started again does not ask for the same work twice.

Belongs here: how they are kept and when they are too old. Does not belong here: what a job is (`clients/jobs.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from weathervane_resources.state import State
from weathervane_resources.state_tables import jobs

KEPT = timedelta(hours=6)
"""A job shows the vendor's data of when it was asked for; one that nobody has looked for so long is not used any more."""


@dataclass(frozen=True)
class StateJobs:
    """One tenant's jobs at one vendor: `clients.jobs.Jobs` over the state database."""

    state: State
    vendor: str
    tenant: str
    clock: Callable[[], datetime]

    async def find(self, mark: str) -> str | None:
        """Return the id, None where there is none or it is too old."""
        return await asyncio.to_thread(self._find, mark)

    async def keep(self, mark: str, job_id: str) -> None:
        """Return when the id is committed."""
        await asyncio.to_thread(self._keep, mark, job_id)

    async def drop(self, mark: str) -> None:
        """Forget the job."""
        await asyncio.to_thread(self._drop, mark)

    def _row(self, mark: str) -> sa.ColumnElement[bool]:
        return sa.and_(jobs.c.vendor == self.vendor, jobs.c.tenant == self.tenant, jobs.c.mark == mark)

    def _find(self, mark: str) -> str | None:
        with self.state.begin(durable=False) as connection:
            row = connection.execute(sa.select(jobs).where(self._row(mark))).one_or_none()
        return row.job_id if row and row.asked_at > self.clock() - KEPT else None

    def _keep(self, mark: str, job_id: str) -> None:
        values = {"job_id": job_id, "asked_at": self.clock()}
        with self.state.begin() as connection:
            self.state.lock_in(connection, f"jobs {self.vendor} {self.tenant}")
            connection.execute(sa.delete(jobs).where(jobs.c.asked_at <= self.clock() - KEPT))
            connection.execute(sa.delete(jobs).where(self._row(mark)))
            connection.execute(sa.insert(jobs).values(vendor=self.vendor, tenant=self.tenant, mark=mark, **values))

    def _drop(self, mark: str) -> None:
        """Durable: a used job that a power cut brings back would answer a later question with what was so before."""
        with self.state.begin() as connection:
            connection.execute(sa.delete(jobs).where(self._row(mark)))
