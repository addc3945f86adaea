"""Metrics reach a collector over HTTP, with names that the dashboard and the docs know, and nothing secret."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from aiohttp import web
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from tests.assets.conftest import NOW, Installation
from tests.serving import serving
from weathervane_assets.definitions import build_defs
from weathervane_assets.overridable import OVERRIDABLE
from weathervane_checks.alerter import open_alerter
from weathervane_resources import metrics
from weathervane_resources.clock import Clock
from weathervane_resources.partition_keys import TENANT_TAG
from weathervane_resources.platform import Platform

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
        """Counters, and how many values each histogram got."""
        found: Series = Counter()
        for metric in self._metrics():
            for point in metric.sum.data_points:
                found[metric.name, labels_of(point)] += point.as_int or point.as_double
            for spread in metric.histogram.data_points:
                found[metric.name, labels_of(spread)] += spread.count
        return found

    def levels(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        """Gauges, each as it was sent last."""
        points = ((metric.name, point) for metric in self._metrics() for point in metric.gauge.data_points)
        return {(name, labels_of(point)): point.as_int or point.as_double for name, point in points}

    def _metrics(self) -> Iterator[Metric]:
        for body in self.bodies:
            for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                for scope in resource.scope_metrics:
                    yield from scope.metrics


def labels_of(point: Any) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((pair.key, pair.value.string_value) for pair in point.attributes))


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


def test_runs_verdicts_incidents_and_lags_are_told_by_few_labels(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A night that fails for one tenant of many shows in no vendor's counters; and a tenant of a run's tag may be any text."""
    collector = Collector()
    platform = Platform(threshold_names=sorted(OVERRIDABLE))
    with serving(collector.app) as url:
        monkeypatch.setenv(metrics.ENDPOINT, url)
        assert installation.backfill("acme", date(2026, 11, 18), date(2026, 11, 19), "meta_ads").failures == []
        defs = build_defs(os.environ, {"clock": Clock(fixed=NOW)})
        freshness = defs.resolve_job_def("freshness")
        made_up = dg.AssetKey("promos")
        assert freshness.execute_in_process(instance=installation.instance).success
        failed = defs.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=installation.instance, asset_selection=[made_up], raise_on_error=False,
            tags={TENANT_TAG: "nobody", "dagster/partition": "2026-11-19|nobody"},
        )  # fmt: skip
        assert not failed.success
        alerter, _ = open_alerter(installation.instance, platform)
        alerter.tick(datetime.now(UTC) + timedelta(minutes=2))
        metrics.flush()
        sums, levels = collector.sums(), collector.levels()
        again = alerter.tick(datetime.now(UTC) + timedelta(minutes=3))
        metrics.flush()
    assert again.events == 0
    name = "weathervane.runs.finished"
    assert {labels: n for (one, labels), n in collector.sums().items() if one == name} == {
        (("status", "success"), ("tenant", "acme")): 1,
        (("status", "success"), ("tenant", "")): 1,
        (("status", "failure"), ("tenant", "other")): 1,
    }
    assert sums["weathervane.run.duration", (("kind", "backfill"), ("status", "success"))] == 1
    assert sums["weathervane.checks.evaluated", (("dataset", "meta_ads"), ("severity", "ok"))] > 1
    assert sums["weathervane.checks.evaluated", (("dataset", "orders"), ("severity", "warning"))] == 1
    # 19 November of New York was over at 05:00 UTC, ten hours before the clock
    assert levels["weathervane.dataset.lag", (("dataset", "meta_ads"), ("tenant", "acme"))] == 36_000
    open_now = {labels: n for (one, labels), n in levels.items() if one == "weathervane.alert.incidents"}
    assert {dict(labels)["tenant"] for labels in open_now} == {"", "other", "acme", "kiwi"}
    assert open_now[("severity", "critical"), ("tenant", "other")] == 1
    assert open_now[("severity", "warning"), ("tenant", "other")] == 0


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
