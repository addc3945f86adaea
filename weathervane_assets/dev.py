"""The UI and the sandbox on this machine.

Belongs here: starting and ending processes. The Dagster webserver has no login and takes changes from anyone who can
reach it, so both listen on loopback only, and the webserver has a guard against pages in the browser (`ui_guard.py`).
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import click

from weathervane_assets.instance import open_instance, shipped, sync_tenants
from weathervane_assets.overridable import OVERRIDABLE
from weathervane_assets.ui_guard import served_hosts
from weathervane_resources.sandbox import RunningSandbox, SandboxConfig, SandboxPortBusy, serve_forever
from weathervane_resources.sandbox.faults import UnknownFaultMode
from weathervane_resources.settings import ConfigurationError, Settings
from weathervane_resources.stubs import sandbox_config
from weathervane_resources.tenants import Tenant, load_tenants

HOST = "127.0.0.1"
GRACE_S = 20


def run_dev(settings: Settings, port: int) -> int:
    """Run `dagster dev` until it is ended, with the sandbox beside it; return 0 if someone ended it.

    The instance is made once, before the processes that would otherwise make it three times at once.
    Raises: ConfigurationError: the port is taken, or the configuration is wrong.
    """
    _refuse_busy(port)
    served_hosts(settings)
    tenants = load_tenants(settings.tenants_file, OVERRIDABLE, settings.start_date)
    with open_instance(settings) as instance:
        sync_tenants(instance, list(tenants))
    with RunningSandbox(sandbox_config(tenants)) as sandbox:
        click.echo(f"sandbox on {sandbox.url}, UI on http://{HOST}:{port} (ctrl-c ends both)")
        env = {
            "WEATHERVANE_AUTOMATION": "on",
            "WEATHERVANE_UI_URL": f"http://{HOST}:{port}",
            **os.environ,
            "WEATHERVANE_SANDBOX_URL": sandbox.url,
        }
        return _wait(subprocess.Popen(dev_command(port), env=env))  # noqa: S603 - our own interpreter and arguments


def dev_command(port: int) -> list[str]:
    """Return the command that serves the UI, on loopback; anyone can read a command, so it holds nothing secret."""
    return [sys.executable, "-m", "weathervane_assets.quiet_dev", *_location(), "--host", HOST, "--port", str(port)]


def _location() -> list[str]:
    """Return the code location: a workspace file of the working directory that has ours, else the one that we ship.

    A module would do, but its location would have another name, and what Dagster keeps by that (a sensor's place, what waits in
    the queue) would be lost to whoever starts it from another folder.
    """
    own = Path("workspace.yaml")
    is_ours = own.exists() and "weathervane_assets" in own.read_text(errors="replace")
    return ["-w", str(own if is_ours else shipped("workspace.yaml"))]


def _wait(process: subprocess.Popen[bytes]) -> int:
    """Wait for the child; on ctrl-c or a polite kill, end it (it ends its own children first) before we go.

    Left alone it ends only because a part of it died, and then Dagster says 0: we say 1, so that what looks after us starts us again.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return process.wait() or 1
    except KeyboardInterrupt:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
        return 0


def _refuse_busy(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise ConfigurationError(
                f"port {port} on {HOST} is taken ({error.strerror}); choose another with --port"
            ) from error


def serve_sandbox(settings: Settings, *, port: int, faults: str, latency_s: float, replay: Path | None) -> None:
    """Serve the sandbox until ctrl-c or a polite kill, its shops in the time zones of tenants.toml where there is one.

    Raises: ConfigurationError: the port is taken, the fault mode is unknown, or there is no such folder.
    """
    if replay is not None and not replay.is_dir():
        raise ConfigurationError(f"--replay {replay}: no such folder; name one with recorded payload files")
    has_tenants = settings.tenants_file.exists()
    tenants: dict[str, Tenant] = (
        load_tenants(settings.tenants_file, OVERRIDABLE, settings.start_date) if has_tenants else {}
    )
    config: SandboxConfig = dataclasses.replace(
        sandbox_config(tenants), faults=faults, latency_s=latency_s, replay_dir=replay
    )
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        asyncio.run(serve_forever(config, port, lambda url: click.echo(f"sandbox on {url} (ctrl-c ends it)")))
    except SandboxPortBusy as error:
        raise ConfigurationError(str(error)) from error
    except UnknownFaultMode as error:
        raise ConfigurationError(str(error)) from error
    except KeyboardInterrupt:
        return
