"""What partition keys and the tags of a run say: whose they are, and which days or years.

Belongs here: the names of the tags, and reading `2025-03-01|acme`, `acme|2025` and `acme`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, timedelta

TENANT_TAG = "weathervane/tenant"
PARTITION_TAG, PRIORITY_TAG = "dagster/partition", "dagster/priority"
RANGE_TAGS = RANGE_START, RANGE_END = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
BACKFILL_TAGS = UI_BACKFILL_TAG, BACKFILL_TAG = ("dagster/backfill", "weathervane/backfill")
"""Dagster's own, on the runs of a backfill of the UI, and ours, on those of `weathervane backfill`."""
CHANGED_TAG = "weathervane/changed"
"""On each run that a change sensor asked for, with the asset; Dagster's retries and resumed runs inherit it, unlike the sensor's name."""
REPEAT_TAG = "weathervane/repeat"
"""How many times the same days were asked for before."""
MOST_REPEATS = 5
_DAY, _YEAR = re.compile(r"\d{4}-\d{2}-\d{2}"), re.compile(r"\d{4}")


def _split(key: str) -> tuple[str, str]:
    """Return label and tenant. A tenant's id may itself be four digits; a key without a bar is a tenant's alone, as of reports."""
    if "|" not in key:
        return "", key
    first, _, second = key.partition("|")
    is_yearly = _YEAR.fullmatch(second) and not _DAY.fullmatch(first)
    return (second, first) if is_yearly else (first, second)


def split_key(key: str) -> tuple[str, date]:
    """Split a partition key, `2025-03-01|acme` or `acme|2025`, into tenant and day; a year counts as its January 1.

    Raises: ValueError: it is no such key.
    """
    label, tenant = _split(key)
    return tenant, date(int(label), 1, 1) if _YEAR.fullmatch(label) else date.fromisoformat(label)


def label_of(key: str) -> str:
    """Return the day or year in a partition key, empty where there is none, as in a key of another project (`eu|raw`)."""
    label = _split(key)[0]
    return label if is_day(label) or _YEAR.fullmatch(label) else ""


def is_day(label: str) -> bool:
    """Return whether a text is a day, as the labels of most partitions are."""
    try:
        return date.fromisoformat(label).isoformat() == label
    except ValueError:
        return False


def tenant_of_key(key: str) -> str:
    """Return the tenant in a partition key, empty where there is none."""
    return _split(key)[1]


def tenant_of(tags: Mapping[str, str]) -> str:
    """Return the tenant of a run by its tag, or by its partitions; empty where it is none's."""
    return tags.get(TENANT_TAG) or tenant_of_key(tags.get(RANGE_TAGS[0]) or tags.get(PARTITION_TAG) or "")


def is_backfill(tags: Mapping[str, str]) -> bool:
    """Return whether someone asked for a run's days: in the UI, or by `weathervane backfill`."""
    return any(tag in tags for tag in BACKFILL_TAGS)


def backfill_named(tags: Mapping[str, str]) -> str | None:
    """Return the backfill that a run belongs to by its tags; None where it is no backfill's."""
    return next((tags[tag] for tag in BACKFILL_TAGS if tag in tags), None)


def times_repeated(tags: Mapping[str, str]) -> int:
    """Return how many times a run's days were asked for before."""
    return int(tags.get(REPEAT_TAG, "0"))


def is_last_repeat(tags: Mapping[str, str]) -> bool:
    """Return whether nothing asks for a run's changed days again if it fails."""
    return CHANGED_TAG in tags and times_repeated(tags) >= MOST_REPEATS


def days_of(tags: Mapping[str, str]) -> tuple[str, ...]:
    """Return the days (or years) of a run's partitions, in order; none where these are not ours."""
    single = tags.get(PARTITION_TAG, "")
    first, last = (label_of(tags.get(tag) or single) for tag in RANGE_TAGS)
    return span_of(first, last) if first and len(first) == len(last) else ()


def span_of(first: str, last: str) -> tuple[str, ...]:
    """Return the labels from `first` to `last`: days or years.

    Raises: ValueError: they are neither.
    """
    if len(first) == 4:
        return tuple(str(year) for year in range(int(first), int(last) + 1))
    begin, end = date.fromisoformat(first), date.fromisoformat(last)
    return tuple((begin + timedelta(days=n)).isoformat() for n in range((end - begin).days + 1))
