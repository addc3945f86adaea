"""A tenants.toml that cannot be read: no run starts, so someone has to be told."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from tests.assets.conftest import Installation
from tests.checks.alerting import Webhook, webhook
from tests.checks.alerting import watchtower as running_watchtower
from weathervane_assets.overridable import OVERRIDABLE
from weathervane_checks.alerter import open_alerter
from weathervane_resources.platform import Platform


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with webhook() as running:
        yield running


def test_a_tenants_file_that_cannot_be_read_is_told_once_and_its_mending_too(
    installation: Installation, hook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At six someone added a shop with `currency = "eur"`: every schedule failed from then on, and so did the alerter itself."""
    monkeypatch.setenv("WEATHERVANE_ALERT_URLS", hook.url)
    file = installation.folder / "tenants.toml"
    good = file.read_text()
    with running_watchtower(installation.folder, hook) as tower:

        def tick(text: str) -> int:
            file.write_text(text)
            tower.now += timedelta(minutes=1)
            alerter, complaints = open_alerter(tower.instance, Platform(threshold_names=sorted(OVERRIDABLE)))
            alerter.tick(tower.now)
            assert bool(complaints) == (text != good)
            return len(hook.taken)

        assert tick(good) == 0
        tower.judge("acme", "orders", "row_count_drop", "critical", tower.now.date().isoformat())
        wrong = good + '[tenants.new]\ntimezone = "UTC"\ncurrency = "eur"\n'
        assert (tick(wrong), tick(wrong)) == (1, 1)
        assert "(tenants.new) currency: is" in str(hook.taken[0])
        assert "acme" not in str(hook.taken), "whose messages these are is not known, so they wait"
        assert tick(good) == 3
        assert "is over" in str(hook.taken[1:])
        assert "acme" in str(hook.taken[1:])
