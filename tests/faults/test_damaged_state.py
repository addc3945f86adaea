"""A state database with bytes in it that nobody wrote: said in one line that helps, or read as it was."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from tests.faults.test_power_cut_state import KEY, NIGHT, NOW, another_process, forget, rows_of
from weathervane_resources.state import StateError, open_state
from weathervane_resources.tokens import Vault

PAGE = 4096
SAID = re.compile(
    r"the state database \S+ is damaged, or is none \([^\n]{5,120}\); end what uses it, then put a back-up there or begin a new one"
    r"|State\(\S+\) was written by a newer Weathervane"
    r"|the stored shopify token of tenant (acme|kiwi) cannot be read with this key; "
)
"""The others where the byte that changed is the version's or a secret's: SQLite keeps no sums, so a value may be another one."""


def a_used_one(folder: Path) -> dict[str, bytes]:
    """Return the files of a database with a log, and one in which the log is folded in (`folded`)."""
    url = f"sqlite:///{folder}/w.db"
    state = open_state(url)
    with another_process(folder / "w.db"):
        for number, work in enumerate(NIGHT * 2, 1):
            work(state, number)
        files = {name: (folder / name).read_bytes() for name in ("w.db", "w.db-wal")}
    rows_of(state)
    return {**files, "folded": (folder / "w.db").read_bytes()}


def damaged(content: bytes, dice: Random) -> bytes:
    """Return it cut short, with a page or its head empty or of noise, with a few other bytes, or two pages swapped."""
    found, pages = bytearray(content), len(content) // PAGE
    one, other = (slice(n * PAGE, (n + 1) * PAGE) for n in (dice.randrange(pages), dice.randrange(pages)))
    match dice.choice(("cut", "zeros", "noise", "bytes", "swap", "head")):
        case "cut":
            del found[dice.randrange(1, len(found)) :]
        case "zeros":
            found[one] = bytes(PAGE)
        case "noise":
            found[one] = dice.randbytes(PAGE)
        case "bytes":
            for _ in range(dice.randint(1, 20)):
                found[dice.randrange(len(found))] = dice.randrange(256)
        case "swap":
            found[one], found[other] = found[other], found[one]
        case "head":
            found[:100] = dice.randbytes(100)
    return bytes(found)


def use(folder: Path, files: dict[str, bytes]) -> str:
    """Open it and do all that a night does; return how that ended."""
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    try:
        state = open_state(f"sqlite:///{folder}/w.db")
        vault = Vault(state, KEY, lambda: NOW)
        for info in vault.list_tokens():
            asyncio.run(vault.store(info.vendor, info.tenant, "f").load())
        for number, work in enumerate(NIGHT, 1):
            work(state, number)
        rows_of(state)
    except StateError as error:
        return str(error)
    finally:
        forget(folder)
    return ""


def spoil(tmp_path: Path, count: int) -> None:
    """Damage the file or its log `count` times."""
    used, ends = a_used_one(tmp_path), Counter[str]()
    for number in range(count):
        dice = Random(number)
        part = dice.choice(("w.db", "w.db-wal", "folded"))
        files = {part: damaged(used[part], dice)}
        files = (
            {"w.db": files[part]} if part == "folded" else {"w.db": used["w.db"], "w.db-wal": used["w.db-wal"]} | files
        )
        said = use(tmp_path / str(number), files)
        ends["said" if said else "read"] += 1
        assert not said or SAID.match(said), said
    print(dict(ends))  # noqa: T201 - the figures are what one runs it for


def test_damage_is_said_in_one_line_that_helps(tmp_path: Path) -> None:
    """A column that is no text was shown whole, an alert's body for instance; a time that is none was a traceback."""
    spoil(tmp_path, 60)


@pytest.mark.faults
def test_much_damage(tmp_path: Path) -> None:
    """The same, more often."""
    spoil(tmp_path, 500)
