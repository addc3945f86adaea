"""What each source answers the doctor: whether it lets a tenant in, and whether it is what tenants.toml says.

Belongs here: one small question to each vendor, and in one line what to do about the answer. Does not belong here: the
parts of the installation itself (`doctor.py`).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import dagster as dg

from weathervane_resources.clients.google_ads import CampaignDay
from weathervane_resources.clients.open_meteo_answer import Point
from weathervane_resources.clients.shopify_window import ALL_ORDERS, VISIBLE
from weathervane_resources.connectors import (
    Connector,
    GoogleAdsConnector,
    KlaviyoConnector,
    MetaAdsConnector,
    OpenMeteoConnector,
    ShopifyConnector,
)
from weathervane_resources.credentials import (
    GOOGLE_ADS,
    KLAVIYO,
    META,
    OPEN_METEO,
    SHOPIFY,
    SOURCES,
    Access,
    digits,
    missing_to_renew,
    tenant_variable,
)
from weathervane_resources.lake import Lake, LakeError
from weathervane_resources.lake_ledger import IS_OWN, LOST_FOR, own_days
from weathervane_resources.platform import Platform
from weathervane_resources.settings import ConfigurationError
from weathervane_resources.shop_address import shop_host
from weathervane_resources.tenants import Tenant

Level = Literal["ok", "note", "finding"]
ENDPOINT_PATIENCE_S = 60.0
PUBLIC_TOKENS_STOP = date(2027, 1, 1)
_ANNOUNCED = "Shopify's announcement; an app made for one shop or organisation is exempt"
ARCHIVE_PROBE_AGE = timedelta(days=30)


@dataclass(frozen=True)
class Line:
    """One line: what was looked at, how it stands, and what to do about it."""

    subject: str
    level: Level
    text: str


def source_lines(platform: Platform, now: datetime) -> Iterator[Line]:
    """Yield what each source says of each tenant of this shard, after what concerns several of them."""
    yield from _names_without_tenant(list(platform.tenants()))
    for connector, _ in PROBES:
        yield from _shared_accounts(connector, list(platform.own_tenants()), platform)
    for tenant in platform.own_tenants().values():
        for connector, probe in PROBES:
            yield from _source(connector, probe, tenant, platform, now)


def marks_in_use(platform: Platform) -> set[tuple[str, str, str]]:
    """Return vendor, tenant and fingerprint of each credential of this shard's tenants that the vault may have a row of."""
    found = set()
    for tenant_id in platform.own_tenants():
        for connector, _ in PROBES:
            try:
                mark = connector.mark(connector.access(tenant_id, platform))
            except dg.Failure:
                continue  # said of the source
            if mark is not None:
                found.add((connector.names.vendor, tenant_id, mark))
    return found


def _names_without_tenant(tenant_ids: list[str]) -> Iterator[Line]:
    """Yield the variables that say nothing whose they are; with one tenant they are its own."""
    if len(tenant_ids) == 1:
        return
    for name in (name for source in SOURCES for name in source.own if os.environ.get(name, "").strip()):
        without = [one for one in tenant_ids if not os.environ.get(tenant_variable(one, name), "").strip()]
        if without:
            counts = f"{name} is set but counts for no tenant, since there are {len(tenant_ids)}"
            yield Line("credentials", "finding", f"{counts}; write {tenant_variable(without[0], name)}")


def _shared_accounts(connector: Connector, tenant_ids: list[str], platform: Platform) -> Iterator[Line]:
    """Yield the shops and accounts that several tenants read: each has all of it, and a sum over tenants has it twice."""
    readers: dict[str, list[str]] = {}
    for tenant_id in tenant_ids:
        if account := _account(connector, tenant_id, platform):
            readers.setdefault(account, []).append(tenant_id)
    for account, sharing in readers.items():
        if len(sharing) > 1:
            what = _ACCOUNTS[connector.names.vendor].shown.format(account)
            text = f"{', '.join(sharing)} read {what}: each holds all of it, and a sum over tenants has it {len(sharing)} times"
            # two shops of a brand may share an ad account
            level: Level = "finding" if connector.names is SHOPIFY else "note"
            yield Line(connector.names.vendor, level, f"{text}; give each its own, or let one tenant read it")


