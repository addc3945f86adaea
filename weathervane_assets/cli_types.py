"""What the shell completes: tenants and assets.

Belongs here: the values of options that a shell can offer. Does not belong here: judging them, which the commands do
with a message that says more.
"""

from __future__ import annotations

from typing import Any

import click
from click.shell_completion import CompletionItem


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


TENANT, ASSET = TenantId(), AssetName()
