"""Metrics reach a collector over HTTP, with names that the dashboard and the docs know, and nothing secret."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from datetime import date
from pathlib import Path

import pytest
from aiohttp import web
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from tests.assets.conftest import Installation
from tests.serving import serving
from weathervane_resources import metrics

DASHBOARD = Path(__file__).parents[2] / "deploy" / "grafana-dashboard.json"
SECRET = "PLANTED-meta-token"
Series = Counter[tuple[str, tuple[tuple[str, str], ...]]]


class Collector:
    """What an OTLP collector would have taken in."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.app = web.Application()
        self.app.router.add_post("/v1/metrics", self._take)

    async def _take(self, request: web.Request) -> web.Response:
        self.bodies.append(await request.read())
        return web.Response()

    def sums(self) -> Series:
        found: Series = Counter()
        for body in self.bodies:
            for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                for metric in (metric for scope in resource.scope_metrics for metric in scope.metrics):
                    for point in metric.sum.data_points:
                        labels = tuple(sorted((pair.key, pair.value.string_value) for pair in point.attributes))
                        found[metric.name, labels] += point.as_int or point.as_double
        return found


def test_a_run_tells_the_collector_what_it_did_and_no_secret(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A label with a token in it is a token in every dashboard."""
    collector = Collector()
    monkeypatch.setenv("ACME__META_ACCESS_TOKEN", SECRET)
    monkeypatch.setenv("ACME__META_AD_ACCOUNT_ID", "1000001")
    monkeypatch.setenv("META_BASE_URL", f"{installation.sandbox.url}/t/acme")
    with serving(collector.app) as url:
        monkeypatch.setenv(metrics.ENDPOINT, url)
        outcome = installation.backfill("acme", date(2026, 11, 18), date(2026, 11, 19), "meta_ads")
        metrics.flush()
    sums = collector.sums()
    mine = {"tenant": "acme", "vendor": "meta_ads"}
    assert outcome.failures == []
    assert sums["weathervane.vendor.requests", tuple(sorted(mine.items()))] > 0
    assert sums["weathervane.vendor.received", tuple(sorted(mine.items()))] > 0
    assert sums["weathervane.lake.writes", (("dataset", "meta_ads"), ("tenant", "acme"))] == 1
    rows = sums["weathervane.lake.rows", (("change", "new"), ("dataset", "meta_ads"), ("tenant", "acme"))]
    assert rows == outcome.rows["meta_ads"]
    assert SECRET.encode() not in b"".join(collector.bodies)
    assert {name for name, _ in sums} <= {one.name for one in metrics.METRICS}


def test_a_process_sends_what_it_counted_when_it_ends() -> None:
    """A run lives for seconds: what waits for the next minute is never sent."""
    collector = Collector()
    code = "from weathervane_resources import metrics; metrics.count(metrics.ALERT_TICKS, 3)"
    with serving(collector.app) as url:
        subprocess.run([sys.executable, "-c", code], env={metrics.ENDPOINT: url}, check=True, timeout=60)
    assert collector.sums() == {("weathervane.alert.ticks", ()): 3}


def test_without_an_endpoint_the_library_is_not_even_imported() -> None:
    """Whoever wants no metrics pays nothing for them."""
    code = (
        "import sys; from weathervane_resources import metrics; metrics.count(metrics.ALERT_TICKS, 1); metrics.flush(); "
        "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    subprocess.run([sys.executable, "-c", code], env={}, check=True, timeout=60)


def test_labels_outside_the_catalog_are_refused() -> None:
    """A label that the docs do not know is how an URL gets into a metric."""
    with pytest.raises(ValueError, match="has the labels"):
        metrics.count(metrics.ALERT_TICKS, 1, url="https://example.com")


def test_the_dashboard_asks_for_metrics_that_exist_and_for_all_of_them() -> None:
    """A renamed metric leaves an empty panel, which looks like a quiet night."""
    text = json.dumps(json.loads(DASHBOARD.read_text()))
    assert set(re.findall(r"weathervane_\w+", text)) == {one.prometheus_name for one in metrics.METRICS}
