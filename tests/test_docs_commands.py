"""Every command in README and docs is run: in a folder of its own, against the sandbox."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import click
import polars as pl
import pytest

from tests.doc_blocks import ROOT, SLOW_PAGES, Block, blocks, spans
from weathervane_assets.cli import main
from weathervane_assets.overridable import OVERRIDABLE
from weathervane_resources.credentials import SOURCES, find_access
from weathervane_resources.lake import Lake
from weathervane_resources.quarantine import replace_quarantine
from weathervane_resources.sandbox import RunningSandbox
from weathervane_resources.tenants import load_tenants

ALL = blocks()
COPIED = ("Makefile", "pyproject.toml", "requirements.lock", "tenants.example.toml", "workspace.yaml", "dagster.yaml")
RUN_ALREADY = ("make test", "make check", "make demo")
"""The suite is run by whoever runs this, and once more inside of it would never end; the demo is run by the fixture `shop`."""
BEGINS_ANEW = "cp tenants.example.toml tenants.toml"
"""Whoever types this has a shop of their own, and leaves the demo behind: its rows must not meet a vendor's."""
SERVERS = {"make dev": "Serving dagster-webserver", "weathervane dev": "Serving dagster-webserver"}
PRELUDE = """
set -euo pipefail
serve() {  # run a command until it says the text, then end it politely
  local text=$1; shift
  "$@" > served.log 2>&1 &
  local it=$!
  for _ in $(seq 6000); do
    if grep -q "$text" served.log; then kill -TERM $it; wait $it || true; return 0; fi
    kill -0 $it 2>/dev/null || { cat served.log >&2; return 1; }
    sleep 0.1
  done
  cat served.log >&2; kill -TERM $it; wait $it || true; return 1
}
# a signal that comes while Python still starts can be swallowed, and the block would be waited for in vain
trap 'kill -KILL $(jobs -p) 2>/dev/null || true' EXIT
"""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[RunningSandbox]:
    with RunningSandbox() as running:
        yield running


def workshop(folder: Path) -> Path:
    """Make a folder that looks like a fresh clone after `make install`: the code is the one under test."""
    for name in COPIED:
        shutil.copy(ROOT / name, folder / name)
        os.utime(folder / name, (0, 0))  # older than what was installed from them, so that make installs nothing
    (folder / ".venv").symlink_to(sys.prefix)
    return folder


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A fresh clone with a tenant."""
    folder = workshop(tmp_path)
    shutil.copy(ROOT / "tenants.example.toml", folder / "tenants.toml")
    return folder


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, sandbox: RunningSandbox) -> Path:
    """A clone after `make demo`, as the pages suppose: 90 days of two shops."""
    folder = workshop(tmp_path_factory.mktemp("shop"))
    done = execute(folder, "exec make demo", sandbox)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def environment(folder: Path, sandbox: RunningSandbox) -> dict[str, str]:
    """Return an environment without anything of ours, in which every vendor is the sandbox."""
    ours = re.compile(
        r"WEATHERVANE_|DAGSTER_|ACME__|" + "|".join(f"{s.vendor.upper().split('_')[0]}_" for s in SOURCES)
    )
    env = {name: value for name, value in os.environ.items() if not ours.match(name)}
    base = f"{sandbox.url}/t/acme"
    return env | {
        "PATH": f"{folder / '.venv' / 'bin'}:{env['PATH']}",
        "WEATHERVANE_SANDBOX_URL": sandbox.url,
        "SHOPIFY_BASE_URL": base,
        "META_BASE_URL": base,
        "GOOGLE_ADS_BASE_URL": base,
        "KLAVIYO_BASE_URL": base,
        "GEONAMES_BASE_URL": sandbox.url,
    }


def execute(folder: Path, code: str, sandbox: RunningSandbox, **extra: str) -> subprocess.CompletedProcess[str]:
    """Run a shell block in `folder`; a command that serves is ended once it does."""
    lines = [_servable(line, folder) for line in code.splitlines() if not line.startswith(RUN_ALREADY)]
    script = PRELUDE + "\n".join(lines)
    env = environment(folder, sandbox) | extra
    return subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=1_800,
        check=False,
        start_new_session=True,  # what a server signals to its group must not reach the tests
    )


def _servable(line: str, folder: Path) -> str:
    command = line.partition("#")[0].strip()
    if command not in SERVERS:
        return line.replace("8610", str(free_port()))
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if probe.connect_ex(("127.0.0.1", 3000)) == 0:
            pytest.skip("something listens on port 3000 of this machine")
    return f"serve {shlex.quote(SERVERS[command])} {command}"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def name_of(block: Block) -> str:
    return f"{block.page}:{block.line}"


def test_the_blocks_are_found() -> None:
    """If the pattern missed them, nothing would be run and nothing would fail."""
    found = {block.page for block in ALL}
    assert {
        "README.md",
        "docs/quickstart.md",
        "docs/operating.md",
        "docs/sandbox.md",
        "docs/sources/shopify.md",
    } <= found
    assert found >= SLOW_PAGES
    assert len(ALL) > 15
    fences = sum(
        len(re.findall(r"^```(?:sh|bash|console|shell)$", page.read_text(), re.MULTILINE))
        for page in ROOT.glob("docs/**/*.md")
        if page.name != "playbook.md"
    )
    assert fences <= sum(block.kind == "sh" and block.page != "README.md" for block in ALL), "only ```sh is run"


@pytest.mark.parametrize("block", [b for b in ALL if b.kind == "sh" and not b.is_slow], ids=name_of)
def test_a_quick_block_runs(block: Block, clone: Path, sandbox: RunningSandbox) -> None:
    """A command that was renamed lives longest in the docs."""
    if block.reason:
        pytest.skip(block.reason)
    done = execute(clone, block.code, sandbox)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("block", [b for b in ALL if b.is_slow], ids=name_of)
def test_a_slow_block_runs(block: Block, shop: Path, tmp_path: Path, sandbox: RunningSandbox) -> None:
    """The pages suppose the demo's data; a newcomer types what stands there, in that order."""
    if block.reason:
        pytest.skip(block.reason)
    prepare(block, shop)
    folder = workshop(tmp_path) if BEGINS_ANEW in block.code else shop
    code = f"python - <<'PYTHON'\n{block.code}PYTHON\n" if block.kind == "python" else block.code
    meteo = {
        "OPEN_METEO_FORECAST_URL": f"{sandbox.url}/v1/forecast",
        "OPEN_METEO_ARCHIVE_URL": f"{sandbox.url}/v1/archive",
    }
    done = execute(folder, code, sandbox, **(meteo if "OPEN_METEO_API_KEY" in block.code else {}))
    assert done.returncode == 0, done.stdout + done.stderr


