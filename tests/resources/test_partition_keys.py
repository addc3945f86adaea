"""What a partition key says: whose it is, and which day or year."""

from __future__ import annotations

from datetime import date

import pytest

from weathervane_resources.partition_keys import (
    PARTITION_TAG,
    RANGE_END,
    RANGE_START,
    days_of,
    label_of,
    split_key,
    tenant_of,
    tenant_of_key,
)


@pytest.mark.parametrize(
    ("key", "label", "tenant", "day"),
    [
        ("2025-03-01|acme", "2025-03-01", "acme", date(2025, 3, 1)),
        ("acme|2025", "2025", "acme", date(2025, 1, 1)),
        ("2025-03-01|2024", "2025-03-01", "2024", date(2025, 3, 1)),
        ("2024|2025", "2025", "2024", date(2025, 1, 1)),
    ],
)
def test_a_tenant_of_four_digits_is_a_tenant_and_not_a_year(key: str, label: str, tenant: str, day: date) -> None:
    """Runs and alerts of a tenant called 2024 were said to be of the tenant 2025-03-01: two readers of one key disagreed."""
    assert (label_of(key), tenant_of_key(key), split_key(key)) == (label, tenant, (tenant, day))


@pytest.mark.parametrize("tenant", ["acme", "bergwelt", "2024"])
def test_a_reports_partition_is_a_tenant_and_no_day(tenant: str) -> None:
    """`acme` was read as a year, `bergwelt` as a date: the alerter died of each morning's report."""
    assert (label_of(tenant), tenant_of_key(tenant)) == ("", tenant)
    assert (days_of({PARTITION_TAG: tenant}), tenant_of({PARTITION_TAG: tenant})) == ((), tenant)


@pytest.mark.parametrize(
    "key", ["eu|raw", "web|2026-10-01", "2026-13-45|acme", "2026-02-30|acme", "wednesdays|x", "a|b|c"]
)
def test_a_key_of_another_project_has_no_days(key: str) -> None:
    """Dagster runs other projects too: `eu` of `eu|raw` was read as a date, and nobody was alerted of anything any more."""
    assert label_of(key) == ""
    assert days_of({PARTITION_TAG: key}) == ()
    assert days_of({RANGE_START: key, RANGE_END: key}) == ()
    assert days_of({RANGE_START: "2026-11-01|acme", RANGE_END: key}) == ()
    assert days_of({RANGE_START: "2026-11-01|acme", RANGE_END: "acme|2026"}) == ()