def _account(connector: Connector, tenant_id: str, platform: Platform) -> str:
    """Return the shop or account that a tenant's credentials lead to, Klaviyo's key itself; empty where none does."""
    account = _ACCOUNTS.get(connector.names.vendor)
    try:
        access = connector.access(tenant_id, platform)
        is_live = access.is_configured and not access.is_stub
        return account.same(access.values[account.variable]) if account and is_live else ""
    except (dg.Failure, ConfigurationError):
        return ""  # said of the tenant itself


@dataclass(frozen=True)
class _Account:
    """Which variable says whose rows come, how its values are compared, and how one is shown: a key never is."""

    variable: str
    same: Callable[[str], str]
    shown: str


_ACCOUNTS = {
    SHOPIFY.vendor: _Account("SHOPIFY_SHOP_DOMAIN", lambda domain: shop_host(domain).lower(), "the shop {}"),
    META.vendor: _Account("META_AD_ACCOUNT_ID", digits, "the ad account {}"),
    GOOGLE_ADS.vendor: _Account("GOOGLE_ADS_CUSTOMER_ID", digits, "the customer {}"),
    KLAVIYO.vendor: _Account("KLAVIYO_API_KEY", str, "one account of Klaviyo, by one key"),
}


_DATASETS = {
    SHOPIFY.vendor: "orders",
    META.vendor: "meta_ads",
    GOOGLE_ADS.vendor: "google_ads",
    KLAVIYO.vendor: "promos",
    OPEN_METEO.vendor: "weather_daily",
}


def _wanted(connector: Connector, tenant: Tenant, platform: Platform) -> str:
    """Name the variables that a source without credentials needs, as they count for this tenant."""
    names, is_alone = connector.names, len(platform.tenants()) == 1
    is_plain = {name: is_alone or name not in names.own for name in names.complete[0]}
    return " and ".join(name if plain else tenant_variable(tenant.id, name) for name, plain in is_plain.items())


def _source(connector: Connector, probe: Probe, tenant: Tenant, platform: Platform, now: datetime) -> Iterator[Line]:
    subject = f"{connector.names.vendor} {tenant.id}"
    try:
        access = connector.access(tenant.id, platform)
        if access.is_stub or not access.is_configured:
            yield _without_credentials(connector, access, tenant, platform, now)
            return
        said = asyncio.run(asyncio.wait_for(probe(connector, access, platform, tenant, now), ENDPOINT_PATIENCE_S))
        ends = connector.ending(access, platform, now)  # the probe has just renewed what could be renewed
    except dg.Failure as failure:
        yield Line(subject, "finding", failure.description or "failed")
        return
    except LakeError as error:
        yield Line(subject, "finding", str(error))
        return
    except TimeoutError:
        text = f"no answer within {ENDPOINT_PATIENCE_S:g} s; is the endpoint reachable from here?"
        yield Line(subject, "finding", text)
        return
    yield from (Line(subject, level, text) for level, text in (*said, *_not_renewed(connector, access)))
    if ends:
        yield Line(subject, "finding", ends)


def _not_renewed(connector: Connector, access: Access) -> list[Said]:
    """Say that the app's names that all tenants share are not all there; what is half a tenant's own has failed already."""
    begun, missing = missing_to_renew(connector.names, access.values)
    if not missing:
        return []
    lacking = " and ".join(missing)
    return [("note", f"{' and '.join(begun)} renews no token without {lacking}: this one is used as it is, to its end")]


