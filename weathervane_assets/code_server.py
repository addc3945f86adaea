"""Dagster's code server that starts again what holds our code: `python -m weathervane_assets.code_server start`, with its options.

Belongs here: noticing that the process has ended, and another in its place. Does not belong here: runs that died with it
(`run_launcher.py`).

`dagster code-server start` is two processes: one that answers, and one behind it that has loaded the code and has its memory, so that is the
one which a machine short of memory kills. Dagster does not look after it: the answering one lives on, every schedule and
sensor fails from then on, the alerter too, and nobody is told.
"""

from __future__ import annotations

import sys
import threading
from typing import Any

from dagster._cli import code_server
from dagster._cli import main as dagster_cli
from dagster._core.remote_representation.grpc_server_registry import ServerRegistryEntry
from dagster._grpc import proxy_server
from dagster._grpc.proxy_server import DagsterProxyApiServicer

LOOK_S, AGAIN_S = 5.0, 60.0
"""Seconds between two looks, and from a start that failed to the next."""
NAME = "DagsterProxyApiServicer"


class WatchedServicer(DagsterProxyApiServicer):
    """Dagster's, with a thread that looks whether the process behind it is there."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        threading.Thread(target=self._watch, name="code-watch", daemon=True).start()

    def _watch(self) -> None:
        pause = LOOK_S
        while not (self._server_termination_event.wait(pause) or self._shutdown_once_executions_finish_event.is_set()):
            with self._reload_lock:
                has_begun = self._has_code() or self._begin_again()
            pause = LOOK_S if has_begun else AGAIN_S

    def _has_code(self) -> bool:
        """Return whether the process behind us runs. Code that does not load ends none: that is told to whoever asks."""
        entry = self._grpc_server_registry.get_grpc_server_entry(self._origin)
        return isinstance(entry, ServerRegistryEntry) and entry.process.server_process.poll() is None

    def _begin_again(self) -> bool:
        """Start another process; return whether it runs."""
        self._logger.warning("the process that has the code is gone; another is started")
        if self._client_heartbeat_shutdown_event:
            self._client_heartbeat_shutdown_event.set()
        self._reload_location()  # type: ignore[no-untyped-call] # it has no annotations
        return self._load_error is None


def main() -> None:
    """Run the command line of `dagster code-server`.

    Raises: RuntimeError: this Dagster's makes no such servicer, so that nothing would be watched.
    """
    start = code_server.start_command.callback
    if start is None or NAME not in start.__code__.co_names:
        raise RuntimeError(f"{code_server.__name__} of this Dagster makes no {NAME}, which we have to replace")
    setattr(proxy_server, NAME, WatchedServicer)
    sys.argv.insert(1, "code-server")
    dagster_cli()  # type: ignore[no-untyped-call] # it has no annotations


if __name__ == "__main__":
    main()
