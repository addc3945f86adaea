"""The servers that tests start for themselves: PostgreSQL from Debian's packages, and a S3-compatible store.

Belongs here: starting and stopping them, waiting for what other processes do, and finding the programs of this machine. Does not belong here: what is kept on them (`engines.py`).
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import obstore
import psycopg

from tests import s3_server

PASSWORD = "PLANTED-postgres"
"""The server does not ask for it; it is in the URL, and must be in nothing that is written."""
S3_KEYS = {"AWS_ACCESS_KEY_ID": "PLANTED-key-id", "AWS_SECRET_ACCESS_KEY": "PLANTED-secret"}
BUCKET = "weathervane-tests"
QUICK = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=200")


def postgres_programs() -> Path | None:
    """Return the folder of PostgreSQL's programs, of the newest version there is."""
    on_path = shutil.which("initdb")
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    found = Path(on_path).resolve() if on_path else (versions or [None])[-1]
    return found.parent if found else None


def chromium_program() -> str | None:
    """Return the browser that CHROMIUM names, or the one on the path."""
    named = os.environ.get("CHROMIUM")
    return named or next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)


@contextmanager
def running_postgres() -> Iterator[str]:
    """Yield the URL of the database `postgres` on a new server, whose role may make databases."""
    programs = postgres_programs()
    assert programs, "PostgreSQL is not installed"
    # the server refuses to run as root, and its user may not enter root's folders
    user = "postgres" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="weathervane-postgres-"))
    data = folder / "data"
    if user:
        os.chown(folder, pwd.getpwnam(user).pw_uid, -1)
    # Dagster connects anew for each statement, and to check a password costs the server 10 ms of CPU each time
    make = [programs / "initdb", "-D", data, "-U", "tester", "-A", "trust", "-E", "UTF8", "--no-sync"]
    subprocess.run(make, check=True, capture_output=True, user=user, cwd=folder, timeout=120)
    port = free_port()
    settings = [part for setting in QUICK for part in ("-c", setting)]
    run = [programs / "postgres", "-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", "", *settings]
    with (folder / "log").open("wb") as log, subprocess.Popen(run, user=user, cwd=folder, stdout=log, stderr=log) as it:
        try:
            url = f"postgresql://tester:{PASSWORD}@127.0.0.1:{port}/postgres"
            _await_postgres(url, it, folder / "log")
            yield url
        finally:
            stop = [programs / "pg_ctl", "-D", data, "-m", "immediate", "stop"]
            subprocess.run(stop, check=False, capture_output=True, user=user, cwd=folder, timeout=60)
    shutil.rmtree(folder)


def restart_postgres(url: str) -> None:
    """Restart the server as a crash or an impatient upgrade does: no connection is waited for."""
    programs = postgres_programs()
    assert programs
    with psycopg.connect(url) as connection:
        (data,) = connection.execute("SHOW data_directory").fetchone() or ("",)
    user = "postgres" if os.geteuid() == 0 else None
    command = [programs / "pg_ctl", "-D", data, "-m", "immediate", "-w", "-l", f"{data}/restarted.log", "restart"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, user=user, cwd=data, timeout=60)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_postgres(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    ends = time.monotonic() + 60
    while True:
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError:
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < ends, log.read_text()
            time.sleep(0.05)
        else:
            return


@contextmanager
def running_s3() -> Iterator[Mapping[str, str]]:
    """Yield the variables by which a new store with the bucket `BUCKET` is reached."""
    command = [sys.executable, s3_server.__file__]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin
        assert server.stdout
        try:
            endpoint = f"http://127.0.0.1:{int(server.stdout.readline())}"
            make_bucket(endpoint)
            yield S3_KEYS | {"AWS_ENDPOINT_URL": endpoint, "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1"}
        finally:
            server.stdin.close()


def make_bucket(endpoint: str) -> None:
    """Put nothing at the bucket's address, which makes it."""
    store = obstore.store.HTTPStore.from_url(endpoint, client_options={"allow_http": True})
    obstore.put(store, BUCKET, b"")


def command_lines(session: int) -> list[str]:
    """Return the command lines of a session's processes, as every user of the machine sees them."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended meanwhile
            if os.getsid(int(process.name)) == session:
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
    return found


def wait_until(what: Callable[[], object], says: str, patience_s: float) -> None:
    """Other processes do the work: look until it is done."""
    ends = time.monotonic() + patience_s
    while not what():
        assert time.monotonic() < ends, says
        time.sleep(0.05)
