"""The composition root: what Dagster loads.

Belongs here: putting the graph, its checks and its resources together. Does not belong here: anything they do.
"""

from __future__ import annotations

import gc
import os
import warnings
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, ClassVar

import dagster as dg
import polars as pl

from weathervane_assets.automation import build_automation
from weathervane_assets.features import open_rebuild
from weathervane_assets.graph import NODES, OWNER, build_assets
from weathervane_assets.overridable import OVERRIDABLE
from weathervane_assets.partitions import tenants
from weathervane_assets.pictures import drift_picture
from weathervane_assets.quality_pictures import quality_pictures
from weathervane_assets.tables import CONTRACTS, shape_of
from weathervane_assets.tenant_report.asset import build_tenant_report
from weathervane_checks.alerter import build_alert_sensor
from weathervane_checks.catalog import build_checks
from weathervane_checks.dq_asset import build_dq_report
from weathervane_checks.freshness import build_freshness
from weathervane_checks.rules.contract import judge_contract
from weathervane_resources.clock import Clock
from weathervane_resources.connectors import (
    GeoNamesConnector,
    GoogleAdsConnector,
    KlaviyoConnector,
    MetaAdsConnector,
    OpenMeteoConnector,
    ShopifyConnector,
)
from weathervane_resources.failures import needs_someone
from weathervane_resources.lake import Shape
from weathervane_resources.lake_care import optimize
from weathervane_resources.lake_io import DeltaLakeIOManager
from weathervane_resources.logs import configure_logs
from weathervane_resources.platform import Platform
from weathervane_resources.settings import read_settings

gc.freeze()  # what is imported by now stays as long as the process: no collection looks at it again

MOST_BROKEN_DAYS = 3
"""So many days are named where rows break their contract."""
OF_THE_INSTALLATION = frozenset({"freshness_schedule", "compaction_schedule", "tenant_sync", "alerts"})
"""Schedules and sensors that look at all tenants at once: the first shard has them, no other."""


class LakeIOManager(DeltaLakeIOManager):
    """The lake, with the shapes, contracts and pictures of our tables."""

    shapes: ClassVar[Mapping[str, Shape]] = {name: shape_of(contract) for name, contract in CONTRACTS.items()}

    def vet(self, dataset: str, frame: pl.DataFrame, days: Sequence[date]) -> None:
        """Refuse rows that break their table's contract, before any is written. Raises: dagster.Failure (not retried)."""
        broken = [one for one in judge_contract(frame, CONTRACTS[dataset], days) if one.severity == "critical"]
        if broken:
            worst = "; ".join(f"{one.day}: {one.note}" for one in broken[:MOST_BROKEN_DAYS])
            raise needs_someone(
                f"{dataset}: rows of {len(broken)} days break their contract; what was stored before stays as it is. {worst}"
            )

    def drift_picture(self, drift: pl.DataFrame) -> str | None:
        """Return the changes of a run's days as a Markdown image; None where less than two days changed."""
        return drift_picture(drift)


def build_defs(
    env: Mapping[str, str],
    resource_overrides: Mapping[str, Any] | None = None,
    loggers: Mapping[str, dg.LoggerDefinition] | None = None,
) -> dg.Definitions:
    """Return the whole code location; tests replace resources by name.

    Raises: ConfigurationError: a WEATHERVANE_* variable has a value that is not allowed.
    """
    settings = read_settings(env)
    with warnings.catch_warnings():
        # single-run backfills and multi-dimensional mappings are beta; docs/decisions/0002 says why we stand on them
        warnings.simplefilter("ignore", dg.BetaWarning)
        assets = build_assets(settings.start_date)
    jobs, schedules, sensors = build_automation(is_on=settings.automation, optimize=optimize)
    alerting = build_alert_sensor(
        dg.DefaultSensorStatus.RUNNING if settings.automation else dg.DefaultSensorStatus.STOPPED
    )
    resources = {
        "io_manager": LakeIOManager(base_dir=settings.lake),
        "platform": Platform(threshold_names=sorted(OVERRIDABLE)),
        "clock": Clock(),
        "shopify": ShopifyConnector(),
        "geonames": GeoNamesConnector(),
        "meta": MetaAdsConnector(),
        "google": GoogleAdsConnector(),
        "klaviyo": KlaviyoConnector(),
        "open_meteo": OpenMeteoConnector(),
    }
    return dg.Definitions(
        assets=[*assets, build_dq_report(tenants, quality_pictures, OWNER), build_tenant_report(tenants, OWNER)],
        asset_checks=[*build_checks(assets, open_rebuild), build_freshness(list(NODES))],
        jobs=jobs,
        schedules=[one for one in schedules if settings.shard.is_first or one.name not in OF_THE_INSTALLATION],
        sensors=[one for one in (*sensors, alerting) if settings.shard.is_first or one.name not in OF_THE_INSTALLATION],
        resources=resources | dict(resource_overrides or {}),
        executor=dg.in_process_executor,
        loggers=loggers,
    )


@dg.definitions
def defs() -> dg.Definitions:
    """Return the code location that `dagster` loads, configured by its environment."""
    configure_logs(os.environ)
    return build_defs(os.environ)
