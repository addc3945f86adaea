"""A run's window: which tenant, which days, and what time it is.

Belongs here: turning partition keys into a tenant and days, and refusing what cannot be right.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

import dagster as dg
import polars as pl

from weathervane_resources.clock import Clock
from weathervane_resources.credentials import NOT_CONFIGURED, NOT_KEPT, Access
from weathervane_resources.failures import needs_someone, refused
from weathervane_resources.lake import Lake, whole
from weathervane_resources.lake_io import Batch, tenant_days
from weathervane_resources.lake_ledger import own_days
from weathervane_resources.partition_keys import is_day, label_of
from weathervane_resources.platform import Platform
from weathervane_resources.settings import ConfigurationError
from weathervane_resources.tenants import Tenant


@dataclass(frozen=True)
class Window:
    """One tenant and its days (local; January 1 stands for a year partition), and the instant of the run."""

    tenant: Tenant
    days: tuple[date, ...]
    now: datetime
    lake: Lake

    @property
    def first(self) -> date:
        """The first day."""
        return self.days[0]

    @property
    def last(self) -> date:
        """The last day."""
        return self.days[-1]

    def whole(self, dataset: str, rows: pl.LazyFrame) -> pl.DataFrame:
        """Return rows that are read from a dataset of the tenant's. Raises: LakeError: a file of it is gone or damaged."""
        return whole(rows, self.lake.uri(self.tenant.id, dataset))

    def __str__(self) -> str:
        return f"{self.tenant.id} {self.first}..{self.last}"


def open_window(keys: Sequence[str], platform: Platform, clock: Clock) -> Window:
    """Return the window of a run's partition keys.

    Raises: dagster.Failure: the tenant is not in tenants.toml or begins later, or the configuration is wrong (not retried).
    """
    span = tenant_days(keys)
    try:
        tenants = platform.tenants()
    except ConfigurationError as error:
        raise needs_someone(str(error)) from error
    tenant = tenants.get(span.tenant)
    if tenant is None:
        known = ", ".join(tenants)
        raise needs_someone(
            f"tenant {span.tenant} is not in {platform.settings().tenants_file} (known: {known}); "
            "add it there again, or start no runs of its partitions"
        )
    # years begin before most tenants do, and January needs the normals of the year before
    if span.days[0] < tenant.start_date and is_day(label_of(keys[0])):
        raise refused(
            f"{span.days[0]} is before {tenant.start_date}, the first day of {tenant.id}; choose days from then on, "
            "or set an earlier start_date in tenants.toml"
        )
    return Window(tenant, span.days, clock.now(), platform.lake())


def vet_stubs(context: dg.AssetExecutionContext, access: Access, window: Window) -> None:
    """Refuse made-up rows beside a vendor's; elsewhere say in the log that they are made up. Of a vendor's there is nothing to say.

    A live source that lost its variables went on with made-up rows, night after night, and every check was content.
    Raises: dagster.Failure: some of the table's days were read from the vendor (not retried).
    """
    if not access.is_stub:
        return
    if live := own_days(window.lake.ledger(window.tenant.id, context.asset_key.path[-1])):
        raise needs_someone(
            f"{window.tenant.id}/{context.asset_key.path[-1]}: {len(live)} days were read from the vendor, and no credentials are"
            " set now; made-up rows do not go beside them, and nothing was written. Set the source's credentials again, or,"
            " where it was given up, WEATHERVANE_STUBS=never"
        )
    context.log.warning(
        f"{access.tenant_id}: no credentials for this source are set, so these are stub rows from the sandbox. "
        "Set them (docs/configuration.md), or set WEATHERVANE_STUBS=never to keep the table empty instead."
    )


def in_window(frame: pl.DataFrame, window: Window) -> pl.DataFrame:
    """Return the rows of the window's days: a run of days with gaps is fetched whole."""
    return frame.filter(pl.col("date").is_in(list(window.days)))


def empty_batch(context: dg.AssetExecutionContext, window: Window, schema: pl.Schema) -> Batch:
    """Return what a source that is not configured leaves, and say so in the log: empty days, and as they are those read before.

    Nights read the days before them again. Of a source that was given up these hold what the vendor said, or that it had nothing,
    or keeps nothing any more.
    """
    ledger = window.lake.ledger(window.tenant.id, context.asset_key.path[-1])
    read = set(window.days).intersection(own_days(ledger))
    kept = read | set(window.days).intersection(ledger.filter(pl.col("source") == NOT_KEPT)["date"])
    stays = "the partition stays empty."
    if read:
        count = f"{len(read)} of {len(window.days)}"
        stays = f"{count} days were read from the vendor before and stay as they are; the others stay empty."
    context.log.warning(f"{window.tenant.id}: no credentials for this source are set; {stays}")
    told = {"requests": 0, "kept_days": len(kept)} if kept else {"requests": 0}
    return Batch(pl.DataFrame(schema=schema), NOT_CONFIGURED, told, kept=kept)


def checkpoints(frame: pl.DataFrame, column: str = "updated_at") -> dict[date, str]:
    """Return the latest `updated_at` seen for each day, as ISO 8601."""
    latest = frame.group_by("date").agg(pl.col(column).max())
    return {day: at.isoformat() for day, at in latest.iter_rows()}
