"""The tenants.toml that the demo writes, and what a newcomer makes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from weathervane_assets.demo import SHOPS, _demo_tenants
from weathervane_resources.settings import ConfigurationError, Settings, read_settings


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
