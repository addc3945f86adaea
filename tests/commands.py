"""Commands as an operator runs them: each in a process, a folder and an environment of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import weathervane_assets.backfill
import weathervane_assets.definitions
import weathervane_assets.demo
import weathervane_assets.doctor  # noqa: F401 - a forked process finds them imported
from tests.forks import forks
from weathervane_assets.cli import main

PATIENCE_S = 120
_OURS = re.compile(r"WEATHERVANE_|DAGSTER_HOME|SHOPIFY_|META_|GOOGLE_|KLAVIYO_|OPEN_METEO_")


def run(folder: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run `weathervane` in `folder`, without any variable of ours from outside; return what it said."""
    clean = {name: value for name, value in os.environ.items() if not _OURS.match(name)}
    with tempfile.TemporaryDirectory() as aside:
        said = [Path(aside, name) for name in ("out", "err")]
        process = forks().Process(target=_obey, args=(folder, arguments, clean | env, said))
        process.start()
        process.join(PATIENCE_S)
        process.kill()
        assert process.exitcode is not None, f"{arguments}: still running after {PATIENCE_S} s"
        out, err = (file.read_text() for file in said)
    return subprocess.CompletedProcess(arguments, process.exitcode, out, err)


def _obey(folder: Path, arguments: Sequence[str], env: Mapping[str, str], said: Sequence[Path]) -> None:
    os.environ.clear()
    os.environ.update(env)
    os.chdir(folder)
    for number, file in enumerate(said, start=1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), number)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1, closefd=False) for number in (1, 2))
    sys.argv = ["weathervane", *arguments]
    main()
