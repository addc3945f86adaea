"""What the variables of the environment say before any vendor is asked: whose they are, and which are missing.

Belongs here: a variable that counts for nobody, an account that counts twice, a source that has none. Does not belong
here: asking the vendors (`doctor_sources.py`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import dagster as dg

from weathervane_resources.connectors import Connector
from weathervane_resources.credentials import (
    GOOGLE_ADS,
    KLAVIYO,
    META,
    OPEN_METEO,
    SHOPIFY,
    SOURCES,
    Access,
    digits,
    tenant_variable,
)
from weathervane_resources.lake_ledger import IS_OWN, LOST_FOR
from weathervane_resources.platform import Platform
from weathervane_resources.settings import ConfigurationError
from weathervane_resources.shop_address import shop_host
from weathervane_resources.spelling import nearest
from weathervane_resources.tenants import Tenant

Level = Literal["ok", "note", "finding"]
_TENANTS_OWN = tuple(
    dict.fromkeys(name for source in SOURCES for name in (*source.own, *source.app, *source.overrides))
)
"""What a tenant may have for itself, behind its prefix."""


@dataclass(frozen=True)
class Line:
    """One line: what was looked at, how it stands, and what to do about it."""

    subject: str
    level: Level
    text: str


def names_without_tenant(tenant_ids: list[str]) -> Iterator[Line]:
    """Yield the variables that say nothing whose they are; with one tenant they are its own."""
    if len(tenant_ids) == 1:
        return
    for name in (name for source in SOURCES for name in source.own if os.environ.get(name, "").strip()):
        without = [one for one in tenant_ids if not os.environ.get(tenant_variable(one, name), "").strip()]
        if without:
            counts = f"{name} is set but counts for no tenant, since there are {len(tenant_ids)}"
            yield Line("credentials", "finding", f"{counts}; write {tenant_variable(without[0], name)}")


def names_of_nobody(tenant_ids: list[str]) -> Iterator[Line]:
    """Yield the prefixes of variables that no tenant has, as a slip of the pen makes them; a value is never shown."""
    known = {tenant_variable(one, "") for one in tenant_ids}
    strange: dict[str, list[str]] = {}
    for variable in sorted(name for name, value in os.environ.items() if value.strip()):
        prefix = next((variable.removesuffix(name) for name in _TENANTS_OWN if variable.endswith(f"__{name}")), "")
        if len(prefix) > len("__") and prefix not in known:
            strange.setdefault(prefix, []).append(variable)
    for prefix, variables in strange.items():
        near = nearest(prefix.upper(), known)
        cure = (
            f"did you mean {near}?"
            if near
            else f"unset what a tenant left behind; there are: {', '.join(sorted(known))}"
        )
        yield Line("credentials", "finding", f"{prefix}… belongs to no tenant ({', '.join(variables)}); {cure}")


def shared_accounts(connector: Connector, tenant_ids: list[str], platform: Platform) -> Iterator[Line]:
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
    *others, last = (name if plain else tenant_variable(tenant.id, name) for name, plain in is_plain.items())
    return f"{', '.join(others)} and {last}" if others else last


def without_credentials(
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
