"""Tenants: who they are, as tenants.toml says.

Belongs here: reading and validating tenants.toml, and what follows from a tenant's time zone.
Does not belong here: credentials (environment, see `connectors.py`) and Dagster partitions (`cli.py`, `automation.py`).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime, timedelta
from functools import cache, cached_property, lru_cache
from math import inf
from pathlib import Path
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from weathervane_resources.credentials import tenant_variable
from weathervane_resources.currencies import IN_USE
from weathervane_resources.local_time import day_start
from weathervane_resources.quiet_days import WANTED, QuietDays, read_quiet_days
from weathervane_resources.reserved_names import RESERVED
from weathervane_resources.settings import ALERT_SEVERITIES, ConfigurationError
from weathervane_resources.spelling import nearest

TENANT_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
SHOPIFY_PROTOCOLS = ("graphql", "rest")
RATIOS = frozenset(
    {
        "row_count_ratio_warning",
        "row_count_ratio_critical",
        "new_rows_ratio_warning",
        "new_rows_ratio_critical",
        "unusual_drop_min",
        "holiday_drop_min",
        "geocoded_ratio_warning",
        "geocoded_ratio_critical",
        "geocoded_ratio_floor",
        "geocoded_ratio_broken",
        "geocoded_ratio_chance",
        "geocoded_drop_warning",
        "geocoded_drop_chance",
        "weather_coverage_warning",
        "other_local_day_ratio_warning",
        "precip_probability_min",
    }
)
"""Thresholds that are a share or a probability; a test holds them against the thresholds' units, which this layer does not know."""
COLDEST_C, HOTTEST_C = -90.0, 60.0
"""What a thermometer on earth has shown; limits in degC end in `_c`."""
JOIN_MODES = ("observed", "as_of")
LONGEST_DECISION_LEAD_DAYS = 7
"""As far as the forecasts reach that are kept."""
ARCHIVE_BEGINS = 1940
FEWEST_BASE_YEARS, MOST_BASE_YEARS = 3, 80
"""Of a fixed base period: from fewer years no normals are made."""
BASE = re.compile(r"([0-9]{4})-([0-9]{4})")
FIRST_HOUR_WITH_TODAYS_FORECAST = 3
"""Today's forecast is fetched at 02:00; a decision before it has yesterday's, which reaches a day less far."""


@dataclass(frozen=True)
class Tenant:
    """One brand. `timezone` decides its days, `currency` is its shop's."""

    id: str
    name: str
    timezone: str
    currency: str
    start_date: date
    shopify_protocol: str = "graphql"
    climatology_years: int = 10
    alert_urls: tuple[str, ...] = ()
    thresholds: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    join_mode: str = "observed"
    decision_hour: int = 6
    decision_lead_days: int = 1
    restate_ads_days: int = 33
    """How many days of ads are read again each night: a conversion window of 30 days is over only some hours after the 30th day."""
    climatology_base: tuple[int, int] | None = None
    """First and last year of a fixed base period of the normals; None: the `climatology_years` before the year."""
    quiet_days: QuietDays = field(default_factory=QuietDays)
    alert_severity: str = "warning"
    """The least severity that goes to `alert_urls`."""
    paused: bool = False
    """Nothing starts by itself for it and nobody is told of it; a backfill by hand still works."""

    @cached_property
    def zone(self) -> ZoneInfo:
        """The tenant's time zone."""
        return ZoneInfo(self.timezone)

    def today(self, now: datetime) -> date:
        """Return the tenant-local day at `now` (aware)."""
        return now.astimezone(self.zone).date()

    def day_start(self, day: date) -> datetime:
        """Return the instant (UTC) at which the tenant-local `day` begins."""
        return day_start(day, self.zone)

    def decision_at(self, day: date) -> datetime:
        """Return the instant (UTC) at which the decision for the tenant-local `day` is taken: `decision_lead_days` before it."""
        taken_on = day - timedelta(days=self.decision_lead_days)
        local = datetime(taken_on.year, taken_on.month, taken_on.day, self.decision_hour, tzinfo=self.zone)
        return local.astimezone(UTC)

    def window(self, first: date, last: date) -> tuple[datetime, datetime]:
        """Return the half-open span of instants (UTC) that covers the local days `first` to `last`."""
        return self.day_start(first), self.day_start(last + timedelta(days=1))


KEYS = frozenset(one.name for one in fields(Tenant)) - {"id", "thresholds"}
"""What may stand in a tenant's table, beside thresholds."""


