"""A run's window: which tenant, which days, and what time it is.

Belongs here: turning partition keys into a tenant and days, and refusing what cannot be right.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

import dagster as dg
import polars as pl

from weathervane_resources.clock import Clock
from weathervane_resources.credentials import NOT_CONFIGURED, STUB, Access
from weathervane_resources.lake import Lake
from weathervane_resources.lake_io import Batch, tenant_days
from weathervane_resources.lake_ledger import own_days
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

    def __str__(self) -> str:
        return f"{self.tenant.id} {self.first}..{self.last}"


def open_window(keys: Sequence[str], platform: Platform, clock: Clock) -> Window:
    """Return the window of a run's partition keys.

    Raises: dagster.Failure: the tenant is not in tenants.toml, or the configuration is wrong (not retried).
    """
    span = tenant_days(keys)
    try:
        tenants = platform.tenants()
    except ConfigurationError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    tenant = tenants.get(span.tenant)
    if tenant is None:
        known = ", ".join(tenants)
        raise dg.Failure(
            f"tenant {span.tenant} is not in {platform.settings().tenants_file} (known: {known}); "
            "add it there again, or start no runs of its partitions",
            allow_retries=False,
        )
    return Window(tenant, span.days, clock.now(), platform.lake())


def announce(context: dg.AssetExecutionContext, access: Access, window: Window) -> None:
    """Say in the log where the rows come from, where that is not the vendor.

    Raises: dagster.Failure: they would be made up, and stand beside rows of the vendor (not retried).
    """
    if access.source == STUB:
        _refuse_stubs_beside_live(window, context.asset_key.path[-1])
        context.log.warning(
            f"{access.tenant_id}: no credentials for this source are set, so these are stub rows from the sandbox. "
            "Set them (docs/configuration.md), or set WEATHERVANE_STUBS=never to keep the table empty instead."
        )
    if access.source == NOT_CONFIGURED:
        context.log.warning(f"{access.tenant_id}: no credentials for this source are set; the partition stays empty.")


def _refuse_stubs_beside_live(window: Window, dataset: str) -> None:
    """A live source that lost its variables went on with made-up rows, night after night, and every check was content."""
    if live := own_days(window.lake.ledger(window.tenant.id, dataset)):
        raise dg.Failure(
            f"{window.tenant.id}/{dataset}: {len(live)} days were read from the vendor, and no credentials are set now; made-up"
            " rows do not go beside them, and nothing was written. Set the source's credentials again, or, where it was given"
            " up, WEATHERVANE_STUBS=never",
            allow_retries=False,
        )


def in_window(frame: pl.DataFrame, window: Window) -> pl.DataFrame:
    """Return the rows of the window's days: a run of days with gaps is fetched whole."""
    return frame.filter(pl.col("date").is_in(list(window.days)))


def empty_batch(schema: pl.Schema) -> Batch:
    """Return an empty partition of a source that is not configured."""
    return Batch(pl.DataFrame(schema=schema), NOT_CONFIGURED, {"requests": 0})


def checkpoints(frame: pl.DataFrame, column: str = "updated_at") -> dict[date, str]:
    """Return the latest `updated_at` seen for each day, as ISO 8601."""
    latest = frame.group_by("date").agg(pl.col(column).max())
    return {day: at.isoformat() for day, at in latest.iter_rows()}
