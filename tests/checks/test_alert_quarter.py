"""A quarter of nights: every planted incident is told once and ended once, on its day, and there is nothing else.

Real runs through Dagster, the real lake, the real checks and the real alerter; the assets make their rows up, since what a
vendor sends is not what is tested here. The clock is the test's.
"""

import math
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from tests.checks.alerting import Webhook, webhook
from weathervane_assets.definitions import LakeIOManager
from weathervane_assets.overridable import OVERRIDABLE
from weathervane_assets.partitions import BACKFILL_POLICY, TENANT_PARTITIONS, day_key, range_tags, tenant_day
from weathervane_assets.tables import CONTRACTS, shape_of
from weathervane_checks.alerter import open_alerter
from weathervane_checks.catalog import build_checks
from weathervane_resources.clock import Clock
from weathervane_resources.lake_io import Batch
from weathervane_resources.platform import Platform

FIRST, NIGHTS, HISTORY = date(2026, 10, 1), 90, 70
TENANTS = {
    "acme": "",
    "kiwi": 'quiet_days = ["2026-11-27"]\n',
    "zoo": 'quiet_days = ["sunday"]\n',
}
PEAK = {date(2026, 11, 25): 1.5, date(2026, 11, 26): 2.0, date(2026, 11, 27): 4.0, date(2026, 11, 28): 2.5, date(2026, 11, 29): 2.0, date(2026, 11, 30): 2.2, date(2026, 12, 1): 1.0}  # fmt: skip
CHECKS = (("orders", "row_count_drop"), ("orders", "geocoding_coverage"), ("meta_ads", "row_count_drop"))


@dataclass
class World:
    """What the vendors have, and what is wrong with them today."""

    drops: dict[tuple[str, date], float] = field(default_factory=dict)
    dead: set[tuple[str, date]] = field(default_factory=set)
    poorly_placed: set[tuple[str, date]] = field(default_factory=set)
    expired: set[str] = field(default_factory=set)

    def orders(self, tenant: str, day: date) -> int:
        if tenant == "zoo" and day.weekday() == 6:
            return 0
        dice = random.Random(f"{tenant} {day}")
        usual = 200 * (1.2 if day.weekday() in (4, 5) else 1.0) * PEAK.get(day, 1.0) * dice.uniform(0.93, 1.07)
        return math.floor(usual * self.drops.get((tenant, day), 1.0))

    def ads(self, tenant: str, day: date) -> int:
        return 0 if (tenant, day) in self.dead else 40


world = World()
DAYS = tenant_day(date(2026, 1, 1))


def _frame(dataset: str, tenant: str, day: date, rows: int, located: int) -> pl.DataFrame:
    schema = shape_of(CONTRACTS[dataset]).schema
    key = "order_id" if dataset == "orders" else "campaign_id"
    known = {
        "tenant_id": [tenant] * rows,
        "date": [day] * rows,
        key: [f"{day}-{n}" for n in range(rows)],
        "ship_geohash": ["dr5ru" if n < located else None for n in range(rows)],
        "geo_source": ["postal" if n < located else "none" for n in range(rows)],
        "source": ["shopify_api"] * rows,
    }
    mine = {name: pl.Series(name, known.get(name, [None] * rows), kind) for name, kind in schema.items()}
    return pl.DataFrame(mine, schema=schema)


def _batch(dataset: str, keys: list[str]) -> Batch:
    frames = []
    for key in sorted(keys):
        text, _, tenant = key.partition("|")
        day = date.fromisoformat(text)
        rows = world.orders(tenant, day) if dataset == "orders" else world.ads(tenant, day)
        frames.append(
            _frame(dataset, tenant, day, rows, int(rows * (0.6 if (tenant, day) in world.poorly_placed else 0.96)))
        )
    return Batch(pl.concat(frames), "shopify_api" if dataset == "orders" else "meta_api")


@dg.asset(partitions_def=DAYS, backfill_policy=BACKFILL_POLICY)
def orders(context: dg.AssetExecutionContext) -> Batch:
    return _batch("orders", list(context.partition_keys))


@dg.asset(partitions_def=DAYS, backfill_policy=BACKFILL_POLICY)
def meta_ads(context: dg.AssetExecutionContext) -> Batch:
    tenant = context.partition_keys[0].partition("|")[2]
    if tenant in world.expired:
        raise dg.Failure("the token has expired", allow_retries=False)
    return _batch("meta_ads", list(context.partition_keys))


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with webhook() as running:
        yield running


