"""What is imported when: every run, every tick of the daemon and every command pays for it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

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
