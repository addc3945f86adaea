"""What the command line shows: progress while it runs, a table when it is done.

Belongs here: printing. Does not belong here: deciding anything.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from weathervane_resources.spelling import counted

if TYPE_CHECKING:
    from weathervane_assets.backfill import NotOk, OnPartition, Outcome
    from weathervane_assets.doctor_credentials import Line
    from weathervane_assets.weather_costs import Costs
    from weathervane_resources.tenants import Tenant
    from weathervane_resources.tokens import TokenInfo

SEVERITIES = ("ok", "warning", "critical")
STYLES = {"ok": "green", "warning": "yellow", "critical": "bold red"}
_COMMANDS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
WIDEST = 1_000
"""Columns of what is not read on a terminal: a table is as wide as what it says, and nothing is cut."""
out, err = Console(), Console(stderr=True)
if not out.is_terminal:
    out.width = WIDEST


def plain(text: str) -> str:
    """Return text from outside so that it is printed as it is: no markup, no terminal commands."""
    return escape(_COMMANDS.sub(" ", text))


@contextmanager
def progress(total: int, label: str) -> Iterator[OnPartition]:
    """Show a bar on standard error that the callback moves on, one step a materialised partition; on a terminal only."""
    columns = (TextColumn("{task.description:<28}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, disable=not err.is_terminal or err.is_dumb_terminal) as bar:
        task = bar.add_task(label, total=total)

        def moved(asset: str) -> None:
            bar.update(task, advance=1, description=f"{label} {asset}")

        yield moved
        bar.update(task, description=f"{label} done")


def print_outcomes(outcomes: Sequence[Outcome], *, as_json: bool = False, expected: str = "") -> None:
    """Print rows and partitions by asset, checks by severity, and what failed.

    `expected`: a check of which nobody has to be told why it is not content.
    """
    if as_json:
        sys.stdout.write(json.dumps([_plain(outcome) for outcome in outcomes], indent=2) + "\n")
        return
    rows = Table("tenant", "asset", title="Materialised", title_justify="left")
    for name in ("partitions", "rows"):
        rows.add_column(name, justify="right")
    for outcome in outcomes:
        for asset, partitions in outcome.partitions.items():
            rows.add_row(outcome.tenant, asset, f"{partitions:,}", f"{outcome.rows[asset]:,}")
    _print_rows(rows)
    _print_checks(outcomes)
    for outcome in outcomes:
        _print_not_ok(outcome, expected)
    for outcome in outcomes:
        runs = counted(len(outcome.run_ids), "run")
        out.print(f"{outcome.tenant}: {outcome.seconds:.1f} s, {runs}", highlight=False)
        for failure in outcome.failures:
            err.print(f"[bold red]failed[/] {outcome.tenant} {plain(failure)}", highlight=False, soft_wrap=True)
        if outcome.failures and outcome.run_ids:  # the one that failed is the last that was begun
            last = f"its log is that of run {outcome.run_ids[-1]} in the UI (`weathervane dev`)"
            err.print(last, highlight=False, soft_wrap=True)


def _print_rows(table: Table) -> None:
    """Print a table that has any rows."""
    if table.row_count:
        out.print(table)


def print_warnings(outcome: Outcome) -> None:
    """Print what the assets of a backfill warned of."""
    for warning in outcome.warnings:
        err.print(f"[yellow]warning[/] {outcome.tenant} {plain(warning)}", highlight=False, soft_wrap=True)


def _plain(outcome: Outcome) -> dict[str, object]:
    return {
        "tenant": outcome.tenant,
        "is_good": outcome.is_good,
        "seconds": round(outcome.seconds, 1),
        "run_ids": outcome.run_ids,
        "partitions": dict(outcome.partitions),
        "rows": dict(outcome.rows),
        "checks": {name: {s: counts[s] for s in SEVERITIES} for name, counts in sorted(outcome.checks.items())},
        "not_ok": {name: asdict(said) for name, said in sorted(outcome.not_ok.items())},
        "failures": outcome.failures,
        "warnings": outcome.warnings,
    }


def _print_checks(outcomes: Sequence[Outcome]) -> None:
    """Print each check with the worst that each tenant's run says of it."""
    totals: dict[str, Counter[str]] = {}
    for outcome in outcomes:
        for name, counts in outcome.checks.items():
            totals.setdefault(name, Counter()).update(counts)
    table = Table("check", title="Checks, by the worst day of each tenant", title_justify="left")
    for severity in SEVERITIES:
        table.add_column(severity, justify="right")
    for name, counts in sorted(totals.items()):
        cells = [f"[{STYLES[s]}]{counts[s]}[/]" if counts[s] else "-" for s in SEVERITIES]
        table.add_row(name, *cells)
    _print_rows(table)


