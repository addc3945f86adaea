"""A tenant's tables as plain Parquet files, for whoever takes the data elsewhere: a customer who leaves, an auditor.

Belongs here: one consistent file a table and the manifest. Does not belong here: asking for it (`cli_tenants.py`).

Cells that a spreadsheet would take for formulas (`=...`, `+...`) are a matter of CSV: Parquet has types, nothing in it is
evaluated, and so values are written as they are.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
from deltalake.exceptions import DeltaError

from weathervane_resources.disk import flush
from weathervane_resources.lake import Lake
from weathervane_resources.lake_care import table_paths
from weathervane_resources.lake_errors import LakeError, reason
from weathervane_resources.lake_tables import LakeTable

MANIFEST = "manifest.json"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class Exported:
    """One table in the export: its name, file, the version it was read at, rows, and types by column."""

    table: str
    file: str
    table_version: int
    rows: int
    schema: dict[str, str]


def export_tenant(lake: Lake, tenant: str, folder: Path, now: datetime) -> list[Exported]:
    """Write every table of a tenant and `manifest.json` into `folder`, which must not exist, whole or not at all.

    Each table is read at one version; runs may go on beside it.
    Raises: LakeError: the tenant has no tables, the folder exists, or something cannot be read or written.
    """
    paths = table_paths(lake, tenant)
    if not paths:
        bring_in = f"weathervane backfill --tenant {tenant} --from FIRST --to yesterday"
        raise LakeError(f"the lake has no tables of {tenant}; bring it in first ({bring_in}), or correct the name")
    if folder.exists():
        raise LakeError(f"{folder} exists; name a folder that does not")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    except OSError as error:
        raise LakeError(f"{folder} cannot be made ({error.strerror}); name a folder that can be") from None
    try:
        done = list(_tables(lake, paths, unfinished))
        _write_manifest(unfinished / MANIFEST, tenant, done, now)
        unfinished.chmod(0o700)
        unfinished.replace(folder)
    except (DeltaError, OSError, pl.exceptions.PolarsError) as error:
        raise LakeError(
            f"the export of {tenant} was given up ({reason(error)}); make room or mend the table, then run it again"
        ) from None
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return done


def _tables(lake: Lake, paths: list[str], folder: Path) -> Iterator[Exported]:
    for path in paths:
        name = path.partition("/")[2]
        table = LakeTable(lake.uri(*path.split("/", 1)))
        file = folder / f"{name}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        rows = pl.scan_delta(table)
        rows.sink_parquet(file)
        flush(file)
        schema = {column: str(dtype) for column, dtype in rows.collect_schema().items()}
        count = int(pl.scan_parquet(file).select(pl.len()).collect().item())
        yield Exported(name, f"{name}.parquet", table.version(), count, schema)


def _write_manifest(file: Path, tenant: str, done: list[Exported], now: datetime) -> None:
    said: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "tenant": tenant,
        "exported_at_utc": now.isoformat(),
        "tables": [vars(one) for one in done],
    }
    file.write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")
    flush(file)
