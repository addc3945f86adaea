"""What stands between this installation and good data: credentials, versions, endpoints, lake and state database.

Belongs here: asking each part one small question and saying in one line what to do. Does not belong here: asking the
vendors (`doctor_sources.py`) and printing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any

import polars as pl

from weathervane_assets.doctor_credentials import Line
from weathervane_assets.doctor_sources import marks_in_use, source_lines
from weathervane_assets.graph import DAILY, YEARLY, downstream
from weathervane_assets.overridable import OVERRIDABLE
from weathervane_assets.schedules import MOST_CAUGHT_UP
from weathervane_assets.tables import Orders, shape_of
from weathervane_assets.unread import ISSUED
from weathervane_checks.alert_routing import configured_targets
from weathervane_resources.alert_outbox import count_waiting, parked_targets
from weathervane_resources.alert_store import AlertStore
from weathervane_resources.credentials import NOT_CONFIGURED, tenant_variable
from weathervane_resources.lake import Lake, LakeError, whole
from weathervane_resources.lake_ledger import own_days
from weathervane_resources.lake_lost import lost_tables, standing
from weathervane_resources.local_time import local_date
from weathervane_resources.platform import Platform
from weathervane_resources.settings import Settings
from weathervane_resources.spelling import backfill_command, counted
from weathervane_resources.state import StateError, open_state
from weathervane_resources.tenants import Tenant
from weathervane_resources.tokens import Vault
from weathervane_resources.versions import DEFAULT_VERSIONS, VersionWarning, sunset_of
from weathervane_resources.versions import warnings as version_warnings

ALERTER_PATIENCE = timedelta(minutes=15)
MOST_GAPS = 5
MADE_TOGETHER = tuple(name for name in DAILY if name != ISSUED)
"""The tables of a night that can be made of any day: a forecast is had on the day itself only."""
MADE_OF = {"meta_ads": ("ads", "features"), "google_ads": ("ads", "features"), "promos": ("features",)}
"""Sources that a shop may connect later, and what is made again with them."""


def examine(settings: Settings, now: datetime) -> Iterator[Line]:
    """Yield one line for each part. A `note` needs nobody; a `finding` needs someone.

    Raises: ConfigurationError: tenants.toml or a variable is wrong.
    """
    platform = Platform(threshold_names=sorted(OVERRIDABLE))
    tenants = platform.tenants()
    own = platform.own_tenants()
    served = f"; shard {settings.shard}: {', '.join(own) or 'none'}" if settings.shard.count > 1 else ""
    yield Line("tenants", "ok", f"{settings.tenants_file}: {', '.join(tenants)}{served}")
    yield _lake(settings)
    yield from _state(settings, platform, now)
    yield from _alerting(settings, list(tenants.values()), now)
    yield from _versions(list(tenants), now)
    for tenant in own.values():
        yield from _start_to_come(tenant, settings, now)
        yield from _days(tenant, platform.lake(), now)
    yield from source_lines(platform, now)


def _lake(settings: Settings) -> Line:
    try:
        Lake(settings.lake).check_usable()
    except LakeError as error:
        return Line("lake", "finding", str(error))
    return Line("lake", "ok", settings.lake)


def _state(settings: Settings, platform: Platform, now: datetime) -> Iterator[Line]:
    """Yield how the state database is, and what is wrong with a stored token; that of a credential that was replaced needs nobody."""
    try:
        state = open_state(settings.state_url)
        state.check_whole()
        stored = Vault(state, settings.token_key, lambda: now).list_tokens()
    except StateError as error:
        yield Line("state", "finding", str(error))
        return
    yield Line("state", "ok", f"{state.address}, {counted(len(stored), 'stored token')}")
    in_use = marks_in_use(platform)
    for token in (one for one in stored if (one.vendor, one.tenant, one.mark) in in_use):
        if token.status in ("dead", "unreadable"):
            cure = (
                "connect the account again"
                if token.status == "dead"
                else "set the WEATHERVANE_TOKEN_KEY it was stored with"
            )
            yield Line(f"token {token.vendor} {token.tenant}", "finding", f"{token.status}; {cure}")


def _alerting(settings: Settings, tenants: list[Tenant], now: datetime) -> Iterator[Line]:
    """Yield whether alerts can reach someone, and whether the alerter lives: nobody else looks after it."""
    targets, complaints = configured_targets(settings, tenants)
    for complaint in complaints:
        yield Line("alert target", "finding", complaint)
    try:
        with AlertStore(open_state(settings.state_url)).session() as session:
            watch, waiting, lost = session.watch(), count_waiting(session), parked_targets(session)
    except StateError:
        return  # said already
    if watch is None:
        yield Line(
            "alerter",
            "note",
            "has never run; switch the sensor `alerts` on in the UI, or set WEATHERVANE_AUTOMATION=on",
        )
    elif now - watch.beat_at > ALERTER_PATIENCE:
        yield Line(
            "alerter",
            "finding",
            f"has not run since {watch.beat_at:%Y-%m-%d %H:%M} UTC: is the daemon up, the sensor `alerts` on?",
        )
    elif watch.lag_s > ALERTER_PATIENCE.total_seconds():
        yield Line("alerter", "finding", f"is {watch.lag_s / 60:.0f} minutes behind the event log")
    else:
        yield Line("alerter", "ok", f"{counted(len(targets), 'target')}, {counted(waiting.waiting, 'message')} to send")
    if lost:
        messages = counted(sum(count for count, _ in lost.values()), "message")
        yield Line("alerts", "finding", f"{messages} never arrived; try `weathervane alerts test`")
    if not targets and not complaints:
        yield Line("alert target", "note", "none: set WEATHERVANE_ALERT_URLS, or alert_urls in tenants.toml")


def _versions(tenant_ids: list[str], now: datetime) -> Iterator[Line]:
    """Yield each version in use with its end: the installation's, and those that a tenant has set for itself."""
    by_owner = {"": {name: os.environ.get(name, "").strip() for name in DEFAULT_VERSIONS}}
    for tenant_id in tenant_ids:
        own = {name: os.environ.get(tenant_variable(tenant_id, name), "").strip() for name in DEFAULT_VERSIONS}
        by_owner[tenant_id] = {name: version for name, version in own.items() if version}
    for owner, versions in by_owner.items():
        warned = {warning.variable: warning for warning in version_warnings(now.date(), versions)}
        for name, version in versions.items():
            yield _version(f"version {owner}".strip(), name, version or DEFAULT_VERSIONS[name], warned.get(name))