def _without_credentials(
    connector: Connector, access: Access, tenant: Tenant, platform: Platform, now: datetime
) -> Line:
    """Return what it means that a source has no credentials: it never had any, has lost them, or was given up.

    Raises: LakeError: the tenant's ledger cannot be read.
    """
    subject, wanted = f"{connector.names.vendor} {tenant.id}", _wanted(connector, tenant, platform)
    own = platform.lake().ledger(tenant.id, _DATASETS[connector.names.vendor]).filter(IS_OWN)
    if own.is_empty():
        serves = f"stub rows; set {wanted}" if access.is_stub else "its partitions stay empty"
        return Line(subject, "note", f"no credentials: {serves}")
    last, read_on = max(own["date"]), tenant.today(max(own["written_at_utc"]))
    lost = f"no credentials, though it was live until {last}"
    if access.is_stub:
        text = f"{lost}: its runs fail; set {wanted}, or, where it was given up, WEATHERVANE_STUBS=never"
        return Line(subject, "finding", text)
    over = max(last, read_on) + LOST_FOR + timedelta(days=1)
    if tenant.today(now) >= over:
        return Line(subject, "note", f"{lost}: it counts as given up, and its new days stay empty")
    text = f"{lost}: its new days stay empty; set {wanted}; where it was given up, this is no finding any more from {over} on"
    return Line(subject, "finding", text)


Said = tuple[Level, str]
Probe = Callable[[Any, Any, Platform, Tenant, datetime], Awaitable[list[Said]]]


def _unless_found(ok: str, said: list[Said]) -> list[Said]:
    """Return what was said, and that all else is well where nobody has to do something."""
    return said if any(level == "finding" for level, _ in said) else [("ok", ok), *said]


async def _shopify(connector: Any, access: Any, platform: Platform, tenant: Tenant, now: datetime) -> list[Said]:
    async with connector.connect(access, platform) as client:
        shop = await client.shop()
        scopes = await client.access_scopes()
    said: list[Said] = []
    if not _same_hours(tenant, shop.iana_timezone, now) or shop.currency != tenant.currency:
        differs = (
            f"the shop says {shop.iana_timezone}, {shop.currency}; tenants.toml {tenant.timezone}, {tenant.currency}"
        )
        said.append(
            ("finding", f"{differs}; days and sums follow tenants.toml: correct it there and read the days again")
        )
    if shop.served_version and shop.served_version != client.api_version:
        said.append(("finding", f"asked for {client.api_version}, served {shop.served_version}: upgrade"))
    said += _sight(scopes, tenant, platform.lake(), now)
    said += _fixed_token(access, now)
    host = shop_host(access.values["SHOPIFY_SHOP_DOMAIN"])
    return _unless_found(f"{host}: {shop.iana_timezone}, {shop.currency}, {client.api_version}", said)


def _fixed_token(access: Access, now: datetime) -> list[Said]:
    """Say until when Shopify takes the permanent token of a public app; whether the app is one, no answer tells."""
    is_renewed = {"SHOPIFY_CLIENT_ID", "SHOPIFY_CLIENT_SECRET"} <= set(access.values)
    if is_renewed or now.date() >= PUBLIC_TOKENS_STOP:
        return []
    return [("note", f"if this app is public, its permanent token stops on {PUBLIC_TOKENS_STOP} ({_ANNOUNCED})")]


def _sight(scopes: frozenset[str], tenant: Tenant, lake: Lake, now: datetime) -> list[Said]:
    """Say which orders a token does not see: none at all, or those of long ago, which matters until they were read."""
    if not scopes & {"read_orders", "write_orders"}:
        return [("finding", "no order can be read: the token has not the scope read_orders; ask for it")]
    if ALL_ORDERS in scopes:
        return []
    absent = f"without {ALL_ORDERS}, orders older than 60 days are absent"
    unread = _unread_before(tenant.today(now - VISIBLE), tenant, lake)
    if not unread:
        return [("note", absent)]
    days = f"{unread[0]} to {unread[-1]} were not read yet"
    return [("finding", f"{absent}, and {days}: ask for the scope, or set start_date of {tenant.id} to a later day")]


def _unread_before(end: date, tenant: Tenant, lake: Lake) -> list[date]:
    """Return the days from the tenant's first on, and before `end`, whose orders were never read."""
    read = set(own_days(lake.ledger(tenant.id, "orders")))
    wanted = (tenant.start_date + timedelta(days=n) for n in range((end - tenant.start_date).days))
    return [day for day in wanted if day not in read]


