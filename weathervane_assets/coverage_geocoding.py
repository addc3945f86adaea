"""`weathervane coverage geocoding`: each tenant's report, written again, and the line to print.

Belongs here: reading the lake, writing reports, lines. Does not belong here: the report (`weathervane_checks.geocoding_report`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from weathervane_checks.geocoding_report import FILE, geocoding_report
from weathervane_checks.reports import write_report
from weathervane_resources.lake import Lake
from weathervane_resources.tenants import Tenant


def report_tenants(tenants: Sequence[Tenant], lake: Lake, now: datetime) -> list[dict[str, Any]]:
    """Return each tenant's report, after writing it into the lake."""
    reports = [geocoding_report(tenant, lake, now) for tenant in tenants]
    for report in reports:
        write_report(lake, FILE, report)
    return reports


def line(report: Mapping[str, Any]) -> str:
    """Return one line: status, tenant, ratio, and what is wrong."""
    ratio, limit = report["ratio"], report["details"]["threshold"]
    shown = "no ratio" if ratio is None else f"{ratio:.3f} of {report['row_count']} orders have a cell"
    is_below = ratio is not None and ratio < limit
    below = f" (at least {limit:g} is wanted)" if is_below else ""
    recent = "".join(f"; {day['date']}: {day['note']}" for day in report["recent"]["fallen"])
    message = f": {report['details']['message']}" if "message" in report["details"] else ""
    return f"{report['status']:<8} {report['tenant_id']}  {shown}{below}{recent}{message}"
