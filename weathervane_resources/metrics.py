"""What an installation counts about itself, sent by OpenTelemetry (OTLP over HTTP).

Belongs here: the catalog of metrics, behind docs/metrics.md, and the one way to count. Does not belong here: what people are told
(`alert_outbox.py`), and what is shown of a partition (`lake_io.py`).

A run is a process of its own that lives for seconds, so nothing could scrape it: each process sends what it has counted, every
minute and when it ends. Counts are deltas, because each process begins at zero. Without OTEL_EXPORTER_OTLP_ENDPOINT nothing is
counted and the library is not even imported. Labels are names of tenants, vendors and datasets, never a credential or a URL.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from opentelemetry.metrics import Counter, Histogram
    from opentelemetry.metrics import _Gauge as Gauge
    from opentelemetry.sdk.metrics import MeterProvider

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
EXPORT_TIMEOUT_S = 2
"""A collector that is down holds up the end of a run by about this much."""
_UNIT_SUFFIXES = {"s": "_seconds", "By": "_bytes", "1": "", "{incident}": ""}
Kind = Literal["counter", "histogram", "gauge"]
_ENDINGS: Mapping[Kind, str] = {"counter": "_total", "histogram": "_bucket", "gauge": ""}
RUN_BOUNDS_S = (10, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400)
"""Bounds of a run's seconds; the last is where run monitoring ends it."""


@dataclass(frozen=True)
class Metric:
    """One metric: its name, its unit as UCUM writes it (`1`, `s`, `By`), its labels, what it says, and its kind."""

    name: str
    unit: str
    labels: tuple[str, ...]
    meaning: str
    kind: Kind = "counter"

    @property
    def prometheus_name(self) -> str:
        """Return the name under which Prometheus keeps it."""
        return f"{self.name.replace('.', '_')}{_UNIT_SUFFIXES[self.unit]}{_ENDINGS[self.kind]}"


_BY_VENDOR = ("tenant", "vendor")
VENDOR_REQUESTS = Metric("weathervane.vendor.requests", "1", _BY_VENDOR, "HTTP requests sent, retries included")
VENDOR_RETRIES = Metric("weathervane.vendor.retries", "1", _BY_VENDOR, "requests sent again")
VENDOR_WAITS = Metric("weathervane.vendor.throttled", "s", _BY_VENDOR, "time waited because the vendor asked for it")
VENDOR_BYTES = Metric("weathervane.vendor.received", "By", _BY_VENDOR, "bodies of answers, decompressed")
CACHE_LOOKUPS = Metric(
    "weathervane.cache.lookups",
    "1",
    (*_BY_VENDOR, "result"),
    "windows looked up in the weather cache; `hit`: it had all of it, `miss`: something was fetched",
)
WRITES = Metric(
    "weathervane.lake.writes", "1", ("tenant", "dataset"), "windows written into the lake, one by run and dataset"
)
ROWS = Metric(
    "weathervane.lake.rows", "1", ("tenant", "dataset", "change"), "rows written; `change`: `new`, `updated`, `removed`"
)
ALERT_TICKS = Metric("weathervane.alert.ticks", "1", (), "ticks of the alerter that came to their end")
ALERT_NOTICES = Metric("weathervane.alert.notices", "1", (), "things that the alerter decided to say")
ALERT_MESSAGES = Metric(
    "weathervane.alert.messages",
    "1",
    ("result",),
    "the outbox: messages `delivered`, and targets that `failed` in a tick",
)
RUNS = Metric(
    "weathervane.runs.finished",
    "1",
    ("tenant", "status"),
    "runs that ended, as the alerter reads them; `status`: `success`, `failure`, `retried` (another attempt follows), `deferred`",
)
RUN_DURATION = Metric(
    "weathervane.run.duration",
    "s",
    ("kind", "status"),
    "from a run's start to its end; `kind`: `backfill` or `night`",
    "histogram",
)
CHECKS_EVALUATED = Metric(
    "weathervane.checks.evaluated", "1", ("dataset", "severity"), "verdicts of checks, one by check, run and tenant"
)
INCIDENTS = Metric(
    "weathervane.alert.incidents",
    "{incident}",
    ("tenant", "severity"),
    "incidents that are open, at each tick; the empty tenant is the installation",
    "gauge",
)
DATASET_LAG = Metric(
    "weathervane.dataset.lag",
    "s",
    ("tenant", "dataset"),
    "since the newest complete day was over, by the tenant's clock; each time `freshness` judges, so once an hour",
    "gauge",
)
METRICS = (
    RUNS,
    RUN_DURATION,
    CHECKS_EVALUATED,
    DATASET_LAG,
    INCIDENTS,
    VENDOR_REQUESTS,
    VENDOR_RETRIES,
    VENDOR_WAITS,
    VENDOR_BYTES,
    CACHE_LOOKUPS,
    WRITES,
    ROWS,
    ALERT_TICKS,
    ALERT_NOTICES,
    ALERT_MESSAGES,
)


