"""A disk that remembers what SQLite wrote and what it flushed, and the folders that a power cut could leave at any moment.

SQLite reaches the disk through a VFS, a table of functions. `recorded` puts one in front of SQLite's own that hands every call
on and writes it down; `after_a_cut` plays the record up to a moment and decides by dice what of the unflushed survives: each write
whole, not at all, cut at a sector or in the middle of one, or as zeros where the file grew; of made and removed files the first
few. What was flushed survives. This is the model that SQLite itself is written against (sqlite.org/atomiccommit.html, section 2,
with powersafe overwrite: https://sqlite.org/psow.html): a disk that lies about a flush, or spoils what nobody wrote to, is
outside of it.
"""

from __future__ import annotations

import _sqlite3
import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ctypes import CFUNCTYPE, POINTER, byref, c_char_p, c_int, c_int64, c_void_p
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

SECTOR = 512
CREATES, IS_JOURNAL = 0x4, 0x800 | 0x80000
"""SQLITE_OPEN_CREATE; SQLITE_OPEN_MAIN_JOURNAL and SQLITE_OPEN_WAL, whose first flush flushes their folder too."""

OPEN = CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p, c_int, POINTER(c_int))
DELETE = CFUNCTYPE(c_int, c_void_p, c_char_p, c_int)
WRITE = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int, c_int64)
TRUNCATE = CFUNCTYPE(c_int, c_void_p, c_int64)
SYNC = CFUNCTYPE(c_int, c_void_p, c_int)


class _Vfs(ctypes.Structure):
    """`sqlite3_vfs`: what we touch by name, the rest as it is."""

    _fields_ = [
        ("version", c_int), ("file_size", c_int), ("longest_path", c_int), ("next", c_void_p), ("name", c_char_p),
        ("data", c_void_p), ("open", c_void_p), ("delete", c_void_p), ("rest", c_void_p * 14),
    ]  # fmt: skip


class _Methods(ctypes.Structure):
    """`sqlite3_io_methods` of version 3: the functions of an open file."""

    _fields_ = [
        ("version", c_int), ("close", c_void_p), ("read", c_void_p), ("write", c_void_p), ("truncate", c_void_p),
        ("sync", c_void_p), ("rest", c_void_p * 13),
    ]  # fmt: skip


class Step(NamedTuple):
    """One thing that was done: `make`, `remove` and `flush_folder` to the folder, `write`, `cut` and `flush` to a file's inode.

    `note` is the test's own, with what it wants to know later in `said`.
    """

    what: str
    inode: int = 0
    name: str = ""
    offset: int = 0
    data: bytes = b""
    said: Any = None


@dataclass
class Recorder:
    """The steps so far; files are told apart by inode, since a name that is removed and made again is another file."""

    folder: Path
    steps: list[Step] = field(default_factory=list)
    _inodes: dict[str, int] = field(default_factory=dict)
    _open: dict[int, tuple[int, bool]] = field(default_factory=dict)
    _made: int = 0

    def note(self, said: Any) -> None:
        """Put a mark of the test's between two steps."""
        self.steps.append(Step("note", said=said))

    def opened(self, handle: int, path: Path, flags: int) -> None:
        """Note an open file, and that it was made where it was not known."""
        if path.parent != self.folder:
            return
        if path.name not in self._inodes:
            self._made += 1
            self._inodes[path.name] = self._made
            self.steps.append(Step("make", self._made, path.name))
        self._open[handle] = (self._inodes[path.name], bool(flags & CREATES and flags & IS_JOURNAL))

    def removed(self, path: Path, *, is_flushed: bool) -> None:
        """Note that a name is gone."""
        if path.parent == self.folder and self._inodes.pop(path.name, 0):
            self.steps.append(Step("remove", name=path.name))
            if is_flushed:
                self.steps.append(Step("flush_folder"))

    def did(self, what: str, handle: int, offset: int = 0, data: bytes = b"") -> None:
        """Note a step on an open file."""
        if handle not in self._open:
            return
        inode, flushes_folder = self._open[handle]
        self.steps.append(Step(what, inode, offset=offset, data=data))
        if what == "flush" and flushes_folder:
            self.steps.append(Step("flush_folder"))
            self._open[handle] = (inode, False)


def sqlite_functions() -> ctypes.CDLL | None:
    """Return SQLite's functions as this Python uses them, None where they are built in and have no names."""
    path = getattr(_sqlite3, "__file__", None)
    library = ctypes.CDLL(path)
    if not hasattr(library, "sqlite3_vfs_find"):
        return None
    library.sqlite3_vfs_find.restype = POINTER(_Vfs)
    return library


_kept: list[object] = []
"""SQLite may call these functions for as long as a file is open, which nobody tells Python."""


