"""What the lake holds of one tenant, and its removal: folders, reports, and weather that nobody else needs.

Belongs here: files and tables. Does not belong here: the state database (`purge_state.py`) and Dagster
(`weathervane_assets.purge_dagster`).

Weather versions have no tenant. What only this tenant needs are the grid points of its cells that no cell of another
tenant's tables lies next to.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl
from deltalake.exceptions import CommitFailedError, DeltaError

from weathervane_resources.lake import Lake
from weathervane_resources.lake_care import table_paths
from weathervane_resources.lake_errors import LakeError, reason
from weathervane_resources.lake_flush import flush_version
from weathervane_resources.lake_tables import LakeTable
from weathervane_resources.weather_cache import point_of

CELL_COLUMNS = {"orders": "ship_geohash", "weather_daily": "geohash", "climatology": "geohash", "features": "geohash"}
WEATHER_TABLES = ("_weather/versions", "_weather/unanswered")
POINT = re.compile(r"-?\d{1,2}\.\d,-?\d{1,3}\.\d")
ATTEMPTS = 8
ORPHAN_HOURS = 24
"""Files that no log knows and that are younger may be another run's, not yet committed."""


@dataclass(frozen=True)
class LakeHoldings:
    """What is there: folders with their number of files, and the points and weather rows of this tenant alone.

    `unread`: tables that cannot be read, so that their points are not known. After an interrupted purge these are gone
    already: weather goes before the folders.
    """

    files: dict[str, int]
    points: tuple[str, ...]
    weather_rows: int
    unread: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing."""
        return not any(self.files.values())

    def lines(self) -> Iterator[str]:
        """Say it."""
        for folder, count in self.files.items():
            if count:
                yield f"lake: {folder}/, {count} files"
        if self.points:
            yield f"lake: {self.weather_rows} weather versions of {len(self.points)} grid points that no other tenant needs"
        for path in self.unread:
            yield f"lake: {path} is not whole; weather of its places that an earlier purge did not remove stays"


def find_in_lake(lake: Lake, tenant: str) -> LakeHoldings:
    """Return what the lake holds of a tenant.

    Raises: LakeError: the folder, or a table of another tenant, cannot be read.
    """
    files = {folder: len(lake.files.paths(folder)) for folder in (tenant, f"_reports/{tenant}")}
    tables = table_paths(lake)
    own, others, unread = set[str](), set[str](), list[str]()
    for path in tables:
        folder, _, dataset = path.partition("/")
        if dataset not in CELL_COLUMNS:
            continue
        try:
            (own if folder == tenant else others).update(_points(lake, path, CELL_COLUMNS[dataset]))
        except LakeError:
            if folder != tenant:
                raise
            unread.append(path)
    alone = tuple(sorted(own - others))
    rows = sum(_rows(lake, path, alone) for path in WEATHER_TABLES if path in tables) if alone else 0
    return LakeHoldings(files, alone, rows, tuple(unread))


def remove_from_lake(lake: Lake, held: LakeHoldings) -> None:
    """Remove it; what a version of the weather's tables held of the points goes from the disk too.

    Raises: LakeError: something cannot be deleted; what is left is found again.
    """
    if held.points:
        tables = table_paths(lake, "_weather")
        for path in WEATHER_TABLES:
            if path in tables:
                _forget_points(lake.files.address(path), held.points)
    for folder in held.files:
        lake.files.delete(folder)


def _points(lake: Lake, path: str, column: str) -> set[str]:
    uri = lake.files.address(path)
    try:
        cells = pl.scan_delta(LakeTable(uri)).select(pl.col(column).drop_nulls().unique()).collect()
    except (DeltaError, OSError, pl.exceptions.PolarsError) as error:
        raise LakeError(
            f"the table {uri} cannot be read ({reason(error)}); mend it, or purge its tenant where that was interrupted"
        ) from None
    return {point_of(cell) for cell in cells[column]}


def _rows(lake: Lake, path: str, points: tuple[str, ...]) -> int:
    table = pl.scan_delta(LakeTable(lake.files.address(path)))
    return int(table.filter(pl.col("point").is_in(points)).select(pl.len()).collect().item())


def _forget_points(uri: str, points: tuple[str, ...]) -> None:
    """Delete the rows, and at once the files of older versions, which still hold them.

    Nothing else is lost by that: these tables are only added to, so their newest version holds all of the others'.
    """
    if not all(POINT.fullmatch(point) for point in points):
        raise LakeError(f"{uri}: a grid point is not one; nothing was deleted; mend the table that it came from")
    predicate = "point IN ({})".format(", ".join(f"'{point}'" for point in points))
    for _ in range(ATTEMPTS):
        try:
            table = LakeTable(uri)
            begun = table.version()
            table.delete(predicate)
            table.optimize.compact()
            for version in range(begun + 1, table.version() + 1):
                flush_version(uri, version)  # before what they replaced is gone
            table.vacuum(0, dry_run=False, enforce_retention_duration=False)
            table.vacuum(ORPHAN_HOURS, dry_run=False, enforce_retention_duration=False, full=True)
        except CommitFailedError:
            continue
        except (DeltaError, OSError) as error:
            raise LakeError(f"the table {uri} cannot be purged ({reason(error)}); run it again") from None
        return
    raise LakeError(f"{uri}: {ATTEMPTS} purges in a row lost against other writers; run it again when they have ended")
