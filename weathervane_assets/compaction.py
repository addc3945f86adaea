"""The weekly compaction: small files of the lake become large ones, and what nobody reads any more goes.

Belongs here: when it runs. Does not belong here: how (the function that `weathervane optimize` calls as well).
"""

from collections.abc import Callable, Iterable
from datetime import datetime

import dagster as dg

from weathervane_resources.clock import Clock
from weathervane_resources.lake import Lake
from weathervane_resources.partition_keys import PRIORITY_TAG
from weathervane_resources.platform import Platform

WEEKLY = "20 2 * * 0"
Optimize = Callable[[Lake, datetime], Iterable[str]]
"""Tidy the lake as of an instant; yields a line for each table."""


def build_compaction(
    optimize: Optimize, status: dg.DefaultScheduleStatus
) -> tuple[dg.JobDefinition, dg.ScheduleDefinition]:
    """Return the job that runs `optimize`, and its schedule: Sundays at 02:20 UTC, before the nights of Europe."""

    @dg.op
    def compact(context: dg.OpExecutionContext, platform: Platform, clock: Clock) -> None:
        """Tidy the lake."""
        for line in optimize(platform.lake(), clock.now()):
            context.log.info(line)

    @dg.job(name="compaction", description="Compacts and vacuums the lake.", tags={PRIORITY_TAG: "-5"})
    def compaction() -> None:
        compact()

    schedule = dg.ScheduleDefinition(
        name="compaction_schedule",
        job=compaction,
        cron_schedule=WEEKLY,
        execution_timezone="UTC",
        default_status=status,
        description="Compacts and vacuums the lake once a week.",
    )
    return compaction, schedule