class _Reader:
    """Takes one tenant's keys out of its table, so that what is left over is unknown."""

    def __init__(self, file: Path, tenant_id: str, table: Mapping[str, Any]) -> None:
        self.where = f"{file}: [tenants.{tenant_id}]"
        self.rest = dict(table)

    def fail(self, key: str, why: str) -> ConfigurationError:
        return ConfigurationError(f"{self.where} {key}: {why}")

    def take(self, key: str, kind: type, default: Any, valid: Callable[[Any], bool], wanted: str) -> Any:
        value = self.rest.pop(key, default)
        if value is None:
            raise self.fail(key, f"is missing; it must be {wanted}")
        if not isinstance(value, kind) or isinstance(value, bool) or not valid(value):
            raise self.fail(key, f"is {value!r}; it must be {wanted}")
        return value

    def switch(self, key: str) -> bool:
        value = self.rest.pop(key, False)
        if not isinstance(value, bool):
            raise self.fail(key, f"is {value!r}; it must be true or false")
        return value


def load_tenants(file: Path, threshold_names: frozenset[str], start_date: date) -> dict[str, Tenant]:
    """Return the tenants of `file` by id, in the file's order.

    `threshold_names` are the keys that a tenant may override (`weathervane_checks.thresholds`);
    `start_date` stands in for a tenant that gives none.
    Raises: ConfigurationError: the file is missing, is not TOML, or a key or value is wrong; names file and key.
    """
    return dict(_tenants_of(file, _text(file), threshold_names, start_date))


@lru_cache(maxsize=2)
def _tenants_of(file: Path, text: str, threshold_names: frozenset[str], start_date: date) -> dict[str, Tenant]:
    """Return the tenants of the file's text. A night asks for them 22 times, and reading 100 of them takes 13 ms."""
    tables = _tables(file, text)
    _refuse_twins(file, tables)
    return {tenant_id: _tenant(file, tenant_id, tables[tenant_id], threshold_names, start_date) for tenant_id in tables}


@cache
def _is_timezone(name: str) -> bool:
    """Say whether a zone is known. The list of all is a walk of the zones' folder: 20 ms for each tenant each time the file is read."""
    return name in available_timezones()


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        hint = "copy tenants.example.toml, run `weathervane demo`, or set WEATHERVANE_TENANTS"
        raise ConfigurationError(f"{file}: no such file; {hint}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file}: cannot be read ({error}); make it a readable UTF-8 file") from error


def _tables(file: Path, text: str) -> dict[str, Any]:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(
            f"{file}: is not valid TOML ({error}); tenants.example.toml shows how it looks"
        ) from error
    unknown = sorted(set(document) - {"tenants"})
    if unknown:
        raise ConfigurationError(f"{file}: unknown key {unknown[0]!r}; tenants stand under [tenants.<id>]")
    tables = document.get("tenants")
    if not isinstance(tables, dict) or not tables:
        raise ConfigurationError(f"{file}: has no [tenants.<id>] table; tenants.example.toml shows one")
    return tables


def _refuse_twins(file: Path, tenant_ids: Iterable[str]) -> None:
    """Raise ConfigurationError for `a-b` beside `a_b`: they would share their variables, and each run of them would fail."""
    by_prefix: dict[str, str] = {}
    for tenant_id in tenant_ids:
        prefix = tenant_variable(tenant_id, "")
        other = by_prefix.setdefault(prefix, tenant_id)
        if other != tenant_id:
            raise ConfigurationError(
                f"{file}: tenants {other} and {tenant_id} share the variable prefix {prefix}; rename one"
            )


