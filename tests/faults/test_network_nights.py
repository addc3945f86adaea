"""Whole assets through a bad network: the same rows, or a message that says who is to blame and the lake as it was."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from yarl import URL

from tests.faults.nights import NOW, House, Stage, World, differing, stages, the_night
from tests.faults.tcp_proxy import Fault, running_between
from weathervane_resources.http.session import VendorSession

VENDORS = {
    "orders": "shopify", "meta_ads": "meta_ads", "google_ads": "google_ads", "promos": "klaviyo",
    "weather_daily": "open_meteo",
}  # fmt: skip
OFFSETS = (0, 9, 60, 400, 2_000, 20_000)
"""Bytes of the connection that pass: none, within the status, the headers, and early, midway and late in bodies."""
FAULTS = [Fault(kind, at, times=2) for kind, at in itertools.product(("reset", "end", "stall", "trickle"), OFFSETS)]
FEW = [("orders", Fault("end", 400, 2))]
REQUEST_S, CEILING_S = 1.5, 60.0
"""The longest request here, which is 180 s in production, and what an asset may take at most."""


class Calm:
    """An undisturbed reading of each source, with credentials, made when it is first asked for."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.house, self.turns = folder, House(folder / "house", url, is_live=True).make(), {}

    def turn(self, asset: str) -> Stage:
        """Return the asset's turn; the weather's is where orders went."""
        if asset not in self.turns:
            if asset == "weather_daily":
                self.turn("orders")
            self.turns |= {stage.asset: stage for stage in stages(self.folder, the_night("acme", asset), self.house)}
        return self.turns[asset]


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Calm]:
    with World(NOW).sandbox as sandbox:
        yield Calm(tmp_path_factory.mktemp("calm"), sandbox.url)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The product's sessions, with a shorter ceiling and no pause between attempts."""

    async def no_pause(_seconds: float) -> None:
        await asyncio.sleep(0)

    defaults = VendorSession.__init__.__kwdefaults__ | {"total_s": REQUEST_S, "sleep": no_pause}
    monkeypatch.setattr(VendorSession.__init__, "__kwdefaults__", defaults)


def through(stage: Stage, folder: Path, fault: Fault) -> tuple[House, list[str], int]:
    """Run the asset's turn through the proxy; return the installation, what failed and on how many connections it was hurt."""
    began = time.monotonic()
    with running_between(fault, URL(stage.house.url).port or 0) as proxy:
        house = replace(stage.house.copy(folder), url=proxy.url)
        failures = house.run(stage.night)
    assert time.monotonic() - began < CEILING_S, f"{fault}: {stage.asset} hung"
    return house, failures, proxy.hits


FULL = [*FAULTS, Fault("latency", 0, 99)]
CASES = [*FEW, *(pytest.param(asset, fault, marks=pytest.mark.faults) for fault in FULL for asset in VENDORS)]


@pytest.mark.parametrize(("asset", "fault"), CASES, ids=str)
def test_an_asset_read_through_a_bad_network_is_whole(calm: Calm, tmp_path: Path, asset: str, fault: Fault) -> None:
    """A cut body that parses is a short day; it looks like bad sales, not like a bad network."""
    stage = calm.turn(asset)
    house, failures, hits = through(stage, tmp_path / "house", fault)
    if not hits:
        pytest.skip("no connection carried so many bytes")
    assert failures == []
    assert differing(house.contents(), stage.after) == []


GONE = [
    "no name",
    *(pytest.param(kind, marks=pytest.mark.faults) for kind in ("reset", "stall", "no TLS", "nobody there")),
]
OTHERS = [pytest.param(asset, marks=pytest.mark.faults) for asset in VENDORS if asset != "orders"]


@pytest.mark.parametrize("asset", ["orders", *OTHERS])
@pytest.mark.parametrize("kind", GONE)
def test_an_asset_without_a_network_fails_in_words_and_is_read_when_it_is_back(
    calm: Calm, tmp_path: Path, asset: str, kind: str
) -> None:
    """The run ends, says whom it could not reach for which tenant and days, and has changed nothing."""
    stage = calm.turn(asset)
    port = URL(stage.house.url).port
    addresses = {
        "no name": "http://no-such-host.invalid",
        "no TLS": f"https://127.0.0.1:{port}",
        "nobody there": "http://127.0.0.1:1",
    }
    if kind in addresses:
        began = time.monotonic()
        house = replace(stage.house.copy(tmp_path / "house"), url=addresses[kind])
        failures = house.run(stage.night)
        assert time.monotonic() - began < CEILING_S
    else:
        house, failures, _ = through(stage, tmp_path / "house", Fault(kind, 60, times=10**6))
    (failure,) = failures
    assert f"{VENDORS[asset]} for tenant acme, window" in failure
    assert "What to do:" in failure
    assert differing(house.contents(), stage.before) == []
    back = replace(house, url=stage.house.url)
    assert back.run(stage.night) == []
    assert differing(back.contents(), stage.after) == []
