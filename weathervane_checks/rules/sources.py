"""Whether rows come from the vendor."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import polars as pl
from weathervane_resources.credentials import NOT_CONFIGURED, NOT_KEPT, STUB, UNREAD
from weathervane_resources.lake_ledger import LOST_FOR, lost_days

from weathervane_checks.findings import Finding


def judge_live_source(
    ledger: pl.DataFrame, days: Sequence[date], dying_version: str = "", ending_credential: str = ""
) -> list[Finding]:
    """Return one finding a day: stub rows warn, and so does a source that has lost its credentials, until it counts as given up.

    One that never had any has nothing to warn about. `ledger`: the dataset's rows.

    `dying_version` says of the API version in use that it has ended or soon will, `ending_credential` the same of the
    credential; they warn on the last day, once a run.
    """
    sources = dict(ledger.select("date", "source").iter_rows())
    lost = lost_days(ledger)
    findings = [_judge(day, sources.get(day), lost.get(day)) for day in sorted(days)]
    ends = {"credential_ends": ending_credential, "version_sunset": dying_version}
    said = {code: text for code, text in ends.items() if text}
    if said and findings and findings[-1].is_ok and findings[-1].observed not in UNREAD:
        last = findings[-1]
        findings[-1] = Finding(last.day, "warning", last.observed, "live", tuple(said), "; ".join(said.values()))
    return findings


def _judge(day: date, source: str | None, last: date | None) -> Finding:
    """Return the finding of a day; `last` is the last day that was read of a source that had lost its credentials then."""
    if source is None:
        return Finding(day, "warning", "never written", "live", ("dataset_missing",), "the day was never written")
    if source == STUB:
        return Finding(day, "warning", STUB, "live", ("stub_source",), "stub rows from the sandbox, not the vendor's")
    if last:
        says = f"the source was live until {last} and has no credentials any more; the partition is empty"
        says = f"{says}. {LOST_FOR.days} days after that, and after it was last read, it counts as given up"
        return Finding(day, "warning", NOT_CONFIGURED, "live", ("source_lost",), says)
    if source == NOT_KEPT:
        return Finding(day, "ok", NOT_KEPT, "live", note="the vendor keeps nothing of so old a day; nothing was asked")
    note = "the source is not configured; the partition is empty" if source == NOT_CONFIGURED else f"from {source}"
    return Finding(day, "ok", source, "live", note=note)
