"""The asset `tenant_report`: the page, made again after the quality report, and whether it stands alone.

Belongs here: the asset, its check and how they look in the UI. Does not belong here: what the page says.
"""

from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import dagster as dg

from weathervane_checks.cures import described
from weathervane_checks.reports import FOLDER
from weathervane_resources.alert_store import AlertStore
from weathervane_resources.clock import Clock
from weathervane_resources.platform import Platform
from weathervane_resources.state import open_state

if TYPE_CHECKING:
    from weathervane_assets.tenant_report.page import Page

LARGEST_BYTES = 600_000
"""What an e-mail still carries without a thought."""
REFERRING = frozenset({"src", "href", "srcset", "data", "action", "poster", "xlink:href", "background"})


def build_tenant_report(tenants: dg.PartitionsDefinition, owner: str) -> dg.AssetsDefinition:
    """Return the asset with its check."""

    # no type argument: Dagster takes one for the type of an output
    @dg.asset(
        name="tenant_report",
        group_name="quality",
        partitions_def=tenants,
        deps=["features", "dq_report"],
        owners=[owner],
        kinds={"html"},
        tags={"layer": "report", "pii": "none", "source": "derived"},
        metadata={"docs": dg.MetadataValue.path("docs/report.md")},
        check_specs=[
            dg.AssetCheckSpec(
                "stands_alone",
                asset="tenant_report",
                description=described(
                    "stands_alone",
                    "The stored page is the one just made, refers to nothing outside itself and is small.",
                ),
            )
        ],
    )
    def tenant_report(context: dg.AssetExecutionContext, platform: Platform, clock: Clock) -> dg.MaterializeResult:  # type: ignore[type-arg]
        """One tenant at a glance: how each dataset stands, with links to that tenant's days and runs, and a page to mail.

        For the glance, choose the tenant under *Partitions* and open `view`. The page (data health, coverage, weather against
        normals, the matrix, incidents) is the HTML file at `path`; it stands alone: it can be mailed and opened without a
        network. Made after `dq_report`, in the same run. It judges nothing anew, and no ingestion waits for it.
        """
        from weathervane_assets.tenant_report.page import examine_tenant, keep_page  # noqa: PLC0415 - no night needs it
        from weathervane_assets.tenant_report.view import view_of  # noqa: PLC0415

        tenant, lake = platform.tenants()[context.partition_key], platform.lake()
        store = AlertStore(open_state(platform.settings().state_url))
        page = examine_tenant(tenant, lake, store, clock.now())
        html = page.html()
        path = keep_page(lake, tenant, html)
        stored = lake.files.read(f"{FOLDER}/{tenant.id}/{path.rpartition('/')[2]}")
        metadata: dict[str, Any] = {
            "view": dg.MetadataValue.md(view_of(page)),
            "path": dg.MetadataValue.path(path),
            "bytes": len(html.encode()),
            "overall_severity": page.health.severity,
        }
        return dg.MaterializeResult(metadata=metadata, check_results=[_stands_alone(page, html, stored)])

    return tenant_report


def _stands_alone(page: "Page", html: str, stored: bytes | None) -> dg.AssetCheckResult:
    size, foreign = len(html.encode()), foreign_references(html)
    alerts = [
        *([] if stored == html.encode() else ["report_not_kept"]),
        *(["report_refers_outside"] if foreign else []),
        *(["report_too_large"] if size > LARGEST_BYTES else []),
    ]
    metadata: dict[str, Any] = {
        "tenant": page.tenant.id,
        "window": f"{page.source.days[0]}/{page.source.days[-1]}",
        "observed": size,
        "threshold": LARGEST_BYTES,
        "severity": "critical" if alerts else "ok",
        "alerts": ", ".join(alerts),
        "foreign_references": len(foreign),
    }
    return dg.AssetCheckResult(check_name="stands_alone", passed=not alerts, metadata=metadata)


def foreign_references(html: str) -> list[str]:
    """Return what a page would fetch or lead to outside itself, and any script."""
    reader = _References()
    reader.feed(html)
    return reader.found


class _References(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take one tag."""
        if tag in ("script", "iframe", "object", "embed", "base", "form"):
            self.found.append(tag)
        for name, value in attrs:
            if name.startswith("on") or (name in REFERRING and not (value or "").startswith(("#", "data:image/"))):
                self.found.append(f"{tag} {name}")
