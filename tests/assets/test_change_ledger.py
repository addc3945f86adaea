"""Where a change sensor begins: nothing is lost between a backfill and the first tick, and little is read twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from tests.assets.conftest import Installation
from tests.assets.test_changes import QUIET, REFUNDED, START, Daemon, Time, days_of, open_shop, order_of, refund
from tests.assets.test_left_over_demo import go_live
from weathervane_assets.change_cursor import Change
from weathervane_assets.change_ledger import READING, are_written_since, missed_since, to_be_read
from weathervane_assets.changes import changed_campaigns, changed_orders
from weathervane_assets.tables import CONTRACTS, shape_of
from weathervane_resources.lake_ledger import LEDGER_SCHEMA
from weathervane_resources.sandbox import RunningSandbox, SandboxConfig

LIVE, CAMPAIGNS = "shopify_api", "klaviyo_api"


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def here(tmp_path: Path, time: Time, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installation]:
    with open_shop(tmp_path, time, monkeypatch) as installation:
        go_live(monkeypatch, installation.sandbox.url)
        yield installation


def write(
    here: Installation, at: datetime, first: date, last: date, source: str = LIVE, *, asset: str = "orders"
) -> None:
    """Note days as read at `at`, as a run of that hour would have."""
    shape = shape_of(CONTRACTS[asset])
    frame = pl.DataFrame(schema=shape.schema)
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    here.lake.replace("acme", asset, frame, shape=shape, days=days, source=source, run_id="r", now=at)


def begins_at(daemon: Daemon, tenant: str = "acme") -> datetime:
    lists = json.loads(str(daemon.cursor))["tenants"][tenant]
    (until,) = {one["until"] for one in lists.values()}
    return datetime.fromisoformat(until)


def test_a_refund_between_the_backfill_and_the_first_tick_is_found(here: Installation, time: Time) -> None:
    """Backfill first, automation last, as the docs say: what was refunded in the two days between was lost for ever."""
    write(here, time.now, REFUNDED - timedelta(days=30), START.date() - timedelta(days=1))
    time.pass_by(hours=10)
    refund(here, order_of(here, REFUNDED))
    time.pass_by(days=2)
    daemon = Daemon(changed_orders, time, here.instance)
    assert daemon.tick() == []
    assert (begins_at(daemon), begins_at(daemon, "kiwi")) == (START - READING, time.now)
    steps = []
    while (begun := begins_at(daemon)) < time.now:
        asked = daemon.tick()
        steps.append((begins_at(daemon) - begun, [days_of(one)[0] for one in asked if days_of(one)[0] < "2026-09-19"]))
    assert [step for step, _ in steps[:2]] == [timedelta(days=1)] * 2
    assert [days for _, days in steps if days] == [["2026-08-11|acme"]]
    assert daemon.tick() == []


def test_days_that_were_read_after_their_changes_are_not_read_again(here: Installation, time: Time) -> None:
    """A sensor that began a year back, with every night read since, asked for all of them: 365 runs of nothing."""
    anchor = REFUNDED - timedelta(days=1)
    write(here, time.now, anchor, anchor)
    refund(here, order_of(here, REFUNDED))
    time.pass_by(days=5)
    write(here, time.now, REFUNDED, START.date() + timedelta(days=4))
    daemon = Daemon(changed_orders, time, here.instance)
    asked = [days_of(one)[0] for _ in range(8) for one in daemon.tick()]
    assert begins_at(daemon) == time.now
    assert asked == []


def test_a_token_that_sees_sixty_days_does_not_hinder_a_start_before_them(
    here: Installation, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sensor that begins where the token sees nothing must neither stand still nor ask for days that a run may not read."""
    time.now = datetime.now(UTC) - timedelta(days=63)
    day = time.now.date() - timedelta(days=40)
    write(here, time.now, day, day)
    time.now = datetime.now(UTC)
    blind = SandboxConfig(tenants=QUIET, clock=time, shopify_scopes=("read_orders",))
    with RunningSandbox(blind) as shop:
        go_live(monkeypatch, shop.url)
        daemon = Daemon(changed_orders, time, here.instance)
        assert daemon.tick() == []
        assert time.now - begins_at(daemon) > timedelta(days=63)
        asked = [days_of(one)[0] for _ in range(3) for one in daemon.tick() if days_of(one)[0].endswith("|acme")]
        assert timedelta(days=56) < time.now - begins_at(daemon) < timedelta(days=57)
    assert asked
    assert min(asked) >= f"{time.now.date() - timedelta(days=60)}|acme"


@pytest.mark.parametrize("source", ["stub", "not_configured"])
def test_rows_that_are_not_the_tenants_say_nothing(here: Installation, time: Time, source: str) -> None:
    """A demo of last spring would have the sensor look through half a year of a shop that had no orders then."""
    write(here, time.now, REFUNDED, REFUNDED, source)
    time.pass_by(days=2)
    daemon = Daemon(changed_orders, time, here.instance)
    daemon.tick()
    assert begins_at(daemon) == time.now


