"""The run launcher: a run whose process is gone is found, though its code server is gone as well.

Belongs here: whether a run that should be running still is. Dagster's own launcher cannot say, so a run whose code server was
killed with it kept its tenant's place in the queue until the greatest run time, four hours. Named in dagster.yaml, so it is
loaded by the webserver and the daemon too.

The code server says of which runs it has the process. That it does not know one is not enough: after a reload of the code
location it does not answer for the runs of before. So such a run is only given up when it has also been quiet for a while.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus
from dagster._core.launcher.default_run_launcher import DefaultRunLauncher
from dagster._grpc.client import DagsterGrpcClient
from dagster._grpc.types import CanCancelExecutionRequest, CanCancelExecutionResult
from dagster._serdes import ConfigurableClassData, deserialize_value

from weathervane_resources.clock import system_now

QUIET_AFTER_S = 900
ASK_S = 10


class WatchedRunLauncher(DefaultRunLauncher):
    """Dagster's launcher, which also says whether a run's process is still there; `quiet_after_seconds` is its patience."""

    def __init__(
        self, inst_data: ConfigurableClassData | None = None, quiet_after_seconds: int = QUIET_AFTER_S
    ) -> None:
        super().__init__(inst_data)
        self.quiet_after_s = quiet_after_seconds

    @classmethod
    def config_type(cls) -> dict[str, dg.Field]:
        """Return what dagster.yaml may say of it."""
        return {"quiet_after_seconds": dg.Field(int, default_value=QUIET_AFTER_S)}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> WatchedRunLauncher:
        """Return the launcher that dagster.yaml asks for."""
        return cls(inst_data, config_value["quiet_after_seconds"])

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Whether the monitoring of runs may ask."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Return NOT_FOUND for a run that its code server does not know and of which nothing was heard for a while."""
        if self._is_known(run.run_id):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        quiet_s = self._quiet_s(run.run_id)
        if quiet_s < self.quiet_after_s:
            return CheckRunHealthResult(
                WorkerStatus.RUNNING, f"its code server does not know it; quiet for {quiet_s:.0f} s"
            )
        text = f"its process is gone: the code server does not know it, and nothing was heard of it for {quiet_s:.0f} s"
        return CheckRunHealthResult(WorkerStatus.NOT_FOUND, text)

    def _is_known(self, run_id: str) -> bool:
        """Return whether the code server that a run was started on answers, and has its process."""
        client: DagsterGrpcClient | None = self._get_grpc_client_for_termination(run_id)  # type: ignore[no-untyped-call]
        if client is None:
            return False
        try:
            answer = client.can_cancel_execution(CanCancelExecutionRequest(run_id=run_id), timeout=ASK_S)
        except DagsterUserCodeUnreachableError:
            return False
        return deserialize_value(answer, CanCancelExecutionResult).can_cancel

    def _quiet_s(self, run_id: str) -> float:
        """Return the seconds since the run's newest event."""
        (newest,) = self._instance.get_records_for_run(run_id, limit=1, ascending=False).records
        return system_now().timestamp() - newest.timestamp
