"""The commands that take care of the lake's tables: `weathervane optimize`.

Belongs here: arguments and printing. Does not belong here: the work (`weathervane_resources.lake_care`).
"""

from __future__ import annotations

import json

import click

from weathervane_assets.cli_configuration import complains, configured, one_tenant
from weathervane_assets.cli_types import TENANT


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
