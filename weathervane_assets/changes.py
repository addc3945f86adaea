"""Change sensors: what a vendor changed since the last tick is read again, whole days at a time.

Belongs here: asking a vendor what changed, and requesting the touched tenant-days. Does not belong here: the cursor
(`change_cursor.py`), what is kept of it beside Dagster (`change_notes.py` of the resources), what was read already
(`change_reading.py`), and runs that failed (`change_repeats.py`). The cursor moves only together with the run requests, and
a request's key is made of the changes themselves: a daemon that dies in between asks for the same runs again, under the same
keys.

Days that are not over are the nightly run's: each of their orders is a change, and each would be a run.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from threading import Thread
from typing import Any, TypeVar

import dagster as dg
import polars as pl

from weathervane_assets.change_cursor import (
    LAG,
    Change,
    Position,
    Positions,
    digest,
    not_after,
    read_changes,
    read_cursor,
    touched,
    write_cursor,
)
from weathervane_assets.change_ledger import FARTHEST
from weathervane_assets.change_reading import ReadDays
from weathervane_assets.change_repeats import repeats
from weathervane_assets.graph import downstream
from weathervane_assets.partitions import TENANT_PARTITIONS, day_key, range_tags
from weathervane_assets.quarantine import Page
from weathervane_assets.schedules import active_tenants, paused_tenants
from weathervane_resources.change_notes import Noted, note, noted
from weathervane_resources.clients.klaviyo import CHANNELS, Campaign
from weathervane_resources.clients.shopify import Order, ShopifyClient
from weathervane_resources.clients.shopify_window import VISIBLE, is_seen
from weathervane_resources.clock import Clock
from weathervane_resources.connectors import KlaviyoConnector, ShopifyConnector
from weathervane_resources.credentials import Access
from weathervane_resources.lake import LakeError, Shape, whole
from weathervane_resources.partition_keys import CHANGED_TAG
from weathervane_resources.platform import Platform
from weathervane_resources.settings import ConfigurationError
from weathervane_resources.state import StateError, open_state
from weathervane_resources.tenants import Tenant

T = TypeVar("T")
CHECK_SECONDS = 600
TENANTS_AT_ONCE = 8
TICK_SECONDS, TENANT_SECONDS, LATE_SECONDS = 45, 40, 20
"""Dagster cuts a tick off after a minute, and forgets what it found: whoever is not read within the first, or takes longer than the second,
keeps the cursor and is tried again. A page that ends after the third is the last: what was read counts, and the next tick goes on from there."""
STATE_SECONDS = 4
"""So long the state database may take, twice a tick; without an answer the cursor is enough."""
QUEUED = timedelta(hours=1)
"""A run that is asked for may wait that long until it reads."""
UNSORTED = timedelta(minutes=5)
"""Klaviyo's lists, those of archived campaigns above all, are not always in the order of `updated_at`; so far they may be off."""
_EARLIEST, _LATEST = datetime(1, 1, 3, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)
STORED_PROMOS = Shape(pl.Schema({"campaign_id": pl.String(), "date": pl.Date()}), ())


async def _any_day(_client: object, _changes: Collection[Change]) -> date:
    return date.min


async def _any_time(_client: object, since: datetime) -> datetime:
    return since


@dataclass(frozen=True)
class Reader:
    """How one tenant's changes are read: a client, its lists by name, and what a row of them says."""

    connect: Callable[[], AbstractAsyncContextManager[Any]]
    lists: Mapping[str, Callable[[Any, datetime, datetime], AsyncGenerator[Page[Any]]]]
    as_change: Callable[[Any], Change | None]
    first_day: Callable[[Any, Collection[Change]], Awaitable[date]] = _any_day
    """The first day that can be read again, given the client and what changed."""
    first_seen: Callable[[Any, datetime], Awaitable[datetime]] = _any_time
    """From when on there are changes to see, given the client and how far was read."""
    lag: timedelta = LAG
    """How far behind a later change one may be listed."""


@dataclass(frozen=True)
class Found:
    """What came of one tenant: its changes and new positions, or why there are none."""

    tenant: Tenant
    changes: list[Change]
    positions: Mapping[str, Position]
    unreadable: int = 0
    first_day: date = date.min
    error: str = ""


def _selection(asset: str) -> dg.AssetSelection:
    return dg.AssetSelection.assets(*downstream(asset))


