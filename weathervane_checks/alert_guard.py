"""An event that cannot be read keeps back none of those behind it: it is passed over, and people are told.

Belongs here: which errors mean that an event is at fault and not the storage, which is asked again at the next tick; and that an
observation fits what the alerter keeps, since a Dagster may run other projects too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import TypeVar

from dagster._core.errors import DagsterEventLogInvalidForRun
from dagster_shared.check import CheckError
from dagster_shared.serdes.errors import DeserializationError
from weathervane_resources.alert_records import SEVERITY_RANK, Subject
from weathervane_resources.state_tables import alert_days

from weathervane_checks.alert_text import NOTE_MOST, clean
from weathervane_checks.alerts import Observation

T = TypeVar("T")
AT_FAULT = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    CheckError,
    DeserializationError,
    DagsterEventLogInvalidForRun,
)
_MOST = {name: alert_days.c[name].type.length for name in ("tenant", "dataset", "cause", "day")}  # type: ignore[attr-defined]


@dataclass
class Unread:
    """The events that were passed over, and what was wrong with each."""

    said: dict[int, str] = field(default_factory=dict)

    def guard(self, event_id: int, what: str, read: Callable[[], Iterable[T]]) -> list[T]:
        """Return what `read` makes of an event; of one that cannot be read nothing, and it is noted."""
        try:
            return list(read())
        except AT_FAULT as error:
            self.said[event_id] = clean(f"event {event_id}, {what}: {type(error).__name__}: {error}", NOTE_MOST)
            return []


def fitted(seen: Observation) -> Observation:
    """Return an observation that can be kept: names of another project that are too long are cut.

    Raises: ValueError: its severity is none, or its days are no labels.
    """
    if seen.severity not in SEVERITY_RANK:
        raise ValueError(f"{seen.severity!r} is no severity")
    if not all(isinstance(day, str) and len(day) <= _MOST["day"] for day in seen.days):
        raise ValueError(f"{seen.days!r} are no days")
    subject = Subject(**{name: value[: _MOST[name]] for name, value in seen.subject._asdict().items()})
    return seen if subject == seen.subject else replace(seen, subject=subject)