def count(metric: Metric, value: float, **labels: str) -> None:
    """Add `value`, in the metric's unit; nothing where no endpoint is set.

    Raises: ValueError: the labels are not those of the catalog.
    """
    _check(metric, labels)
    if is_on(os.environ):
        _counters(os.environ[ENDPOINT])[metric].add(value, labels)


def observe(metric: Metric, value: float, **labels: str) -> None:
    """Put `value` into the histogram; otherwise as `count`."""
    _check(metric, labels)
    if is_on(os.environ):
        _histograms(os.environ[ENDPOINT])[metric].record(value, labels)


def level(metric: Metric, value: float, **labels: str) -> None:
    """Say what the gauge stands at; otherwise as `count`."""
    _check(metric, labels)
    if is_on(os.environ):
        _gauges(os.environ[ENDPOINT])[metric].set(value, labels)


def _check(metric: Metric, labels: Mapping[str, str]) -> None:
    if set(labels) != set(metric.labels):
        raise ValueError(f"{metric.name} has the labels {metric.labels}, not {sorted(labels)}")


def is_on(env: Mapping[str, str]) -> bool:
    """Return whether metrics are sent."""
    return bool(env.get(ENDPOINT))


def flush() -> None:
    """Send what was counted so far; the end of a process does so by itself."""
    if is_on(os.environ):
        _provider(os.environ[ENDPOINT]).force_flush()


@cache
def _provider(endpoint: str) -> MeterProvider:
    """Return the process's provider; `endpoint` is its key, the library reads the rest of `OTEL_*` itself."""
    del endpoint
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter  # noqa: PLC0415 - only where it is on
    from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider  # noqa: PLC0415
    from opentelemetry.sdk.metrics.export import AggregationTemporality, PeriodicExportingMetricReader  # noqa: PLC0415
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415

    exporter = OTLPMetricExporter(
        timeout=None if os.environ.get("OTEL_EXPORTER_OTLP_TIMEOUT") else EXPORT_TIMEOUT_S,
        preferred_temporality=dict.fromkeys((Counter, Histogram), AggregationTemporality.DELTA),
    )
    name = os.environ.get("OTEL_SERVICE_NAME") or "weathervane"
    return MeterProvider([PeriodicExportingMetricReader(exporter)], Resource.create({"service.name": name}))


@cache
def _counters(endpoint: str) -> dict[Metric, Counter]:
    meter = _provider(endpoint).get_meter("weathervane")
    return {one: meter.create_counter(one.name, one.unit, one.meaning) for one in METRICS if one.kind == "counter"}


@cache
def _histograms(endpoint: str) -> dict[Metric, Histogram]:
    meter = _provider(endpoint).get_meter("weathervane")
    return {
        one: meter.create_histogram(
            one.name, one.unit, one.meaning, explicit_bucket_boundaries_advisory=list(RUN_BOUNDS_S)
        )
        for one in METRICS
        if one.kind == "histogram"
    }


@cache
def _gauges(endpoint: str) -> dict[Metric, Gauge]:
    meter = _provider(endpoint).get_meter("weathervane")
    return {one: meter.create_gauge(one.name, one.unit, one.meaning) for one in METRICS if one.kind == "gauge"}
