"""The page: sections put into the template, written whole or not at all.

Belongs here: rendering and where the page is kept. Everything from outside is escaped by the template engine, and no page
may ask anything of the network: a policy in its head forbids it as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cache, partial
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from weathervane_assets.tenant_report import wording
from weathervane_assets.tenant_report.climate import Climate, examine_climate
from weathervane_assets.tenant_report.coverage import Coverage, examine_coverage
from weathervane_assets.tenant_report.health import Health, examine_health
from weathervane_assets.tenant_report.incidents import Incidents, examine_incidents
from weathervane_assets.tenant_report.matrix import Matrix, examine_matrix
from weathervane_assets.tenant_report.source import Source
from weathervane_checks.reports import FOLDER
from weathervane_resources.alert_store import AlertStore
from weathervane_resources.lake import Lake
from weathervane_resources.lake_files import write_atomically
from weathervane_resources.settings import ConfigurationError
from weathervane_resources.tenants import Tenant

FILE = "report.html"
TEMPLATE = "report.html.jinja"


@dataclass(frozen=True)
class Page:
    """A tenant's page as of an instant."""

    tenant: Tenant
    now: datetime
    source: Source
    health: Health
    coverage: Coverage
    climate: Climate
    matrix: Matrix
    incidents: Incidents

    def html(self) -> str:
        """Return the page as HTML, which needs no other file and no network."""
        zone = self.tenant.zone
        said = {
            name: getattr(wording, name)
            for name in (
                "outside",
                "plain",
                "day",
                "whole",
                "share",
                "celsius",
                "apart",
                "span",
                "days_said",
                "degrees",
                "steps",
            )
        }
        said |= {
            "instant": partial(wording.instant, zone=zone),
            "money": partial(wording.money, currency=self.tenant.currency),
        }
        template = _environment().get_template(TEMPLATE)
        return template.render(vars(self) | said | {"days": self.source.days})


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("weathervane_assets.tenant_report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def examine_tenant(tenant: Tenant, lake: Lake, store: AlertStore, now: datetime) -> Page:
    """Return the tenant's page, from the lake and the state database.

    Raises: LakeError: a table cannot be read; StateError: the state database cannot be used.
    """
    source = Source(tenant, lake, now)
    return Page(
        tenant,
        now,
        source,
        examine_health(source),
        examine_coverage(source),
        examine_climate(source),
        examine_matrix(source),
        examine_incidents(source, store),
    )


def keep_page(lake: Lake, tenant: Tenant, html: str) -> str:
    """Write the page beside the tenant's other reports, whole or not at all; return where it is.

    Raises: LakeError: it cannot be written.
    """
    path = f"{FOLDER}/{tenant.id}/{FILE}"
    lake.files.write(path, html)
    return lake.files.address(path)


def write_page(file: Path, html: str) -> str:
    """Write the page into a file that someone named, whole or not at all; return where it is.

    Raises: ConfigurationError: it cannot be written.
    """
    try:
        write_atomically(file, html)
    except OSError as error:
        raise ConfigurationError(
            f"the report {file} cannot be written ({error.strerror}); name a file in a folder that can be"
        ) from error
    return str(file)
