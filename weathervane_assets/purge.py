"""Purging a tenant: everything of it in the lake, the state database and Dagster, in an order that can be repeated.

Belongs here: what is found together, and the order of removal. Does not belong here: asking (`cli_tenants.py`), and how
each part is found and removed (`weathervane_resources.purge_lake`, `purge_state`, `sqlite_rewrite`, `purge_dagster.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import dagster as dg

from weathervane_assets.purge_dagster import (
    DagsterHoldings,
    DagsterStorage,
    find_in_dagster,
    in_progress,
    open_storage,
    remove_from_dagster,
)
from weathervane_resources.credentials import tenant_variable
from weathervane_resources.lake import Lake
from weathervane_resources.purge_lake import LakeHoldings, find_in_lake, remove_from_lake
from weathervane_resources.purge_state import StateHoldings, find_in_state, forget_events_after, remove_from_state
from weathervane_resources.settings import ConfigurationError, Settings
from weathervane_resources.sqlite_rewrite import is_rewrite_due, owe_rewrite, rewrite_sqlite
from weathervane_resources.state import State, open_state
from weathervane_resources.tokens import fingerprint

ACCOUNT_VARIABLES = ("SHOPIFY_SHOP_DOMAIN", "META_AD_ACCOUNT_ID", "GOOGLE_ADS_CUSTOMER_ID", "KLAVIYO_API_KEY")


@dataclass(frozen=True)
class Holdings:
    """What is there of a tenant."""

    lake: LakeHoldings
    state: StateHoldings
    dagster: DagsterHoldings
    due: tuple[Path, ...]
    """SQLite files that hold deleted rows of an interrupted purge; whose, nothing says any more."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing."""
        return self.lake.is_empty and self.state.is_empty and self.dagster.is_empty and not self.due

    def lines(self) -> Iterator[str]:
        """Say it."""
        yield from self.lake.lines()
        yield from self.state.lines()
        yield from self.dagster.lines()
        for file in self.due:
            yield f"{file}: deleted rows that an interrupted purge left in it"


@dataclass(frozen=True)
class Purge:
    """One tenant's purge. It can be repeated: what an interrupted one left is found again."""

    tenant: str
    lake: Lake
    state: State
    storage: DagsterStorage
    marks: frozenset[str]

    @property
    def sqlite_files(self) -> tuple[Path, ...]:
        """The files in which a deleted row stays until they are written anew."""
        own = (self.state.path,) if self.state.path else ()
        return (*own, *self.storage.sqlite_files())

    def find(self) -> Holdings:
        """Return what there is.

        Raises: LakeError, StateError: something cannot be read.
        """
        return Holdings(
            find_in_lake(self.lake, self.tenant),
            find_in_state(self.state, self.tenant, self.marks),
            find_in_dagster(self.storage, self.tenant),
            tuple(file for file in self.sqlite_files if is_rewrite_due(file)),
        )

    def refuse_beside_a_run(self) -> None:
        """Raise ConfigurationError while a run or a backfill of the tenant has not ended: it would write again."""
        going = in_progress(self.storage, self.tenant)
        if going:
            raise ConfigurationError(
                f"runs or backfills of {self.tenant} are in progress ({', '.join(going[:3])}); end them in the UI, or wait"
            )

    def remove(self, held: Holdings, now: datetime) -> None:
        """Remove it, then write SQLite files anew. Credentials and the lake go first: they matter most if something fails.

        Raises: ConfigurationError: a run is in progress. LakeError, StateError: something cannot be removed.
        """
        self.refuse_beside_a_run()
        for file in self.sqlite_files:
            owe_rewrite(file)
        remove_from_state(self.state, self.tenant, self.marks, now)
        remove_from_lake(self.lake, held.lake)
        newest = remove_from_dagster(self.storage, self.tenant, held.dagster)
        forget_events_after(self.state, newest)
        for file in self.sqlite_files:
            rewrite_sqlite(file)

    def stays(self, tenants_file: str, *, is_listed: bool) -> Iterator[str]:
        """Say what is left, and why."""
        if is_listed:
            yield f"{tenants_file}: yours; delete [tenants.{self.tenant}] from it, or the tenant begins anew"
        yield f"credentials in the environment ({tenant_variable(self.tenant, '...')}): yours to unset, and to revoke at the vendor"
        yield "weather at grid points that other tenants need too: it names nobody"
        yield "the commit log of the weather tables: for 30 days it lists the grid points removed, not whose they were"
        yield "back-ups, and logs that were sent elsewhere: out of reach from here"
        if not self.state.path:
            yield "deleted rows on the database server: until it vacuums them and its write-ahead log is recycled"


def open_purge(settings: Settings, instance: dg.DagsterInstance, tenant: str, env: Mapping[str, str]) -> Purge:
    """Return the purge of a tenant, which need not be in tenants.toml any more.

    Raises: ConfigurationError, StateError: a part cannot be reached.
    """
    values = [env.get(tenant_variable(tenant, name), "").strip() for name in ACCOUNT_VARIABLES]
    marks = frozenset(mark for value in values if value for mark in (value.removeprefix("act_"), fingerprint(value)))
    state = open_state(settings.state_url)
    return Purge(tenant, Lake(settings.lake), state, open_storage(instance), marks)