def test_campaigns_begin_where_campaigns_were_read(
    here: Installation, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Orders that were read later would have hidden two days of campaigns."""
    for name, value in {"BASE_URL": f"{here.sandbox.url}/t/acme", "PRIVATE_API_KEY": "pk_live"}.items():
        monkeypatch.setenv(f"ACME__KLAVIYO_{name}" if name != "BASE_URL" else "KLAVIYO_BASE_URL", value)
    write(here, time.now, REFUNDED, REFUNDED, CAMPAIGNS, asset="promos")
    time.pass_by(days=2)
    write(here, time.now, REFUNDED, REFUNDED)
    daemon = Daemon(changed_campaigns, time, here.instance)
    daemon.tick()
    assert begins_at(daemon) == START - READING


def test_a_ledger_that_cannot_be_read_stops_no_other_tenant(here: Installation, time: Time) -> None:
    """One tenant's broken table would have ended every tick of all, and where it begins would have been now."""
    if not here.lake.files.is_local:
        pytest.skip("damages files by hand")
    write(here, time.now, REFUNDED, REFUNDED)
    log = here.folder / "lake" / "acme" / "_ledger" / "_delta_log"
    kept = {file: file.read_bytes() for file in log.glob("*.json")}
    for file in kept:
        file.write_text("not json")
    daemon = Daemon(changed_orders, time, here.instance)
    time.pass_by(days=1)
    assert daemon.tick() == []
    assert begins_at(daemon, "kiwi") == time.now
    assert "acme" not in json.loads(str(daemon.cursor))["tenants"]
    for file, text in kept.items():
        file.write_bytes(text)
    daemon.tick()
    assert begins_at(daemon) == START - READING


def ledger(*rows: tuple[str, date, datetime, str]) -> pl.DataFrame:
    columns = ["dataset", "date", "written_at_utc", "source"]
    schema = {name: LEDGER_SCHEMA[name] for name in columns}
    return pl.DataFrame(rows, schema=schema, orient="row")


def test_a_ledger_that_was_written_later_than_now_begins_now() -> None:
    """A clock that went back must not leave a hole, nor read the future."""
    at = datetime(2026, 9, 20, tzinfo=UTC)
    later = ledger(("orders", REFUNDED, at + timedelta(days=1), LIVE))
    assert missed_since(later, at) == at
    assert missed_since(later.clear(), at) == at


def test_only_the_days_that_wait_are_left_of_a_change() -> None:
    """A campaign that moved: one day was read since, the other was not, and a run reads both again for nothing."""
    at, other = START, REFUNDED + timedelta(days=1)
    read = ledger(
        ("promos", REFUNDED, at + READING + timedelta(seconds=1), CAMPAIGNS), ("promos", other, at, CAMPAIGNS)
    )
    moved, seen = Change("a", at, frozenset({REFUNDED, other})), Change("b", at, frozenset({REFUNDED}))
    assert to_be_read([moved, seen], read) == [Change("a", at, frozenset({other}))]
    while_it_was_read = Change("c", at + timedelta(seconds=1), frozenset({REFUNDED}))
    assert to_be_read([while_it_was_read], read) == [while_it_was_read]


def test_a_day_before_the_oldest_that_was_read_is_a_backfills() -> None:
    """An order of March was refunded in November: a run read that one day, without the year before it, alone in the matrix."""
    read = ledger(("orders", REFUNDED, START, LIVE), ("orders", REFUNDED - timedelta(days=9), START, "stub"))
    older, newer = REFUNDED - timedelta(days=1), REFUNDED + timedelta(days=1)
    change = Change("a", START + timedelta(days=1), frozenset({older, REFUNDED, newer}))
    assert to_be_read([change], read) == [Change("a", change.updated_at, frozenset({REFUNDED, newer}))]
    assert to_be_read([change], read.clear()) == [change]


def test_days_are_written_when_every_table_of_every_day_is() -> None:
    """Orders alone: the matrix keeps the old figures."""
    days = [REFUNDED, REFUNDED + timedelta(days=1)]
    rows = [(name, day, START, LIVE) for name in ("orders", "features", "ads") for day in days]
    tables, before = ("orders", "features"), START - timedelta(seconds=1)
    assert are_written_since(ledger(*rows), tables, days, before)
    assert not are_written_since(ledger(*rows), tables, days, START)
    assert not are_written_since(ledger(*rows[:3]), tables, days, before)


def test_a_sensor_begins_no_farther_back_than_it_can_work_through() -> None:
    """A cursor was reset after two years, and nothing new was found for five days: it was at the spring of the year before."""
    at = datetime(2026, 9, 20, tzinfo=UTC)
    assert missed_since(ledger(("orders", REFUNDED, at - timedelta(days=700), LIVE)), at) == at - timedelta(days=90)
