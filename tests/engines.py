"""What an installation of a test is kept on: SQLite and a folder, or PostgreSQL and a S3-compatible store.

Belongs here: where an installation's lake, state and Dagster instance are. `pytest --engine postgres-s3` chooses.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import dagster as dg
import psycopg
import yaml
from psycopg import sql

from tests.servers import BUCKET

TEMPLATE = "dagster_template"


@dataclass
class Databases:
    """Databases on a server, made when they are first asked for."""

    url: str
    prefix: str = ""
    """Begins every name, where the server is not ours alone."""
    made: set[str] = field(default_factory=set)

    def named(self, name: str, template: str | None = None) -> str:
        """Return the URL of the database, new the first time; `template` is one of ours."""
        name = self.prefix + name
        if name not in self.made:
            with psycopg.connect(self.url, autocommit=True) as connection:
                make = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
                connection.execute(
                    make.format(
                        sql.Identifier(name), sql.Identifier(self.prefix + template if template else "template0")
                    )
                )
            self.made.add(name)
        return f"{self.url.rpartition('/')[0]}/{name}"


def name_of(folder: Path, prefix: str) -> str:
    """Return a database name that only this folder's installation has."""
    return f"{prefix}_{hashlib.sha256(str(folder).encode()).hexdigest()[:16]}"


class Embedded:
    """SQLite and a folder: what a laptop has."""

    def lake(self, folder: Path) -> str:
        """Return the lake's root."""
        return str(folder / "lake")

    def state_url(self, folder: Path) -> str:
        """Return the state database's URL."""
        return f"sqlite:///{folder}/state/weathervane.db"

    @contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        """Yield an instance of its own."""
        with dg.DagsterInstance.ephemeral() as instance:
            yield instance


@dataclass
class PostgresS3(Embedded):
    """PostgreSQL for Dagster and the state, a bucket for the lake: what a deployment has."""

    databases: Databases
    instances: int = 0

    def lake(self, folder: Path) -> str:
        """Return the lake's root, below the test's bucket."""
        return f"s3://{BUCKET}{folder}/lake"

    def state_url(self, folder: Path) -> str:
        """Return the state database's URL; it is no database of Dagster's."""
        return self.databases.named(name_of(folder, "state"))

    @contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        """Yield an instance on a database of its own, copied from one that has Dagster's tables already."""
        if not self.instances:
            with instance_on(self.databases.named(TEMPLATE)):
                pass
        self.instances += 1
        with instance_on(self.databases.named(f"dagster_{self.instances}", TEMPLATE)) as instance:
            yield instance


@contextmanager
def instance_on(url: str) -> Iterator[dg.DagsterInstance]:
    """Yield a Dagster instance whose storage is the PostgreSQL database at `url`."""
    with TemporaryDirectory() as home:
        driver = url.replace("postgresql:", "postgresql+psycopg2:")
        config = {"storage": {"postgres": {"postgres_url": driver}}, "telemetry": {"enabled": False}}
        (Path(home) / "dagster.yaml").write_text(yaml.safe_dump(config))
        with dg.DagsterInstance.from_config(home) as instance:
            yield instance


_chosen: list[Embedded] = [Embedded()]


def chosen() -> Embedded:
    """Return what this session's installations are kept on."""
    return _chosen[-1]


@contextmanager
def choose(engine: Embedded) -> Iterator[None]:
    """Keep installations on `engine` within the block."""
    _chosen.append(engine)
    yield
    _chosen.pop()
