"""Meta's asynchronous reports: asked for, waited for, and found again by the run that comes after.

Facts (developers.facebook.com, read 2026-11): a report takes up to an hour; it is over as `Job Completed` (at 100 percent),
`Job Failed` or `Job Skipped`, and since v25 says why in `error_code`; right after it was asked for it may not be found yet,
and right after completion its rows may not be there yet (2601, 2637, 1815107: the session tries again). Rows are read by
`meta_ads.py`. A mark stays until `forget`, whatever came of its report, unless nobody can have it: a run that is started
again neither repeats what is done nor forgets what failed or was too much.
"""

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import msgspec

from weathervane_resources.clients.jobs import Jobs, Patience, job_mark, wait_for
from weathervane_resources.http.classify_ads import meta_ads
from weathervane_resources.http.errors import (
    AuthExpired,
    PermissionLost,
    Throttled,
    TooBig,
    Unavailable,
    VendorError,
    Where,
)
from weathervane_resources.http.failure import to_error
from weathervane_resources.http.session import Request, VendorSession
from weathervane_resources.http.strict_json import decode

PAUSES_S = (15.0, 60.0)
"""Between a report that failed and the next try: those started again at once brought the throttle (airbyte #8282)."""
TRIES = len(PAUSES_S) + 1
"""A report fails for no reason at times; one that fails again and again is too much, whatever it says."""
READINGS = 3
"""So many runs may find a completed report at 500, or get no answer; then it is one that failed, and another is asked for."""
THROTTLED_S = 60.0
"""Meta does not say how long: a report is the dearest thing to ask for, so it is not tried every other second."""
LOOKS_UNTIL_GONE = 5

_TOO_MUCH, _NONE = "too much", "-"
"""Kept in the place of an id."""
_NO_REASON = 500
_FAILED = frozenset({"Job Failed", "Job Skipped"})
_GONE = "gone"


