"""What is imported when: every run, every tick of the daemon and every command pays for it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from weathervane_assets.dev import dev_command

REPORT = "import json, sys, time; print(json.dumps([time.process_time(), sorted(sys.modules)]))"


def loaded_by(module: str) -> tuple[float, set[str]]:
    """Return the CPU seconds and the modules of a process that only imports `module`."""
    command = [sys.executable, "-c", f"import {module}; {REPORT}"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    seconds, modules = json.loads(done.stdout)
    return seconds, set(modules)


@pytest.mark.parametrize("heavy", ["dagster", "polars", "sqlalchemy", "aiohttp"])
def test_the_command_line_answers_help_without_loading_the_graph(heavy: str) -> None:
    """A `--help` that imports Dagster takes two seconds to say what the commands are."""
    assert heavy not in loaded_by("weathervane_assets.cli")[1]


def test_a_code_location_loads_without_the_sandbox_and_the_plotting_library() -> None:
    """Every run is a process of its own and loads the definitions: the sandbox alone was a quarter of that."""
    seconds, modules = loaded_by("weathervane_assets.definitions")
    assert not modules & {"weathervane_resources.sandbox", "graphql.validation", "matplotlib"}
    assert seconds < 10  # 1.4 s where the byte code is there, 3.5 s where it is compiled first; a guard against minutes


def test_the_code_location_has_one_name_wherever_the_ui_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a folder without a workspace.yaml it was named after its module: sensors began anew, and runs in the queue failed."""
    monkeypatch.chdir(tmp_path)
    command = dev_command(3000)
    (location,) = yaml.safe_load(Path(command[command.index("-w") + 1]).read_text())["load_from"]
    assert location["python_module"]["location_name"] == "weathervane"
    (tmp_path / "workspace.yaml").write_text("load_from: [{python_module: of_another_project}]")
    assert dev_command(3000) == command
    (tmp_path / "workspace.yaml").write_text("load_from: [{python_module: weathervane_assets.definitions}]")
    assert dev_command(3000)[3:5] == ["-w", "workspace.yaml"], (
        "one's own, with the locations of a shard each, goes first"
    )
