"""Care of the lake: small files of its tables become large ones, and files that no version in reach needs go.

Belongs here: what is done to a table whatever it means: compaction, vacuum, checkpoint, its expired log entries. Does not
belong here: when (`weathervane_assets.compaction`), and taking rows away (`lake.py`, `purge_lake.py`).

A writer beside it loses nothing: a compaction changes no row, and whichever of the two commits comes second is told so
by Delta and done again.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import polars as pl
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError, DeltaError

from weathervane_resources.clock import system_now
from weathervane_resources.lake import Lake
from weathervane_resources.lake_errors import LakeError, reason
from weathervane_resources.lake_flush import flush_version

RETENTION_DAYS = 30
"""What the logs of our tables keep (`lake.RETENTION`): a longer retention of files would keep versions without a log."""
SHORTEST_SAFE_DAYS = 7
"""Below this, a run or a reader that began earlier may lose the files it reads: to be said to whoever asks for it."""
ATTEMPTS = 5
LOG = "/_delta_log/"


@dataclass(frozen=True)
class Tidied:
    """What became of one table. Files and bytes are those of its newest version; `vacuumed` ones were of older ones.

    `skipped` says why nothing was done, "" where it was.
    """

    table: str
    files_before: int
    files_after: int
    bytes_before: int
    bytes_after: int
    vacuumed: int
    seconds: float
    skipped: str = ""

    def line(self) -> str:
        """Return it for a person."""
        if self.skipped:
            return f"{self.table}: skipped ({self.skipped})"
        return f"{self.table}: {self._counts()}, {self.seconds:.2f} s"

    def plain(self) -> dict[str, Any]:
        """Return it for a machine."""
        return asdict(self)

    def _counts(self) -> str:
        files = f"{self.files_before} -> {self.files_after} files"
        size = f"{self.bytes_before:,} -> {self.bytes_after:,} bytes"
        return f"{files}, {size}, {self.vacuumed} old files removed"


def total(tables: Iterable[Tidied]) -> Tidied:
    """Return the sums over tables."""
    done = list(tables)
    names = ("files_before", "files_after", "bytes_before", "bytes_after", "vacuumed", "seconds")
    return Tidied(f"{len(done)} tables", **{name: sum(getattr(one, name) for one in done) for name in names})


def table_paths(lake: Lake, below: str = "") -> list[str]:
    """Return the paths of all tables of the lake, or of those in a folder of it: `acme/orders`, `_weather/versions`."""
    return sorted({path.partition(LOG)[0] for path in lake.files.paths(below) if LOG in path})


def tidy_lake(lake: Lake, now: datetime, retention_days: int = RETENTION_DAYS, below: str = "") -> Iterator[Tidied]:
    """Tidy all tables, one after the other, as of `now`; yields each when it is done.

    Raises: LakeError: a table cannot be read or written, after all the others. One that other writers keep busy is skipped.
    """
    failed = []
    for path in table_paths(lake, below):
        try:
            done = tidy_table(lake, path, now, retention_days)
        except LakeError as error:
            failed.append(error)
        else:
            yield done
    lake.files.sweep(below, now - timedelta(days=retention_days))
    if failed:
        raise failed[0] if len(failed) == 1 else LakeError("; ".join(str(error) for error in failed))


def optimize(lake: Lake, now: datetime) -> Iterator[str]:
    """Tidy all tables with the usual retention; yields a line for each and one for all."""
    done = []
    for one in tidy_lake(lake, now):
        done.append(one)
        yield one.line()
    yield total(done).line()


def tidy_table(lake: Lake, path: str, now: datetime, retention_days: int = RETENTION_DAYS) -> Tidied:
    """Compact, vacuum and checkpoint one table; a commit that lost against another writer's is tried again."""
    uri, begun = lake.files.address(path), time.monotonic()
    for attempt in range(1, ATTEMPTS + 1):
        try:
            table = DeltaTable(uri)
            before = _size(table)
            table.optimize.compact()
            flush_version(uri, table.version())  # before what it replaced may go
            oldest = now - timedelta(days=retention_days)
            vacuumed = vacuum(table, oldest) + lake.files.sweep(path, oldest)
            _shorten_log(table, uri)
            after = _size(table)
        except CommitFailedError:
            time.sleep(random.uniform(0.05, 0.2) * attempt)
            continue
        except (DeltaError, OSError) as error:
            raise LakeError(
                f"the table {uri} cannot be tidied ({reason(error)}); check permissions and free space, then run it again"
            ) from None
        seconds = round(time.monotonic() - begun, 3)
        return Tidied(path, before[0], after[0], before[1], after[1], vacuumed, seconds)
    files, size = _size(DeltaTable(uri))
    busy = f"{ATTEMPTS} commits in a row lost against other writers; the next time will do"
    return Tidied(path, files, files, size, size, 0, round(time.monotonic() - begun, 3), busy)


def vacuum(table: DeltaTable, deleted_before: datetime) -> int:
    """Remove the files that no version needs since `deleted_before`, those that a crash left included; return how many.

    Delta counts back from the machine's clock, so an instant is turned into hours before that.
    """
    hours = max(0, -int((deleted_before - system_now()).total_seconds() // 3600))
    # 30 days is what the tables enforce; the caller answers for less
    return len(table.vacuum(hours, dry_run=False, enforce_retention_duration=False, full=True))


def _shorten_log(table: DeltaTable, uri: str) -> None:
    """Write the state as one file, and drop the log entries before it that are older than the log's retention."""
    table.update_incremental()
    table.create_checkpoint()
    flush_version(uri, table.version())
    table.cleanup_metadata()


def _size(table: DeltaTable) -> tuple[int, int]:
    """Return the number and bytes of the newest version's files."""
    files = pl.DataFrame(table.get_add_actions(flatten=True))
    return files.height, int(files["size_bytes"].sum())
