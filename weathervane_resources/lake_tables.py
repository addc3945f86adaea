"""Tables at their newest version, each version opened once a process.

Opening a table reads its checkpoint and its log, about 10 ms of CPU, and a night asks for a hundred; whether a version is
still the newest costs a thirtieth of that. A handle that was given out never moves to another version, because lazy frames
read through it later: whoever changes a table opens one of their own (`open_table`).
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

import polars as pl
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from weathervane_resources.lake_errors import LakeError, reason

if TYPE_CHECKING:
    from deltalake.table import FilePruningPredicateType, FilterType

LOCAL = "file://"
MOST_TABLES = 64
"""Open at once: four tenants' tables."""
MOST_AGE_S = 60.0
"""A table that was removed and made anew can come back at the version that is known; not within a minute."""


class LakeTable(DeltaTable):
    """A table whose files polars finds wherever the lake is.

    deltalake says where they are as a part of a URL, and polars (2.1) opens that as a path: of a folder called `my shops`, or one
    below `/home/jörg`, it found no file. Object stores take both as URLs.
    """

    def file_uris(
        self,
        partition_filters: FilterType | None = None,
        *,
        file_pruning_predicate: FilePruningPredicateType | None = None,
    ) -> list[str]:
        """Return the paths of the version's files, or their URLs in an object store."""
        files = super().file_uris(partition_filters, file_pruning_predicate=file_pruning_predicate)
        if not self.table_uri.startswith(LOCAL):
            return files
        root = self.table_uri.removeprefix(LOCAL)
        return [unquote(root) + file.removeprefix(root) if file.startswith(root) else file for file in files]


def open_table(uri: str) -> LakeTable | None:
    """Return a handle of one's own of the table's newest version, or None where there is no table.

    Raises: LakeError: it cannot be read.
    """
    try:
        return LakeTable(uri)
    except TableNotFoundError:
        return None
    except (DeltaError, OSError) as error:
        raise LakeError(
            f"the table {uri} cannot be read ({reason(error)}); check WEATHERVANE_LAKE and its permissions with `weathervane doctor`"
        ) from None


@dataclass
class _Held:
    table: DeltaTable
    seen_s: float
    answers: dict[Hashable, pl.DataFrame] = field(default_factory=dict)


@dataclass
class OpenTables:
    """The handles that this process holds, the ones used last, and what was read of their versions to be asked for again."""

    _held: OrderedDict[str, _Held] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def newest(self, uri: str) -> DeltaTable | None:
        """Return a handle of the table's newest version, to be read only, or None where there is no table.

        Raises: LakeError: it cannot be read.
        """
        with self._lock:
            held = self._held.get(uri)
        if held is None or time.monotonic() - held.seen_s > MOST_AGE_S or not _is_newest(held.table):
            table = open_table(uri)
            self.hold(uri, table)
            return table
        with self._lock:
            held.seen_s = time.monotonic()
            if uri in self._held:
                self._held.move_to_end(uri)
        return held.table

    def remembered(
        self, uri: str, table: DeltaTable | None, what: Hashable, read: Callable[[], pl.DataFrame]
    ) -> pl.DataFrame:
        """Return what `read` makes of this version of a table; the same is read once while the version is held.

        Raises: what `read` raises.
        """
        with self._lock:
            held = self._held.get(uri)
            answers = held.answers if held and held.table is table else {}
            known = answers.get(what)
        if known is None:
            known = answers[what] = read()
        return known

    def hold(self, uri: str, table: DeltaTable | None) -> None:
        """Keep the handle of a version, which nobody changes any more; None: forget the table."""
        with self._lock:
            self._held.pop(uri, None)
            if table is not None:
                self._held[uri] = _Held(table, time.monotonic())
            while len(self._held) > MOST_TABLES:
                self._held.popitem(last=False)


def _is_newest(table: DeltaTable) -> bool:
    try:
        return table._table.get_latest_version() == table.version()  # noqa: SLF001 - the public way reads the log
    except (DeltaError, OSError):
        return False


OPEN_TABLES = OpenTables()


def is_table(uri: str) -> bool:
    """Return whether there is a table; of a folder that costs less than to open it. Raises: LakeError: nobody can say."""
    is_local = "://" not in uri
    return (Path(uri) / "_delta_log").is_dir() if is_local else OPEN_TABLES.newest(uri) is not None
