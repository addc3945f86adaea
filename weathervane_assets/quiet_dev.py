"""`dagster dev` with a guarded UI and a watched code server, without what it warns of and nobody who types `weathervane dev` can mend.

Belongs here: the warnings that are left out, each with its reason, and what it starts instead of Dagster's. Does not belong here:
starting it (`dev.py`), the guard (`ui_guard.py`), the watch (`code_server.py`).
"""

from __future__ import annotations

import logging
import runpy
import sys
import warnings
from collections.abc import Callable, Sequence
from subprocess import Popen
from typing import Any

from dagster._cli import dev
from dagster._grpc import server

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


def watched_command(parts: Sequence[str]) -> list[str]:
    """Return the command of a code server with our watch over it.

    Raises: RuntimeError: it is a command that we do not know, so that nobody would watch.
    """
    python, option, module, *rest = parts
    if (option, module, *rest[:2]) != ("-m", "dagster", "code-server", "start"):
        raise RuntimeError(f"this Dagster starts a code server as {module} {rest[:2]}, over which we keep no watch")
    return [python, option, "weathervane_assets.code_server", *rest[1:]]


def start_watched(start: Callable[..., Popen[bytes]], parts: Sequence[str], **options: Any) -> Popen[bytes]:
    """Start a code server as `start` does."""
    return start(watched_command(parts), **options)


if __name__ == "__main__":
    warnings.filterwarnings("ignore", message=SUPERSEDED)
    logging.getLogger("dagster").addFilter(is_worth_saying)
    replace_called(dev, "dev_command_impl", "open_ipc_subprocess", start_guarded)
    replace_called(server, "open_server_process", "open_ipc_subprocess", start_watched)
    sys.argv.insert(1, "dev")
    runpy.run_module("dagster", run_name="__main__", alter_sys=True)
