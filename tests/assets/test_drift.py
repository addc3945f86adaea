"""What a restatement changed against the version before: exactly what the vendor changed, by day."""

from __future__ import annotations

import urllib.parse
import urllib.request
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from tests import engines
from tests.assets.conftest import Installation, write_environment
from weathervane_assets.backfill import Outcome
from weathervane_assets.partitions import TENANT_PARTITIONS, day_key
from weathervane_assets.pictures import drift_picture
from weathervane_resources.drift import content, sum_changes
from weathervane_resources.sandbox import RunningSandbox, SandboxConfig, TenantProfile, truth

READ, AGAIN = datetime(2026, 11, 10, 15, tzinfo=UTC), datetime(2026, 11, 17, 15, tzinfo=UTC)
DAYS = [date(2026, 10, 31) + timedelta(days=n) for n in range(10)]
LATER = DAYS[-1] + timedelta(days=1)
CREDITED = DAYS[3]
BUSY = {"acme": TenantProfile("America/New_York", "USD", orders_per_day=2000)}
PLATFORMS = {"meta_ads": ("meta",), "google_ads": ("google_ads",), "ads": ("meta", "google_ads")}
Read = tuple[Installation, SandboxConfig, list[Outcome]]


def restate(here: Installation, platform: str, day: date, share: str, at: datetime) -> None:
    form = urllib.parse.urlencode({"share": share, "at": at.isoformat()}).encode()
    url = f"{here.sandbox.url}/sandbox/t/acme/ads/{platform}/{day}/restate"
    with urllib.request.urlopen(url, data=form) as reply:
        assert reply.status == 200


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Read]:
    """Ten days read on November 10, and those and one more a week later: conversions came in, clicks were credited."""
    folder, now = tmp_path_factory.mktemp("drift"), [READ]
    config = SandboxConfig(tenants=BUSY, clock=lambda: now[0])
    with (
        RunningSandbox(config) as sandbox,
        pytest.MonkeyPatch.context() as patch,
        engines.chosen().instance() as instance,
    ):
        write_environment(patch, folder, sandbox.url)
        instance.add_dynamic_partitions(TENANT_PARTITIONS, ["acme"])
        here = Installation(folder, instance, sandbox)
        outcomes = [here.backfill("acme", DAYS[0], DAYS[-1], *PLATFORMS, now=READ.isoformat())]
        restate(here, "meta", CREDITED, "0.5", AGAIN - timedelta(days=1))
        now[0] = AGAIN
        outcomes += [here.backfill("acme", DAYS[0], LATER, *PLATFORMS, now=AGAIN.isoformat()) for _ in range(2)]
        assert [outcome.failures for outcome in outcomes] == [[], [], []]
        yield here, config, outcomes


def shown(read: Read, run: int, asset: str) -> dict[date, dict[str, Any]]:
    here, _, outcomes = read
    found = here.materializations(outcomes[run], asset)
    by_day = {day: found[day_key("acme", day)].metadata for day in DAYS}
    return {day: {name: value.value for name, value in metadata.items()} for day, metadata in by_day.items()}


@pytest.mark.parametrize("asset", PLATFORMS)
def test_the_metadata_says_by_day_what_the_vendor_changed(asset: str, read: Read) -> None:
    """Purchases were under-reported for some ranges and no one could say which days had moved (airbyte #68689)."""
    _, config, _ = read
    moved = set()
    for day, metadata in shown(read, 1, asset).items():
        then, now = (
            [truth.ads_day(config, "acme", name, day, at) for name in PLATFORMS[asset]] for at in (READ, AGAIN)
        )
        spend = sum(one.spend for one in now) - sum(one.spend for one in then)
        conversions = sum(one.conversions for one in now) - sum(one.conversions for one in then)
        assert metadata["spend_change"] == float(spend), day
        assert metadata["conversions_change"] == conversions, day
        moved |= {"spend"} if spend else set()
        moved |= {"conversions"} if conversions else set()
    assert moved == ({"conversions"} if asset == "google_ads" else {"spend", "conversions"})