class Report(msgspec.Struct, frozen=True):
    """A report as it stands."""

    async_status: str
    async_percent_completion: int | None = None
    error_code: int | None = None
    error_subcode: int | None = None
    error_message: str | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens to it; complete at less than 100 percent is not complete yet."""
        return self.async_percent_completion in (None, 100) if self.is_complete else self.async_status in _FAILED

    @property
    def is_complete(self) -> bool:
        """Whether it has rows."""
        return self.async_status == "Job Completed"

    def error(self, where: Where) -> VendorError:
        """Return why it failed, by the table of every answer; without a reason that table knows it is Unavailable."""
        told = {"code": self.error_code, "error_subcode": self.error_subcode, "message": self.error_message or ""}
        verdict = meta_ads(_NO_REASON, {}, {"error": told}, THROTTLED_S, None)
        return to_error(verdict, None, self.async_status, (), where)


@dataclass(frozen=True, slots=True)
class _Kept:
    """What is kept of a question: its report if there is one, how many failed before it, and how many runs could not read it."""

    run_id: str | None
    failures: int = 0
    unread: int = 0

    @classmethod
    def of(cls, text: str) -> "_Kept":
        run_id, *counts = text.split()
        return cls(None if run_id == _NONE else run_id, *(int(count) for count in counts))

    def __str__(self) -> str:
        return f"{self.run_id or _NONE} {self.failures} {self.unread}".removesuffix(" 0").removesuffix(" 0")


class _Started(msgspec.Struct):
    report_run_id: str | int


@dataclass(slots=True)
class Reports:
    """The reports of one ad account. `node_url` is `https://graph.facebook.com/<version>`."""

    session: VendorSession
    node_url: str
    account_id: str
    jobs: Jobs
    clock: Callable[[], datetime]
    sleep: Callable[[float], Awaitable[object]]

    async def begin(self, query: Mapping[str, str], window: str) -> None:
        """Ask for a report, unless an earlier run did; `finished` then waits for it.

        Raises: TooBig: Meta says so, or an earlier run found that.
        """
        await self._going(query, self.session.where(window))

    async def finished(
        self, query: Mapping[str, str], window: str, patience: Patience, beside: Callable[[], Awaitable[object]]
    ) -> str:
        """Return the id of a completed report with the answer to `query`, the one of an earlier run where there is one.

        `beside` is awaited while the report is made, before it is first looked at.

        Raises:
            TooBig: Meta says so, or it failed three times, in this run or earlier ones: ask for a shorter window.
            Deferred: not done within this run's patience, and the next one goes on waiting for it; or a throttle that lasts.
        """
        where, budget = self.session.where(window), self.session.budget()
        run_id, failures = await self._going(query, where)
        await beside()
        while not (report := await self._over(run_id, where, patience)).is_complete:
            await self.drop(query)
            error = report.error(where)
            if isinstance(error, Throttled):
                await self.session.rest(error, budget)
            elif not isinstance(error, Unavailable | AuthExpired):  # the next question renews the token
                raise error
            elif failures < len(PAUSES_S):
                await self.sleep(PAUSES_S[failures])
                failures += 1
            else:
                raise TooBig(f"the report failed {TRIES} times", hint="ask for a shorter window", **where) from error
            run_id = await self._start(query, where, failures)
        return run_id

    async def too_much(self, query: Mapping[str, str]) -> None:
        """Remember that the answer to `query` cannot be had at once."""
        await self.jobs.keep(self._mark(query), _TOO_MUCH)

    async def not_read(self, query: Mapping[str, str]) -> None:
        """Count a run that could not read a completed report; the last one leaves it, and the third report left is too much."""
        known = await self.jobs.find(self._mark(query))
        if known is None or known == _TOO_MUCH:
            return
        kept = _Kept.of(known)
        kept = replace(kept, unread=kept.unread + 1)
        if kept.unread >= READINGS:
            kept = _Kept(None, kept.failures + 1)
        await self.jobs.keep(self._mark(query), _TOO_MUCH if kept.failures >= TRIES else str(kept))

    async def drop(self, query: Mapping[str, str]) -> None:
        """Forget a report that cannot be used."""
        await self.jobs.drop(self._mark(query))

    async def forget(self, queries: Iterable[Mapping[str, str]]) -> None:
        """Forget the reports of a window that is read: who asks for it again wants it as it is then."""
        for query in queries:
            await self.drop(query)

    def _mark(self, query: Mapping[str, str]) -> str:
        return job_mark("meta insights", self._edge(), json.dumps(dict(query), sort_keys=True))

    async def _going(self, query: Mapping[str, str], where: Where) -> tuple[str, int]:
        """Return the report that is made or done, asked for now where there is none, and how many failed before it."""
        run_id, failures = await self._known(query, where)
        return run_id or await self._start(query, where, failures), failures

    async def _known(self, query: Mapping[str, str], where: Where) -> tuple[str | None, int]:
        """Return the report of an earlier run, None where there is none, and how many failed before the one or the next."""
        mark = self._mark(query)
        known = await self.jobs.find(mark)
        if known is None:
            return None, 0
        await self.jobs.keep(mark, known)  # else what is done is forgotten while the others are waited for
        if known == _TOO_MUCH:
            raise TooBig("an earlier run found the report too much", hint="ask for a shorter window", **where)
        kept = _Kept.of(known)
        return kept.run_id, kept.failures

    async def _start(self, query: Mapping[str, str], where: Where, failures: int) -> str:
        """Ask for a report and keep its id; asking twice costs one more and does no harm, so a lost answer is asked for again."""
        request = Request("POST", self._edge(), form=query, window=where["window"], is_safe=True)
        started = await self.session.read(request, lambda reply: decode(reply.body, _Started, where))
        run_id = str(started.report_run_id)
        await self.jobs.keep(self._mark(query), str(_Kept(run_id, failures)))
        return run_id

    async def _over(self, run_id: str, where: Where, patience: Patience) -> Report:
        unseen = 0
        request = Request("GET", f"{self.node_url}/{run_id}", window=where["window"])

        async def look() -> Report | None:
            nonlocal unseen
            try:
                report = await self.session.read(request, lambda reply: decode(reply.body, Report, where))
            except PermissionLost:  # 100/33 says "unknown": not there yet, not there any more, or not ours
                unseen += 1
                return Report(_GONE) if unseen >= LOOKS_UNTIL_GONE else None
            return report if report.is_over else None

        return await wait_for(look, self.sleep, self.clock, where, patience)

    def _edge(self) -> str:
        return f"{self.node_url}/act_{self.account_id}/insights"
