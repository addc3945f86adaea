"""Meta's asynchronous reports: an account's are made at the same time, ready at the second look at any. Rows are `meta.py`'s."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aiohttp import web

from weathervane_resources.sandbox.meta_query import InsightsQuery

_FIRST_RUN_ID = 6_000_000_000_000
_READY_AFTER_LOOKS = 2


@dataclass
class Job:
    """One report; it shows the account as it stood when the report was asked for. It is seen with the token that asked for it."""

    number: int
    tenant: str
    token: str
    account: str
    query: InsightsQuery
    created_at: datetime
    fails: bool = False
    looks: int = 0

    @property
    def run_id(self) -> str:
        """Return the vendor's id."""
        return str(_FIRST_RUN_ID + self.number)

    @property
    def is_complete(self) -> bool:
        """Return whether rows can be fetched."""
        return not self.fails and self.looks >= _READY_AFTER_LOOKS

    def shown(self) -> dict[str, Any]:
        """Return the job as the vendor shows it."""
        is_over = self.looks >= _READY_AFTER_LOOKS
        status = ("Job Failed" if self.fails else "Job Completed") if is_over else "Job Running"
        epoch = int(self.created_at.timestamp())
        shown = {
            "id": self.run_id,
            "account_id": self.account,
            "time_ref": epoch,
            "async_status": status,
            "async_percent_completion": (0 if self.fails else 100) if is_over else 40,
            "date_start": self.query.first.isoformat(),
            "date_stop": self.query.last.isoformat(),
        }
        if is_over and self.fails:
            return {**shown, "error_code": 2, "error_message": "An unknown error occurred", "error_subcode": 1504043}
        return {**shown, "time_completed": epoch} if is_over else shown


@dataclass
class Jobs:
    """Every report of one sandbox; they outlive the client that asked."""

    known: dict[str, Job] = field(default_factory=dict)

    def start(self, tenant: str, token: str, account: str, query: InsightsQuery, now: datetime) -> Job:
        """Start a report."""
        job = Job(len(self.known) + 1, tenant, token, account, query, now)
        self.known[job.run_id] = job
        return job

    def look(self, looked_at: Job) -> dict[str, Any]:
        """Move all reports of the account on, and return the one that is looked at as the vendor shows it."""
        for job in self.known.values():
            if (job.tenant, job.account) == (looked_at.tenant, looked_at.account):
                job.looks += 1
        return looked_at.shown()

    def find(self, tenant: str | None, token: str, run_id: str) -> Job | None:
        """Return a tenant's report; a token's where the request does not name the tenant (`tenant` is None)."""
        job = self.known.get(run_id)
        is_theirs = job is not None and (job.token == token if tenant is None else job.tenant == tenant)
        return job if is_theirs else None


JOBS = web.AppKey("jobs", Jobs)
