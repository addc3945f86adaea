"""One tenant's view in Dagster's UI: how each of its datasets stands, with links to that tenant's pages.

Belongs here: the Markdown and the UI's addresses. Does not belong here: the page to mail (`page.py`).

The catalog has no view by partition: its selections know assets, groups, tags and owners, and a tenant is none of them.
"""

from __future__ import annotations

from urllib.parse import quote

from weathervane_assets.partitions import day_key, year_key
from weathervane_assets.tenant_report.health import DatasetHealth
from weathervane_assets.tenant_report.page import Page
from weathervane_resources.partition_keys import TENANT_TAG

HEAD = "| dataset | severity | status | newest day | rows | from | alerts |\n|---|---|---|---|---|---|---|"


def view_of(page: Page) -> str:
    """Return the view as Markdown. Nothing in it comes from outside: names of datasets, states and codes are ours."""
    tenant = page.tenant.id
    rows = [_row(tenant, one) for one in page.health.datasets]
    links = [
        f"[all runs of {tenant}]({runs_address(tenant)})",
        f"[failed ones]({runs_address(tenant)}&q%5B1%5D=status%3AFAILURE)",
        f"[its quality report and pictures]({partition_address('dq_report', tenant)})",
    ]
    return "\n".join([HEAD, *rows, "", " · ".join(links)])


def _row(tenant: str, one: DatasetHealth) -> str:
    name, newest = one.name, "-"
    if one.day:
        newest = str(one.day.year) if one.is_yearly else one.day.isoformat()
        key = year_key(tenant, one.day.year) if one.is_yearly else day_key(tenant, one.day)
        name = f"[{name}]({partition_address(name, key)})"
    rows = "-" if one.rows is None else f"{one.rows:,}"
    return f"| {name} | {one.severity} | {one.status} | {newest} | {rows} | {one.source} | {', '.join(one.alerts) or '-'} |"


def partition_address(asset: str, key: str) -> str:
    """Return the page of one partition of an asset, from the UI's root."""
    return f"/assets/{asset}?view=partitions&partition={quote(key, safe='')}"


def runs_address(tenant: str) -> str:
    """Return the page of a tenant's runs, those within backfills too, from the UI's root."""
    return f"/runs?view=runs&q%5B0%5D={quote(f'tag:{TENANT_TAG}={tenant}', safe='')}"
