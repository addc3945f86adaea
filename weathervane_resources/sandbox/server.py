"""Running the sandbox: in a thread for tests, demo and stub mode, or in the foreground for the command line."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from threading import Event, Thread
from types import TracebackType
from typing import Self

from aiohttp import web

from weathervane_resources.sandbox.app import create_app
from weathervane_resources.sandbox.config import SandboxConfig
from weathervane_resources.sandbox.request_log import LOG, RequestLog

HOST = "127.0.0.1"
_START_PATIENCE_S = 10.0


class SandboxPortBusy(RuntimeError):
    """The port that the sandbox should listen on is taken."""

    def __init__(self, port: int) -> None:
        super().__init__(
            f"sandbox: port {port} on {HOST} is already in use; choose another with --port, or 0 for a free one"
        )
        self.port = port


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise SandboxPortBusy(port) from error
        raise
    return listener


class RunningSandbox:
    """A sandbox on the loopback address, served by a thread with its own event loop.

    Use as a context manager, or call `start()` and `stop()`.
    """

    def __init__(self, config: SandboxConfig | None = None, port: int = 0) -> None:
        self.config = config or SandboxConfig()
        self.log = RequestLog()
        self._asked_port = port
        self._port = 0
        self._thread: Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._finish: asyncio.Event | None = None

    @property
    def url(self) -> str:
        """Return the base URL, without a slash at the end."""
        return f"http://{HOST}:{self._port}"

    def start(self) -> Self:
        """Start serving. Raises: SandboxPortBusy; whatever `create_app` raises."""
        if self._thread is not None:
            return self
        app = create_app(self.config)
        self.log = app[LOG]
        listener = _listen(self._asked_port)
        self._port = int(listener.getsockname()[1])
        started = Event()
        self._thread = Thread(target=self._serve, args=(app, listener, started), name="sandbox", daemon=True)
        self._thread.start()
        if not started.wait(_START_PATIENCE_S):
            msg = f"sandbox: did not start on {self.url} within {_START_PATIENCE_S} s"
            raise RuntimeError(msg)
        return self

    def stop(self) -> None:
        """Stop serving and wait for the thread; harmless when it is not running."""
        if self._thread is None or self._loop is None or self._finish is None:
            return
        self._loop.call_soon_threadsafe(self._finish.set)
        self._thread.join()
        self._thread = self._loop = self._finish = None

    def _serve(self, app: web.Application, listener: socket.socket, started: Event) -> None:
        asyncio.run(self._serve_until_stopped(app, listener, started))

    async def _serve_until_stopped(self, app: web.Application, listener: socket.socket, started: Event) -> None:
        self._loop, self._finish = asyncio.get_running_loop(), asyncio.Event()
        runner = _runner(app)
        await runner.setup()
        try:
            await web.SockSite(runner, listener).start()
            started.set()
            await self._finish.wait()
        finally:
            await runner.cleanup()
            listener.close()

    def __enter__(self) -> Self:
        """Start serving."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop serving."""
        self.stop()


def _runner(app: web.Application) -> web.AppRunner:
    return web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)


async def serve_forever(config: SandboxConfig, port: int, on_ready: Callable[[str], object] = str) -> None:
    """Serve on the loopback address until cancelled; `on_ready` is told the URL. Raises: SandboxPortBusy."""
    app = create_app(config)
    listener = _listen(port)
    runner = _runner(app)
    await runner.setup()
    try:
        await web.SockSite(runner, listener).start()
        on_ready(f"http://{HOST}:{listener.getsockname()[1]}")
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()
        listener.close()
