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
    _run(BACK_UP, old)
    new.mkdir()
    shutil.move(old / "backup", new / "backup")
    _run(RESTORE, new)
    assert asyncio.run(_vault(new, key).load()) == TOKEN
    assert (new / "storage/lake/acme/orders/_delta_log").is_dir()
    assert (new / "tenants.toml").read_text() == "[tenants.acme]"


def _vault(folder: Path, key: str | None):
    state = open_state(f"sqlite:///{folder}/storage/state/weathervane.db")
    return Vault(state, key, lambda: AT).store("shopify", "acme", "mark")


def _run(code: str, folder: Path) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", code],
        cwd=folder,
        env={"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
