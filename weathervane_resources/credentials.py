"""Which credentials a tenant has for a source, and therefore where its rows come from.

Belongs here: the names of the variables, the rule that one tenant's token never serves another, and the stub policy.
Does not belong here: tokens that are renewed (`tokens.py`) and what is done with them (`connectors.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Literal

from weathervane_resources.settings import ConfigurationError, is_on

STUB = "stub"
NOT_CONFIGURED = "not_configured"
NOT_KEPT = "not_kept"
"""Of a day that the vendor has nothing of any more: older than what it keeps, or a forecast that nobody asked for on its day."""
UNREAD = frozenset({NOT_CONFIGURED, NOT_KEPT})
"""Of days of which no vendor was asked: unknown, not zero."""


def is_made_up(source: str) -> bool:
    """Return whether a source, which may be several joined by `+`, has made-up rows."""
    return STUB in source.split("+")


@dataclass(frozen=True)
class SourceNames:
    """The variables of one source.

    `own` belong to one tenant; `app` may be shared by all; `complete` are the sets of names of which one must be set
    in full, the one to recommend first; `overrides` are addresses, versions and the like, which say nothing about whether a source is configured.
    `renewal` are the sets of names of which one in full renews a token, and less than that nothing; `is_token_the_apps`:
    a token is always of the app that is named, so that a sole tenant that names one means to have its token renewed.
    """

    vendor: str
    live: str
    own: tuple[str, ...]
    app: tuple[str, ...]
    complete: tuple[tuple[str, ...], ...]
    overrides: tuple[str, ...]
    renewal: tuple[tuple[str, ...], ...] = ()
    is_token_the_apps: bool = True


SHOPIFY = SourceNames(
    "shopify",
    "shopify_api",
    own=("SHOPIFY_SHOP_DOMAIN", "SHOPIFY_ACCESS_TOKEN", "SHOPIFY_REFRESH_TOKEN"),
    app=("SHOPIFY_CLIENT_ID", "SHOPIFY_CLIENT_SECRET"),
    complete=(
        ("SHOPIFY_SHOP_DOMAIN", "SHOPIFY_CLIENT_ID", "SHOPIFY_CLIENT_SECRET"),
        ("SHOPIFY_SHOP_DOMAIN", "SHOPIFY_ACCESS_TOKEN"),
    ),
    overrides=("SHOPIFY_API_VERSION", "SHOPIFY_BASE_URL"),
    renewal=(
        ("SHOPIFY_REFRESH_TOKEN", "SHOPIFY_CLIENT_ID", "SHOPIFY_CLIENT_SECRET"),
        ("SHOPIFY_CLIENT_ID", "SHOPIFY_CLIENT_SECRET"),
    ),
    is_token_the_apps=False,
)
META = SourceNames(
    "meta_ads",
    "meta_api",
    own=("META_ACCESS_TOKEN", "META_AD_ACCOUNT_ID"),
    app=("META_APP_ID", "META_APP_SECRET"),
    complete=(("META_ACCESS_TOKEN", "META_AD_ACCOUNT_ID"),),
    overrides=("META_GRAPH_VERSION", "META_BASE_URL", "META_EFFECTIVE_STATUSES"),
    renewal=(("META_APP_ID", "META_APP_SECRET"),),
)
GOOGLE_ADS = SourceNames(
    "google_ads",
    "google_ads_api",
    own=(
        "GOOGLE_ADS_CUSTOMER_ID",
        "GOOGLE_ADS_REFRESH_TOKEN",
        "GOOGLE_ADS_ACCESS_TOKEN",
        "GOOGLE_ADS_LOGIN_CUSTOMER_ID",
    ),
    app=("GOOGLE_ADS_DEVELOPER_TOKEN", "GOOGLE_ADS_CLIENT_ID", "GOOGLE_ADS_CLIENT_SECRET"),
    complete=(
        (
            "GOOGLE_ADS_CUSTOMER_ID",
            "GOOGLE_ADS_DEVELOPER_TOKEN",
            "GOOGLE_ADS_REFRESH_TOKEN",
            "GOOGLE_ADS_CLIENT_ID",
            "GOOGLE_ADS_CLIENT_SECRET",
        ),
        ("GOOGLE_ADS_CUSTOMER_ID", "GOOGLE_ADS_DEVELOPER_TOKEN", "GOOGLE_ADS_ACCESS_TOKEN"),
    ),
    overrides=("GOOGLE_ADS_API_VERSION", "GOOGLE_ADS_BASE_URL", "GOOGLE_OAUTH_URL"),
    renewal=(("GOOGLE_ADS_REFRESH_TOKEN", "GOOGLE_ADS_CLIENT_ID", "GOOGLE_ADS_CLIENT_SECRET"),),
)
KLAVIYO = SourceNames(
    "klaviyo",
    "klaviyo_api",
    own=("KLAVIYO_API_KEY",),
    app=(),
    complete=(("KLAVIYO_API_KEY",),),
    overrides=("KLAVIYO_REVISION", "KLAVIYO_BASE_URL"),
)
OPEN_METEO = SourceNames(
    "open_meteo",
    "open_meteo",
    own=(),
    app=("OPEN_METEO_API_KEY", "OPEN_METEO_NON_COMMERCIAL"),
    complete=(
        ("OPEN_METEO_API_KEY",),
        ("OPEN_METEO_NON_COMMERCIAL",),
        ("OPEN_METEO_FORECAST_URL", "OPEN_METEO_ARCHIVE_URL"),
    ),
    overrides=("OPEN_METEO_FORECAST_URL", "OPEN_METEO_ARCHIVE_URL"),
)
SWITCHES = ("OPEN_METEO_NON_COMMERCIAL",)
"""Names that are on or off; one that is off is as good as unset."""
SOURCES = (SHOPIFY, META, GOOGLE_ADS, KLAVIYO, OPEN_METEO)
CREDENTIAL_NAMES = tuple(name for source in SOURCES for name in (*source.own, *source.app))


@dataclass(frozen=True)
class Access:
    """How a tenant reaches a source. `values` hold credentials: they are never shown."""

    tenant_id: str
    source: str
    """The live name, `stub` or `not_configured`."""
    values: Mapping[str, str] = field(repr=False)

    @property
    def is_stub(self) -> bool:
        """Whether rows come from the sandbox."""
        return self.source == STUB

    @property
    def is_configured(self) -> bool:
        """Whether there is anything to read from."""
        return self.source != NOT_CONFIGURED


def tenant_variable(tenant_id: str, name: str) -> str:
    """Return the name of a tenant's own value: `ACME__SHOPIFY_ACCESS_TOKEN`."""
    return f"{tenant_id.upper().replace('-', '_')}__{name}"


