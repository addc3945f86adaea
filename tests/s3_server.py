"""A S3-compatible server of a test's own: moto's S3 on loopback, in memory, gone when standard input closes.

Requests are served one at a time: S3 promises that of two conditional writes of one key one wins, and moto looks and
writes in two steps. Run as `python s3_server.py`; prints its port.
"""

from __future__ import annotations

import logging
import sys
import threading
from typing import Any

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server


class OneAtATime:
    """A WSGI application whose requests wait for each other."""

    def __init__(self, app: Any) -> None:
        self.app, self.turn = app, threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        with self.turn:
            return list(self.app(environ, start_response))


if __name__ == "__main__":
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", 0, OneAtATime(DomainDispatcherApplication(create_backend_app)), threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    sys.stdin.read()
