"""A tenant's name and id of any text: a name is what was written, an id is plain or refused, both in one line."""

from __future__ import annotations

import json
import re
import unicodedata
from datetime import date
from pathlib import Path

import pytest

from weathervane_assets import console
from weathervane_checks.alert_text import clean
from weathervane_resources.settings import ConfigurationError
from weathervane_resources.tenants import Tenant, load_tenants

START = date(2024, 1, 1)
PLAIN_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


def read(folder: Path, tenant_id: str, name: str) -> dict[str, Tenant] | str:
    """Return the tenants of a file with this id and name, or what is said against it."""
    file = folder / "tenants.toml"
    quoted_id, quoted_name = (_quoted(text) for text in (tenant_id, name))
    table = f'[tenants.{quoted_id}]\nname = {quoted_name}\ntimezone = "UTC"\ncurrency = "USD"\n'
    file.write_text(table, encoding="utf-8")
    try:
        return load_tenants(file, frozenset(), START)
    except ConfigurationError as error:
        return str(error)


def _quoted(text: str) -> str:
    """Return a TOML string; JSON's escapes are TOML's, but for DEL, which JSON leaves as it is."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def test_a_tenants_name_is_kept_to_the_letter(tmp_path: Path, texts: tuple[str, ...]) -> None:
    """Names are written by people, in every script there is."""
    for text in texts:
        found = read(tmp_path, "acme", text)
        if text.strip():
            assert not isinstance(found, str), found
            assert found["acme"].name == text
        else:
            assert isinstance(found, str)
            assert "a name" in found


def test_a_tenants_id_is_plain_or_refused_in_one_line(tmp_path: Path, texts: tuple[str, ...]) -> None:
    """An id is a folder, a variable's prefix and a partition key."""
    for text in texts:
        found = read(tmp_path, text, "n")
        if PLAIN_ID.fullmatch(text):
            assert list(found) == [text]
        else:
            assert isinstance(found, str)
            assert "is not safe" in found
            assert "\n" not in found


def test_a_name_of_any_text_is_plain_text_in_alerts_and_on_the_terminal(
    texts: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Markup in a name ended a command with a traceback; a control character moves the cursor."""
    monkeypatch.setattr(console, "out", console.Console(force_terminal=True, width=200, no_color=True))
    for text in texts:
        console.print_tenants([Tenant("acme", text, "UTC", "USD", START)])
        shown = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)  # our own bold and faint
        assert not [c for c in shown if unicodedata.category(c) == "Cc" and c != "\n"], repr(text)
        assert not set("@<>`\x1b\u202e\r\n") & set(clean(text)), repr(text)
        assert not re.search(r"\]\s*[(\[:]", clean(text)), repr(text)  # brackets are a link only so
