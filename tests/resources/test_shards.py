"""Shards: each tenant has one, and keeps it."""

from __future__ import annotations

import pytest

from weathervane_resources.settings import ConfigurationError, read_settings
from weathervane_resources.shards import Shard

TENANTS = [f"shop-{n}" for n in range(1_000)]


def owner(tenant: str, count: int) -> int:
    (found,) = (number for number in range(1, count + 1) if Shard(number, count).has(tenant))
    return found


def test_each_tenant_is_of_exactly_one_shard_and_they_are_of_like_size() -> None:
    """A tenant of two shards is read twice each night, one of none never."""
    owners = [owner(tenant, 4) for tenant in TENANTS]
    assert all(200 <= owners.count(number) <= 300 for number in range(1, 5))


def test_one_shard_more_takes_its_part_and_moves_nobody_else() -> None:
    """With a remainder of a hash, four fifths of all tenants would change their location."""
    moved = {tenant: owner(tenant, 5) for tenant in TENANTS if owner(tenant, 5) != owner(tenant, 4)}
    assert set(moved.values()) == {5}
    assert 150 <= len(moved) <= 250


def test_the_assignment_is_the_same_in_every_version() -> None:
    """Another hash after an upgrade moves every tenant's cursors."""
    assert [owner(tenant, 4) for tenant in ("acme", "kiwi", "bergwelt")] == [2, 4, 3]


def test_unset_means_every_tenant() -> None:
    """Most installations have one code location."""
    shard = read_settings({}).shard
    assert all(shard.has(tenant) for tenant in [*TENANTS, ""])


@pytest.mark.parametrize("text", ["2", "0/4", "5/4", "1/0", "a/b", "1/4/2", "-1/4", "1/ 4"])
def test_a_bad_shard_is_one_line_that_names_the_variable(text: str) -> None:
    """A location that silently serves everybody doubles each night."""
    with pytest.raises(ConfigurationError, match=r"WEATHERVANE_SHARD is .*; write number and count like 2/4"):
        read_settings({"WEATHERVANE_SHARD": text})
