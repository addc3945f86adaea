"""The versions of a tenant's tables: reading one, the marks that commits bear, and the ledger as it was.

Belongs here: looking back. Does not belong here: bringing a version back (`lake_restore.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl
from deltalake.exceptions import DeltaError

from weathervane_resources.lake import Lake, Shape, rows_of
from weathervane_resources.lake_errors import LakeError, reason
from weathervane_resources.lake_ledger import DATASET_MARK, LEDGER, LEDGER_SCHEMA, VERSION_MARK
from weathervane_resources.lake_tables import LakeTable

RESTORED_MARK = "weathervane.restored_version"
GONE = "what was replaced more than 30 days ago is gone; choose a later version, or run the backfill of its days again"
UNREADABLE = (DeltaError, OSError, pl.exceptions.PolarsError)


@dataclass(frozen=True)
class History:
    """One tenant's table and what was noted of it in the ledger, version by version."""

    lake: Lake
    tenant: str
    dataset: str
    shape: Shape

    @property
    def name(self) -> str:
        """The table, as a person would name it."""
        return f"{self.tenant}/{self.dataset}"

    @property
    def current(self) -> int:
        """The newest version.

        Raises: LakeError: there is no table.
        """
        version = self.lake.version(self.tenant, self.dataset)
        if version is None:
            raise LakeError(f"the lake has no table {self.name}; run its backfill first")
        return version

    def digests(self, version: int) -> pl.DataFrame:
        """Return `date` and `rows`, a number for the content of each of its rows, sorted."""
        number = pl.struct(self.shape.schema.names()).hash(seed=7).sort().alias("rows")
        return self._collect(version, self._scan(version, None).group_by("date").agg(number))

    def rows(self, version: int, days: Sequence[date]) -> pl.DataFrame:
        """Return the rows of `days`."""
        if not days:
            return pl.DataFrame(schema=self.shape.schema)
        return self._collect(version, self._scan(version, days))

    def row_count(self, version: int) -> int:
        """Return how many rows there are."""
        return int(self._collect(version, self._scan(version, None).select(pl.len())).item())

    def changed_days(self, one: int, other: int) -> list[date]:
        """Return the days whose rows differ between two versions, in order."""
        both = self.digests(one).join(
            self.digests(other), on="date", how="full", coalesce=True, suffix="_other", validate="1:1"
        )
        return both.filter(pl.col("rows").ne_missing(pl.col("rows_other")))["date"].sort().to_list()

    def ledger(self, version: int) -> pl.DataFrame:
        """Return what the ledger said of the dataset when the table was at `version`; nothing where that is not known any more.

        Several writers may note their days in another order than they wrote them: what was noted late is put in its place.
        """
        entries = self._ledger_log()
        notes = [(entry["version"], int(entry[VERSION_MARK])) for entry in entries if self._is_ours(entry)]
        later = [entry for entry, wrote in notes if wrote > version]
        is_known = any(wrote <= version for _, wrote in notes) or (entries and entries[0]["version"] == 0)
        last = min(later) - 1 if later else entries[-1]["version"] if entries else -1
        nothing = pl.DataFrame(schema=LEDGER_SCHEMA)
        if not is_known:
            return nothing
        try:
            found = nothing if last < 0 else self._ledger_rows(last).filter(pl.col("table_version") <= version)
            for entry, wrote in notes:
                if entry > last and wrote <= version:
                    late = self._ledger_rows(entry).filter(pl.col("table_version") == wrote)
                    found = pl.concat([found.join(late, on="date", how="anti"), late])
        except UNREADABLE:
            return nothing
        return found

    def unnoted_restores(self) -> list[tuple[int, int]]:
        """Return the commits that brought a version back and that the ledger does not know of, with that version."""
        entries = self._ledger_log()
        noted = {int(entry[VERSION_MARK]) for entry in entries if self._is_ours(entry)}
        known_since = entries[0]["timestamp"] if entries else 0
        table = self.lake.table(self.tenant, self.dataset)
        found = [
            (entry["version"], int(entry[RESTORED_MARK]))
            for entry in (table.history() if table else [])
            if RESTORED_MARK in entry and entry["version"] not in noted and entry["timestamp"] >= known_since
        ]
        return sorted(found)

    def _ledger_log(self) -> list[dict[str, Any]]:
        """Return the ledger's commits that its log still has, oldest first."""
        ledger = self.lake.table(self.tenant, LEDGER)
        return ledger.history()[::-1] if ledger else []

    def _is_ours(self, entry: Mapping[str, Any]) -> bool:
        return entry.get(DATASET_MARK) == self.dataset

    def _ledger_rows(self, entry: int) -> pl.DataFrame:
        table = LakeTable(self.lake.uri(self.tenant, LEDGER), version=entry)
        return self.lake.ledger_of(table, self.tenant, self.dataset)

    def _scan(self, version: int, days: Sequence[date] | None) -> pl.LazyFrame:
        current = self.current
        if not 0 <= version <= current:
            raise LakeError(f"the table {self.name} has no version {version}; choose one of 0 to {current}")
        try:
            table = LakeTable(self.lake.uri(self.tenant, self.dataset), version=version)
        except UNREADABLE as error:
            raise self._gone(version, error) from None
        return rows_of(table, f"{self.name} at version {version}", self.shape, days)

    def _collect(self, version: int, rows: pl.LazyFrame) -> pl.DataFrame:
        try:
            return rows.collect()
        except UNREADABLE as error:
            raise self._gone(version, error) from None

    def _gone(self, version: int, error: Exception) -> LakeError:
        return LakeError(
            f"version {version} of the table {self.name} cannot be read any more ({reason(error)}): {GONE}"
        )
