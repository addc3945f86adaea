"""Processes of a test's own in a few milliseconds: forked from one that has imported everything once.

A process that imports Dagster by itself takes two seconds, and the suite starts some hundreds.
"""

from __future__ import annotations

import multiprocessing
from multiprocessing.context import ForkServerContext

PRELOADED = ("tests.commands", "tests.faults.night_worker", "tests.checks.alert_worker", "tests.resources.worker")
"""One server serves a whole test process, whichever file asks first."""


def forks() -> ForkServerContext:
    """Return what starts such processes."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    return context
