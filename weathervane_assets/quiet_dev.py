"""`dagster dev`, without what it warns of and nobody who types `weathervane dev` can mend.

Belongs here: the warnings that are left out, each with its reason. Does not belong here: starting it (`dev.py`).
"""

from __future__ import annotations

import logging
import runpy
import sys
import warnings

SUPERSEDED = "Function `dev_command` is superseded"
"""In favour of `dg dev`, which is a package of its own and serves projects of another layout."""
NOT_USED = "Found a dagster instance configuration value"
"""Our dagster.yaml at the root of a checkout is what a new DAGSTER_HOME gets a copy of."""


def is_worth_saying(record: logging.LogRecord) -> bool:
    """Return whether someone has to do something about it."""
    return not record.getMessage().startswith(NOT_USED)


if __name__ == "__main__":
    warnings.filterwarnings("ignore", message=SUPERSEDED)
    logging.getLogger("dagster").addFilter(is_worth_saying)
    sys.argv.insert(1, "dev")
    runpy.run_module("dagster", run_name="__main__", alter_sys=True)
