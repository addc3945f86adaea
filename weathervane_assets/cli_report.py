"""The command `weathervane report`: one tenant's page.

Belongs here: arguments and printing. Does not belong here: the page (`tenant_report`).
"""

from __future__ import annotations

import json
from pathlib import Path

import click

from weathervane_assets.cli_configuration import complains, configured, one_tenant
from weathervane_assets.cli_types import TENANT


@click.command()
@click.option("--tenant", "tenant_id", type=TENANT, required=True, help="A tenant of tenants.toml.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Where to write it.  [default: report.html beside the tenant's other reports in the lake]",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@complains
def report(tenant_id: str, output: Path | None, as_json: bool) -> None:  # noqa: FBT001 - click passes flags by name
    """Write a tenant's report: one HTML page on data health, coverage, weather, the matrix and incidents.

    It needs no other file and no network, and prints well.
    """
    settings = configured()
    tenant = one_tenant(settings, tenant_id)
    from weathervane_assets.tenant_report.page import examine_tenant, keep_page, write_page
    from weathervane_resources.alert_store import AlertStore
    from weathervane_resources.clock import system_now
    from weathervane_resources.lake import Lake
    from weathervane_resources.state import open_state

    lake = Lake(settings.lake)
    page = examine_tenant(tenant, lake, AlertStore(open_state(settings.state_url)), system_now())
    html = page.html()
    path = write_page(output, html) if output else keep_page(lake, tenant, html)
    said = {
        "tenant": tenant.id,
        "path": path,
        "bytes": len(html.encode()),
        "overall_severity": page.health.severity,
        "window": {"start": page.source.days[0].isoformat(), "end": page.source.days[-1].isoformat()},
        "open_incidents": len(page.incidents.open) + page.incidents.more_open,
    }
    click.echo(
        json.dumps(said, indent=2) if as_json else f"{path}: {said['bytes']:,} bytes, {said['overall_severity']}"
    )