@pytest.mark.parametrize("asset", PLATFORMS)
def test_one_small_picture_on_the_newest_day_shows_the_days_that_moved(asset: str, read: Read) -> None:
    """A run of 28 days with a picture on each is a megabyte of the same picture in the event log."""
    here, _, outcomes = read
    found = here.materializations(outcomes[1], asset)
    assert [key for key, one in found.items() if "drift" in one.metadata] == [day_key("acme", LATER)]
    picture = str(found[day_key("acme", LATER)].metadata["drift"].value)
    assert picture.startswith("![Changes against the version before, 2026-10-31 to 2026-11-09](data:image/png;base64,")
    assert len(picture) < 60_000


@pytest.mark.parametrize("asset", PLATFORMS)
def test_nothing_is_compared_at_the_first_read_and_nothing_is_drawn_where_nothing_changed(
    asset: str, read: Read
) -> None:
    """Every backfill looked like the largest restatement ever."""
    here, _, outcomes = read
    assert not any({"spend_change", "drift"} & set(metadata) for metadata in shown(read, 0, asset).values())
    assert "spend_change" not in here.materializations(outcomes[1], asset)[day_key("acme", LATER)].metadata
    for metadata in shown(read, 2, asset).values():
        assert (metadata["spend_change"], metadata["conversions_change"]) == (0, 0)
        assert metadata["updated_rows"] == 0
    assert not any("drift" in one.metadata for one in here.materializations(outcomes[2], asset).values())


def frame(*rows: tuple[int, str | None, float | None]) -> pl.DataFrame:
    days, spend, conversions = zip(*rows, strict=True) if rows else ((), (), ())
    return pl.DataFrame(
        {
            "date": [date(2026, 11, day) for day in days],
            "spend": [None if value is None else Decimal(value) for value in spend],
            "conversions": conversions,
        },
        schema={"date": pl.Date, "spend": pl.Decimal(18, 4), "conversions": pl.Float64},
    )


def test_sums_are_compared_as_decimals_and_null_is_not_zero() -> None:
    """0.1 + 0.2 in another order of rows was a change of 5e-17; a day of which nothing is reported was "no change"."""
    after = frame((1, "0.10", 0.2), (1, "0.20", 0.1), (2, "5.00", None), (3, "1.00", 2.0), (5, "1.00", None))
    before = frame((1, "0.20", 0.1), (1, "0.10", 0.2), (2, "7.25", None), (3, "1.00", None), (4, "3.00", 1.5))
    days = [date(2026, 11, day) for day in range(1, 7)]
    changes = sum_changes(after, before, ("spend", "conversions"), days)
    assert [None if change is None else float(change) for change in changes["spend_change"]] == [
        0, -2.25, 0, -3, 1, None,
    ]  # fmt: skip
    assert [None if change is None else float(change) for change in changes["conversions_change"]] == [
        0, None, 2, -1.5, None, None,
    ]  # fmt: skip


def test_a_single_day_is_not_drawn() -> None:
    """A picture of one bar says less than its number."""
    one = sum_changes(
        frame((1, "1.00", 1.0), (2, "1.00", 1.0)),
        frame((2, "1.00", 1.0)),
        ("spend",),
        [date(2026, 11, n) for n in (1, 2)],
    )
    assert drift_picture(one) is None


def test_the_last_bits_of_a_float_say_nothing() -> None:
    """Normals that another processor computed were learnt anew, and nothing was held against them any more."""
    rows = pl.DataFrame({"geohash": ["a", "b", "c"], "temp_c": [1.25, 0.0, None], "as_of_utc": [1, 1, 1]})
    other = rows.with_columns(pl.col("temp_c") + pl.Series([1e-13, -1e-13, 0.0]), as_of_utc=pl.lit(2))
    said, said_again = (frame.select(content(frame.schema))["geohash"].to_list() for frame in (rows, other))
    assert said == said_again
    changed = rows.with_columns(pl.col("temp_c") + 1e-5)
    assert changed.select(content(changed.schema))["geohash"].to_list()[:2] != said[:2]
