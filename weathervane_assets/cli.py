"""The command line `weathervane`.

Belongs here: arguments, exit codes and one clear line for what is wrong. Does not belong here: work (`backfill.py`,
`demo.py`, `dev.py`) and printing (`console.py`). Everything heavy is imported inside the command that needs it.

Exit codes: 0 ok, 1 a finding or a failed run, 2 usage or configuration.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import click

from weathervane_assets.cli_alerts import alerts
from weathervane_assets.cli_configuration import Complaint, complains
from weathervane_assets.cli_configuration import all_tenants as _tenants
from weathervane_assets.cli_configuration import configured as _settings
from weathervane_assets.cli_configuration import one_tenant as _tenant
from weathervane_assets.cli_lake import optimize, restore
from weathervane_assets.cli_report import report
from weathervane_assets.cli_tenants import tenants
from weathervane_assets.cli_types import ASSET, DAY, TENANT, Yesterday, day_of
from weathervane_resources.core_dumps import forbid_core_dumps

if TYPE_CHECKING:
    from weathervane_resources.settings import Settings
    from weathervane_resources.tenants import Tenant


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="weathervane")
def main() -> None:
    """Weather-aware commerce data: orders, ads, promos and weather in one leak-free modelling matrix."""
    forbid_core_dumps()


@main.command()
@click.option("--days", type=click.IntRange(1, 730), default=90, show_default=True, help="Days up to yesterday.")
@click.option("--tenants", "count", type=click.IntRange(1, 8), default=2, show_default=True, help="How many shops.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@complains
def demo(days: int, count: int, as_json: bool) -> None:  # noqa: FBT001 - click passes flags by name
    """Bring in DAYS of made-up shops through the sandbox; needs no credentials."""
    from weathervane_assets.demo import run_demo

    sys.exit(0 if run_demo(_settings(), days, count, as_json=as_json) else 1)


@main.command()
@click.option("--tenant", "tenant_id", type=TENANT, required=True, help="A tenant of tenants.toml.")
@click.option("--from", "first", type=DAY, required=True, help="First day, tenant-local, like 2026-01-31.")
@click.option("--to", "last", type=DAY, required=True, help="Last day, included, or yesterday.")
@click.option("--asset", "assets", type=ASSET, multiple=True, help="Only this asset; may be repeated.  [default: all]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@complains
def backfill(
    tenant_id: str,
    first: date | Yesterday,
    last: date | Yesterday,
    assets: tuple[str, ...],
    as_json: bool,  # noqa: FBT001 - click passes flags by name
) -> None:
    """Bring in a tenant's days in this process, as one Dagster run for each stage."""
    settings = _settings()
    tenant = _tenant(settings, tenant_id)
    days = _check_days(tenant, first, last, settings)
    chosen = _check_assets(assets)
    from weathervane_assets.backfill import plan_later_days, plan_steps, refuse_half_set, run_backfill
    from weathervane_assets.console import print_outcomes, print_warnings, progress
    from weathervane_assets.instance import open_instance, sync_tenants
    from weathervane_resources.lake import Lake

    refuse_half_set(tenant.id, chosen)
    _lake_is_usable(settings)
    wanted = tenant.id, *days, chosen
    steps = [
        *plan_steps(*wanted, settings.start_date),
        *plan_later_days(*wanted, Lake(settings.lake).ledger(tenant.id)),
    ]
    instance = open_instance(settings)
    sync_tenants(instance, [tenant.id])
    with progress(sum(step.size for step in steps), tenant.id) as on_partition:
        outcome = run_backfill(instance, tenant.id, steps, on_partition)
    if not as_json:
        print_warnings(outcome)
    print_outcomes([outcome], as_json=as_json)
    sys.exit(0 if outcome.is_good else 1)


@main.command()
@click.option("--port", type=click.IntRange(0, 65535), default=8610, show_default=True, help="0 takes a free one.")
@click.option("--faults", default="", metavar="MODE", help="Misbehave on purpose; see docs/sandbox.md.")
@click.option("--latency", type=click.FloatRange(0, 60), default=0.0, metavar="S", help="Seconds before each answer.")
@click.option("--replay", type=click.Path(path_type=Path), metavar="DIR", help="Serve recorded payload files.")
@complains
def sandbox(port: int, faults: str, latency: float, replay: Path | None) -> None:
    """Run the local stand-in for Shopify, Meta, Google Ads, Klaviyo, Open-Meteo and GeoNames on 127.0.0.1."""
    from weathervane_assets.dev import serve_sandbox

    serve_sandbox(_settings(), port=port, faults=faults, latency_s=latency, replay=replay)


