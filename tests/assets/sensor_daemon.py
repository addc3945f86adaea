"""Dagster's sensor daemon in a process of its own, which a test can have killed at one of Dagster's own crash points.

python -m tests.assets.sensor_daemon HOME SOCKET SENSOR NOW [CRASH_POINT]
"""

from __future__ import annotations

import logging
import signal
import sys
from datetime import datetime

import dagster as dg
from dagster._core.test_utils import create_test_daemon_workspace_context, freeze_time
from dagster._core.workspace.load_target import GrpcServerTarget
from dagster._daemon.sensor import execute_sensor_iteration

LOCATION = "weathervane"


def main(home: str, socket: str, sensor: str, now: str, crash_point: str = "") -> None:
    """Switch the sensor on, and let the daemon look once: `now` is what its clock says."""
    target = GrpcServerTarget(host="localhost", port=None, socket=socket, location_name=LOCATION)
    with (
        dg.DagsterInstance.from_config(home) as instance,
        create_test_daemon_workspace_context(target, instance) as workspace,
        freeze_time(datetime.fromisoformat(now)),
    ):
        location = workspace.create_request_context().get_code_location(LOCATION)
        (repository,) = location.get_repositories().values()
        instance.start_sensor(repository.get_sensor(sensor))
        flags = {sensor: {crash_point: signal.SIGKILL}} if crash_point else None
        logger = logging.getLogger("daemon")
        for error in execute_sensor_iteration(workspace, logger, None, None, debug_crash_flags=flags):
            if error is not None:
                sys.exit(str(error))


if __name__ == "__main__":
    main(*sys.argv[1:])
