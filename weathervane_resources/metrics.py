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
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.metrics import Counter
    from opentelemetry.sdk.metrics import MeterProvider

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
EXPORT_TIMEOUT_S = 2
"""A collector that is down holds up the end of a run by about this much."""
_UNIT_SUFFIXES = {"s": "_seconds", "By": "_bytes", "1": ""}


@dataclass(frozen=True)
class Metric:
    """One counter: its name, its unit as UCUM writes it (`1`, `s`, `By`), its labels, and what it counts."""

    name: str
    unit: str
    labels: tuple[str, ...]
    meaning: str

    @property
    def prometheus_name(self) -> str:
        """Return the name under which Prometheus keeps it."""
        return f"{self.name.replace('.', '_')}{_UNIT_SUFFIXES[self.unit]}_total"


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
METRICS = (
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
    if set(labels) != set(metric.labels):
        raise ValueError(f"{metric.name} has the labels {metric.labels}, not {sorted(labels)}")
    if is_on(os.environ):
        _counters(os.environ[ENDPOINT])[metric].add(value, labels)


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
    from opentelemetry.sdk.metrics import Counter, MeterProvider  # noqa: PLC0415
    from opentelemetry.sdk.metrics.export import AggregationTemporality, PeriodicExportingMetricReader  # noqa: PLC0415
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415

    exporter = OTLPMetricExporter(
        timeout=None if os.environ.get("OTEL_EXPORTER_OTLP_TIMEOUT") else EXPORT_TIMEOUT_S,
        preferred_temporality={Counter: AggregationTemporality.DELTA},
    )
    name = os.environ.get("OTEL_SERVICE_NAME") or "weathervane"
    return MeterProvider([PeriodicExportingMetricReader(exporter)], Resource.create({"service.name": name}))


@cache
def _counters(endpoint: str) -> dict[Metric, Counter]:
    meter = _provider(endpoint).get_meter("weathervane")
    return {one: meter.create_counter(one.name, one.unit, one.meaning) for one in METRICS}