def build_change_sensors(status: dg.DefaultSensorStatus) -> tuple[dg.SensorDefinition, dg.SensorDefinition]:
    """Return `changed_orders` and `changed_campaigns`, running or not until someone says otherwise in the UI."""

    @dg.sensor(
        asset_selection=_selection("orders"),
        minimum_interval_seconds=CHECK_SECONDS,
        default_status=status,
        description="Reads days again whose orders changed at Shopify: refunds, edits, cancellations.",
    )
    def changed_orders(
        context: dg.SensorEvaluationContext, platform: Platform, clock: Clock, shopify: ShopifyConnector
    ) -> dg.SensorResult:
        """Read tenant-days again whose orders changed at Shopify: refunds, edits, cancellations."""

        def reader(tenant: Tenant, access: Access) -> Reader:
            return Reader(
                lambda: shopify.connect(access, platform, protocol=tenant.shopify_protocol),
                {"orders": lambda client, since, until: client.changed_orders(since, until)},
                lambda order: _changed_order(order, tenant),
                lambda client, changes: _first_whole_day(client, changes, tenant, clock.now()),
                lambda client, since: _first_seen(client, since, clock.now()),
            )

        return _tick(context, platform, clock, shopify.access, reader, "orders")

    @dg.sensor(
        asset_selection=_selection("promos"),
        minimum_interval_seconds=CHECK_SECONDS,
        default_status=status,
        description="Reads days again whose campaigns changed at Klaviyo: sent, moved (both days), archived.",
    )
    def changed_campaigns(
        context: dg.SensorEvaluationContext, platform: Platform, clock: Clock, klaviyo: KlaviyoConnector
    ) -> dg.SensorResult:
        """Read tenant-days again whose campaigns changed at Klaviyo: sent, moved to another day (both days), archived."""

        def reader(tenant: Tenant, access: Access) -> Reader:
            stored = _stored_days(tenant, platform)
            return Reader(
                lambda: klaviyo.connect(access, platform),
                {f"{channel}{' archived' if archived else ''}": _campaigns(channel, archived=archived)
                 for channel in CHANNELS for archived in (False, True)},
                lambda campaign: _changed_campaign(campaign, tenant, stored.get(campaign.id, frozenset())),
                lag=UNSORTED,
            )  # fmt: skip

        return _tick(context, platform, clock, klaviyo.access, reader, "promos")

    return changed_orders, changed_campaigns


changed_orders, changed_campaigns = build_change_sensors(dg.DefaultSensorStatus.STOPPED)


def _campaigns(channel: str, *, archived: bool) -> Callable[[Any, datetime, datetime], AsyncGenerator[Page[Any]]]:
    def pages(client: Any, since: datetime, until: datetime) -> AsyncGenerator[Page[Any]]:
        found: AsyncGenerator[Page[Any]] = client.campaigns(
            channel=channel, archived=archived, updated_from=since, updated_to=until
        )
        return found

    return pages


def _instant(text: str | None) -> datetime | None:
    """Return a time in UTC, None where it has no offset or is at an end of the calendar, where not every clock has a day for it."""
    try:
        at = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return at.astimezone(UTC) if at.tzinfo and _EARLIEST < at < _LATEST else None


def _changed_order(order: Order, tenant: Tenant) -> Change | None:
    created, updated = _instant(order.created_at), _instant(order.updated_at)
    return Change(str(order.id), updated, frozenset({tenant.today(created)})) if created and updated else None


async def _first_whole_day(client: ShopifyClient, changes: Collection[Change], tenant: Tenant, now: datetime) -> date:
    """Return the first day that the token sees whole: a run with an earlier one would be refused, with all of its days."""
    read_at = now + QUEUED
    days = [day for change in changes for day in change.days]
    if not days or await is_seen(tenant.day_start(min(days)), read_at, client.access_scopes):
        return date.min
    return tenant.today(read_at - VISIBLE) + timedelta(days=1)


async def _first_seen(client: ShopifyClient, since: datetime, now: datetime) -> datetime:
    """Return `since`, or from when on the token sees orders: what was updated before is of orders that it does not see."""
    return since if await is_seen(since - QUEUED, now, client.access_scopes) else now - VISIBLE + QUEUED


def _changed_campaign(campaign: Campaign, tenant: Tenant, stored: frozenset[date]) -> Change | None:
    """Return the day that the campaign is on now, as `transforms.promos` places it, and those that it stood on."""
    updated = _instant(campaign.updated_at)
    times = (_instant(t) for t in (campaign.send_time, campaign.scheduled_at, campaign.created_at))
    at = next((t for t in times if t), None)
    return Change(campaign.id, updated, stored | {tenant.today(at)}) if at and updated else None


