"""A commit's files on the disk, before anyone is told that it happened.

Belongs here: flushing what deltalake wrote into a folder of this machine; it leaves that to the kernel, which may take half a
minute, and a power cut in it leaves a table whose newest version names an empty file. Does not belong here: object stores, which
answer when they have stored.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote

from weathervane_resources.disk import flush


def flush_version(uri: str, version: int) -> None:
    """Flush the files that a version of a table added, its log entry and checkpoint, and the folders that name them.

    Raises: OSError: the disk does not take them.
    """
    if "://" in uri:
        return
    root, log = Path(uri), Path(uri) / "_delta_log"
    entry = log / f"{version:020}.json"
    added = [root / unquote(path) for path in _added(entry)]
    checkpoint = [*log.glob(f"{version:020}.checkpoint*.parquet"), log / "_last_checkpoint"]
    for path in (*added, entry, *checkpoint, *{file.parent for file in added}, root, log):
        # another process's care of the lake may have taken a file away
        with suppress(FileNotFoundError):
            flush(path)


def _added(entry: Path) -> list[str]:
    if not entry.exists():  # behind a checkpoint, and expired
        return []
    actions = (json.loads(line) for line in entry.read_text().splitlines())
    return [action["add"]["path"] for action in actions if "add" in action]
