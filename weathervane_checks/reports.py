"""Reports: JSON files beside the lake's tables, `<lake>/_reports/<tenant>/<name>`.

Belongs here: where one is and how it is written down. Does not belong here: what a report says.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from weathervane_resources.lake import Lake
from weathervane_resources.lake_files import write_atomically

__all__ = ["FOLDER", "write_atomically", "write_report"]

FOLDER = "_reports"


def write_report(lake: Lake, name: str, report: Mapping[str, Any]) -> str:
    """Write a tenant's report (`tenant_id` says whose), whole or not at all; return where it is.

    Raises: LakeError: it cannot be written.
    """
    path = f"{FOLDER}/{report['tenant_id']}/{name}"
    lake.files.write(path, json.dumps(report, indent=2, allow_nan=False) + "\n")
    return lake.files.address(path)
