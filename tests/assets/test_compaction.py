"""The weekly compaction calls what the command calls."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import dagster as dg

from tests.assets.conftest import NOW, Installation
from weathervane_assets.compaction import build_compaction
from weathervane_assets.overridable import OVERRIDABLE
from weathervane_resources.clock import Clock
from weathervane_resources.lake import Lake
from weathervane_resources.platform import Platform


def test_the_job_tidies_the_installations_lake_at_the_clocks_time(installation: Installation) -> None:
    """A lake of single-day commits had 40,000 files after a year, and listing them took longer than reading."""
    called: list[tuple[str, datetime]] = []

    def optimize(lake: Lake, now: datetime) -> Iterator[str]:
        called.append((str(lake.root), now))
        yield "acme orders: 3 files become 1"

    job, schedule = build_compaction(optimize, dg.DefaultScheduleStatus.RUNNING)
    resources = {"platform": Platform(threshold_names=sorted(OVERRIDABLE)), "clock": Clock(fixed=NOW)}
    defs = dg.Definitions(jobs=[job], schedules=[schedule], resources=resources)
    result = defs.resolve_job_def("compaction").execute_in_process(instance=installation.instance)
    assert result.success
    assert called == [(str(installation.lake.root), datetime.fromisoformat(NOW))]
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING
