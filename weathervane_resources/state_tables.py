"""The tables of the state database, on one page.

A change to them is a new `SCHEMA_VERSION`, and only ever a new table or a new column that may be null: both come into a
database of an earlier version by themselves, and a process of that version that still runs goes on beside them.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

import sqlalchemy as sa

SCHEMA_VERSION = 6
TABLES = sa.MetaData()


class UnreadableRow(sa.exc.SQLAlchemyError):
    """A row holds what nobody wrote there."""


class UtcDateTime(sa.types.TypeDecorator[datetime]):
    """An aware instant; SQLite forgets the zone, so it is put back."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Callable[[Any], datetime | None]:
        """Return the reader; in a damaged file anything may stand in a column."""
        read = cast("Callable[[Any], datetime | None]", super().result_processor(dialect, coltype))

        def processed(value: Any) -> datetime | None:
            try:
                return read(value)
            except (ValueError, TypeError):
                raise UnreadableRow("what should be a time is not") from None

        return processed

    def process_bind_param(self, value: datetime | None, _dialect: sa.Dialect) -> datetime | None:
        """Return the instant in UTC."""
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: datetime | None, _dialect: sa.Dialect) -> datetime | None:
        """Return the instant, aware."""
        return value.replace(tzinfo=UTC) if value and value.tzinfo is None else value


schema_version = sa.Table(
    "schema_version", TABLES, sa.Column("id", sa.Integer, primary_key=True), sa.Column("version", sa.Integer)
)
tokens = sa.Table(
    "tokens",
    TABLES,
    sa.Column("vendor", sa.String(32), primary_key=True),
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("fingerprint", sa.String(64), primary_key=True),
    sa.Column("secret", sa.LargeBinary, nullable=False),
    sa.Column("expires_at", UtcDateTime),
    sa.Column("refreshed_at", UtcDateTime, nullable=False),
    sa.Column("is_dead", sa.Boolean, nullable=False, default=False),
    sa.Column("is_endless", sa.Boolean),  # null, of an earlier version: not known
    sa.Column("refresh_expires_at", UtcDateTime),
)
quotas = sa.Table(
    "quotas",
    TABLES,
    sa.Column("scope", sa.String(200), primary_key=True),
    sa.Column("part", sa.String(32), primary_key=True),
    sa.Column("at_s", sa.Float, nullable=False),
    sa.Column("used", sa.Float, nullable=False),
)
jobs = sa.Table(
    "jobs",
    TABLES,
    sa.Column("vendor", sa.String(32), primary_key=True),
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("mark", sa.String(64), primary_key=True),
    sa.Column("job_id", sa.String(200), nullable=False),
    sa.Column("asked_at", UtcDateTime, nullable=False),
)
change_positions = sa.Table(  # how far each list of a tenant's changes was read: Dagster's cursor is in no back-up
    "change_positions",
    TABLES,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("asset", sa.String(64), primary_key=True),
    sa.Column("list_name", sa.String(64), primary_key=True),
    sa.Column("until", UtcDateTime, nullable=False),
)

alert_watch = sa.Table(  # how far the alerter has read, and that it lives: one row
    "alert_watch",
    TABLES,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("cursor", sa.BigInteger, nullable=False),
    sa.Column("beat_at", UtcDateTime, nullable=False),
    sa.Column("lag_s", sa.Float, nullable=False),
    # the id of Dagster's storage that the cursor is of; null, of an earlier version: not known
    sa.Column("store", sa.String(64)),
)
alert_seen = sa.Table(  # events within the overlap window that were taken in
    "alert_seen",
    TABLES,
    sa.Column("event_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("seen_at", UtcDateTime, nullable=False),
)
alert_incidents = sa.Table(
    "alert_incidents",
    TABLES,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("tenant", sa.String(64), nullable=False, index=True),
    sa.Column("dataset", sa.String(64), nullable=False),
    sa.Column("cause", sa.String(128), nullable=False),
    sa.Column("severity", sa.String(16), nullable=False),
    sa.Column("facts", sa.JSON, nullable=False),
    sa.Column("opened_at", UtcDateTime, nullable=False),
    sa.Column("last_at", UtcDateTime, nullable=False),
    sa.Column("told_at", UtcDateTime),
    sa.Column("told_severity", sa.String(16)),
    sa.Column("reminders", sa.Integer, nullable=False, default=0),
    sa.Column("closed_at", UtcDateTime, index=True),
)
alert_days = sa.Table(  # the last verdict on every day that was ever not ok
    "alert_days",
    TABLES,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("dataset", sa.String(64), primary_key=True),
    sa.Column("cause", sa.String(128), primary_key=True),
    sa.Column("day", sa.String(16), primary_key=True),
    sa.Column("severity", sa.String(16), nullable=False),
    sa.Column("event_id", sa.BigInteger, nullable=False),
    sa.Column("incident_id", sa.String(32), nullable=False, index=True),
    sa.Column("judged_at", UtcDateTime, nullable=False),
)
alert_outbox = sa.Table(  # one row for a message and target; the target is a digest, its URL is not stored
    "alert_outbox",
    TABLES,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("key", sa.String(80), nullable=False, unique=True),
    sa.Column("target", sa.String(32), nullable=False, index=True),
    sa.Column("tenant", sa.String(64), nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("severity", sa.String(16), nullable=False),
    sa.Column("title", sa.String(200), nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("due_at", UtcDateTime, index=True),
    sa.Column("tries", sa.Integer, nullable=False, default=0),
    sa.Column("sent_at", UtcDateTime),
    sa.Column("parked_at", UtcDateTime, index=True),
    sa.Column("last_error", sa.String(300), nullable=False, default=""),
)
alert_snoozes = sa.Table(
    "alert_snoozes",
    TABLES,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("incident_id", sa.String(32)),
    sa.Column("tenant", sa.String(64)),
    sa.Column("cause", sa.String(128)),
    sa.Column("until", UtcDateTime, nullable=False),
    sa.Column("reason", sa.String(200), nullable=False, default=""),
    sa.Column("asked_at", UtcDateTime, nullable=False),
)
