"""A code location whose one run goes on until it is ended."""

from __future__ import annotations

import time

import dagster as dg


@dg.op
def sleep_op() -> None:
    """Sleep."""
    time.sleep(300)


@dg.job(name="sleep", executor_def=dg.in_process_executor)
def sleep_job() -> None:
    """Sleep."""
    sleep_op()


defs = dg.Definitions(jobs=[sleep_job])
