"""An object whose fields are made when they are asked for: a year has many orders, and a query wants a few fields of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

Makers = Mapping[str, Callable[[Any], Any]]
"""How each field is made, by its name."""


class MadeFields(Mapping[str, Any]):
    """The fields of `thing`, each by its maker."""

    def __init__(self, makers: Makers, thing: Any) -> None:
        self._makers, self._thing = makers, thing

    def __getitem__(self, name: str) -> Any:
        """Return a field's value."""
        return self._makers[name](self._thing)

    def get(self, name: str, default: Any = None) -> Any:
        """Return a field's value; a year of orders asks half a million times, `Mapping.get` would catch errors each time."""
        make = self._makers.get(name)
        return default if make is None else make(self._thing)

    def __contains__(self, name: object) -> bool:
        """Return whether there is a field, without making it."""
        return name in self._makers

    def __iter__(self) -> Iterator[str]:
        """Yield the fields' names."""
        return iter(self._makers)

    def __len__(self) -> int:
        """Return how many fields there are."""
        return len(self._makers)
