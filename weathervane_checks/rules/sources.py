"""Whether rows come from the vendor."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import polars as pl
from weathervane_resources.credentials import NOT_CONFIGURED, STUB

from weathervane_checks.findings import Finding


def judge_live_source(ledger: pl.DataFrame, days: Sequence[date], dying_version: str = "") -> list[Finding]:
    """Return one finding a day: stub rows warn; a source that is not configured has nothing to warn about.

    `dying_version` says of the API version in use that it has ended or soon will; it warns on the last day, once a run.
    """
    sources = dict(ledger.select("date", "source").iter_rows())
    findings = [_judge(day, sources.get(day)) for day in sorted(days)]
    if dying_version and findings and findings[-1].is_ok and findings[-1].observed != NOT_CONFIGURED:
        last = findings[-1]
        findings[-1] = Finding(last.day, "warning", last.observed, "live", ("version_sunset",), dying_version)
    return findings


def _judge(day: date, source: str | None) -> Finding:
    if source is None:
        return Finding(day, "warning", "never written", "live", ("dataset_missing",), "the day was never written")
    if source == STUB:
        return Finding(day, "warning", STUB, "live", ("stub_source",), "stub rows from the sandbox, not the vendor's")
    note = "the source is not configured; the partition is empty" if source == NOT_CONFIGURED else f"from {source}"
    return Finding(day, "ok", source, "live", note=note)
