"""From what went wrong outside to the `dagster.Failure` that says whether a retry can help.

Belongs here: the one place that knows both error trees, how a run is marked as deferred or not to be retried, and how that mark is taken
off where another run has inherited it. Does not belong here: starting deferred runs again (`weathervane_assets.deferral`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import dagster as dg

from weathervane_resources.http.errors import AuthDead, AuthExpired, Deferred, VendorError
from weathervane_resources.partition_keys import days_of, tenant_of
from weathervane_resources.settings import ConfigurationError
from weathervane_resources.state import StateError

DEFERRED_UNTIL_TAG = "weathervane/deferred_until"
DEFERRED_TAG = "weathervane/deferred"
WAITING, RESUMED, NOT_DEFERRED = "waiting", "resumed", "none"
RETRIES_BEFORE_TAG = "weathervane/retries_before"
"""What `dagster/max_retries` was before a failure set it to 0: a run that is executed again gets it back."""
REFUSED_TAG = "weathervane/refused"
"""On a run that could never be right, its own id: a run that is started from it in the UI inherits the tag, and is another."""
_INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}T")
_MAX_RETRIES_TAG, _UNSET = "dagster/max_retries", "unset"


@contextmanager
def as_failure(cure: str = "") -> Iterator[None]:
    """Turn a `VendorError`, `StateError` or `ConfigurationError` into a `dagster.Failure`.

    `cure` says who must do what when the credential is dead. A `Deferred` marks the run, whose retries would be futile, and so
    does what needs a person: Dagster would run it again twice, and tell of it after the third.
    """
    try:
        yield
    except Deferred as error:
        defer_run(error.until)
        metadata: dict[str, Any] = {"deferred_until": dg.MetadataValue.timestamp(error.until), **_said(error)}
        raise dg.Failure(str(error), metadata=metadata, allow_retries=False) from error
    except VendorError as error:
        if cure and isinstance(error, AuthDead | AuthExpired):
            error.hint = cure
        raise _failure(error, _said(error)) from error
    except StateError as error:
        raise _failure(error, _whose()) from error
    except ConfigurationError as error:
        raise needs_someone(str(error)) from error


def _failure(error: VendorError | StateError, metadata: Mapping[str, str]) -> dg.Failure:
    return dg.Failure(str(error), metadata) if error.is_transient else needs_someone(str(error), metadata)


def _said(error: VendorError) -> dict[str, str]:
    """Return the parts of a vendor's failure for the run's page, and let it name its window by the run's days: nobody reads instants."""
    about = _whose()
    if _INSTANT.search(error.window):
        error.window = about.get("days", error.window)
    cause = f"{type(error).__name__} of {error.vendor}: {error.happened}"
    return {"cause": cause, "what_to_do": error.hint, **({"tenant": error.tenant} if error.tenant else {}), **about}


def _whose() -> dict[str, str]:
    """Return the tenant and the days (or years) of the run that executes right now, as far as it has them."""
    tags = context.run.tags if (context := _context()) else {}
    days = days_of(tags)
    found = {"tenant": tenant_of(tags), "days": f"{days[0]}..{days[-1]}" if days else ""}
    return {name: value for name, value in found.items() if value}


def needs_someone(message: str, metadata: Mapping[str, str] | None = None) -> dg.Failure:
    """Return the failure to raise where no retry helps, and keep Dagster from starting the run that executes right now again.

    `allow_retries` alone is about the step: a run is retried whatever its failures say, unless its tag forbids it.
    """
    _forbid_retries({})
    return _final(message, metadata)


def refused(message: str) -> dg.Failure:
    """Return the failure to raise where a run asks for what cannot be. Whoever started it reads it there; nobody else is told.

    What such a run could not do no later run does either, so an incident of it would never end.
    """
    if context := _context():
        _forbid_retries({REFUSED_TAG: context.run.run_id})
    return _final(message)


def _final(message: str, metadata: Mapping[str, str] | None = None) -> dg.Failure:
    return dg.Failure(message, _whose() if metadata is None else metadata, allow_retries=False)


def is_refused(run: dg.DagsterRun) -> bool:
    """Return whether a run was refused for what it asked for."""
    return run.tags.get(REFUSED_TAG) == run.run_id


def defer_run(until: datetime) -> None:
    """Tag the run that executes right now, if any: when to start it again, and that Dagster must not retry it."""
    _forbid_retries({DEFERRED_UNTIL_TAG: until.isoformat(), DEFERRED_TAG: WAITING})


def _forbid_retries(verdict: Mapping[str, str]) -> None:
    """Tag the run that executes right now, if any. `dagster/max_retries` may be a person's: what it was is kept beside it."""
    if context := _context():
        tags = context.run.tags
        allowed = tags.get(_MAX_RETRIES_TAG, _UNSET)
        is_known = allowed == "0" and RETRIES_BEFORE_TAG in tags  # another step of the run has failed before
        before = {} if is_known else {RETRIES_BEFORE_TAG: allowed}
        context.instance.add_run_tags(context.run.run_id, {**verdict, _MAX_RETRIES_TAG: "0", **before})


def without_verdicts(tags: Mapping[str, str], max_retries: int) -> dict[str, str]:
    """Return what to change in the tags of a run that has not begun; empty for one that took over no verdict.

    Dagster copies the tags of a run that is executed again, and how that one ended says nothing of this one. It can change a tag and
    not remove it. `max_retries` is what the instance allows.
    """
    changed = dict.fromkeys({DEFERRED_TAG, DEFERRED_UNTIL_TAG} & set(tags), NOT_DEFERRED)
    if tags.get(_MAX_RETRIES_TAG) == "0" and RETRIES_BEFORE_TAG in tags:
        before = tags[RETRIES_BEFORE_TAG]
        changed[_MAX_RETRIES_TAG] = str(max_retries) if before == _UNSET else before
    return changed


def _context() -> dg.OpExecutionContext | None:
    """Return the context of the run that executes right now; a sensor or a command has none."""
    try:
        return dg.OpExecutionContext.get()
    except dg.DagsterInvariantViolationError:
        return None
