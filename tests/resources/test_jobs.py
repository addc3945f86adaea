"""Ids of vendors' jobs in the state database."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from weathervane_resources.clients.jobs import job_mark
from weathervane_resources.jobs import KEPT, StateJobs
from weathervane_resources.state import open_state

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
MARK = job_mark("shop", "query")


def jobs(state_url: str, tenant: str = "acme", now: datetime = NOW) -> StateJobs:
    """As a new process would open it."""
    return StateJobs(open_state(state_url), "shopify_api", tenant, lambda: now)


def do(work: Any) -> Any:
    return asyncio.run(work)


def test_an_id_is_found_by_another_run_until_it_is_dropped(state_url: str) -> None:
    """Insights jobs stuck, and starting them again brought the throttle (airbyte #8282)."""
    do(jobs(state_url).keep(MARK, "op1"))
    do(jobs(state_url).keep(MARK, "op2"))
    assert do(jobs(state_url).find(MARK)) == "op2"
    assert do(jobs(state_url, "kiwi").find(MARK)) is None
    assert do(jobs(state_url).find(job_mark("shop", "other query"))) is None
    do(jobs(state_url).drop(MARK))
    assert do(jobs(state_url).find(MARK)) is None


def test_an_old_job_shows_old_data_and_is_not_used(state_url: str) -> None:
    """A window that is read again tomorrow must not get yesterday's report."""
    do(jobs(state_url).keep(MARK, "op1"))
    later = NOW + KEPT
    assert do(jobs(state_url, now=later - timedelta(seconds=1)).find(MARK)) == "op1"
    assert do(jobs(state_url, now=later).find(MARK)) is None
    do(jobs(state_url, now=later).keep(job_mark("another"), "op3"))
    assert do(jobs(state_url).find(MARK)) is None


def test_what_is_asked_decides_and_how_it_is_split_does_not_confuse() -> None:
    """Two queries that only look alike when joined are two."""
    assert job_mark("ab", "c") != job_mark("a", "bc")
