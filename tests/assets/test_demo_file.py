"""The tenants.toml that the demo writes, and what a newcomer makes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from weathervane_assets.demo import SHOPS, _demo_tenants
from weathervane_resources.settings import ConfigurationError, Settings, read_settings
from weathervane_resources.stubs import sandbox_config


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return read_settings({"WEATHERVANE_TENANTS": str(tmp_path / "tenants.toml")})


def test_a_smaller_or_later_demo_keeps_the_shops_of_a_larger_one(settings: Settings) -> None:
    """The lake has them still."""
    _demo_tenants(settings, 3)
    later = read_settings({"WEATHERVANE_TENANTS": str(settings.tenants_file), "WEATHERVANE_START_DATE": "2025-01-01"})
    assert [tenant.id for tenant in _demo_tenants(later, 1)] == ["acme"]
    written = settings.tenants_file.read_text()
    assert [shop[0] in written for shop in SHOPS[:4]] == [True, True, True, False]
    assert written.count("start_date = 2025-01-01") == 3


def test_the_demos_shops_have_prices_as_in_their_countries(settings: Settings) -> None:
    """No made-up shop had tax in its prices, so nobody saw what becomes of it before their own shop did."""
    tenants = {tenant.id: tenant for tenant in _demo_tenants(settings, len(SHOPS))}
    config = sandbox_config(tenants)
    assert {t for t in tenants if not config.profile(t).taxes_included} == {"acme", "demo-4", "demo-8"}
    assert {t: (config.profile(t).timezone, config.profile(t).currency) for t in tenants} == {
        tenant: (zone, currency) for tenant, _, zone, currency in SHOPS
    }


@pytest.mark.parametrize("mine", ["", '[tenants.mine]\ntimezone = "UTC"\ncurrency = "EUR"\n', "paused = true\n"])
def test_tenants_written_into_the_demos_file_are_not_written_over(settings: Settings, mine: str) -> None:
    """Its first line says that one may; the next demo put its shops in their place."""
    _demo_tenants(settings, 1)
    text = settings.tenants_file.read_text() + mine
    text = text.replace("America/New_York", "Europe/Paris") if not mine else text
    settings.tenants_file.write_text(text)
    with pytest.raises(ConfigurationError, match="holds your own tenants"):
        _demo_tenants(settings, 1)
    assert settings.tenants_file.read_text() == text
