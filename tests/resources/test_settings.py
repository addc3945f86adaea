"""The installation's variables."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from weathervane_resources.settings import ConfigurationError, read_settings


def test_an_empty_environment_gives_the_documented_defaults() -> None:
    """The README promised defaults that the code did not have."""
    settings = read_settings({})
    assert settings.tenants_file == Path("tenants.toml")
    assert settings.lake == "storage/lake"
    assert settings.state_url == "sqlite:///storage/state/weathervane.db"
    assert settings.stubs == "auto"
    assert settings.start_date == date(2024, 1, 1)
    assert settings.dagster_home == Path("storage/dagster")
    assert settings.token_key is None
    assert settings.alert_urls == ()


def test_a_variable_set_to_nothing_counts_as_unset() -> None:
    """Compose files pass `WEATHERVANE_LAKE=` for a variable that is not set on the host: the lake became ''."""
    names = (
        "TENANTS",
        "LAKE",
        "STATE_URL",
        "TOKEN_KEY",
        "STUBS",
        "START_DATE",
        "ALERT_URLS",
        "SANDBOX_URL",
        "STUB_CHANGES",
    )
    blank = {f"WEATHERVANE_{name}": "" for name in names} | {"DAGSTER_HOME": ""}
    assert read_settings(blank) == read_settings({})


@pytest.mark.parametrize(("said", "is_on"), [("on", True), ("True", True), ("1", True), ("off", False), ("no", False)])
def test_a_switch_is_on_or_off_in_the_usual_words(said: str, is_on: bool) -> None:
    """WEATHERVANE_STUB_CHANGES=on was silently off, and WEATHERVANE_AUTOMATION=true refused."""
    names = ("WEATHERVANE_STUB_CHANGES", "WEATHERVANE_AUTOMATION", "WEATHERVANE_ALERT_INSIDE")
    settings = read_settings(dict.fromkeys(names, said))
    assert {settings.stub_changes, settings.automation, settings.alert_inside} == {is_on}
    with pytest.raises(ConfigurationError, match=r"WEATHERVANE_STUB_CHANGES is 'maybe'; it must be on or off"):
        read_settings({"WEATHERVANE_STUB_CHANGES": "maybe"})


def test_what_is_set_is_what_is_read() -> None:
    """Docs and code disagreed on the names of variables."""
    settings = read_settings(
        {
            "WEATHERVANE_TENANTS": "/etc/wv/tenants.toml",
            "WEATHERVANE_LAKE": "s3://bucket/lake",
            "WEATHERVANE_STATE_URL": "postgresql+psycopg://db/wv",
            "WEATHERVANE_TOKEN_KEY": "key",
            "WEATHERVANE_STUBS": "never",
            "WEATHERVANE_START_DATE": "2023-07-01",
            "WEATHERVANE_ALERT_URLS": "slack://a  mailto://b",
            "WEATHERVANE_STUB_CHANGES": "true",
            "WEATHERVANE_SANDBOX_URL": "http://127.0.0.1:8099",
            "DAGSTER_HOME": "/var/dagster",
        }
    )
    assert settings.tenants_file == Path("/etc/wv/tenants.toml")
    assert settings.lake == "s3://bucket/lake"
    assert settings.state_url == "postgresql+psycopg://db/wv"
    assert settings.token_key == "key"
    assert settings.stubs == "never"
    assert settings.start_date == date(2023, 7, 1)
    assert settings.alert_urls == ("slack://a", "mailto://b")
    assert settings.sandbox_url == "http://127.0.0.1:8099"
    assert settings.dagster_home == Path("/var/dagster")
    assert settings.stub_changes


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("WEATHERVANE_STUBS", "yes", "WEATHERVANE_STUBS is 'yes'; it must be one of: auto, never"),
        (
            "WEATHERVANE_START_DATE",
            "01/02/2024",
            "WEATHERVANE_START_DATE is '01/02/2024'; write a date like 2024-01-01",
        ),
        (
            "WEATHERVANE_START_DATE",
            "2024-02-30",
            "WEATHERVANE_START_DATE is '2024-02-30'; write a date like 2024-01-01",
        ),
    ],
)
def test_a_bad_value_is_one_line_that_names_the_variable(name: str, value: str, says: str) -> None:
    """`WEATHERVANE_STUBS=yes` was taken for `auto`, and sample rows were served in production."""
    with pytest.raises(ConfigurationError) as caught:
        read_settings({name: value})
    assert str(caught.value) == says


@pytest.mark.parametrize(
    ("variable", "folder"),
    [
        *(("WEATHERVANE_LAKE", odd) for odd in ("a[b]", "a\\b", "shop=acme", "a|b", "a^b", "a%20b")),
        ("DAGSTER_HOME", "a%b"),
        ("DAGSTER_HOME", "a?b"),
    ],
)
def test_a_folder_that_a_library_would_misread_is_refused_wherever_it_stands(
    variable: str, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A traceback of SQLAlchemy's, or of Rust's, was all that was said of it."""
    with pytest.raises(ConfigurationError, match=f"{variable} is the folder .* cannot have"):
        read_settings({variable: f"/srv/{folder}/x"})
    (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path / folder)
    with pytest.raises(ConfigurationError, match=variable):
        read_settings({})
    for fine in ("/srv/100%", "s3://bucket/a[b]", "file:///srv/my%20shops"):
        assert read_settings({"WEATHERVANE_LAKE": fine, "DAGSTER_HOME": "/srv"}).lake == fine
    with pytest.raises(ConfigurationError, match="WEATHERVANE_LAKE"):
        read_settings({"WEATHERVANE_LAKE": "file:///srv/a[b]"})
