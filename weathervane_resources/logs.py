"""Log lines as JSON, one object a line on standard error, where WEATHERVANE_LOG_FORMAT says so.

Belongs here: what a line holds, and that every line of a process becomes one: Dagster's events, `context.log`, our loggers, warnings
and what ends a process. Does not belong here: what is logged.

Dagster prints a run's and a sensor's lines by a console logger for which it has no setting, so the function that makes it is
replaced. A line of `logging.getLogger` gets run, tenant and asset from Dagster's context of the step it comes from, which
`asyncio` carries along; threads of our own log nothing.
"""

from __future__ import annotations

import json
import logging
import math
import re
import sys
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

import dagster as dg
import dagster._core.definitions.instigation_logger as instigation
from dagster import _loggers as run_loggers
from dagster._core.execution.context.compute import current_execution_context

from weathervane_resources.http.errors import VendorError, scrub
from weathervane_resources.partition_keys import tenant_of

OUR_PACKAGES = ("weathervane_resources", "weathervane_assets", "weathervane_checks")
_SECRET_NAME = re.compile(r"(?i)(?:token|secret|password|api_?key|access_?key|token_?key|proof)$")
_SHORTEST_SECRET = 8
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_OF_DAGSTER = frozenset({"dagster_meta", "dagster_event", "dagster_event_batch_metadata"})
_OWN_FIELDS = frozenset({"vendor", "tenant"})
_quoted: list[str] = []
"""Values of the environment that are credentials, whatever their shape."""


def is_json(env: Mapping[str, str]) -> bool:
    """Return whether log lines are JSON objects."""
    return env.get("WEATHERVANE_LOG_FORMAT") == "json"


def configure_logs(env: Mapping[str, str]) -> None:
    """Make every log line of this process a JSON object, where `env` says so; may be called again."""
    if not is_json(env):
        return
    found = {env[name] for name in env if _SECRET_NAME.search(name) and len(env[name]) >= _SHORTEST_SECRET}
    _quoted[:] = sorted(found, key=len, reverse=True)
    for logger in _all_loggers():
        for handler in [one for one in logger.handlers if _prints(one)]:
            logger.removeHandler(handler)
            logger.propagate = True
    logging.getLogger().addHandler(JsonHandler(logging.INFO))
    for name in OUR_PACKAGES:
        logging.getLogger(name).setLevel(logging.INFO)
    run_loggers.create_console_logger = _console  # type: ignore[attr-defined]
    instigation.create_console_logger = _console  # type: ignore[attr-defined]
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_end


def _all_loggers() -> list[logging.Logger]:
    named = [one for one in logging.root.manager.loggerDict.values() if isinstance(one, logging.Logger)]
    return [logging.getLogger(), *named]


def _prints(handler: logging.Handler) -> bool:
    streams = (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)
    return isinstance(handler, JsonHandler) or getattr(handler, "stream", None) in streams


def _console(name: str, level: str | int) -> logging.Logger:
    """Stand in for Dagster's function of that name."""
    logger = logging.Logger(name, logging.DEBUG)  # noqa: LOG001 - it belongs to one run, as Dagster's does
    logger.addHandler(JsonHandler(level, of_run=True))
    return logger


def _log_end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Log what ends a process, as `sys.excepthook`."""
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        logging.getLogger("weathervane").critical("%s ends this process", kind.__name__, exc_info=(kind, error, trace))


class JsonHandler(logging.Handler):
    """Writes lines to what is standard error at the time."""

    def __init__(self, level: int | str, *, of_run: bool = False) -> None:
        """Keep the level; `of_run`: a run's console, which gets the lines that Dagster has taken in."""
        super().__init__(level)
        self._of_run = of_run
        self.setFormatter(JsonFormatter())

    def filter(self, record: logging.LogRecord) -> bool:
        """Leave to the run's console what Dagster passes on to it, lest the line comes twice."""
        return (self._of_run or not hasattr(record, "dagster_meta")) and bool(super().filter(record))

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        sys.stderr.write(self.format(record) + "\n")
        sys.stderr.flush()


class JsonFormatter(logging.Formatter):
    """One record as one JSON object in ASCII, without line breaks and without credentials; never fails."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        meta: Mapping[str, Any] = getattr(record, "dagster_meta", None) or _meta_of_step()
        event = meta.get("dagster_event")
        own = {name: _clean(_text(getattr(record, name))) for name in _OWN_FIELDS if hasattr(record, name)}
        error = next((one for one in _arguments(record) if isinstance(one, VendorError)), None)
        fields = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": _clean(_message(record)),
            "run_id": meta.get("run_id"),
            "tenant": tenant_of(meta.get("job_tags") or {}) or own.get("tenant") or (error.tenant if error else None),
            "asset": _asset(meta),
        }
        more = {
            "job": meta.get("job_name"),
            "step": meta.get("step_key"),
            "event": event.event_type_value if event else None,
            "vendor": own.get("vendor") or (error.vendor if error else None),
            "exception": _exception(record, event),
            "extra": _extra(record),
        }
        return json.dumps(fields | {name: value for name, value in more.items() if value})


def _meta_of_step() -> Mapping[str, Any]:
    context = current_execution_context.get()
    if context is None:
        return {}
    metadata: Mapping[str, Any] = context.op_execution_context.log.metadata
    return metadata


def _arguments(record: logging.LogRecord) -> tuple[object, ...]:
    return record.args if isinstance(record.args, tuple) else (record.args,)


def _message(record: logging.LogRecord) -> str:
    """Return the text as it was logged, without what Dagster puts before it and behind it."""
    meta = getattr(record, "dagster_meta", None)
    if meta:
        return str(meta["orig_message"])
    try:
        return record.getMessage()
    except Exception as error:  # noqa: BLE001 - whatever an argument's own code raises, the line must come
        return f"{_text(record.msg)} (its arguments do not fit: {type(error).__name__})"


def _asset(meta: Mapping[str, Any]) -> str | None:
    """Return the asset of the event, or of the step: each asset's step bears its name."""
    event = meta.get("dagster_event")
    key: dg.AssetKey | None = event.asset_key if event else None
    step = meta.get("step_key")
    return key.path[-1] if key else (step.removesuffix("_checks") if step else None)


def _exception(record: logging.LogRecord, event: dg.DagsterEvent | None) -> str | None:
    if record.exc_info and record.exc_info[0]:
        return _clean("".join(traceback.format_exception(*record.exc_info)))
    data = event.event_specific_data if event else None
    error = getattr(data, "error", None)
    return _clean(getattr(data, "error_display_string", None) or error.to_string()) if error else None


def _extra(record: logging.LogRecord) -> dict[str, object]:
    names = set(vars(record)) - _STANDARD - _OF_DAGSTER - _OWN_FIELDS
    return {_clean(name): _value(name, vars(record)[name]) for name in sorted(names)}


def _value(name: str, value: object) -> object:
    if _SECRET_NAME.search(name):
        return "[redacted]"
    is_plain = value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value))
    return value if is_plain else _clean(_text(value))


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception as error:  # noqa: BLE001 - as above
        return f"<{type(value).__name__}: its text raises {type(error).__name__}>"


def _clean(text: str) -> str:
    for secret in _quoted:
        text = text.replace(secret, "[redacted]")
    return scrub(text)
