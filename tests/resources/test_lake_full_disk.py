"""A disk that takes no more at any place of a write: the day is as before or done, and the message says what to do."""

from __future__ import annotations

import resource
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from tests.resources.lake_rows import MON, TUE, frame, put, stored
from weathervane_resources.lake import Lake, LakeError

SIZES = [n**2 * 128 for n in range(20)]
"""Bytes that a file may have: none, less than a log entry, more than one and less than the rows, and so on to all of them."""
ROWS = 250


@contextmanager
def files_at_most(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond the size."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def night(amount: int) -> pl.DataFrame:
    """Return rows of two days that no compression makes small."""
    return frame(*((day, secrets.token_hex(40), str(amount)) for day in (MON, TUE) for _ in range(ROWS)))


def test_a_file_that_cannot_grow_leaves_the_day_as_before_or_done(tmp_path: Path) -> None:
    """A table half written because the disk was full looks like a day with few orders."""
    said: list[str] = []
    for number, size in enumerate(SIZES):
        lake, old, new = Lake(str(tmp_path / str(number))), night(1), night(2)
        put(lake, old, [MON, TUE])
        try:
            with files_at_most(size):
                put(lake, new, [MON, TUE])
        except LakeError as error:
            said.append(str(error))
        else:
            said.append("done")
        found = stored(lake)
        is_done = found["amount"].unique().to_list() == [2]
        assert is_done or said[-1] != "done"
        assert found["row_key"].sort().equals((new if is_done else old)["row_key"].sort()), f"at most {size} bytes"
        put(lake, new, [MON, TUE])
        assert stored(lake)["row_key"].sort().equals(new["row_key"].sort())
    assert said[0] != said[-1] == "done"
    assert [one for one in said if one != "done" and "check permissions and free space" not in one] == []