def _print_not_ok(outcome: Outcome, expected: str) -> None:
    """Print what each check that is not content says and what to do, once where several say the same."""
    names: dict[NotOk, list[str]] = {}
    for name, said in outcome.not_ok.items():
        if name.partition(".")[2] != expected:
            names.setdefault(said, []).append(name)
    for said, alike in names.items():
        text = plain(f"{outcome.tenant} {', '.join(alike)}: {said.says}. {said.next_step}.")
        out.print(f"[{STYLES[said.severity]}]{said.severity}[/] {text}", highlight=False, soft_wrap=True)


def print_diagnosis(lines: Sequence[Line]) -> None:
    """Print one line for each part that was looked at."""
    style = {"ok": "green", "note": "yellow", "finding": "bold red"}
    width = max(len(line.subject) for line in lines)
    for line in lines:
        out.print(
            f"[{style[line.level]}]{line.level:<8}[/] {line.subject:<{width}}  {plain(line.text)}", soft_wrap=True
        )


def print_tokens(tokens: Sequence[TokenInfo]) -> None:
    """Print the stored credentials as a table, without the credentials."""
    if not tokens:
        out.print("no tokens are stored")
        return
    table = Table("vendor", "tenant", "expires (UTC)", "refreshed (UTC)", "state", "renewable until (UTC)")
    for token in tokens:
        no_end = "never" if token.is_endless else "not known"
        expires, ends = (f"{at:%Y-%m-%d %H:%M}" if at else no_end for at in (token.expires_at, token.ends_at))
        table.add_row(token.vendor, token.tenant, expires, f"{token.refreshed_at:%Y-%m-%d %H:%M}", token.status, ends)
    out.print(table)


def print_tenants(tenants: Sequence[Tenant]) -> None:
    """Print the tenants as a table."""
    table = Table("id", "name", "time zone", "currency", "from", "shopify", "state")
    for tenant in tenants:
        table.add_row(
            tenant.id,
            plain(tenant.name),
            tenant.timezone,
            tenant.currency,
            tenant.start_date.isoformat(),
            tenant.shopify_protocol,
            "paused" if tenant.paused else "active",
        )
    out.print(table)


def print_weather_costs(costs: Costs) -> None:
    """Print what a backfill asks of each host, and how long the free hosts would take over it."""
    table = Table("host", title=f"{costs.tenant}: {costs.cells:,} cells, from {costs.source}", title_justify="left")
    for name in ("requests", "points", "days x points", "call weight"):
        table.add_column(name, justify="right")
    for name, host in costs.hosts.items():
        table.add_row(name, f"{host.requests:,}", f"{host.points:,}", f"{host.point_days:,}", f"{host.weight:,.1f}")
    out.print(table)
    if costs.note:
        out.print(costs.note)
    elif costs.weight == 0:
        out.print("everything is there already")
    else:
        out.print(
            f"on the free hosts ({costs.free_a_day:,.0f} a day for the backfills of one address): {counted(costs.free_days, 'day')}; "
            "with a key: no daily limit"
        )
