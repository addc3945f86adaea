"""`dagster dev` with a guarded UI, without what it warns of and nobody who types `weathervane dev` can mend.

Belongs here: the warnings that are left out, each with its reason, and the webserver that it starts. Does not belong here:
starting it (`dev.py`), the guard (`ui_guard.py`).
"""

from __future__ import annotations

import logging
import runpy
import sys
import warnings
from collections.abc import Callable, Sequence
from subprocess import Popen

from dagster._cli import dev

from weathervane_assets.replacing import replace_called

SUPERSEDED = "Function `dev_command` is superseded"
"""In favour of `dg dev`, which is a package of its own and serves projects of another layout."""
NOT_USED = "Found a dagster instance configuration value"
"""Our dagster.yaml at the root of a checkout is what a new DAGSTER_HOME gets a copy of."""
STARTED = {"dagster_webserver": "weathervane_assets.webserver", "dagster._daemon": "dagster._daemon"}
"""What it starts, and what is started instead."""


def is_worth_saying(record: logging.LogRecord) -> bool:
    """Return whether someone has to do something about it."""
    return not record.getMessage().startswith(NOT_USED)


def guarded_command(parts: Sequence[str]) -> list[str]:
    """Return the command for a part of `dagster dev`, of the webserver with our guard before it.

    Raises: RuntimeError: it is a part that we do not know, so it may serve the UI without the guard.
    """
    python, option, module, *rest = parts
    if option != "-m" or module not in STARTED:
        raise RuntimeError(f"this Dagster also starts {option} {module}, which may serve the UI without our guard")
    return [python, option, STARTED[module], *rest]


def start_guarded(start: Callable[..., Popen[bytes]], parts: Sequence[str], *, pass_fds: Sequence[int]) -> Popen[bytes]:
    """Start a part of `dagster dev` as `start` does."""
    return start(guarded_command(parts), pass_fds=pass_fds)


if __name__ == "__main__":
    warnings.filterwarnings("ignore", message=SUPERSEDED)
    logging.getLogger("dagster").addFilter(is_worth_saying)
    replace_called(dev, "dev_command_impl", "open_ipc_subprocess", start_guarded)
    sys.argv.insert(1, "dev")
    runpy.run_module("dagster", run_name="__main__", alter_sys=True)