def _stored_days(tenant: Tenant, platform: Platform) -> dict[str, frozenset[date]]:
    lake = platform.lake()
    rows = whole(lake.scan(tenant.id, "promos", STORED_PROMOS), lake.uri(tenant.id, "promos"))
    by_campaign = rows.group_by("campaign_id").agg(pl.col("date").unique())
    return {campaign: frozenset(days) for campaign, days in by_campaign.iter_rows()}


def _tick(
    context: dg.SensorEvaluationContext,
    platform: Platform,
    clock: Clock,
    access_of: Callable[[str, Platform], Access],
    reader_of: Callable[[Tenant, Access], Reader],
    asset: str,
) -> dg.SensorResult:
    """Read what changed of all tenants; the runs and the cursor go together, or not at all."""
    now, positions = clock.now(), read_cursor(context.cursor)
    synced = set(context.instance.get_dynamic_partitions(TENANT_PARTITIONS))
    try:
        tenants = active_tenants(context.instance, platform)
    except ConfigurationError as error:
        return dg.SensorResult(skip_reason=str(error))
    before = _in_state(context, platform, noted, asset)
    positions = _held_against(context, positions, before or {}, now)
    days = ReadDays(asset, platform.lake(), context.instance)
    found = asyncio.run(_read_all(tenants, positions, platform, access_of, reader_of, days, now))
    for one in found:
        _report(context, one, asset)
    earliest = platform.settings().start_date
    requests = [request for one in found for request in _requests(one, asset, earliest, now)]
    # of a tenant whose vendor answers: with a dead token they would fail again
    requests += repeats(context, days.lake, {one.tenant.id for one in found if not one.error}, asset, now)
    kept = {tenant: known for tenant, known in positions.items() if tenant in synced}
    read = {one.tenant.id: one.positions for one in found if one.positions}
    if before is not None:
        _in_state(context, platform, note, asset, before, _reached(read))
    cursor = write_cursor({**kept, **read})
    if requests:
        return dg.SensorResult(run_requests=requests, cursor=cursor)
    return dg.SensorResult(skip_reason=_why_nothing(found) + paused_tenants(platform), cursor=cursor)


def _why_nothing(found: Collection[Found]) -> str:
    if not found:
        return (
            "none was asked: no active tenant has credentials of this source (stub rows: WEATHERVANE_STUB_CHANGES=on)"
        )
    failed = [one.tenant.id for one in found if one.error]
    return (
        f"could not be read: {', '.join(failed)}" if failed else f"nothing changed on past days of {len(found)} tenants"
    )


def _in_state(context: dg.SensorEvaluationContext, platform: Platform, call: Callable[..., T], *args: Any) -> T | None:
    """Return what a call about the state database returns; None, with a warning, where that does not answer in time."""

    def run() -> T:
        return call(open_state(platform.settings().state_url), *args)

    try:
        return asyncio.run(asyncio.wait_for(_in_thread(run), STATE_SECONDS))
    except (StateError, TimeoutError) as error:
        said = "it did not answer in time" if isinstance(error, TimeoutError) else str(error)
        context.log.warning(f"the state database does not know how far changes are read; the cursor does: {said}")
        return None


def _held_against(context: dg.SensorEvaluationContext, positions: Positions, before: Noted, now: datetime) -> Positions:
    """Return the positions to read on from: the cursor's, or older ones where the state was put or set back."""
    older = not_after(positions, before, now - FARTHEST)
    for tenant in (tenant for tenant in positions if older[tenant] != positions[tenant]):
        since = min(position.until for position in older[tenant].values())
        context.log.warning(
            f"{tenant}: the state was put back, so changes since {since:%Y-%m-%d %H:%M} UTC are read again"
        )
    return older


def _reached(read: Positions) -> Noted:
    return {(tenant, name): position.until for tenant, lists in read.items() for name, position in lists.items()}


def _report(context: dg.SensorEvaluationContext, one: Found, asset: str) -> None:
    """Say what of a tenant's changes could not be read."""
    if one.error:
        context.log.error(f"{one.tenant.id}: changes of {asset} were not read, and will be again: {one.error}")
    if one.unreadable:
        context.log.warning(f"{one.tenant.id}: {one.unreadable} changed rows of {asset} have no usable time")
    if any(day < one.first_day for change in one.changes for day in change.days):
        context.log.warning(f"{one.tenant.id}: days before {one.first_day} changed, but cannot be read whole any more")