def _version(subject: str, name: str, version: str, warning: VersionWarning | None) -> Line:
    if warning is not None:
        return Line(subject, "note" if warning.ends is None else "finding", warning.message)
    row = sunset_of(name, version)
    return Line(subject, "ok", f"{name}={version} is served until {row.day if row else 'an unknown day'}")


def _start_to_come(tenant: Tenant, settings: Settings, now: datetime) -> Iterator[Line]:
    """Yield a first day that is still to come: until then nothing is brought in, and nothing is late."""
    starts = {"start_date in tenants.toml": tenant.start_date, "WEATHERVANE_START_DATE": settings.start_date}
    for name, first in starts.items():
        if first > tenant.today(now):
            text = f"{name} is {first}, in the future: no day is brought in before it; set the first day that you want"
            yield Line(f"days {tenant.id}", "finding", text)
            return


def _days(tenant: Tenant, lake: Lake, now: datetime) -> Iterator[Line]:
    """Yield what is wrong with the days of a tenant's orders as a whole; no night and no check looks at all of them."""
    try:
        ledger, of_all = lake.ledger(tenant.id, "orders"), lake.ledger(tenant.id)
        yield from _lost_tables(tenant, lake, of_all)
        yield from _unread_days(tenant, ledger)
        yield from _days_of_some_tables(tenant, standing(lake, tenant.id, of_all), now)
        yield from _days_before_a_source(tenant, of_all)
        yield from _days_since(tenant, ledger["date"].max(), now)
        yield from _days_of_another_zone(tenant, lake, sorted(own_days(ledger)))
    except LakeError as error:
        yield Line(f"days {tenant.id}", "finding", str(error))


def _lost_tables(tenant: Tenant, lake: Lake, ledger: pl.DataFrame) -> Iterator[Line]:
    """Yield the tables that are gone: a folder was removed, or a back-up lacks it. Places and weather go with the orders."""
    for name in lost_tables(lake, tenant.id, ledger):
        days = ledger.filter(pl.col("dataset") == name)["date"].sort()
        cure = f"bring it back from a back-up, or make it again: {_again(tenant, [name], days[0], days[-1])}"
        text = f"the table {name} is gone, of which the ledger lists {counted(len(days), 'day')}; {cure}"
        yield Line(f"tables {tenant.id}", "finding", text)


