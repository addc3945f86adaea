"""How days, instants, shares, money and names are written on the page.

Belongs here: values to text. Names from outside (campaigns, places, tenants) pass through `outside`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from markupsafe import Markup, escape

NOTHING = "–"
LONGEST_NAME = 120
YEAR_DIGITS = 4
NO_MINOR_UNIT = frozenset(
    ["BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF"]
)
"""ISO 4217's currencies without a minor unit."""
THOUSANDTHS = frozenset(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"])
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]+")


def outside(text: str) -> Markup:
    """Return a name from outside: escaped, bounded, without characters that command a reader, and with its own direction."""
    return Markup("<bdi>{}</bdi>").format(plain(text))


def plain(text: str) -> str:
    """Return a name from outside for where no element may stand (the page's title): as `outside`, not yet escaped."""
    flat = " ".join(_UNSEEN.sub(" ", text).split())
    return flat if len(flat) <= LONGEST_NAME else flat[: LONGEST_NAME - 1] + "…"


def steps(text: str) -> Markup:
    """Return a sentence of our own, its `commands` as code."""
    parts = [
        Markup("<code>{}</code>").format(part) if n % 2 else escape(part) for n, part in enumerate(text.split("`"))
    ]
    return Markup("").join(parts)


def day(value: date | None) -> str:
    """Return a day, like 19 Nov 2026."""
    return f"{value.day} {value:%b %Y}" if value else NOTHING


def instant(value: datetime | None, zone: ZoneInfo) -> str:
    """Return an instant by a zone's clock, like 20 Nov 2026, 10:00 EST."""
    if value is None:
        return NOTHING
    local = value.astimezone(zone)
    return f"{day(local.date())}, {local:%H:%M %Z}"


def whole(value: int | None) -> str:
    """Return a count."""
    return NOTHING if value is None else f"{value:,}"


def share(value: float | None) -> str:
    """Return a share in per cent; what is not all is never written 100 %, and what is not none never 0 %."""
    if value is None:
        return NOTHING
    shown = min(max(100 * value, 0.1), 99.9) if 0 < value < 1 else 100 * value
    return f"{shown:.1f}".removesuffix(".0") + " %"


def money(value: Decimal | None, currency: str) -> str:
    """Return an amount in the currency's minor unit, like USD 1,234.50."""
    if value is None:
        return NOTHING
    places = 0 if currency in NO_MINOR_UNIT else 3 if currency in THOUSANDTHS else 2
    return f"{currency} {value.quantize(Decimal(1).scaleb(-places)):,}".replace("-", "−")


def degrees(latitude: float, longitude: float) -> str:
    """Return a point on the earth."""
    return (
        f"{abs(latitude):.2f}° {'N' if latitude >= 0 else 'S'}, {abs(longitude):.2f}° {'E' if longitude >= 0 else 'W'}"
    )


def celsius(value: float | None) -> str:
    """Return a temperature."""
    return NOTHING if value is None else f"{value:z.1f} °C".replace("-", "−")


def apart(value: float | None) -> str:
    """Return a departure from what is normal, with its sign."""
    return NOTHING if value is None else f"{value:+z.1f} °C".replace("-", "−").replace("+0.0", "±0.0")


def span(length: timedelta) -> str:
    """Return a length of time."""
    minutes = int(length.total_seconds()) // 60
    if minutes >= 1440:
        return f"{minutes // 1440} d {minutes % 1440 // 60} h"
    return f"{minutes // 60} h {minutes % 60} min"


def days_said(days: Sequence[str]) -> str:
    """Return days (ISO; normals have a year) as text: up to three by name, else their number with the first and the last."""
    known = [one if len(one) == YEAR_DIGITS else day(date.fromisoformat(one)) for one in sorted(set(days))]
    return ", ".join(known) if len(known) <= 3 else f"{len(known)} days, {known[0]} to {known[-1]}"
