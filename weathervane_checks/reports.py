"""Reports: JSON files beside the lake's tables, `<lake>/_reports/<tenant>/<name>`.

Belongs here: writing one, whole or not at all. Does not belong here: what a report says.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from weathervane_resources.lake import Lake, LakeError

FOLDER = "_reports"


def write_report(lake: Lake, name: str, report: Mapping[str, Any]) -> Path | None:
    """Write a tenant's report (`tenant_id` says whose); return the file, or None for a lake that is no folder.

    Raises: LakeError: the file cannot be written.
    """
    if not lake.is_local:
        return None
    file = Path(lake.root) / FOLDER / str(report["tenant_id"]) / name
    try:
        write_atomically(file, json.dumps(report, indent=2, allow_nan=False) + "\n")
    except OSError as error:
        raise LakeError(f"the report {file} cannot be written: {error.strerror}") from error
    return file


def write_atomically(file: Path, text: str) -> None:
    """Write a file so that a reader, or a crash, sees the old text or the new one: temporary file, fsync, rename."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, unfinished = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        Path(unfinished).chmod(0o644)
        Path(unfinished).replace(file)
    except OSError:
        Path(unfinished).unlink(missing_ok=True)
        raise
    _sync_folder(file.parent)


def _sync_folder(folder: Path) -> None:
    """A rename is on the disk only once its folder is."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
