"""Decode a page so that one bad row costs one row, and a bad page costs a retry, never silence."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec

from weathervane_resources.http.errors import Where
from weathervane_resources.http.strict_json import UNREADABLE, malformed

Row = TypeVar("Row")
Page = TypeVar("Page")


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that is not of the promised shape: why, and its key where that can be read. Never its content."""

    reason: str
    key: str | None


@dataclass(frozen=True)
class PageDecoder(Generic[Row, Page]):
    """Decode typed first (fast); only if that fails, row by row.

    Attributes:
        typed: Decoder of the page with typed rows.
        raw: Decoder of the same page with `msgspec.Raw` rows.
        row: The row type.
        rows_of: The page's collection.
        key_path: Where a row's key is, for `BadRow`.
    """

    typed: msgspec.json.Decoder[Any]
    raw: msgspec.json.Decoder[Any]
    row: type[Row]
    rows_of: Callable[[Any], list[Any]]
    key_path: tuple[str, ...]

    def decode(self, body: bytes, where: Where) -> tuple[Any, list[Row], list[BadRow]]:
        """Return the page, its good rows and its bad ones.

        Raises:
            Malformed: not JSON, cut off, or the collection is missing or null.
        """
        try:
            page = self.typed.decode(body)
            return page, self.rows_of(page), []
        except msgspec.ValidationError:
            return self._by_row(body, where)
        except UNREADABLE as error:
            raise malformed(error, where) from None

    def _by_row(self, body: bytes, where: Where) -> tuple[Any, list[Row], list[BadRow]]:
        try:
            page = self.raw.decode(body)
        except UNREADABLE as error:
            raise malformed(error, where) from None
        rows: list[Row] = []
        bad: list[BadRow] = []
        for raw in self.rows_of(page):
            try:
                rows.append(msgspec.json.decode(raw, type=self.row))
            except UNREADABLE as error:
                bad.append(BadRow(str(error), _key(raw, self.key_path)))
        return page, rows, bad


def _key(raw: msgspec.Raw, path: tuple[str, ...]) -> str | None:
    try:
        node = msgspec.json.decode(raw)
    except UNREADABLE:
        return None
    for name in path:
        node = node.get(name) if isinstance(node, dict) else None
    return str(node)[:64] if isinstance(node, int | str) else None
