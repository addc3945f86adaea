"""The API versions we pin, and when each stops working.

Three of four vendors rot in silence (Shopify serves another version, Meta upgrades, Klaviyo falls forward), so the date
is known beforehand or not at all. Read 2026-11 from the vendors' pages; `is_projected` marks dates that the vendor has
not announced and that follow from its rule: Shopify keeps a version 12 months, Klaviyo a revision two years, Google's
are its own projection, Meta's follow the distance of the last ones (its Marketing clock is shorter than the Graph's).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

WARN_AHEAD = timedelta(days=60)

DEFAULT_VERSIONS: Mapping[str, str] = {
    "SHOPIFY_API_VERSION": "2026-10",
    "META_GRAPH_VERSION": "v26.0",
    "GOOGLE_ADS_API_VERSION": "v26",
    "KLAVIYO_REVISION": "2026-07-15",
}


@dataclass(frozen=True)
class Sunset:
    """The day from which a version does not answer any more."""

    variable: str
    version: str
    ends: date
    is_projected: bool = False

    @property
    def day(self) -> str:
        """The day as it is said: a projected one is about then."""
        return f"{'about ' if self.is_projected else ''}{self.ends}"


SUNSETS = (
    Sunset("SHOPIFY_API_VERSION", "2025-07", date(2026, 7, 1)),
    Sunset("SHOPIFY_API_VERSION", "2025-10", date(2026, 10, 1)),
    Sunset("SHOPIFY_API_VERSION", "2026-01", date(2027, 1, 1), is_projected=True),
    Sunset("SHOPIFY_API_VERSION", "2026-04", date(2027, 4, 1), is_projected=True),
    Sunset("SHOPIFY_API_VERSION", "2026-07", date(2027, 7, 1), is_projected=True),
    Sunset("SHOPIFY_API_VERSION", "2026-10", date(2027, 10, 1), is_projected=True),
    Sunset("META_GRAPH_VERSION", "v22.0", date(2026, 2, 19)),
    Sunset("META_GRAPH_VERSION", "v23.0", date(2026, 6, 9)),
    Sunset("META_GRAPH_VERSION", "v24.0", date(2026, 10, 6)),
    Sunset("META_GRAPH_VERSION", "v25.0", date(2027, 2, 1), is_projected=True),
    Sunset("META_GRAPH_VERSION", "v26.0", date(2027, 6, 1), is_projected=True),
    Sunset("GOOGLE_ADS_API_VERSION", "v21", date(2026, 8, 5)),
    Sunset("GOOGLE_ADS_API_VERSION", "v23", date(2027, 2, 1), is_projected=True),
    Sunset("GOOGLE_ADS_API_VERSION", "v24", date(2027, 5, 1), is_projected=True),
    Sunset("GOOGLE_ADS_API_VERSION", "v25", date(2027, 8, 1), is_projected=True),
    Sunset("GOOGLE_ADS_API_VERSION", "v26", date(2027, 11, 1), is_projected=True),
    Sunset("KLAVIYO_REVISION", "2024-10-15", date(2026, 10, 15), is_projected=True),
    Sunset("KLAVIYO_REVISION", "2025-01-15", date(2027, 1, 15), is_projected=True),
    Sunset("KLAVIYO_REVISION", "2025-04-15", date(2027, 4, 15), is_projected=True),
    Sunset("KLAVIYO_REVISION", "2025-07-15", date(2027, 7, 15), is_projected=True),
    Sunset("KLAVIYO_REVISION", "2025-10-15", date(2027, 10, 15), is_projected=True),
    Sunset("KLAVIYO_REVISION", "2026-01-15", date(2028, 1, 15), is_projected=True),
    Sunset("KLAVIYO_REVISION", "2026-04-15", date(2028, 4, 15), is_projected=True),
    Sunset("KLAVIYO_REVISION", "2026-07-15", date(2028, 7, 15), is_projected=True),
)


@dataclass(frozen=True)
class VersionWarning:
    """A version in use that is dead, will be within 60 days, or is not in our table (`ends` None)."""

    variable: str
    version: str
    ends: date | None
    is_dead: bool
    message: str


def sunset_of(variable: str, version: str) -> Sunset | None:
    """Return the row of a version, None where the table does not have it."""
    return next((row for row in SUNSETS if (row.variable, row.version) == (variable, version)), None)


def _later_end_of(variable: str, version: str) -> Sunset | None:
    """Return the oldest row of the variable where the version is older still: it ended, at the latest, with that one."""
    oldest = min((row for row in SUNSETS if row.variable == variable), key=lambda row: row.ends)
    mine, other = ([int(number) for number in re.findall(r"\d+", one)] for one in (version, oldest.version))
    return oldest if len(mine) == len(other) and mine < other else None


def warnings(today: date, overrides: Mapping[str, str]) -> list[VersionWarning]:
    """Return what is wrong with the versions in use, by variable.

    Args:
        today: The day.
        overrides: Values of the four variables where they are set; other names in it are ignored.
    """
    in_use = {name: overrides.get(name, "").strip() or pinned for name, pinned in DEFAULT_VERSIONS.items()}
    found = (_warning(today, name, version) for name, version in in_use.items())
    return [warning for warning in found if warning]


def _warning(today: date, variable: str, version: str) -> VersionWarning | None:
    row = sunset_of(variable, version) or _later_end_of(variable, version)
    living = DEFAULT_VERSIONS[variable]
    advice = f"set {variable}={living}, or upgrade" if version != living else "upgrade Weathervane, or set a newer one"
    if row is None:
        message = f"{variable}={version} is not in our table, so its end is unknown; {living} is tested"
        return VersionWarning(variable, version, ends=None, is_dead=False, message=message)
    if row.ends > today + WARN_AHEAD:
        return None
    is_dead = row.ends <= today
    by = "" if row.version == version else "by "
    message = f"{variable}={version} {'ended' if is_dead else 'ends'} {by}{row.day}; {advice}"
    return VersionWarning(variable, version, row.ends, is_dead, message)
