"""A quarter of nights: every planted incident is told once and ended once, on its day, and there is nothing else.

The nightly job of all daily tables, with every check, against the sandbox; then the hourly look at freshness and a tick of the
alerter, with its messages over HTTP. The clock is the test's, for the platform and for the vendors.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import dagster as dg
import pytest

from tests import engines
from tests.assets.conftest import Installation, write_environment
from tests.checks.alerting import Webhook, webhook
from weathervane_assets.definitions import build_defs
from weathervane_assets.graph import DAILY
from weathervane_assets.overridable import OVERRIDABLE
from weathervane_assets.partitions import TENANT_PARTITIONS, day_key, range_tags
from weathervane_assets.schedules import FRESHNESS
from weathervane_checks.alerter import open_alerter
from weathervane_resources.clock import Clock
from weathervane_resources.platform import Platform
from weathervane_resources.sandbox import RunningSandbox, SandboxConfig, TenantProfile
from weathervane_resources.sandbox.planted import Planted, Withheld

# in the past of the real clock: Dagster has no partition of a day that is not over
FIRST, NIGHTS, HISTORY_DAYS = date(2025, 10, 1), 90, 70
BLACK_FRIDAY, SUNDAY = date(2025, 11, 28), 6
QUIET_DAYS = {"acme": "[]", "kiwi": f"[{BLACK_FRIDAY}]", "zoo": '["sunday"]'}
PEAK = {-2: 1.5, -1: 2.0, 0: 4.0, 1: 2.5, 2: 2.0, 3: 2.2}
"""Days from Black Friday, and how busy they are; the day after them the shops are as they were."""
PROFILE = TenantProfile("UTC", "USD", orders_per_day=150, places=12)
SILENT = dg.LoggerDefinition(lambda _: logging.Logger("silent", logging.CRITICAL))  # noqa: LOG001 - nobody else's
EXPECTED = {
    "acme orders: row_count_drop": ("warning", 15, 16),
    "kiwi orders: row_count_drop": ("warning", 30, 31),
    "kiwi meta_ads: row_count_drop": ("warning", 40, 43),
    "zoo orders: geocoding_coverage": ("critical", 50, 52),
    "acme meta_ads: failed_run": ("critical", 60, 63),
}
"""What is told: its severity, the night that tells it, and the night that tells its end."""


def night_of(day: date) -> datetime:
    """Return when the night that reads `day` runs."""
    return datetime.combine(day, time(3), UTC) + timedelta(days=1)


def day_of(night: int) -> date:
    return FIRST + timedelta(days=night)


def planted() -> Planted:
    """Return the quarter's world: what is usual, and what goes wrong."""
    world = Planted()
    days = [day_of(n) for n in range(-HISTORY_DAYS, NIGHTS)]
    world.trade = {("zoo", day): 0.0 for day in days if day.weekday() == SUNDAY}
    for offset, times in PEAK.items():
        day = BLACK_FRIDAY + timedelta(days=offset)
        world.trade |= {(tenant, day): times * world.trade.get((tenant, day), 1.0) for tenant in QUIET_DAYS}
    world.trade["kiwi", BLACK_FRIDAY] = 0.0
    world.trade["kiwi", day_of(30)] = 0.55
    since, until = night_of(day_of(15)), night_of(day_of(16))
    world.withhold("acme", Withheld(day_of(14), 0.25, since, until))
    world.dark = {("kiwi", "meta", day_of(n)) for n in (40, 41, 42)}
    world.unlocated = {("zoo", day_of(n)): 0.4 for n in (50, 51)}
    return world


def read_again(night: int) -> list[tuple[str, date]]:
    """Return whose day is read once more: while a part of its orders is not shown, and when they are there again."""
    return [("acme", day_of(14))] if night in (15, 16) else []


@dataclass
class Told:
    """What the webhook got, by night."""

    found: Counter[tuple[int, str]] = field(default_factory=Counter)
    over: Counter[tuple[int, str]] = field(default_factory=Counter)
    severities: dict[str, str] = field(default_factory=dict)
    titles: list[tuple[int, str]] = field(default_factory=list)

    def take(self, night: int, titles: Sequence[str]) -> None:
        for title in titles:
            level, _, said = title.removeprefix("[").partition("] ")
            self.titles.append((night, title))
            if " is over" in said:
                self.over[night, said.partition(" is over")[0]] += 1
            elif "is still so" not in said:  # a reminder is no second alert
                what = said.partition(" (")[0]
                self.found[night, what] += 1
                self.severities[what] = level

    def precision_and_recall(self) -> tuple[float, float]:
        begun = Counter({(night, what): 1 for what, (_, night, _) in EXPECTED.items()})
        ended = Counter({(night, what): 1 for what, (_, _, night) in EXPECTED.items()})
        right = (self.found & begun).total() + (self.over & ended).total()
        return right / max(1, self.found.total() + self.over.total()), right / (2 * len(EXPECTED))