async def _meta(connector: Any, access: Any, platform: Platform, tenant: Tenant, now: datetime) -> list[Said]:
    async with connector.connect(access, platform) as client:
        account = await client.account()
    notes = _other_account(tenant, account.currency, account.timezone_name, now)
    return [("ok", f"account {client.account_id} in {account.timezone_name}, {account.currency}"), *notes]


def _other_account(tenant: Tenant, currency: str | None, zone: str | None, now: datetime) -> list[Said]:
    """Say how an ad account differs from the shop: it stays so, and stops no night."""
    texts = (_other_currency(tenant, currency) if currency else "", _other_days(tenant, zone, now) if zone else "")
    return [("note", text) for text in texts if text]


def _other_currency(tenant: Tenant, currency: str) -> str:
    """Say that an ad account's money cannot be added to the shop's; empty where both are in one currency."""
    if currency == tenant.currency:
        return ""
    return f"the account is in {currency}, the shop in {tenant.currency}: its spend is null in features"


def _other_days(tenant: Tenant, zone: str, now: datetime) -> str:
    """Say that an ad account's days are not the shop's; empty where both zones have the same hours."""
    if _same_hours(tenant, zone, now):
        return ""
    return (
        f"the account's days are those of {zone}, the shop's of {tenant.timezone}: features joins an ad day to the shop's day of the"
        " same date, hours apart; set the account's time zone where the vendor lets you"
    )


def _same_hours(tenant: Tenant, zone: str, now: datetime) -> bool:
    """Say whether a vendor's time zone has the tenant's hours for a year from `now`, whatever its name: US/Eastern is New York's."""
    try:
        hours = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError):
        return False
    moments = [now + timedelta(days=n) for n in range(366)]
    return all(at.astimezone(hours).utcoffset() == at.astimezone(tenant.zone).utcoffset() for at in moments)


async def _google(connector: Any, access: Any, platform: Platform, tenant: Tenant, now: datetime) -> list[Said]:
    today = tenant.today(now)
    rows: list[CampaignDay] = []
    async with connector.connect(access, platform) as client:
        async for page in client.campaign_days(today - timedelta(days=1), today):
            rows += page.rows
    accounts = {(row.customer.currency_code, row.customer.time_zone): None for row in rows}
    notes = [note for currency, zone in accounts for note in _other_account(tenant, currency, zone, now)]
    return [("ok", f"customer {client.customer_id}: {len(rows)} campaign days of yesterday and today"), *notes]


async def _klaviyo(connector: Any, access: Any, platform: Platform, tenant: Tenant, now: datetime) -> list[Said]:
    since = tenant.day_start(tenant.today(now)) - timedelta(days=30)
    count = 0
    async with connector.connect(access, platform) as client:
        async for page in client.campaigns(channel="email", archived=False, updated_from=since):
            count += len(page.rows)
    return [("ok", f"{count} e-mail campaigns changed in 30 days")]


async def _open_meteo(connector: Any, access: Any, platform: Platform, tenant: Tenant, now: datetime) -> list[Said]:
    del tenant
    day, point = now.date() - ARCHIVE_PROBE_AGE, [Point(52.5, 13.4, "GMT")]
    async with connector.connect(access, platform) as client:
        for host, at in (("archive", day), ("forecast", now.date())):
            async for _ in client.daily(host, point, at, at, ["temperature_2m_mean"]):
                pass
    return [("ok", "archive and forecast answer")]


PROBES: tuple[tuple[Connector, Probe], ...] = (
    (ShopifyConnector(outage_s=0), _shopify),
    (MetaAdsConnector(outage_s=0), _meta),
    (GoogleAdsConnector(outage_s=0), _google),
    (KlaviyoConnector(outage_s=0), _klaviyo),
    (OpenMeteoConnector(outage_s=0), _open_meteo),
)
