"""The commands `weathervane tenants ...`: who there is, their partitions, and the end of one.

Belongs here: arguments, asking and printing. Does not belong here: the work (`purge.py`).
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from weathervane_assets.cli_configuration import Complaint, all_tenants, complains, configured
from weathervane_assets.cli_types import TENANT

if TYPE_CHECKING:
    from weathervane_resources.tenants import Tenant


@click.group()
def tenants() -> None:
    """Look at the tenants, make their partitions, remove one with all its data."""


@tenants.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@complains
def tenants_list(as_json: bool) -> None:  # noqa: FBT001 - click passes flags by name
    """List the tenants of tenants.toml."""
    known = all_tenants(configured())
    if as_json:
        click.echo(json.dumps([_plain(tenant) for tenant in known.values()], indent=2))
        return
    from weathervane_assets.console import print_tenants

    print_tenants(list(known.values()))


@tenants.command("sync")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@complains
def tenants_sync(as_json: bool) -> None:  # noqa: FBT001 - click passes flags by name
    """Make the Dagster partition of every tenant of tenants.toml."""
    settings = configured()
    known = all_tenants(settings)
    from weathervane_assets.instance import open_instance, sync_tenants

    added = sync_tenants(open_instance(settings), list(known))
    if as_json:
        click.echo(json.dumps({"added": added, "tenants": list(known)}, indent=2))
    else:
        click.echo(f"added: {', '.join(added)}" if added else "every tenant has its partition")


@tenants.command("purge")
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@click.option("--yes", is_flag=True, help="Do not ask.")
@complains
def tenants_purge(tenant_id: str, yes: bool) -> None:  # noqa: FBT001 - click passes flags by name
    """Remove everything of TENANT from the lake, the state database and Dagster, for good.

    Prints what goes and what stays, and asks. TENANT need not be in tenants.toml any more. Refuses while one of its runs
    is in progress.
    """
    from weathervane_assets.instance import open_instance
    from weathervane_assets.purge import open_purge
    from weathervane_resources.clock import system_now
    from weathervane_resources.reserved_names import RESERVED
    from weathervane_resources.tenants import TENANT_ID

    if not TENANT_ID.fullmatch(tenant_id):
        raise Complaint(f"{tenant_id!r} is no tenant id; it must match {TENANT_ID.pattern}")
    if tenant_id in RESERVED:
        raise Complaint(
            f"{tenant_id!r} is a word that Weathervane or Dagster goes by, and no tenant's id; nothing was removed, since it stands"
            " in what is other tenants'"
        )
    settings = configured()
    known = all_tenants(settings) if settings.tenants_file.exists() else {}
    purge = open_purge(settings, open_instance(settings), tenant_id, os.environ)
    purge.refuse_beside_a_run()
    held = purge.find()
    if held.is_empty:
        click.echo(_nothing(tenant_id, settings.tenants_file, list(known)))
        return
    click.echo("\n".join(["goes:", *(f"  {line}" for line in held.lines()), "stays:"]))
    click.echo("\n".join(f"  {line}" for line in purge.stays(str(settings.tenants_file), is_listed=tenant_id in known)))
    if not yes:
        click.confirm(f"Remove all of this of {tenant_id}? It cannot be undone", abort=True)
    purge.remove(held, system_now())
    click.echo(f"{tenant_id} is purged")


def _nothing(tenant_id: str, file: Path, known: list[str]) -> str:
    """Return the line about a tenant that has no data; one that the file does not name either may be a typing error."""
    if tenant_id in known:
        return f"there is nothing of {tenant_id}"
    return (
        f"there is nothing of {tenant_id}: not in {file}, the lake, the state database or Dagster; "
        f"known tenants: {', '.join(known) or 'none'}"
    )


@tenants.command("export")
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@click.option(
    "--to", "folder", type=click.Path(path_type=Path), required=True, help="A folder that does not exist yet."
)
@click.option("--json", "as_json", is_flag=True, help="Print the manifest's tables as JSON.")
@complains
def tenants_export(tenant_id: str, folder: Path, as_json: bool) -> None:  # noqa: FBT001 - click passes flags by name
    """Write every table of TENANT as a Parquet file, with a manifest of versions, rows and types.

    Whole or not at all. TENANT need not be in tenants.toml any more.
    """
    from weathervane_resources.clock import system_now
    from weathervane_resources.lake import Lake
    from weathervane_resources.lake_export import export_tenant
    from weathervane_resources.tenants import TENANT_ID

    if not TENANT_ID.fullmatch(tenant_id):
        raise Complaint(f"{tenant_id!r} is no tenant id; it must match {TENANT_ID.pattern}")
    done = export_tenant(Lake(configured().lake), tenant_id, folder, system_now())
    if as_json:
        click.echo(json.dumps([vars(one) for one in done], indent=2))
    else:
        click.echo("\n".join(f"{one.file}: {one.rows:,} rows, version {one.table_version}" for one in done))


def _plain(tenant: Tenant) -> dict[str, object]:
    return {
        "id": tenant.id,
        "name": tenant.name,
        "timezone": tenant.timezone,
        "currency": tenant.currency,
        "start_date": tenant.start_date.isoformat(),
        "shopify_protocol": tenant.shopify_protocol,
        "paused": tenant.paused,
    }
