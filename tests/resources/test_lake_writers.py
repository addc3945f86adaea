"""Writers of one lake table at once, killed or overtaken: the old version or the new one, never a mixture."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.resources import lake_writer
from tests.resources.lake_rows import MON, frame, put, stored
from weathervane_resources.lake import Lake, StubWouldReplaceLive

WRITER = Path(lake_writer.__file__)


def numbers(root: str, days: int) -> list[int]:
    """Return the distinct write numbers stored, having checked that the window is whole."""
    table = Lake(root).scan("acme", "orders", lake_writer.SHAPE).collect()
    if table.is_empty():
        return []
    assert table.height == days * lake_writer.ROWS_A_DAY
    assert not table.select("date", "row_key").is_duplicated().any()
    return table["amount"].unique().to_list()


def test_threads_that_write_the_same_window_leave_one_complete_version(root: str) -> None:
    """Two runs of one partition interleaved, and the day had the rows of both."""
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: lake_writer.write(Lake(root), n, 20), range(4)))
    (number,) = numbers(root, 20)
    assert number in range(4)
    ledger = Lake(root).ledger("acme", "orders")
    assert ledger.height == 20
    assert not ledger["date"].is_duplicated().any()


def test_writers_that_all_find_no_table_lose_no_day(root: str) -> None:
    """The first runs of a tenant start together: each creates the table, and all but one failed or lost their rows."""
    days = [date(2025, 1, 1) + timedelta(days=n) for n in range(6)]

    def write(day: date) -> None:
        put(Lake(root), frame((day, "a", "1")), [day])

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(write, days))
    lake = Lake(root)
    assert stored(lake)["date"].to_list() == days
    assert sorted(lake.ledger("acme", "orders")["date"].to_list()) == days


def start_writer(root: str, first: int, last: int, days: int) -> subprocess.Popen[str]:
    command = [sys.executable, str(WRITER), root, str(first), str(last), str(days)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_two_processes_that_write_the_same_window_leave_one_complete_version(root: str) -> None:
    """The daemon's run and a backfill from the command line meet on the same month: no lock in memory helps there."""
    writers = [start_writer(root, first, first + 4, 20) for first in (100, 200)]
    outcomes = [writer.communicate(timeout=60) for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0], outcomes
    (number,) = numbers(root, 20)
    assert number in (103, 203)


def test_a_writer_killed_at_any_moment_leaves_the_old_or_the_new_version(root: str) -> None:
    """kill -9, out of memory, a node taken away: a file half written is not part of any version."""
    dice, last = random.Random(7), -1
    for trial in range(10):
        first = trial * 1000
        with start_writer(root, first, first + 1000, 60) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
            with pytest.raises(subprocess.TimeoutExpired):
                writer.wait(timeout=dice.uniform(0, 0.3))
            writer.kill()
            printed = [int(line) for line in writer.stdout]
        found = numbers(root, 60)
        # the last commit that was reported, or the one under way when the process died, or still the one before
        at_least = printed[-1] if printed else last
        allowed = {at_least, printed[-1] + 1 if printed else first}
        assert set(found) <= allowed
        assert len(found) <= 1
        last = found[0] if found else last
    lake_writer.write(Lake(root), 99_999, 60)
    assert numbers(root, 60) == [99_999]


def test_the_slower_of_two_writers_does_not_note_what_was_before(tmp_path: Path) -> None:
    """A night committed first and noted last: the ledger spoke of a version that nobody could read any more."""
    lake = Lake(str(tmp_path))
    put(lake, frame((MON, "a", "1")), [MON], run_id="night")
    late = lake.ledger("acme", "orders")
    put(lake, frame((MON, "a", "1"), (MON, "b", "2")), [MON], run_id="backfill")
    lake.note("acme", "orders", late, days=[MON], version=0)
    assert lake.ledger("acme", "orders")["run_id"].to_list() == ["backfill"]
    shutil.rmtree(tmp_path / "acme" / "orders")
    put(lake, frame((MON, "c", "3")), [MON], run_id="anew")
    assert lake.ledger("acme", "orders")["run_id"].to_list() == ["anew"], "a table that was made anew begins at 0"


DYING = """
import os, sys
from tests.resources import lake_writer
from weathervane_resources import lake

real, left = getattr(lake, sys.argv[2]), int(sys.argv[3])

def dying(*arguments, **named):
    global left
    left -= 1
    if not left:
        os._exit(9)
    return real(*arguments, **named)

setattr(lake, sys.argv[2], dying)
lake_writer.write(lake.Lake(sys.argv[1]), 2, 60)
"""


@pytest.mark.parametrize(
    ("step", "nth", "left"), [("_write", 1, 1), ("flush_version", 1, 2), ("_write", 2, 2), ("flush_version", 2, 2)]
)
def test_a_writer_that_dies_at_each_step_leaves_one_version_and_the_next_completes_it(
    tmp_path: Path, step: str, nth: int, left: int
) -> None:
    """Before the rows, before they are flushed, before the ledger, before that is flushed; kills at random may miss one."""
    root = str(tmp_path / "lake")
    lake_writer.write(Lake(root), 1, 60)
    command = [sys.executable, "-c", DYING, root, step, str(nth)]
    assert subprocess.run(command, check=False, cwd=Path(__file__).parents[2]).returncode == 9
    assert numbers(root, 60) == [left]
    lake_writer.write(Lake(root), 3, 60)
    assert numbers(root, 60) == [3]
    ledger = Lake(root).ledger("acme", "orders")
    assert ledger["row_count"].to_list() == [lake_writer.ROWS_A_DAY] * 60
    assert set(ledger["run_id"]) == {"3"}


class Interrupted(Lake):
    """A lake in which another writer commits to the same days between our reading and our commit, once."""

    def commit(self, uri: str, build: Any, **how: Any) -> Any:
        rivals = [lambda: put(Lake(self.root), frame((MON, "1", "2.00")), [MON])] if uri.endswith("orders") else []

        def between(table: Any) -> Any:
            built = build(table)
            if rivals:
                rivals.pop()()
            return built

        return super().commit(uri, between, **how)


def test_a_writer_that_comes_between_is_seen_by_the_guard_and_the_counts(root: str) -> None:
    """Rows were read once and not again when the commit was tried again: stub rows went over a live row unseen."""
    calm = Lake(root)
    put(calm, frame((MON, "1", "1.00"), source="stub"), [MON], source="stub")
    with pytest.raises(StubWouldReplaceLive):
        put(Interrupted(root), frame((MON, "1", "1.00"), source="stub"), [MON], source="stub")
    assert set(stored(calm)["source"]) == {"shopify_api"}
    written = put(Interrupted(root), frame((MON, "1", "3.00"), (MON, "2", "1.00")), [MON])
    assert written.days.row(0, named=True)["updated_rows"] == 1
    assert written.days.row(0, named=True)["new_rows"] == 1
    assert written.version == calm.version("acme", "orders")