def _days_of_some_tables(tenant: Tenant, ledger: pl.DataFrame, now: datetime) -> Iterator[Line]:
    """Yield the days that some tables have and others have not: a table was begun anew, or a backfill was of some assets only.

    Of the last two days the night may be on its way; `_unread_days` has those between two days of orders.
    """
    of_days = {name: set(ledger.filter(pl.col("dataset") == name)["date"]) for name in MADE_TOGETHER}
    orders = of_days["orders"]
    every = {day for days in of_days.values() for day in days if day < tenant.today(now) - timedelta(days=1)}
    told = {day for day in every if orders and min(orders) < day < max(orders)} - orders
    lacking: dict[frozenset[date], list[str]] = {}
    for name, days in of_days.items():
        lacking.setdefault(frozenset(every - days - (told if name == "orders" else set())), []).append(name)
    for missing, names in lacking.items():
        if missing:
            first, last = min(missing), max(missing)
            command = _again(tenant, names, first, last)
            text = f"{counted(len(missing), 'day')} of other tables ({first} to {last}) were never made of {', '.join(names)}: {command}"
            was_used = any(of_days[name] for name in names)
            yield Line(f"tables {tenant.id}", "finding" if was_used else "note", text)


def _again(tenant: Tenant, names: Sequence[str], first: date, last: date) -> str:
    """Return the command that makes days of some tables again, with what is made of them."""
    if YEARLY.intersection(names):
        return backfill_command(tenant.id, first, date(last.year, 12, 31), *names)
    with_theirs = [name for name in DAILY if any(name in downstream(one) for one in names)]
    return backfill_command(tenant.id, first, last, *(() if "orders" in names else with_theirs))


def _days_before_a_source(tenant: Tenant, ledger: pl.DataFrame) -> Iterator[Line]:
    """Yield the days before a source was connected: spend jumps where it begins, and no night reads so far back."""
    for dataset, more in MADE_OF.items():
        mine = ledger.filter(pl.col("dataset") == dataset)
        begin = min(own_days(mine), default=date.min)
        absent = mine.filter((pl.col("source") == NOT_CONFIGURED) & (pl.col("date") < begin))["date"].sort()
        if len(absent):
            command = backfill_command(tenant.id, absent[0], absent[-1], dataset, *more)
            text = f"{counted(len(absent), 'day')} of {dataset} before {begin} have no source, which was connected later: {command}"
            yield Line(f"days {tenant.id}", "note", text)


def _days_of_another_zone(tenant: Tenant, lake: Lake, days: list[date]) -> Iterator[Line]:
    """Yield the days that were cut before `timezone` was corrected: where they meet the others, orders are twice there or nowhere."""
    if not days:
        return
    rows = lake.scan(tenant.id, "orders", shape_of(Orders), days)
    local = local_date("created_at", tenant.timezone)
    cut = whole(rows.filter(local != pl.col("date")).select(pl.col("date").unique().sort()), f"{tenant.id}/orders")[
        "date"
    ]
    if cut.is_empty():
        return
    # the days beside them may have been cut so, too, and lack what no order of their own tells of
    first, last = max(cut[0] - timedelta(days=1), days[0]), min(cut[-1] + timedelta(days=1), days[-1])
    command = backfill_command(tenant.id, first, last)
    zone = f"another time zone than {tenant.timezone}"
    text = f"{len(cut)} days of orders are cut by {zone} ({cut[0]} to {cut[-1]}): {command}"
    yield Line(f"days {tenant.id}", "finding", text)


def _days_since(tenant: Tenant, newest: Any, now: datetime) -> Iterator[Line]:
    """Yield the days since the newest where they are more than a night catches up on; of a paused tenant nobody wants them."""
    due = tenant.today(now) - timedelta(days=1)
    if newest is None or tenant.paused or (due - newest).days <= MOST_CAUGHT_UP:
        return
    command = backfill_command(tenant.id, newest + timedelta(days=1), "yesterday")
    more = f"more than the {MOST_CAUGHT_UP} days that a night catches up on"
    yield Line(f"days {tenant.id}", "note", f"newest day {newest}, due {due}, {more}: {command}")


def _unread_days(tenant: Tenant, ledger: pl.DataFrame) -> Iterator[Line]:
    """Yield the gaps between days whose orders were read: a night catches up on two weeks, and nothing else looks for older ones."""
    days = sorted(own_days(ledger) or ledger["date"])
    gaps = [(a + timedelta(days=1), b - timedelta(days=1)) for a, b in pairwise(days) if (b - a).days > 1]
    for first, last in gaps[:MOST_GAPS]:
        command = backfill_command(tenant.id, first, last)
        yield Line(f"days {tenant.id}", "finding", f"{first} to {last} were never read: {command}")