@dataclass
class Nights:
    """The nights of an installation."""

    here: Installation
    clock: list[datetime]

    @property
    def now(self) -> datetime:
        return self.clock[0]

    def run(self, job: str, **tags: str) -> bool:
        """Run a job as its schedule would, without a log of the thousands of events; return whether it succeeded."""
        defs = build_defs(os.environ, {"clock": Clock(fixed=self.now.isoformat())}, loggers={"console": SILENT})
        return (
            defs.resolve_job_def(job)
            .execute_in_process(instance=self.here.instance, tags=tags, raise_on_error=False)
            .success
        )

    def read(self, tenant: str, first: date, last: date) -> bool:
        """Run the tenant's night; a missed one is caught up as one range."""
        return self.run("nightly", **range_tags(tenant, day_key(tenant, first), day_key(tenant, last)))

    def tick(self) -> None:
        alerter, complaints = open_alerter(self.here.instance, Platform(threshold_names=sorted(OVERRIDABLE)))
        assert complaints == []
        # events carry the machine's time, which is not the test's: none of them is young
        while alerter.tick(self.now).events:
            pass


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with webhook() as running:
        yield running


@pytest.fixture
def nights(tmp_path: Path, hook: Webhook, monkeypatch: pytest.MonkeyPatch) -> Iterator[Nights]:
    """Three shops with seventy days of history, before the first night."""
    at = [night_of(day_of(-1))]
    world = SandboxConfig(tenants=dict.fromkeys(QUIET_DAYS, PROFILE), clock=lambda: at[0], planted=planted())
    with RunningSandbox(world) as sandbox, engines.chosen().instance() as instance:
        write_environment(monkeypatch, tmp_path, sandbox.url)
        home = 'timezone = "UTC"\ncurrency = "USD"\nstart_date = 2025-07-01\nclimatology_years = 2\n'
        (tmp_path / "tenants.toml").write_text(
            "".join(f"[tenants.{t}]\n{home}quiet_days = {quiet}\n" for t, quiet in QUIET_DAYS.items())
        )
        monkeypatch.setenv("WEATHERVANE_ALERT_URLS", hook.url)
        monkeypatch.setenv("ACME__META_AD_ACCOUNT_ID", "1")
        monkeypatch.setenv("META_BASE_URL", f"{sandbox.url}/t/acme")
        monkeypatch.setenv("ACME__META_ACCESS_TOKEN", "good")
        instance.add_dynamic_partitions(TENANT_PARTITIONS, list(QUIET_DAYS))
        yield Nights(Installation(tmp_path, instance, sandbox), at)


@pytest.mark.slow
def test_a_quarter_of_nights_tells_what_was_planted_and_nothing_else(
    nights: Nights, hook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Precision and recall of what people are woken by, over everything that a quarter brings."""
    told, unread = Told(), dict.fromkeys(QUIET_DAYS, FIRST)
    for tenant in QUIET_DAYS:
        history = nights.here.backfill(
            tenant, day_of(-HISTORY_DAYS), day_of(-1), "climatology", *DAILY, now=nights.now.isoformat()
        )
        assert history.failures == []
    nights.tick()
    nights.clock[0] += timedelta(hours=1)
    nights.tick()
    assert hook.taken == []  # sound history has no digest
    for night in range(NIGHTS):
        day = day_of(night)
        nights.clock[0] = night_of(day)
        monkeypatch.setenv("ACME__META_ACCESS_TOKEN", "expired" if 60 <= night < 63 else "good")
        for tenant in QUIET_DAYS:
            if nights.read(tenant, unread[tenant], day):
                unread[tenant] = day + timedelta(days=1)
        for tenant, before in read_again(night):
            nights.read(tenant, before, before)
        nights.tick()
        nights.clock[0] += timedelta(hours=9)
        nights.run(FRESHNESS)
        nights.tick()
        told.take(night, hook.titles)
        hook.taken.clear()
    precision, recall = told.precision_and_recall()
    print(f"precision {precision:.3f}, recall {recall:.3f}, {len(told.titles)} messages")  # noqa: T201 - the figures are what one runs it for
    assert told.found == Counter({(night, what): 1 for what, (_, night, _) in EXPECTED.items()}), told.titles
    assert told.over == Counter({(night, what): 1 for what, (_, _, night) in EXPECTED.items()}), told.titles
    assert told.severities == {what: severity for what, (severity, _, _) in EXPECTED.items()}
    assert precision == recall == 1.0