async def _in_thread(call: Callable[..., T], *args: Any) -> T:
    """Return what a call returns, from a thread that nobody waits for once the tick's time is over.

    A pool's threads are waited for, at the end of the loop and of the process: for a store that does not answer, longer than Dagster
    gives a tick.
    """
    done: Future[T] = Future()
    done.set_running_or_notify_cancel()  # so that it can be told of its end even after nobody listens

    def run() -> None:
        try:
            done.set_result(call(*args))
        except BaseException as error:  # noqa: BLE001 - raised where it is awaited
            done.set_exception(error)

    Thread(target=run, name="tick", daemon=True).start()
    return await asyncio.wrap_future(done)


async def _read_all(
    tenants: Collection[Tenant],
    positions: Positions,
    platform: Platform,
    access_of: Callable[[str, Platform], Access],
    reader_of: Callable[[Tenant, Access], Reader],
    days: ReadDays,
    now: datetime,
) -> list[Found]:
    gate = asyncio.Semaphore(TENANTS_AT_ONCE)
    ends_at = asyncio.get_running_loop().time() + TICK_SECONDS

    async def read(tenant: Tenant) -> Found | None:
        known = positions.get(tenant.id, {})
        try:
            access = access_of(tenant.id, platform)
            if not (access.is_configured and (not access.is_stub or platform.settings().stub_changes)):
                return None
            async with asyncio.timeout_at(ends_at), gate, asyncio.timeout(TENANT_SECONDS):
                reader = await _in_thread(reader_of, tenant, access)
                return await _read_one(tenant, reader, known, days, now)
        except (dg.Failure, ConfigurationError, LakeError, TimeoutError) as error:
            said = "the time of this tick was over" if isinstance(error, TimeoutError) else str(error)
            return Found(tenant, [], {}, error=said)

    # in another order each time: those that hang must not take every tick's time from the same others
    shuffled = random.sample(list(tenants), len(tenants))
    found = {one.tenant.id: one for one in await asyncio.gather(*(read(tenant) for tenant in shuffled)) if one}
    return [found[tenant.id] for tenant in tenants if tenant.id in found]


async def _read_one(
    tenant: Tenant, reader: Reader, known: Mapping[str, Position], days: ReadDays, now: datetime
) -> Found:
    """Read a tenant's lists. One that was never read begins where the tenant's rows were read: what changed before is in them."""
    begin = now if known else await _in_thread(days.begin, tenant.id, now)
    if begin is None:
        return Found(tenant, [], {})
    after = {name: known.get(name, Position(begin)) for name in reader.lists}
    if not known:
        return Found(tenant, [], after)
    changes: list[Change] = []
    unreadable = 0
    passed_s = asyncio.get_running_loop().time
    late_s = passed_s() + LATE_SECONDS
    async with reader.connect() as client:
        for name, pages in reader.lists.items():
            after[name] = replace(after[name], until=await reader.first_seen(client, after[name].until))
            since, until = after[name].span(now)
            listed = pages(client, since, until)
            read = read_changes(listed, reader.as_change, after[name], until, lambda: passed_s() > late_s, reader.lag)
            new, missed, after[name] = await read
            changes += new
            unreadable += missed
        if changes:
            changes = await _in_thread(days.left, tenant.id, changes)
        first_day = await reader.first_day(client, changes)
    return Found(tenant, changes, after, unreadable, first_day)


def _requests(found: Found, asset: str, earliest: date, now: datetime) -> list[dg.RunRequest]:
    tenant = found.tenant
    yesterday = tenant.today(now) - timedelta(days=1)
    left_at = max((one.left_at for one in found.positions.values() if one.left_at), default=None)
    # Dagster starts no second run of a key, and what the first one wrote, a restore may have undone
    again = f" {left_at.isoformat()}" if left_at else ""
    return [
        dg.RunRequest(
            run_key=f"changed {asset} {tenant.id} {first}..{last} {digest(found.changes, first, last)}{again}",
            asset_selection=[dg.AssetKey(name) for name in downstream(asset)],
            tags={**range_tags(tenant.id, day_key(tenant.id, first), day_key(tenant.id, last)), CHANGED_TAG: asset},
        )
        for first, last in touched(found.changes, max(earliest, tenant.start_date, found.first_day), yesterday)
    ]
