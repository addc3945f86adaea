"""The image without an engine: the Dockerfile's own steps in a clean folder, then what its containers do, with that read-only."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engines import Databases
from tests.servers import free_port

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text().replace("\\\n", " ")
BUILD_STAGE = DOCKERFILE.partition(" AS build\n")[2].partition("\nFROM ")[0]


@pytest.fixture(scope="module")
def image() -> Iterator[Path]:
    """A folder with what the build stage makes: its COPY and RUN lines, with /opt and /build below it."""
    folder = Path(tempfile.mkdtemp(prefix="weathervane-image-"))
    build = folder / "build"
    build.mkdir()
    subprocess.run([sys.executable, "-m", "venv", folder / "python"], check=True)
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV", "DAGSTER", "WEATHERVANE"))}
    env["PATH"] = f"{folder / 'python' / 'bin'}:{os.environ['PATH']}"
    for line in BUILD_STAGE.splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "COPY":
            *sources, target = rest.split()
            for source in sources:
                _copy(ROOT / source, build / target)
        elif kind == "RUN":
            command = rest.replace("/opt/weathervane", str(folder / "weathervane"))
            done = subprocess.run(["bash", "-euc", command], cwd=build, env=env, capture_output=True, text=True)
            assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    yield folder
    subprocess.run(["chmod", "-R", "u+w", folder], check=True)
    shutil.rmtree(folder)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target / source.name if target.is_dir() else target)


@pytest.fixture
def container(image: Path, databases: Databases) -> dict[str, str]:
    """The environment of a container: DAGSTER_HOME of the image, of which only `storage` and HOME may be written."""
    home, scratch = image / "dagster_home", image / "tmp"
    for folder in (home, home / "storage", scratch):
        folder.mkdir(exist_ok=True)
    host = re.fullmatch(r"postgresql://(.+):(.*)@(.+):(\d+)/(.+)", databases.named("image"))
    assert host
    text = (ROOT / "deploy" / "dagster.yaml").read_text().replace("port: 5432", f"port: {host[4]}")
    (home / "dagster.yaml").write_text(text)
    tenants = image / "tenants.toml"
    tenants.write_text('[tenants.acme]\ntimezone = "America/New_York"\ncurrency = "USD"\n')
    subprocess.run(["chmod", "-R", "a-w", image], check=True)
    for folder in (home / "storage", scratch):
        folder.chmod(0o700)
    return {
        "PATH": f"{image / 'weathervane' / 'bin'}:/usr/bin:/bin", "HOME": str(scratch), "TMPDIR": str(scratch),
        "MPLCONFIGDIR": str(scratch / "matplotlib"), "DAGSTER_HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1",
        "DAGSTER_PG_USERNAME": host[1], "DAGSTER_PG_PASSWORD": host[2], "DAGSTER_PG_HOST": host[3], "DAGSTER_PG_DB": host[5],
        "WEATHERVANE_TENANTS": str(tenants), "WEATHERVANE_STUBS": "never", "WEATHERVANE_LAKE": "s3://absent/lake",
    }  # fmt: skip


def contained(command: list[str]) -> list[str]:
    """Return the command as whoever cannot write what is read-only; root can, unless its capabilities are taken."""
    if os.geteuid():
        return command
    if not shutil.which("setpriv"):
        pytest.skip("root writes everywhere, and there is no setpriv to take that away")
    return ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all", *command]


def run(command: list[str], container: dict[str, str]) -> str:
    """Run a command as a container does, and return what it prints."""
    done = subprocess.run(
        contained(command), cwd=container["DAGSTER_HOME"], env=container, capture_output=True, text=True, timeout=300,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout + done.stderr


def test_the_steps_make_an_installation_without_developers_tools(image: Path) -> None:
    """An image with the tests' tools in it is twice as large, and its advisories are ours to answer."""
    listed = subprocess.run(
        [image / "weathervane/bin/python", "-m", "pip", "list", "--format=freeze"],
        check=True, capture_output=True, text=True,
    ).stdout.lower()  # fmt: skip
    names = {line.partition("==")[0] for line in listed.splitlines()}
    assert {"weathervane", "dagster", "dagster-postgres", "dagster-k8s", "dagster-webserver"} <= names
    assert not {"pytest", "mypy", "ruff", "moto", "hatchling", "duckdb"} & names


def test_the_containers_do_what_they_are_for_in_a_read_only_image(
    image: Path, container: dict[str, str], tmp_path: Path
) -> None:
    """The code server came up with a folder that it could not make, in the cluster and not before."""
    refused = subprocess.run(contained(["touch", str(image / "dagster_home" / "x")]), capture_output=True, check=False)
    assert refused.returncode, "the image is not read-only, so this test would show nothing"
    before = _files(image)
    assert "Usage: weathervane" in run(["weathervane", "--help"], container)
    run(["dagster", "instance", "migrate"], container)
    port, log = str(free_port()), tmp_path / "code.log"
    with log.open("wb") as out, subprocess.Popen(
        contained(_command(port)), cwd=container["DAGSTER_HOME"], env=container, stdout=out, stderr=out
    ) as server:  # fmt: skip
        try:
            _await_health(port, container, server, log)
            listed = run(["dagster", "asset", "list", "--module-name", "weathervane_assets.definitions"], container)
            assert {"orders", "features", "weather_daily"} <= set(listed.split())
        finally:
            _end(server)
    assert _files(image) == before


def _end(server: subprocess.Popen[bytes]) -> None:
    """End it as an engine does: politely, then not. It ignores the polite way where it was started in the background."""
    server.terminate()
    try:
        server.wait(60)
    except subprocess.TimeoutExpired:
        server.kill()


def _command(port: str) -> list[str]:
    """Return the command of the image, on another port."""
    said = re.findall(r'"([^"]*)"', DOCKERFILE.rpartition("\nCMD ")[2])
    assert "4000" in said
    return [port if word == "4000" else "127.0.0.1" if word == "0.0.0.0" else word for word in said]


def _await_health(port: str, container: dict[str, str], server: subprocess.Popen[bytes], log: Path) -> None:
    """Ask as the HEALTHCHECK does until the server is well."""
    command = ["dagster", "api", "grpc-health-check", "--port", port]
    ends = time.monotonic() + 120
    while subprocess.run(command, env=container, capture_output=True, check=False).returncode:
        assert server.poll() is None, log.read_text()[-3000:]
        assert time.monotonic() < ends, log.read_text()[-3000:]


def _files(image: Path) -> set[str]:
    """Return every file that is neither in the scratch folder nor in the storage."""
    written = (image / "tmp", image / "dagster_home" / "storage")
    found = (Path(folder) / name for folder, _, names in os.walk(image) for name in names)
    return {
        str(file.relative_to(image))
        for file in found
        if not file.is_relative_to(written[0]) and not file.is_relative_to(written[1])
    }
