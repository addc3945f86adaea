"""What must be on the disk before it is said to be there."""

from __future__ import annotations

import os
from pathlib import Path


def flush(path: Path) -> None:
    """Flush a file, or a folder: a rename is on the disk only once its folder is.

    Raises: OSError: the disk does not take it, or there is no such path.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
