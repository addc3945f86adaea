"""The commands that take care of the lake's tables: `weathervane optimize` and `weathervane restore`.

Belongs here: arguments, asking and printing. Does not belong here: the work (`weathervane_resources.lake_care`,
`lake_restore`).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from weathervane_assets.cli_configuration import Complaint, complains, configured, one_tenant
from weathervane_assets.cli_types import ASSET, TENANT

if TYPE_CHECKING:
    from weathervane_resources.lake_restore import Restoration


@click.command()
@click.option(
    "--tenant", "tenant_id", type=TENANT, help="Only this tenant's tables.  [default: all, the weather's too]"
)
@click.option(
    "--retention-days",
    type=click.IntRange(0, 30),
    default=30,
    show_default=True,
    help="How long files of replaced versions stay; the tables' logs keep no more than 30 days.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@complains
def optimize(tenant_id: str | None, retention_days: int, as_json: bool) -> None:  # noqa: FBT001 - click passes flags by name
    """Make few large files of the lake's many small ones, and remove those that only versions of long ago need."""
    from weathervane_resources.clock import system_now
    from weathervane_resources.lake import Lake
    from weathervane_resources.lake_care import SHORTEST_SAFE_DAYS, tidy_lake, total

    settings = configured()
    below = one_tenant(settings, tenant_id).id if tenant_id else ""
    if retention_days < SHORTEST_SAFE_DAYS:
        click.echo(
            f"a retention of {retention_days} days is less than {SHORTEST_SAFE_DAYS}: versions older than that cannot be "
            "read or restored any more, and a reader that began before may fail",
            err=True,
        )
    done = []
    for one in tidy_lake(Lake(settings.lake), system_now(), retention_days, below):
        done.append(one)
        if not as_json:
            click.echo(one.line())
    if as_json:
        said = {"tables": [one.plain() for one in done], "total": total(done).plain()}
        click.echo(json.dumps(said, indent=2))
    else:
        click.echo(total(done).line())


@click.command()
@click.option("--tenant", "tenant_id", type=TENANT, required=True, help="A tenant of tenants.toml.")
@click.option("--table", "dataset", type=ASSET, required=True, help="The table, named like its asset.")
@click.option("--version", type=click.IntRange(min=0), required=True, help="The version to bring back.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; what is asked goes to standard error.")
@complains
def restore(tenant_id: str, dataset: str, version: int, yes: bool, as_json: bool) -> None:  # noqa: FBT001 - click passes flags by name
    """Bring a tenant's table back to what it was in an earlier version, as a new commit.

    Prints which days would change, with rows now and then, and asks. Later versions stay readable, so a restore can itself
    be taken back. Tables made from this one do not change.
    """
    from weathervane_assets.tables import CONTRACTS, shape_of
    from weathervane_resources.lake import Lake
    from weathervane_resources.lake_history import History
    from weathervane_resources.lake_restore import plan_restore
    from weathervane_resources.lake_restore import restore as bring_back

    settings = configured()
    tenant = one_tenant(settings, tenant_id)
    if dataset not in CONTRACTS:
        raise Complaint(f"unknown table {dataset!r}; there are: {', '.join(CONTRACTS)}")
    history = History(Lake(settings.lake), tenant.id, dataset, shape_of(CONTRACTS[dataset]))
    plan = plan_restore(history, version)
    click.echo("\n".join(plan.lines()), err=as_json)
    if not plan.is_empty and not yes:
        click.confirm(f"Bring {plan.table} back to version {version}?", abort=True, err=as_json)
    written = plan.current if plan.is_empty else bring_back(history, plan)
    if as_json:
        click.echo(json.dumps({**plan.plain(), "written_version": written}, indent=2))
    else:
        click.echo(_done(plan, written))


def _done(plan: Restoration, written: int) -> str:
    if plan.days.is_empty():
        return f"{plan.table}: every day is as in version {plan.version}"
    hint = "now run the backfill of these days for the tables that are made from it"
    return f"{plan.table}: version {written} is as version {plan.version} was; {hint}"
