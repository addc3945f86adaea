"""The alerter in a process of its own, which kills itself at a random point: after so many function calls."""

from __future__ import annotations

import os
import signal
import sys
from datetime import UTC, datetime
from types import FrameType

import dagster as dg

from weathervane_checks.alerter import Alerter
from weathervane_resources.alert_store import AlertStore
from weathervane_resources.notifier import open_target
from weathervane_resources.state import open_state


def run(home: str, state_url: str, url: str, calls: int) -> None:
    """Tick until killed at the `calls`th call; without a number until a tick finds nothing to do."""
    with dg.DagsterInstance.local_temp(home) as instance:
        alerter = Alerter(instance, AlertStore(open_state(state_url)), [open_target(url)], {}, "http://ui")
        if calls:
            _kill_after(calls)
        while True:
            done = alerter.tick(datetime.now(UTC))
            if not calls and not (done.events or done.sent.delivered):
                return


def _kill_after(calls: int) -> None:
    left = calls

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal left
        left -= event == "call"
        if left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(count)