@dataclass
class Quarter:
    instance: dg.DagsterInstance
    folder: Path
    now: datetime

    def run(self, tenant: str, first: date, last: date, *assets: str, **tags: str) -> None:
        chosen = [dg.AssetKey(name) for name in assets or ("orders", "meta_ads")]
        checks = [dg.AssetCheckKey(dg.AssetKey(a), c) for a, c in CHECKS if dg.AssetKey(a) in chosen]
        resources = {
            "io_manager": LakeIOManager(base_dir=str(self.folder / "lake")),
            "platform": Platform(threshold_names=sorted(OVERRIDABLE)),
            "clock": Clock(fixed=self.now.isoformat()),
        }
        selection = dg.AssetSelection.assets(*chosen).without_checks() | dg.AssetSelection.checks(*checks)
        job = dg.define_asset_job("night", selection=selection)
        defs = dg.Definitions(
            [orders, meta_ads], asset_checks=build_checks([orders, meta_ads]), resources=resources, jobs=[job],
            executor=dg.in_process_executor,
        )  # fmt: skip
        keys = (day_key(tenant, first), day_key(tenant, last))
        defs.resolve_job_def("night").execute_in_process(
            instance=self.instance, tags={**range_tags(tenant, *keys), **tags}, raise_on_error=False
        )

    def tick(self) -> None:
        alerter, complaints = open_alerter(self.instance, Platform(threshold_names=sorted(OVERRIDABLE)))
        assert complaints == []
        # events carry the machine's time, which is not the test's: none of them is young
        while alerter.tick(self.now).events:
            pass


def plant(night: int, day: date) -> list[tuple[str, date, str]]:
    """Change the world before the night that reads `day`; return what else is read again."""
    world.expired = {"acme"} if 60 <= night < 63 else set()
    if night in (40, 41, 42):
        world.dead.add(("kiwi", day))
    if night in (50, 51):
        world.poorly_placed.add(("zoo", day))
    shrinks = {15: ("acme", 0.75), 30: ("kiwi", 0.55)}
    if night in shrinks:
        tenant, ratio = shrinks[night]
        before = day - timedelta(days=1)
        world.drops[tenant, before] = ratio
        return [(tenant, before, "orders")]
    if night - 1 in shrinks:
        tenant, _ = shrinks[night - 1]
        before = day - timedelta(days=2)
        del world.drops[tenant, before]
        return [(tenant, before, "orders")]
    return []


EXPECTED = {
    ("acme orders: row_count_drop", "warning"): (15, 16),
    ("kiwi orders: row_count_drop", "critical"): (30, 31),
    ("kiwi meta_ads: row_count_drop", "critical"): (40, 43),
    ("zoo orders: geocoding_coverage", "critical"): (50, 52),
    ("acme meta_ads: failed_run", "critical"): (60, 63),
}


@pytest.mark.slow
def test_a_quarter_of_nights_tells_what_was_planted_and_nothing_else(
    tmp_path: Path, hook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Precision and recall of what people are woken by, over everything that a quarter brings."""
    (tmp_path / "tenants.toml").write_text(
        "".join(
            f'[tenants.{t}]\ntimezone = "UTC"\ncurrency = "USD"\nstart_date = 2026-01-01\n{more}'
            for t, more in TENANTS.items()
        )
    )
    for name, value in {
        "TENANTS": tmp_path / "tenants.toml",
        "LAKE": tmp_path / "lake",
        "ALERT_URLS": hook.url,
    }.items():
        monkeypatch.setenv(f"WEATHERVANE_{name}", str(value))
    monkeypatch.setenv("WEATHERVANE_STATE_URL", f"sqlite:///{tmp_path}/state/w.db")
    told: list[tuple[int, str]] = []
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(TENANT_PARTITIONS, list(TENANTS))
        quarter = Quarter(instance, tmp_path, datetime.combine(FIRST, datetime.min.time(), UTC) + timedelta(hours=3))
        for tenant in TENANTS:
            quarter.run(
                tenant,
                FIRST - timedelta(days=HISTORY),
                FIRST - timedelta(days=1),
                **{"weathervane/backfill": "history"},
            )
        quarter.tick()
        hook.taken.clear()
        late: dict[str, date] = {}
        for night in range(NIGHTS):
            day = FIRST + timedelta(days=night)
            quarter.now = datetime.combine(day, datetime.min.time(), UTC) + timedelta(days=1, hours=3)
            again = plant(night, day)
            for tenant in TENANTS:
                quarter.run(tenant, late.pop(tenant, day), day)
                if tenant in world.expired:
                    late[tenant] = late.get(tenant, day)
            for tenant, before, asset in again:
                quarter.run(tenant, before, before, asset)
            quarter.tick()
            told += [(night, title) for title in hook.titles]
            hook.taken.clear()
    alerts = Counter({(night, what): 1 for (what, _), (night, _) in EXPECTED.items()})
    ends = Counter({(night, what): 1 for (what, _), (_, night) in EXPECTED.items()})
    said = [(night, title.partition("] ")[2]) for night, title in told if "is still so" not in title]
    found = Counter((night, title.partition(" (")[0]) for night, title in said if " is over" not in title)
    over = Counter((night, title.partition(" is over")[0]) for night, title in said if " is over" in title)
    right = sum((found & alerts).values()) + sum((over & ends).values())
    precision, recall = right / max(1, len(said)), right / (2 * len(EXPECTED))
    print(f"precision {precision:.3f}, recall {recall:.3f}, {len(said)} messages")  # noqa: T201 - the figures are what one runs it for
    assert (found, over) == (alerts, ends), told
    assert {
        (title.partition("] ")[2].partition(" (")[0], title[1:].partition("]")[0])
        for _, title in told
        if " is " not in title
    } == set(EXPECTED)
    assert precision == recall == 1.0