def find_access(
    names: SourceNames,
    env: Mapping[str, str],
    tenant_id: str,
    tenant_ids: frozenset[str],
    stubs: Literal["auto", "never"],
) -> Access:
    """Decide where a tenant's rows of a source come from.

    A name without a tenant's prefix counts for a credential of its own only where there is exactly one tenant, so one
    tenant's token can never reach another's shop; app-level names may be shared, but alone do not make a source of
    several tenants half configured, unless they are a tenant's own.
    Raises: ConfigurationError: some of the variables are set and some are missing, or some of what renews a token; it
        names those.
    """
    is_alone = len(tenant_ids) == 1
    _refuse_twins(tenant_id, tenant_ids)
    values = {
        name: value
        for name in (*names.own, *names.app, *names.overrides)
        if (value := _look_up(env, tenant_id, name, shared=is_alone or name not in names.own))
    }
    missing = [[name for name in wanted if name not in values] for wanted in names.complete]
    if not min(missing, key=len):
        _refuse_half_renewal(names, env, tenant_id, values, is_alone=is_alone)
        return Access(tenant_id, names.live, values)
    counted = {*names.own, *names.app, *chain.from_iterable(names.complete)}
    is_shared = is_alone or not names.own
    begun = [name for name in values if name in counted and (is_shared or _own(env, tenant_id, name))]
    if begun:
        wanted = " or ".join(" and ".join(names_) for names_ in missing)
        raise ConfigurationError(
            f"{names.vendor} of tenant {tenant_id}: {', '.join(begun)} is set, but missing: {wanted}"
            f" (a tenant's own value is {tenant_variable(tenant_id, names.complete[0][0])}); set what is missing, or unset the rest"
        )
    return Access(tenant_id, STUB if stubs == "auto" else NOT_CONFIGURED, values)