@contextmanager
def recorded(folder: Path) -> Iterator[Recorder]:
    """Record what SQLite does to the files of a folder, by any thread of this process, until the block ends."""
    library, recorder = sqlite_functions(), Recorder(folder)
    assert library is not None
    real = library.sqlite3_vfs_find(None)
    ours = _Vfs.from_buffer_copy(real.contents)
    ours.name, ours.next = b"recorded", None
    functions = (OPEN(_opener(real, recorder)), DELETE(_remover(real, recorder)))
    ours.open, ours.delete = (ctypes.cast(function, c_void_p).value for function in functions)
    _kept.append((ours, functions))
    library.sqlite3_vfs_register(byref(ours), 1)
    try:
        yield recorder
    finally:
        library.sqlite3_vfs_register(real, 1)
        library.sqlite3_vfs_unregister(byref(ours))


def _opener(real: Any, recorder: Recorder) -> Callable[..., int]:
    do_open = OPEN(real.contents.open)
    tables: dict[int, _Methods] = {}

    def opening(_vfs: int, name: int | None, handle: int, flags: int, flags_out: Any) -> int:
        result = do_open(ctypes.addressof(real.contents), name, handle, flags, flags_out)
        table = c_void_p.from_address(handle)  # a sqlite3_file begins with its table of functions
        if name and table.value and not result:
            recorder.opened(handle, Path(ctypes.string_at(name).decode()), flags)
            if table.value not in tables:
                tables[table.value] = _recording(table.value, recorder)
            table.value = ctypes.addressof(tables[table.value])
        return int(result)

    return opening


def _remover(real: Any, recorder: Recorder) -> Callable[..., int]:
    do_delete = DELETE(real.contents.delete)

    def deleting(_vfs: int, name: bytes, is_flushed: int) -> int:
        result = do_delete(ctypes.addressof(real.contents), name, is_flushed)
        recorder.removed(Path(name.decode()), is_flushed=bool(is_flushed))
        return int(result)

    return deleting


def _recording(table: int, recorder: Recorder) -> _Methods:
    """Return a table of functions that writes down what changes a file."""
    real = _Methods.from_address(table)
    do_write, do_truncate, do_sync = WRITE(real.write), TRUNCATE(real.truncate), SYNC(real.sync)

    def write(handle: int, data: int, length: int, offset: int) -> int:
        recorder.did("write", handle, offset, ctypes.string_at(data, length))
        return int(do_write(handle, data, length, offset))

    def truncate(handle: int, size: int) -> int:
        recorder.did("cut", handle, size)
        return int(do_truncate(handle, size))

    def sync(handle: int, flags: int) -> int:
        result = int(do_sync(handle, flags))
        recorder.did("flush", handle)
        return result

    functions = (WRITE(write), TRUNCATE(truncate), SYNC(sync))
    copy = _Methods.from_buffer_copy(real)
    copy.write, copy.truncate, copy.sync = (ctypes.cast(function, c_void_p).value for function in functions)
    _kept.append((copy, functions))
    return copy


def after_a_cut(steps: list[Step], dice: Random) -> dict[str, bytes]:
    """Return the files, by name, that could be there after a power cut behind the last step."""
    names, renamed = dict[str, int](), list[Step]()
    files, pending = dict[int, bytearray](), dict[int, list[Step]]()
    for step in steps:
        match step.what:
            case "make" | "remove":
                renamed.append(step)
                files.setdefault(step.inode, bytearray())
            case "write" | "cut":
                pending.setdefault(step.inode, []).append(step)
            case "flush":
                for one in pending.pop(step.inode, []):
                    _apply(files[step.inode], one)
            case "flush_folder":
                _rename(names, renamed)
                renamed = []
    _rename(names, renamed[: dice.randint(0, len(renamed))])
    for inode, unflushed in pending.items():
        fate = dice.choice(("all", "none", "each", "each"))
        for one in unflushed:
            _survive(files[inode], one, fate, dice)
    return {name: bytes(files[inode]) for name, inode in names.items()}


def _rename(names: dict[str, int], steps: list[Step]) -> None:
    for step in steps:
        if step.what == "make":
            names[step.name] = step.inode
        else:
            names.pop(step.name, None)


def _apply(file: bytearray, step: Step) -> None:
    if step.what == "cut":
        del file[step.offset :]
    else:
        file.extend(bytes(max(0, step.offset - len(file))))
        file[step.offset : step.offset + len(step.data)] = step.data


def _survive(file: bytearray, step: Step, fate: str, dice: Random) -> None:
    """Apply what is left of an unflushed step."""
    how = dice.choice(("whole", "gone", "sector", "inside", "zeros")) if fate == "each" else fate
    if how in ("none", "gone"):
        return
    if step.what == "write" and how not in {"all", "whole"}:
        size = len(step.data)
        if how == "zeros":
            new = max(0, step.offset + size - max(len(file), step.offset))
            step = step._replace(offset=step.offset + size - new, data=bytes(new))
        else:
            left = dice.randint(0, size // SECTOR) * SECTOR if how == "sector" else dice.randint(0, size)
            step = step._replace(data=step.data[:left])
    _apply(file, step)
