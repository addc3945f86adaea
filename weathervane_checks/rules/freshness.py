"""Whether a tenant's newest due day is there. A backfill of March does not make today fresh."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

import polars as pl
from weathervane_resources.credentials import NOT_KEPT
from weathervane_resources.lake_ledger import left_over_days
from weathervane_resources.tenants import Tenant

from weathervane_checks.findings import RANK, Severity
from weathervane_checks.thresholds import Thresholds

ISSUED = frozenset({"weather_forecast"})
"""Written on the day itself: complete whenever they were written, but on days that came too late for it (`not_kept`)."""
YEARLY = frozenset({"climatology"})
"""One partition a year, filed under January 1."""
FIRST_BACKFILL = timedelta(hours=24)
"""How long after a tenant's first write its history may still be on its way."""


@dataclass(frozen=True)
class Freshness:
    """What is said of one tenant's dataset: the newest complete day, the day that is due, and how late it is.

    Of normals these are the first days of their years; late are the days of the year that have been over without them.
    """

    tenant: str
    severity: Severity
    newest: date | None
    due: date
    days_late: int
    was_missed: bool = False
    """Whether the due day was written without the forecast that was to be had on it."""
    is_new: bool = False
    """Whether it would be critical, but for a first backfill that may still run."""

    @property
    def alerts(self) -> tuple[str, ...]:
        """The alert codes."""
        if self.severity == "ok":
            return ()
        if self.was_missed:
            return ("forecast_not_issued",)
        if self.is_new:
            return ("not_backfilled",)
        return ("dataset_missing",) if self.newest is None else ("dataset_stale",)


def judge_freshness(
    dataset: str, tenant: Tenant, ledger: pl.DataFrame, limits: Thresholds, now: datetime
) -> Freshness | None:
    """Return how fresh the dataset is, or None where nothing is due yet.

    `ledger`: `date`, `row_count`, `written_at_utc`, `source` of the tenant's dataset. A day is complete if it was written after it was
    over. The due day is the newest that has been over for `freshness_grace_hours`.
    """
    last = tenant.today(now - timedelta(hours=limits.freshness_grace_hours)) - timedelta(days=1)
    if last < tenant.start_date:
        return None
    due = last.replace(month=1, day=1) if dataset in YEARLY else last
    missed = set(ledger.filter(pl.col("source") == NOT_KEPT)["date"]) if dataset in ISSUED else set()
    written = ledger.filter(~pl.col("date").is_in(missed)).select("date", "written_at_utc")
    complete = [day for day, at in written.iter_rows() if _is_complete(dataset, tenant, day, at)]
    if due in complete:
        return Freshness(tenant.id, "ok", max(complete), due, 0)
    if dataset in ISSUED and not ledger.is_empty():
        return _judge_late_forecast(dataset, tenant, ledger, limits, due)
    newest = max((day for day in complete if day < due), default=None)
    late = (last - _first_late(dataset, newest, due, tenant)).days + 1
    if late < 1:
        return Freshness(tenant.id, "ok", newest, due, 0)
    is_critical = late >= limits.freshness_critical_days
    return Freshness(tenant.id, "critical" if is_critical else "warning", newest, due, late)


def _judge_late_forecast(
    dataset: str, tenant: Tenant, ledger: pl.DataFrame, limits: Thresholds, due: date
) -> Freshness:
    """Return how late forecasts are. One that was missed cannot be had any more: it is critical only until one was issued since.

    A day without rows that was not missed had no place to issue one for, as a shop's before its first order and the first one of a
    backfill: it is no forecast. Of history before the first write nothing is late, and a demo's are no shop's.
    """
    own = ledger.filter(~pl.col("date").is_in(left_over_days(ledger)))
    is_missed = pl.col("source") == NOT_KEPT
    was_missed = due in own.filter(is_missed)["date"]
    issued = own.filter(~is_missed & (pl.col("row_count") > 0))["date"].to_list()
    last_fine = max((day for day in own.filter(~is_missed)["date"] if day < due), default=None)
    newest = max((day for day in issued if day < due), default=None) if was_missed else last_fine
    first = _first_late(dataset, last_fine, due, tenant)
    if last_fine not in issued:
        first = max(first, tenant.today(own["written_at_utc"].min()))  # type: ignore[arg-type] # some row is there
    late = (due - first).days + 1
    if late < 1:
        return Freshness(tenant.id, "ok", newest, due, 0)
    is_over = was_missed and max(issued, default=due) > due
    is_critical = late >= limits.freshness_critical_days and not is_over
    return Freshness(tenant.id, "critical" if is_critical else "warning", newest, due, late, was_missed)


def _first_late(dataset: str, newest: date | None, due: date, tenant: Tenant) -> date:
    """Return the first day that is missing: of a year that has no normals its first one, but never one before the tenant's.

    A start that was moved forward leaves days before it, after which nothing is asked for until then.
    """
    if dataset in YEARLY:
        return max(due, tenant.start_date)
    return max(newest + timedelta(days=1), tenant.start_date) if newest else tenant.start_date


def _is_complete(dataset: str, tenant: Tenant, day: date, written_at: datetime) -> bool:
    if dataset in ISSUED or dataset in YEARLY:
        return True
    return written_at >= tenant.day_start(day + timedelta(days=1))


def freshness_by_tenant(
    dataset: str,
    ledgers: Mapping[str, pl.DataFrame],
    tenants: Mapping[str, Tenant],
    now: datetime,
    new: Collection[str] = (),
) -> list[Freshness]:
    """Return how fresh one dataset of every tenant is, the worst first.

    `ledgers`: all datasets' of each tenant. `new`: tenants whose first backfill may still run: of them nothing is critical. A report
    knows no such tenants: it says what can be used, and wakes nobody.
    """
    found = []
    for name, tenant in tenants.items():
        limits = Thresholds().for_tenant(tenant.thresholds)
        mine = ledgers[name].filter(pl.col("dataset") == dataset)
        judged = judge_freshness(dataset, tenant, mine, limits, now)
        if judged and judged.severity == "critical" and name in new:
            judged = replace(judged, severity="warning", is_new=True)
        found.append(judged)
    return sorted((f for f in found if f), key=lambda f: (-RANK[f.severity], -f.days_late, f.tenant))
