"""Which tenants a code location starts runs for, where an installation has several of them.

Belongs here: whose a tenant is. Does not belong here: what a location leaves to another (`definitions.py`, `schedules.py`).

Rendezvous hashing: each shard draws a number for the tenant's id and the highest has it. It needs no list of tenants, and one shard
more takes about one tenant in n and moves no other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256


@dataclass(frozen=True)
class Shard:
    """Shard `number` of `count`, counted from 1; 1 of 1 has every tenant."""

    number: int = 1
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether it does what is done once for the whole installation."""
        return self.number == 1

    def has(self, tenant_id: str) -> bool:
        """Return whether the tenant is this shard's. A run of no tenant (an empty id) is the first's."""
        if not tenant_id:
            return self.is_first
        return max(range(1, self.count + 1), key=lambda number: _draw(number, tenant_id)) == self.number

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


def parse_shard(text: str) -> Shard:
    """Return the shard that `2/4` says.

    Raises: ValueError: it is no such pair, or the number is not from 1 to the count.
    """
    found = re.fullmatch(r"([1-9]\d{0,2})/([1-9]\d{0,2})", text)
    if not found or int(found[1]) > int(found[2]):
        raise ValueError(text)
    return Shard(int(found[1]), int(found[2]))


def _draw(number: int, tenant_id: str) -> bytes:
    return sha256(f"{number} {tenant_id}".encode()).digest()