def _tenant(file: Path, tenant_id: str, table: Any, threshold_names: frozenset[str], start_date: date) -> Tenant:
    if not TENANT_ID.fullmatch(tenant_id) or re.fullmatch(r"\d{4}-\d{2}-\d{2}", tenant_id):
        raise ConfigurationError(
            f"{file}: tenant id {tenant_id!r} is not safe; it must match {TENANT_ID.pattern} and be no date"
        )
    if tenant_id in RESERVED:
        raise ConfigurationError(
            f"{file}: tenant id {tenant_id!r} is a word that Weathervane or Dagster goes by; name it otherwise, like {tenant_id}-shop"
        )
    if not isinstance(table, dict):
        raise ConfigurationError(f"{file}: tenants.{tenant_id} must be a table")
    read = _Reader(file, tenant_id, table)
    _refuse_unknown(read, KEYS | threshold_names)
    urls = read.take("alert_urls", list, [], lambda v: all(isinstance(u, str) for u in v), "a list of Apprise URLs")
    protocol = read.take("shopify_protocol", str, "graphql", SHOPIFY_PROTOCOLS.__contains__, "graphql or rest")
    return Tenant(
        id=tenant_id,
        name=read.take("name", str, tenant_id, lambda v: bool(v.strip()), "a name"),
        timezone=read.take("timezone", str, None, _is_timezone, "an IANA time zone"),
        currency=read.take("currency", str, None, IN_USE.__contains__, "an ISO 4217 code in use, like USD"),
        start_date=read.take("start_date", date, start_date, lambda v: not isinstance(v, datetime), "a date"),
        shopify_protocol=protocol,
        **_climatology(read),
        restate_ads_days=read.take("restate_ads_days", int, 33, lambda v: 1 <= v <= 100, "a number of days, 1-100"),
        **_decision(read),
        alert_urls=tuple(urls),
        quiet_days=_quiet_days(read),
        alert_severity=read.take(
            "alert_severity", str, "warning", ALERT_SEVERITIES.__contains__, f"one of {', '.join(ALERT_SEVERITIES)}"
        ),
        paused=read.switch("paused"),
        thresholds=_thresholds(read),
    )


def _refuse_unknown(read: _Reader, known: frozenset[str]) -> None:
    """Raise ConfigurationError for a key that there is not, before what it was meant for is missed."""
    for key in sorted(set(read.rest) - known):
        near = nearest(key, known)
        where = "docs/configuration.md and docs/thresholds.md list them"
        raise read.fail(key, f"is not a known key or threshold; {f'did you mean {near}? ' if near else ''}{where}")


def _quiet_days(read: _Reader) -> QuietDays:
    entries = read.take("quiet_days", list, [], lambda _: True, f"a list; each is {WANTED}")
    try:
        return read_quiet_days(entries)
    except ValueError as error:
        raise read.fail("quiet_days", str(error)) from error


def _climatology(read: _Reader) -> dict[str, Any]:
    """Return which years the normals come from: so many before the year, or fixed ones."""
    if {"climatology_base", "climatology_years"} <= read.rest.keys():
        raise read.fail("climatology_base", "stands beside climatology_years; give one of the two")
    if "climatology_base" not in read.rest:
        years = read.take("climatology_years", int, 10, lambda v: 1 <= v <= 80, "a number of years, 1-80")
        return {"climatology_years": years}
    wanted = f'years like "1991-2020", from {ARCHIVE_BEGINS} on, {FEWEST_BASE_YEARS} to {MOST_BASE_YEARS} of them'
    base = read.take("climatology_base", str, None, lambda text: _base_years(text) is not None, wanted)
    return {"climatology_base": _base_years(base)}


def _base_years(text: str) -> tuple[int, int] | None:
    """Return first and last year of `FIRST-LAST`; None where it is no period that the archive has enough years of."""
    found = BASE.fullmatch(text)
    if found is None:
        return None
    first, last = int(found[1]), int(found[2])
    is_long_enough = FEWEST_BASE_YEARS <= last - first + 1 <= MOST_BASE_YEARS
    return (first, last) if first >= ARCHIVE_BEGINS and is_long_enough else None


def _decision(read: _Reader) -> dict[str, Any]:
    """Return how the matrix joins the weather, and when the decision that it is for is taken."""
    hour = read.take("decision_hour", int, 6, lambda v: 0 <= v <= 23, "an hour of the day, 0-23")
    longest = LONGEST_DECISION_LEAD_DAYS - (hour < FIRST_HOUR_WITH_TODAYS_FORECAST)
    return {
        "join_mode": read.take("join_mode", str, "observed", JOIN_MODES.__contains__, "observed or as_of"),
        "decision_hour": hour,
        "decision_lead_days": read.take(
            "decision_lead_days", int, 1, lambda v: 0 <= v <= longest, f"a number of days, 0-{longest}"
        ),
    }


def _thresholds(read: _Reader) -> Mapping[str, float]:
    return MappingProxyType({name: _threshold(read, name) for name in list(read.rest)})


def _threshold(read: _Reader, name: str) -> float:
    least, most, wanted = 0.0, inf, "a number >= 0"
    if name in RATIOS:
        most, wanted = 1.0, "a ratio, 0-1"
    elif name.endswith("_c"):
        least, most, wanted = COLDEST_C, HOTTEST_C, f"degrees Celsius, {COLDEST_C:g} to {HOTTEST_C:g}"
    taken: float = read.take(name, int | float, None, lambda v: least <= v <= most and v < inf, wanted)  # type: ignore[arg-type]
    return taken
