"""Dagster's webserver with our guard before it: `python -m weathervane_assets.webserver`, with dagster-webserver's options.

Belongs here: getting the guard before the app, and what else is ours into it. Does not belong here: what it refuses (`ui_guard.py`),
which days a backfill has (`ui_backfill.py`).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from dagster_webserver import cli
from starlette.applications import Starlette

from weathervane_assets.cli_configuration import complains
from weathervane_assets.replacing import replace_called
from weathervane_assets.ui_backfill import replace_build
from weathervane_assets.ui_guard import Guard, is_loopback, served_hosts
from weathervane_resources.settings import ConfigurationError, read_settings

SERVES, MAKES = "host_dagster_ui_with_workspace_process_context", "create_app_from_workspace_process_context"


def guarded_app(make: Callable[..., Starlette], *args: Any, **kwargs: Any) -> Starlette:
    """Return the app that `make` makes, behind the guard."""
    app = make(*args, **kwargs)
    app.add_middleware(Guard, hosts=served_hosts(read_settings(os.environ)))
    return app


@complains
def refuse_open(host: str) -> None:
    """Refuse an address beyond loopback, unless a name is configured: then something stands before it, and asks who you are.

    Raises: Complaint: there is none, or the configuration is wrong.
    """
    hosts = served_hosts(read_settings(os.environ))
    if not is_loopback(host) and not hosts:
        raise ConfigurationError(
            f"--host {host} lets everyone change everything; put a proxy with a login before it, and the host that "
            "people then reach the UI at into WEATHERVANE_UI_HOSTS"
        )


def main() -> None:
    """Run the command line of dagster-webserver."""
    serve = cli.dagster_webserver.callback
    if serve is None:
        raise RuntimeError("the command line of this Dagster's webserver is none of click's")

    def serve_guarded(**options: Any) -> None:
        refuse_open(options["host"])
        serve(**options)

    cli.dagster_webserver.callback = serve_guarded
    replace_called(cli, SERVES, MAKES, guarded_app)
    replace_build()
    cli.main()  # type: ignore[no-untyped-call] # it has no annotations


if __name__ == "__main__":
    main()
