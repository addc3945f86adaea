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
    from datetime import datetime

    from weathervane_resources.lake_history import History
    from weathervane_resources.lake_restore import Restoration
    from weathervane_resources.state import State

WATCHED = {"orders": "changed_orders", "promos": "changed_campaigns"}
"""Which sensor reads a table's changes: what it read since the version must be read again."""


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
    be taken back. Tables made from this one do not change. What a vendor changed since on those days, its sensor reads again.
    """
    from weathervane_resources.lake_restore import plan_restore
    from weathervane_resources.lake_restore import restore as bring_back

    history, state = _opened(tenant_id, dataset)
    plan = plan_restore(history, version)
    click.echo("\n".join(plan.lines()), err=as_json)
    if not plan.is_empty and not yes:
        click.confirm(f"Bring {plan.table} back to version {version}?", abort=True, err=as_json)
    written = plan.current if plan.is_empty else bring_back(history, plan)
    since = _read_again(history, plan, state) if state else None
    if as_json:
        again = {"changes_read_again_since": since.isoformat() if since else None}
        click.echo(json.dumps({**plan.plain(), "written_version": written, **again}, indent=2))
        return
    click.echo(_done(plan, written))
    if since:
        click.echo(f"changes since {since:%Y-%m-%d %H:%M} UTC are read again by the sensor {WATCHED[dataset]}")


def _opened(tenant_id: str, dataset: str) -> tuple[History, State | None]:
    """Return the table, and the state where it knows how far the table's changes are read: opened before anything is written."""
    from weathervane_assets.tables import CONTRACTS, shape_of
    from weathervane_resources.lake import Lake
    from weathervane_resources.lake_history import History
    from weathervane_resources.state import is_made, open_state

    settings = configured()
    tenant, url = one_tenant(settings, tenant_id), settings.state_url
    if dataset not in CONTRACTS:
        raise Complaint(f"unknown table {dataset!r}; there are: {', '.join(CONTRACTS)}")
    history = History(Lake(settings.lake), tenant.id, dataset, shape_of(CONTRACTS[dataset]))
    return history, open_state(url) if dataset in WATCHED and is_made(url) else None


def _read_again(history: History, plan: Restoration, state: State) -> datetime | None:
    """Have the changes read again that came after the restored days were read; return since when, None where none were read since."""
    from weathervane_assets.change_ledger import missed_since
    from weathervane_resources.change_notes import set_back
    from weathervane_resources.clock import system_now

    ledger, now = history.lake.ledger(history.tenant, history.dataset), system_now()
    since = missed_since(ledger.filter(ledger["date"].is_in(plan.days["date"].implode())), now)
    return since if since < now and set_back(state, history.tenant, history.dataset, since) else None


def _done(plan: Restoration, written: int) -> str:
    if plan.days.is_empty():
        return f"{plan.table}: every day is as in version {plan.version}"
    hint = "now run the backfill of these days for the tables that are made from it"
    return f"{plan.table}: version {written} is as version {plan.version} was; {hint}"