@main.command()
@click.option("--port", type=click.IntRange(1, 65535), default=3000, show_default=True, help="Port of the UI.")
@complains
def dev(port: int) -> None:
    """Open the Dagster UI on 127.0.0.1, with the sandbox running beside it."""
    from weathervane_assets.dev import run_dev

    sys.exit(run_dev(_settings(), port))


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@complains
def doctor(as_json: bool) -> None:  # noqa: FBT001 - click passes flags by name
    """Look at credentials, versions, endpoints, lake and state database; exit 1 on a finding."""
    from weathervane_assets.console import print_diagnosis
    from weathervane_assets.doctor import examine
    from weathervane_resources.clock import system_now

    lines = list(examine(_settings(), system_now()))
    if as_json:
        click.echo(json.dumps([asdict(line) for line in lines], indent=2))
    else:
        print_diagnosis(lines)
    sys.exit(1 if any(line.level == "finding" for line in lines) else 0)


@main.group()
def coverage() -> None:
    """Say how much of the orders has a place, and how much of the matrix has weather."""


@coverage.command("geocoding")
@click.option("--tenant", "tenant_id", type=TENANT, help="Only this tenant.  [default: all of tenants.toml]")
@click.option(
    "--fail-on-warning",
    is_flag=True,
    help="Exit 1 where a tenant is not ok, not only where it is critical or an error.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@complains
def coverage_geocoding(
    tenant_id: str | None,
    fail_on_warning: bool,  # noqa: FBT001 - click passes flags by name
    as_json: bool,  # noqa: FBT001
) -> None:
    """Say how many of each tenant's orders have a cell, and write its report."""
    from weathervane_assets.coverage_geocoding import line, report_tenants
    from weathervane_resources.clock import system_now
    from weathervane_resources.lake import Lake

    settings = _settings()
    chosen = [_tenant(settings, tenant_id)] if tenant_id else list(_tenants(settings).values())
    reports = report_tenants(chosen, Lake(settings.lake), system_now())
    click.echo(json.dumps(reports, indent=2) if as_json else "\n".join(map(line, reports)))
    poor = [report for report in reports if _fails(report["status"], strict=fail_on_warning)]
    if poor:
        click.echo("\n".join(map(line, poor)), err=True)
    sys.exit(1 if poor else 0)


@main.group()
def places() -> None:
    """Postal tables, by which orders without coordinates find their place."""


@places.command("fetch")
@click.option("--country", "countries", required=True, metavar="CC[,CC]", help="Countries, like US,DE.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@complains
def places_fetch(countries: str, as_json: bool) -> None:  # noqa: FBT001 - click passes flags by name
    """Fetch GeoNames' postal tables of countries into the lake (CC BY 4.0), replacing older ones."""
    from weathervane_assets.places import fetch_places, read_countries
    from weathervane_resources.lake import Lake

    wanted = read_countries(countries)
    settings = _settings()
    _lake_is_usable(settings)
    done = fetch_places(Lake(settings.lake), wanted)
    if as_json:
        click.echo(json.dumps([asdict(one) for one in done], indent=2))
    for one in [] if as_json else done:
        click.echo(f"{one.country}: {one.error or f'{one.rows:,} places'}", err=bool(one.error))
    sys.exit(1 if any(one.error for one in done) else 0)


@coverage.command("weather")
@click.option("--tenant", "tenant_id", type=TENANT, help="Only this tenant.  [default: all of tenants.toml]")
@click.option(
    "--fail-on-warning",
    is_flag=True,
    help="Exit 1 where a tenant is not ok, not only where it is critical or an error.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--baseline", type=click.Path(path_type=Path), metavar="FILE", help="Also warn of what got worse.")
@click.option("--write-baseline", type=click.Path(path_type=Path), metavar="FILE", help="Keep today's figures.")
@complains
def coverage_weather(
    tenant_id: str | None,
    fail_on_warning: bool,  # noqa: FBT001 - click passes flags by name
    as_json: bool,  # noqa: FBT001
    baseline: Path | None,
    write_baseline: Path | None,
) -> None:
    """Judge each tenant's weather join by what the lake holds, and write its report."""
    from weathervane_assets.coverage_weather import judge_tenants
    from weathervane_resources.clock import system_now
    from weathervane_resources.lake import Lake

    settings = _settings()
    chosen = [_tenant(settings, tenant_id)] if tenant_id else list(_tenants(settings).values())
    verdicts = judge_tenants(chosen, Lake(settings.lake), system_now(), baseline, write_baseline)
    if as_json:
        click.echo(json.dumps([verdict.report for verdict in verdicts], indent=2))
    else:
        click.echo("\n".join(verdict.line() for verdict in verdicts))
    sys.exit(1 if any(_fails(verdict.status, strict=fail_on_warning) for verdict in verdicts) else 0)


def _fails(status: str, *, strict: bool) -> bool:
    """Return whether a tenant's coverage ends the command with 1: what is broken always does, anything but ok if asked to."""
    return status != "ok" if strict else status in ("critical", "error")


@main.group()
def tokens() -> None:
    """Look at the stored tokens."""


@tokens.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@complains
def tokens_list(as_json: bool) -> None:  # noqa: FBT001 - click passes flags by name
    """List vendor, tenant, expiry and state of every stored credential; never a token."""
    from weathervane_assets.console import print_tokens
    from weathervane_resources.clock import system_now
    from weathervane_resources.state import is_made, open_state
    from weathervane_resources.tokens import Vault

    settings = _settings()
    url = settings.state_url
    stored = Vault(open_state(url), settings.token_key, system_now).list_tokens() if is_made(url) else []
    if as_json:
        shown = ("vendor", "tenant", "expires_at", "status", "is_endless", "refresh_expires_at", "ends_at")
        rows = [{name: getattr(token, name) for name in shown} for token in stored]
        click.echo(json.dumps(rows, indent=2, default=str))
    else:
        print_tokens(stored)


@main.group()
def weather() -> None:
    """Look at the weather."""


@weather.command("plan")
@click.option("--tenant", "tenant_id", type=TENANT, required=True, help="A tenant of tenants.toml.")
@click.option("--from", "first", type=DAY, required=True, help="First day, tenant-local, like 2026-01-31.")
@click.option("--to", "last", type=DAY, required=True, help="Last day, included, or yesterday.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@complains
def weather_plan(tenant_id: str, first: date | Yesterday, last: date | Yesterday, as_json: bool) -> None:  # noqa: FBT001 - as above
    """Say what a backfill would ask of Open-Meteo: requests and call weight; asks nothing."""
    settings = _settings()
    tenant = _tenant(settings, tenant_id)
    days = _check_days(tenant, first, last, settings)
    from weathervane_assets.console import print_weather_costs
    from weathervane_assets.weather_costs import costs_of_backfill

    found = costs_of_backfill(settings, _tenants(settings), tenant, *days)
    if as_json:
        click.echo(json.dumps(found.plain(), indent=2))
    else:
        print_weather_costs(found)


main.add_command(alerts)
main.add_command(optimize)
main.add_command(report)
main.add_command(restore)
main.add_command(tenants)


def _check_days(
    tenant: Tenant, said_first: date | Yesterday, said_last: date | Yesterday, settings: Settings
) -> tuple[date, date]:
    """Return the days that are meant.

    Raises: Complaint: there are no such partitions.
    """
    from weathervane_resources.clock import system_now

    now = system_now()
    first, last = day_of(said_first, tenant, now), day_of(said_last, tenant, now)
    if first > last:
        raise Complaint(f"--from {first} is after --to {last}; swap them")
    earliest, today = max(tenant.start_date, settings.start_date), tenant.today(now)
    if earliest > today:
        raise Complaint(
            f"the first partition of {tenant.id} is {earliest}, in the future; "
            "set an earlier start_date in tenants.toml and an earlier WEATHERVANE_START_DATE"
        )
    if first < earliest:
        raise Complaint(
            f"--from {first} is before {earliest}, the first partition of {tenant.id}; "
            "set start_date in tenants.toml and WEATHERVANE_START_DATE to bring in older days"
        )
    if last > today:
        raise Complaint(f"--to {last} is in the future: today is {today} in {tenant.timezone}; choose an earlier day")
    return first, last


def _check_assets(assets: tuple[str, ...]) -> list[str]:
    from weathervane_assets.graph import NODES

    unknown = [name for name in assets if name not in NODES]
    if unknown:
        raise Complaint(f"unknown asset {unknown[0]!r}; there are: {', '.join(NODES)}")
    return list(assets or NODES)


def _lake_is_usable(settings: Settings) -> None:
    from weathervane_resources.lake import Lake

    Lake(settings.lake).check_usable()


if __name__ == "__main__":
    main()
