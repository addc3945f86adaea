"""The command line as a shell, a script and a terminal meet it: completion, JSON, colours, bars."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from weathervane_assets.cli import main
from weathervane_assets.graph import NODES
from weathervane_assets.reference_pages import walk_commands
from weathervane_resources.sandbox import RunningSandbox

TENANTS = "".join(
    f'[tenants.{one}]\ntimezone = "Europe/Berlin"\ncurrency = "EUR"\n' for one in ("acme", "alps", "bergwelt")
)
WITHOUT_JSON = {
    "weathervane dev": "serves until it is ended",
    "weathervane sandbox": "serves until it is ended",
    "weathervane alerts snooze": "acts; the exit code says it all",
    "weathervane alerts wake": "acts; the exit code says it all",
    "weathervane alerts test": "acts; the exit code says it all",
    "weathervane tenants purge": "acts, and asks someone first",
}
PAINTED = """
from types import SimpleNamespace
from weathervane_assets.console import print_diagnosis, progress
with progress(2, "acme") as moved:
    moved("orders")
    moved("ads")
lines = {"lake": ("ok", "fine"), "state": ("finding", "broken")}
print_diagnosis([SimpleNamespace(subject=name, level=level, text=text) for name, (level, text) in lines.items()])
"""
COLOUR, BAR = "\x1b[32m", "━"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "tenants.toml").write_text(TENANTS)
    monkeypatch.chdir(tmp_path)
    for name in ("NO_COLOR", "FORCE_COLOR", "WEATHERVANE_TENANTS", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    return tmp_path


def complete(*words: str) -> list[str]:
    """Return what the shell would offer for the last word."""
    env = {
        "_WEATHERVANE_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(("weathervane", *words)),
        "COMP_CWORD": str(len(words)),
    }
    done = CliRunner().invoke(main, prog_name="weathervane", env=env)
    return [line.partition(",")[2] for line in done.output.split()]


def test_the_shell_completes_commands_options_tenants_and_assets(folder: Path) -> None:
    """Nobody types `weather_forecast` right at three in the morning."""
    assert complete("back") == ["backfill"]
    assert "--baseline" in complete("coverage", "weather", "--")
    assert complete("backfill", "--tenant", "a") == ["acme", "alps"]
    assert complete("backfill", "--asset", "weather_") == [name for name in NODES if name.startswith("weather_")]
    assert complete("alerts", "list", "--tenant", "b") == ["bergwelt"]


def test_completion_is_silent_where_the_configuration_is_wrong(folder: Path) -> None:
    """A traceback in the middle of a line that is being typed makes the shell unusable."""
    (folder / "tenants.toml").write_text("[tenants.acme")
    assert complete("backfill", "--tenant", "a") == []
    (folder / "tenants.toml").unlink()
    assert complete("backfill", "--tenant", "a") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_line_for_the_profile_prints_a_script(folder: Path, shell: str) -> None:
    """The docs say which line; it must name our command and our variable."""
    done = CliRunner().invoke(main, prog_name="weathervane", env={"_WEATHERVANE_COMPLETE": f"{shell}_source"})
    assert "_WEATHERVANE_COMPLETE" in done.output
    assert f"{shell}_complete" in done.output


def test_every_command_that_prints_data_can_print_json() -> None:
    """A script that reads a table made of box characters breaks with the first long name."""
    commands = dict(walk_commands())
    assert set(WITHOUT_JSON) <= set(commands)
    lacking = {path for path, command in commands.items() if not any("--json" in p.opts for p in command.params)}
    assert lacking == set(WITHOUT_JSON)


def test_a_backfill_prints_one_json_document_and_nothing_else(folder: Path, sandbox: RunningSandbox) -> None:
    """A progress bar on standard output would end up in front of the first brace."""
    command = [
        sys.executable,
        "-m",
        "weathervane_assets.cli",
        "backfill",
        "--tenant",
        "acme",
        "--asset",
        "promos",
        "--json",
    ]
    command += ["--from", "2026-11-01", "--to", "2026-11-02"]
    env = os.environ | {"WEATHERVANE_SANDBOX_URL": sandbox.url}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)
    [said] = json.loads(done.stdout)
    assert said["tenant"] == "acme"
    assert said["partitions"] == {"promos": 2}
    assert said["is_good"] is True
    assert said["checks"]["promos.live_source"]["warning"] == 1
    assert said["not_ok"]["promos.live_source"]["next_step"].startswith("Set the source's credentials")
    assert BAR not in done.stderr
    assert "\x1b" not in done.stdout + done.stderr


def painted(*, on_terminal: bool, **env: str) -> str:
    """Return what a bar and coloured lines look like, on a terminal of its own or in a pipe."""
    command = [sys.executable, "-c", PAINTED]
    if not on_terminal:
        done = subprocess.run(command, env=os.environ | env, capture_output=True, text=True, timeout=60, check=True)
        return done.stdout + done.stderr
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, env=os.environ | env, stdout=theirs, stderr=theirs, stdin=theirs) as process:
        os.close(theirs)
        text = b""
        while chunk := _read(ours):
            text += chunk
        assert process.wait(60) == 0
    os.close(ours)
    return text.decode()


def _read(end: int) -> bytes:
    try:
        return os.read(end, 4096)
    except OSError:  # Linux says so where the other end of a terminal is closed
        return b""


def test_a_terminal_gets_colours_and_a_bar(folder: Path) -> None:
    """Without this, the tests below would pass on a console that never paints."""
    text = painted(on_terminal=True)
    assert COLOUR in text
    assert BAR in text


def test_no_color_takes_the_colours_and_leaves_the_bar(folder: Path) -> None:
    """https://no-color.org: any value that is not empty, and nothing but the colours."""
    text = painted(on_terminal=True, NO_COLOR="1")
    assert "\x1b[3" not in text.replace("\x1b[3K", "")
    assert "broken" in text
    assert BAR in text


def test_a_dumb_terminal_gets_no_bar(folder: Path) -> None:
    """In an editor's shell a bar is a thousand lines."""
    text = painted(on_terminal=True, TERM="dumb")
    assert BAR not in text
    assert COLOUR not in text
    assert "broken" in text


def test_a_pipe_gets_neither(folder: Path) -> None:
    """Escape codes in a cron mail hide the one line that matters."""
    text = painted(on_terminal=False)
    assert "\x1b" not in text
    assert BAR not in text
    assert "broken" in text
