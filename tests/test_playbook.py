"""The playbook, followed literally: its blocks applied to a copy of the code, and the result run."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from aiohttp import web

from tests.serving import serving

ROOT = Path(__file__).parents[1]
PACKAGES = ("weathervane_assets", "weathervane_resources", "weathervane_checks")
STEP = re.compile(
    r"(?P<how>Append to|New file|In|and its import after) `(?P<target>[^`]+)`"
    r"(?:, add the resource after `(?P<after>[^`]+)`)?:\n\n```python\n(?P<code>.*?)```",
    re.DOTALL,
)


def follow(playbook: str, folder: Path) -> int:
    """Apply every block of the playbook below `folder`; return how many there were."""
    last_file, count = folder, 0
    for step in STEP.finditer(playbook):
        how, target, code = step["how"], step["target"], step["code"]
        count += 1
        if how == "and its import after":
            insert_after(last_file, target, code)
            continue
        last_file = folder / target
        if how == "New file":
            assert not last_file.exists(), target
            last_file.write_text(code)
        elif how == "Append to":
            last_file.write_text(last_file.read_text() + "\n\n" + code)
        else:
            insert_after(last_file, step["after"], code)
    return count


def insert_after(file: Path, line: str, code: str) -> None:
    text = file.read_text()
    assert text.count(line + "\n") == 1, f"{line!r} is not a line of {file}"
    file.write_text(text.replace(line + "\n", line + "\n" + code))


@pytest.fixture
def parrot() -> Iterator[str]:
    """The made-up vendor: two pages a window, a key that is asked for."""
    pages = {None: ["2026-11-01", "2026-11-01"], "2": ["2026-11-02"]}

    async def answer(request: web.Request) -> web.Response:
        if request.headers.get("X-Parrot-Key") != "key-of-acme":
            return web.json_response({"message": "who are you?"}, status=401)
        page = request.query.get("page")
        rows = [{"id": f"{day}-{n}", "day": day, "stars": 5 - n} for n, day in enumerate(pages[page])]
        following = str(request.url.with_query(page="2")) if page is None else None
        return web.json_response({"reviews": rows, "next": following})

    app = web.Application()
    app.router.add_get("/v1/reviews", answer)
    with serving(app) as url:
        yield url


def test_the_playbook_makes_a_new_source(tmp_path: Path, parrot: str) -> None:
    """A guide that no one has followed since it was written leads nowhere."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "dagster.yaml", tmp_path)
    assert follow((ROOT / "docs" / "playbook.md").read_text(), tmp_path) == 9
    (tmp_path / "tenants.toml").write_text('[tenants.acme]\ntimezone = "America/New_York"\ncurrency = "USD"\n')
    env = {k: v for k, v in os.environ.items() if not re.match(r"WEATHERVANE_|DAGSTER_HOME", k)}
    env |= {"PYTHONPATH": str(tmp_path), "ACME__PARROT_API_KEY": "key-of-acme", "PARROT_BASE_URL": parrot}
    command = [sys.executable, "-m", "weathervane_assets.cli", "backfill", "--tenant", "acme", "--asset", "reviews"]
    command += ["--from", "2026-11-01", "--to", "2026-11-02"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    rows = pl.read_delta(str(tmp_path / "storage/lake/acme/reviews")).sort("date", "review_id")
    assert rows["review_id"].to_list() == ["2026-11-01-0", "2026-11-01-1", "2026-11-02-0"]
    assert set(rows["source"]) == {"parrot_api"}
    for check in ("reviews.contract", "reviews.live_source", "reviews.row_count_drop"):
        assert check in done.stdout
    assert json.dumps(rows["stars"].to_list()) == "[5, 4, 5]"
