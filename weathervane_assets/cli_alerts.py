"""`weathervane alerts`: what would alert, and what did.

Belongs here: arguments, exit codes and printing. Does not belong here: judging (`weathervane_checks`) and delivery.
"""

from __future__ import annotations

import json

import click

from weathervane_assets.cli_configuration import chosen_tenants, complains, configured


@click.group()
def alerts() -> None:
    """Look at alerts, and at what would have been one."""


@alerts.command("replay")
@click.option("--tenant", "tenant_id", help="Only this tenant.  [default: all of tenants.toml]")
@click.option("--days", type=click.IntRange(1, 3660), default=365, show_default=True, help="Days up to yesterday.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@complains
def replay(tenant_id: str | None, days: int, as_json: bool) -> None:  # noqa: FBT001 - click passes flags by name
    """Run the row-count rules over a tenant's own history, day by day, and print what would have alerted."""
    from weathervane_checks.replay import replay_tenant
    from weathervane_resources.clock import system_now
    from weathervane_resources.lake import Lake

    settings = configured()
    lake, now = Lake(settings.lake), system_now()
    replays = [one for tenant in chosen_tenants(settings, tenant_id) for one in replay_tenant(tenant, lake, now, days)]
    if as_json:
        click.echo(json.dumps([one.plain() for one in replays], indent=2))
    else:
        click.echo("\n".join(line for one in replays for line in one.lines()))
