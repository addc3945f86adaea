"""A backfill of the command line is heard of, so that no daemon takes it for dead."""

from __future__ import annotations

import threading

import dagster as dg

from weathervane_assets.backfill import heard_of


@dg.asset
def slow() -> None: ...


def test_a_run_that_waits_is_heard_of_and_falls_silent_when_it_is_over() -> None:
    """A bulk operation of 20 minutes: at 15 the daemon ended the run, and the night started beside it."""
    with dg.DagsterInstance.ephemeral() as instance:
        run_id = dg.materialize([slow], instance=instance).run_id
        before = len(instance.all_logs(run_id))
        heard = threading.Event()
        report = instance.report_engine_event

        def listen(*rest: object, **options: object) -> object:
            event = report(*rest, **options)  # type: ignore[arg-type]
            heard.set()
            return event

        instance.report_engine_event = listen  # type: ignore[method-assign]
        with heard_of(instance, run_id, "job", every_s=0.01):
            assert heard.wait(10)
        said = instance.all_logs(run_id)[before:]
        assert {entry.message for entry in said} == {"goes on"}
        assert not [thread for thread in threading.enumerate() if thread.name == "heard of"]
