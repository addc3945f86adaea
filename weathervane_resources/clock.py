"""The clock that a run sees.

Belongs here: the one place that asks the operating system what time it is. Everything else takes it as an argument.
"""

from __future__ import annotations

from datetime import UTC, datetime

from dagster import ConfigurableResource


def system_now() -> datetime:
    """Return the current instant, aware, in UTC."""
    return datetime.now(tz=UTC)


class Clock(ConfigurableResource[None]):
    """The current instant, or a fixed one (ISO 8601 with offset) for tests and replays."""

    fixed: str | None = None

    def now(self) -> datetime:
        """Return the instant, aware, in UTC."""
        return datetime.fromisoformat(self.fixed).astimezone(UTC) if self.fixed else system_now()