def prepare(block: Block, shop: Path) -> None:
    """Make what a page takes for granted and the demo does not have."""
    if "quarantine" in block.note:
        day = date(2026, 11, 1)
        rejects = pl.DataFrame({"date": [day], "key": ["1"], "reason": ["no day"]})
        lake, now = Lake(str(shop / "storage/lake")), datetime(2026, 11, 2, tzinfo=UTC)
        replace_quarantine(lake, "acme", "orders", rejects, days=[day], source="stub", run_id="1", now=now)


@pytest.mark.parametrize(
    "block", [b for b in ALL if b.page.startswith("docs/sources/") and "export" in b.code], ids=name_of
)
def test_what_a_source_page_exports_configures_a_source(block: Block) -> None:
    """Three public guides name variables that their program does not read."""
    words = [word for word in shlex.split(block.code, comments=True) if "=" in word]
    env = dict(word.split("=", 1) for word in words)
    reached = {source.vendor: _is_live(source, env) for source in SOURCES}
    if "META_APP_ID" in env:  # adds to the block before it
        env |= {"ACME__META_ACCESS_TOKEN": "t", "ACME__META_AD_ACCOUNT_ID": "1"}
        reached = {source.vendor: _is_live(source, env) for source in SOURCES}
    assert sum(reached.values()) == 1, env


def _is_live(source, env: dict[str, str]) -> bool:
    begun = any(name.rpartition("__")[2] in (*source.own, *source.app, *source.overrides) for name in env)
    return begun and find_access(source, env, "acme", frozenset({"acme", "other"}), "never").is_configured


@pytest.mark.parametrize("block", blocks(("toml",)), ids=name_of)
def test_a_toml_block_is_a_tenants_file(block: Block, tmp_path: Path) -> None:
    """A key that was renamed is a clear error, but only for whoever copies it."""
    (tmp_path / "tenants.toml").write_text(block.code)
    if "tenants" in tomllib.loads(block.code):
        assert load_tenants(tmp_path / "tenants.toml", OVERRIDABLE, date(2024, 1, 1))


@pytest.mark.parametrize(("page", "text"), sorted(set(spans())), ids=str)
def test_a_command_in_a_sentence_exists(page: str, text: str) -> None:
    """`weathervane tenants sync` was once named as the way to remove a partition; it never could."""
    words = shlex.split(re.sub(r"[\[\]()]|\.\.\.|…", " ", text))
    if words[0] == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert all(word in targets for word in words[1:] if "=" not in word), text
    elif words[0] == "python":
        assert importlib.util.find_spec(words[2].partition(" ")[0]), text
    else:
        resolve(words[1:], text)


def resolve(words: list[str], text: str) -> None:
    """Fail where the words are no command of ours, or an option is none of its."""
    command: click.Command = main
    while words and isinstance(command, click.Group) and not words[0].startswith("-"):
        name, *words = words
        if "|" in name:
            assert all(one in command.commands for one in name.split("|")), text
            return
        if name.startswith("<") or name == "COMMAND" or "<TAB>" in name:
            return
        assert name in command.commands, text
        command = command.commands[name]
    known = {option for parameter in command.params for option in parameter.opts} | {"--help", "-h", "--version"}
    assert all(word in known for word in words if word.startswith("--") and "<TAB>" not in word), text
