"""Files of the lake that are no rows: reports, and whatever else stands below its root in a folder or a bucket.

Belongs here: reading, writing, listing and deleting them by their path below the root. Does not belong here: tables
(`lake.py`), whose files only Delta may touch; a purge alone deletes them whole.

A bucket is reached as the tables are, by the usual variables (`AWS_ENDPOINT_URL`, `AWS_ACCESS_KEY_ID`, ...): obstore and
deltalake read them alike, since both stand on the same Rust crate.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import obstore
from obstore.exceptions import AlreadyExistsError, NotFoundError
from obstore.exceptions import BaseError as ObjectStoreError
from obstore.store import ObjectStore, from_url

from weathervane_resources.disk import flush
from weathervane_resources.lake_errors import LakeError, reason

PROBE = ".writable"
UNFINISHED = re.compile(r"(#\d+|(^|/)\.[^/]+\.\w{8})$")
"""What a process that was killed leaves in a folder: the object store's half of a file (`x.parquet#1`), which it does not
list, so that no vacuum finds it, and ours (`write_atomically`)."""
_NAME = re.compile(r"[A-Za-z0-9_.=-]+")


@dataclass(frozen=True)
class LakeFiles:
    """The files below the root of a lake, a folder or an object store's URL."""

    root: str

    @property
    def is_local(self) -> bool:
        """Whether the lake is a folder of this machine."""
        return "://" not in self.root

    def address(self, path: str) -> str:
        """Return where the file is, as a person would name it."""
        return f"{self.root.rstrip('/')}/{path}"

    def _require_below(self, path: str) -> None:
        if not is_below_root(path):
            raise LakeError(f"{path!r} names no file of the lake; run it for a tenant of tenants.toml")

    def write(self, path: str, text: str) -> None:
        """Write a file, whole or not at all.

        Raises: LakeError: it cannot be written, or would lie outside the lake.
        """
        self._require_below(path)
        try:
            if self.is_local:
                write_atomically(Path(self.root) / path, text)
            else:
                obstore.put(self._bucket(), path, text.encode())
        except (OSError, ObjectStoreError) as error:
            raise LakeError(
                f"{self.address(path)} cannot be written ({_why(error)}); check permissions and free space, then run it again"
            ) from None

    def read(self, path: str) -> bytes | None:
        """Return a file's content, or None where there is none.

        Raises: LakeError: it cannot be read, or would lie outside the lake.
        """
        self._require_below(path)
        try:
            if self.is_local:
                return (Path(self.root) / path).read_bytes()
            return obstore.get(self._bucket(), path).bytes().to_bytes()
        except (FileNotFoundError, NotFoundError):
            return None
        except (OSError, ObjectStoreError) as error:
            raise LakeError(
                f"{self.address(path)} cannot be read ({_why(error)}); check permissions with `weathervane doctor`"
            ) from None

    def paths(self, below: str = "") -> list[str]:
        """Return the paths of all files in the folder `below` the root, sorted.

        Raises: LakeError: they cannot be listed.
        """
        try:
            if self.is_local:
                root = Path(self.root)
                files = (file for file in (root / below).rglob("*") if file.is_file())
                return sorted(file.relative_to(root).as_posix() for file in files)
            return sorted(self._listed(below))
        except (OSError, ObjectStoreError) as error:
            raise LakeError(
                f"{self.address(below)} cannot be listed ({_why(error)}); check permissions with `weathervane doctor`"
            ) from None

    def delete(self, below: str) -> int:
        """Delete the folder `below` the root, which must be named, with all its files; return how many there were.

        Raises: LakeError: they cannot be deleted, or no folder is named.
        """
        if not below.strip("/.") or ".." in below:
            raise LakeError(f"{below!r} names no folder of the lake; nothing was deleted")
        paths = self.paths(below)
        try:
            if self.is_local:
                shutil.rmtree(Path(self.root) / below, ignore_errors=not paths)
            elif paths:
                obstore.delete(self._bucket(), paths)
        except (OSError, ObjectStoreError) as error:
            raise LakeError(
                f"{self.address(below)} cannot be deleted ({_why(error)}); check permissions, then run it again"
            ) from None
        return len(paths)

    def sweep(self, below: str, before: datetime) -> int:
        """Delete the files in the folder `below` that a killed process never finished, before then; return how many.

        A bucket has none: there a file is made by its last request.
        Raises: LakeError: they cannot be deleted.
        """
        if not self.is_local:
            return 0
        root = Path(self.root)
        try:
            files = (file for file in (root / below).rglob("*") if UNFINISHED.search(file.relative_to(root).as_posix()))
            old = [file for file in files if _is_older(file, before)]
            for file in old:
                file.unlink(missing_ok=True)
        except OSError as error:
            raise LakeError(
                f"{self.address(below)} cannot be swept ({_why(error)}); check permissions, then run it again"
            ) from None
        return len(old)

    def check_usable(self) -> None:
        """Raise LakeError unless the root can be written and, in a bucket, a file is never made twice.

        Delta stands on that: a store that ignores `If-None-Match` lets two writers replace each other's commits.
        """
        if self.is_local:
            _touch(Path(self.root) / PROBE)
            return
        probe = f"{PROBE}.{uuid.uuid4().hex}"
        try:
            bucket = self._bucket()
            obstore.put(bucket, probe, b"", mode="create")
            try:
                obstore.put(bucket, probe, b"", mode="create")
            except AlreadyExistsError:
                return
            finally:
                obstore.delete(bucket, probe)
        except ObjectStoreError as error:
            raise LakeError(f"the lake {self.root} cannot be written ({_why(error)}); check its credentials") from None
        raise LakeError(
            f"the lake {self.root} ignores conditional writes (If-None-Match): two runs would lose each other's rows. "
            "Use a store that has them, like Amazon S3, MinIO or Ceph of 2024-12 or later"
        )

    def _bucket(self) -> ObjectStore:
        return from_url(self.root)

    def _listed(self, below: str) -> Iterator[str]:
        for batch in obstore.list(self._bucket(), below or None):
            yield from (entry["path"] for entry in batch)


def is_below_root(path: str) -> bool:
    """Return whether a path is made of plain names, so that it cannot leave the folder it is added to."""
    return all(name not in ("", ".", "..") and _NAME.fullmatch(name) is not None for name in path.split("/"))


def write_atomically(file: Path, text: str) -> None:
    """Write a file so that a reader, or a crash, sees the old text or the new one: temporary file, fsync, rename."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, unfinished = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        Path(unfinished).chmod(0o644)
        Path(unfinished).replace(file)
    except OSError:
        Path(unfinished).unlink(missing_ok=True)
        raise
    flush(file.parent)


def _is_older(file: Path, than: datetime) -> bool:
    try:
        return file.stat().st_mtime < than.timestamp()
    except FileNotFoundError:  # its writer has just finished it
        return False


def _touch(probe: Path) -> None:
    try:
        probe.parent.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink(missing_ok=True)  # another command may look at the same moment
    except OSError as error:
        raise LakeError(
            f"the lake {probe.parent} cannot be written ({error.strerror}); set WEATHERVANE_LAKE"
        ) from error


def _why(error: Exception) -> str:
    return error.strerror if isinstance(error, OSError) and error.strerror else reason(error)
