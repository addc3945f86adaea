"""The tables of the state database, on one page. A change to them is a new `SCHEMA_VERSION`."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa

SCHEMA_VERSION = 1
TABLES = sa.MetaData()


class UtcDateTime(sa.types.TypeDecorator[datetime]):
    """An aware instant; SQLite forgets the zone, so it is put back."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

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
