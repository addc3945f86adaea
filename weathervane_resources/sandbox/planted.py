"""What a test lets happen to a shop: a busy or a closed day, orders and ads that are not shown, addresses that got lost.

Kept beside the seed, like `late_events.py`: the worlds compute, this remembers. Everything is planted before it is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime


@dataclass(frozen=True)
class Withheld:
    """A share of a day's orders that answers leave out from one moment until another."""

    day: date
    share: float
    since: datetime
    until: datetime


@dataclass
class Planted:
    """What is planted, by tenant and tenant-local day; a tenant or day that is not named is as the seed has it."""

    trade: dict[tuple[str, date], float] = field(default_factory=dict)
    """How busy a day is, as a multiple of what it would be; 0 for a closed shop."""
    unlocated: dict[tuple[str, date], float] = field(default_factory=dict)
    """The share of a day's orders whose address got lost: no coordinates, no postal code."""
    dark: set[tuple[str, str, date]] = field(default_factory=set)
    """Tenant, ad platform and day without any delivery."""
    withheld: dict[str, list[Withheld]] = field(default_factory=dict)

    def withhold(self, tenant: str, withheld: Withheld) -> None:
        """Leave orders out of the answers for a while."""
        self.withheld.setdefault(tenant, []).append(withheld)
