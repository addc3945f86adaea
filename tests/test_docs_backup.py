"""The back-up of docs/operating.md: what its blocks copy is enough to go on with."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from tests.doc_blocks import blocks
from weathervane_resources.http.auth import Token
from weathervane_resources.state import open_state
from weathervane_resources.tokens import Vault

BACK_UP, RESTORE = [one.code for one in blocks(("sh",)) if one.page == "docs/operating.md" and "backup/" in one.code]
AT = datetime(2026, 11, 20, tzinfo=UTC)
TOKEN = Token("access", None, "refresh")


@pytest.mark.parametrize("key", [None, Fernet.generate_key().decode()], ids=["file", "variable"])
def test_a_token_can_be_read_after_a_restore(tmp_path: Path, key: str | None) -> None:
    """The key that Weathervane had made itself was not in the back-up: every restored token was noise."""
    old, new = tmp_path / "old", tmp_path / "new"
    (old / "storage/lake/acme/orders/_delta_log").mkdir(parents=True)
    (old / "tenants.toml").write_text("[tenants.acme]")
    asyncio.run(_vault(old, key).save(TOKEN))
    assert _run(BACK_UP, old) == ""
    new.mkdir()
    shutil.move(old / "backup", new / "backup")
    assert _run(RESTORE, new) == ""
    assert asyncio.run(_vault(new, key).load()) == TOKEN
    assert (new / "storage/lake/acme/orders/_delta_log").is_dir()
    assert (new / "tenants.toml").read_text() == "[tenants.acme]"


def test_a_back_up_is_not_laid_over_an_older_one(tmp_path: Path) -> None:
    """A table that was begun anew had the old one's later log entries in the copy, and a purged tenant was in it for good."""
    asyncio.run(_vault(tmp_path, None).save(TOKEN))
    (tmp_path / "backup/lake/acme").mkdir(parents=True)
    assert "backup" in _run(BACK_UP, tmp_path)


def _vault(folder: Path, key: str | None):
    state = open_state(f"sqlite:///{folder}/storage/state/weathervane.db")
    return Vault(state, key, lambda: AT).store("shopify", "acme", "mark")


def _run(code: str, folder: Path) -> str:
    """Run a block, and return what it complains of, "" if it ended well."""
    env = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    command = ["bash", "-euo", "pipefail", "-c", code]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    return done.stderr if done.returncode else ""