def missing_to_renew(
    names: SourceNames, values: Mapping[str, str], counted: Collection[str] | None = None
) -> tuple[list[str], list[str]]:
    """Return which names that renew a token are set, and what they lack; nothing is lacking where none is set.

    `counted`: those that say that someone means to have it renewed; all of them where it is left out.
    """
    begun = [name for name in dict.fromkeys(chain.from_iterable(names.renewal)) if name in values]
    counted = {name for name in begun if counted is None or name in counted}
    ways = [way for way in names.renewal if counted and counted <= set(way)]
    return begun, min(([name for name in way if name not in values] for way in ways), key=len, default=[])


def _refuse_half_renewal(
    names: SourceNames, env: Mapping[str, str], tenant_id: str, values: Mapping[str, str], *, is_alone: bool
) -> None:
    """A token beside half of what renews it works until it ends; what all tenants share may be there for another one."""
    own = {name for name in values if name in names.own or _own(env, tenant_id, name)}
    begun, missing = missing_to_renew(names, values, values if is_alone and names.is_token_the_apps else own)
    if missing:
        as_set = [tenant_variable(tenant_id, name) if _own(env, tenant_id, name) else name for name in begun]
        wanted = [name if is_alone or name not in names.own else tenant_variable(tenant_id, name) for name in missing]
        raise ConfigurationError(
            f"{names.vendor} of tenant {tenant_id}: {' and '.join(as_set)} cannot renew its token without"
            f" {' and '.join(wanted)}; set what is missing, or unset the rest where a token is never renewed"
        )


def _own(env: Mapping[str, str], tenant_id: str, name: str) -> str:
    return env.get(tenant_variable(tenant_id, name), "").strip()


def _look_up(env: Mapping[str, str], tenant_id: str, name: str, *, shared: bool) -> str | None:
    own = _own(env, tenant_id, name)
    value = own or (env.get(name, "").strip() if shared else "")
    if not value.isascii() or not value.isprintable():
        raise ConfigurationError(
            f"{name} of tenant {tenant_id} holds a line break, a control character or a letter outside ASCII; set it again"
        )
    if name in SWITCHES and value and not is_on(tenant_variable(tenant_id, name) if own else name, value):
        return None
    return value or None


def _refuse_twins(tenant_id: str, tenant_ids: frozenset[str]) -> None:
    """`a-b` and `a_b` would share their variables."""
    prefix = tenant_variable(tenant_id, "")
    twins = sorted(other for other in tenant_ids if other != tenant_id and tenant_variable(other, "") == prefix)
    if twins:
        raise ConfigurationError(f"tenants {tenant_id} and {twins[0]} share the variable prefix {prefix}; rename one")


def digits(account_id: str) -> str:
    """Return an account id without `act_` and dashes.

    Raises: ConfigurationError: something other than digits is left.
    """
    plain = account_id.strip().removeprefix("act_").replace("-", "")
    if not plain.isascii() or not plain.isdigit():
        raise ConfigurationError(
            "an ad account id must be digits, one account of a platform a tenant (act_ and dashes are dropped)"
        )
    return plain


def statuses(value: str) -> tuple[str, ...]:
    """Return the statuses of META_EFFECTIVE_STATUSES; none of them where it says `none`.

    Raises: ConfigurationError: one of them is no word.
    """
    names = tuple(name.strip().upper() for name in value.split(","))
    if names == ("NONE",):
        return ()
    if not all(name.replace("_", "").isalpha() for name in names):
        raise ConfigurationError(
            f"META_EFFECTIVE_STATUSES is {value!r}; write statuses separated by commas like ACTIVE,DELETED, or none"
        )
    return names
