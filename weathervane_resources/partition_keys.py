"""What partition keys and the tags of a run say: whose they are, and which days or years.

Belongs here: reading `2025-03-01|acme` and `acme|2025`. Keys of another shape are taken as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

TENANT_TAG = "weathervane/tenant"
RANGE_TAGS = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
PARTITION_TAG = "dagster/partition"


def _split(key: str) -> tuple[str, str]:
    """Return label and tenant."""
    first, _, second = key.partition("|")
    return (second, first) if second.isdigit() and len(second) == 4 else (first, second)


def label_of(key: str) -> str:
    """Return the day or year in a partition key."""
    return _split(key)[0]


def tenant_of_key(key: str) -> str:
    """Return the tenant in a partition key, empty where there is none."""
    return _split(key)[1]


def tenant_of(tags: Mapping[str, str]) -> str:
    """Return the tenant of a run by its tag, or by its partitions; empty where it is none's."""
    return tags.get(TENANT_TAG) or tenant_of_key(tags.get(RANGE_TAGS[0]) or tags.get(PARTITION_TAG) or "")


def days_of(tags: Mapping[str, str]) -> tuple[str, ...]:
    """Return the days (or years) of a run's partitions, in order."""
    single = tags.get(PARTITION_TAG, "")
    first, last = (label_of(tags.get(tag) or single) for tag in RANGE_TAGS)
    return span_of(first, last) if first and last else ()


def span_of(first: str, last: str) -> tuple[str, ...]:
    """Return the labels from `first` to `last`: days or years.

    Raises: ValueError: they are neither.
    """
    if len(first) == 4:
        return tuple(str(year) for year in range(int(first), int(last) + 1))
    begin, end = date.fromisoformat(first), date.fromisoformat(last)
    return tuple((begin + timedelta(days=n)).isoformat() for n in range((end - begin).days + 1))
