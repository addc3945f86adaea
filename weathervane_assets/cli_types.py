"""The values of options: tenants, assets and days, as a shell completes them.

Belongs here: reading a value, and what a shell can offer for it. Does not belong here: judging them, which the commands do
with a message that says more.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from weathervane_resources.tenants import Tenant

Yesterday = Literal["yesterday"]
YESTERDAY: Yesterday = "yesterday"


class TenantId(click.ParamType[str]):
    """A tenant; completed from tenants.toml."""

    name = "tenant"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the id. An empty one is a shell variable that is not set: it must not stand for every tenant."""
        if not value:
            self.fail("it is empty; name a tenant of tenants.toml", param, ctx)
        return str(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the tenants that begin so; none where the configuration is wrong, since a shell shows no messages."""
        del ctx, param
        from weathervane_assets.cli_configuration import all_tenants, configured
        from weathervane_resources.settings import ConfigurationError

        try:
            known = all_tenants(configured())
        except ConfigurationError:
            return []
        return [CompletionItem(one.id, help=one.name) for one in known.values() if one.id.startswith(incomplete)]


class AssetName(click.ParamType[str]):
    """An asset; completed from the graph."""

    name = "asset"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the assets that begin so."""
        del ctx, param
        from weathervane_assets.graph import NODES

        return [CompletionItem(name) for name in NODES if name.startswith(incomplete)]


class Day(click.ParamType[date | Yesterday]):
    """A tenant-local day; which one `yesterday` is, only the tenant's clock says (`day_of`)."""

    name = "day"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date | Yesterday:
        """Return the day, or `yesterday`."""
        if value == YESTERDAY:
            return YESTERDAY
        try:
            return datetime.strptime(str(value), "%Y-%m-%d").date()  # noqa: DTZ007 - a day has no zone
        except ValueError:
            self.fail(f"{value!r} is no day; write it like 2026-01-31, or {YESTERDAY}", param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the one day that has a name."""
        del ctx, param
        return [CompletionItem(YESTERDAY)] if YESTERDAY.startswith(incomplete) else []


def day_of(said: date | Yesterday, tenant: Tenant, now: datetime) -> date:
    """Return the day that was meant, by the tenant's clock."""
    return tenant.today(now) - timedelta(days=1) if said == YESTERDAY else said


TENANT, ASSET, DAY = TenantId(), AssetName(), Day()
