"""What the environment says, read once and passed on as a value.

Belongs here: the variables that concern the whole installation. Credentials of a vendor belong to
`connectors.py`; anything per tenant belongs into tenants.toml (`tenants.py`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Literal, cast

from yarl import URL

from weathervane_resources.shards import Shard, parse_shard

STUB_POLICIES = ("auto", "never")
ALERT_SEVERITIES = ("warning", "critical")
LOG_FORMATS = ("text", "json")
_HOST = re.compile(r"([a-z0-9_.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")
_ON, _OFF = ("on", "true", "yes", "1"), ("off", "false", "no", "0")


class ConfigurationError(Exception):
    """Something the operator wrote is wrong. One line: what, where, and what to do."""


@dataclass(frozen=True)
class Settings:
    """The installation's configuration. Paths are as given: relative ones belong to the working directory."""

    tenants_file: Path
    lake: str
    state_url: str
    token_key: str | None
    stubs: Literal["auto", "never"]
    start_date: date
    alert_urls: tuple[str, ...]
    dagster_home: Path
    alert_severity: str = "warning"
    """The least severity that goes to `alert_urls`."""
    alert_inside: bool = False
    """Whether a tenant's alert URL may lead to this machine or its network."""
    ui_url: str = "http://127.0.0.1:3000"
    """Where the UI is reached, for the links in a message."""
    ui_hosts: tuple[str, ...] = ()
    """Hosts that the UI may be asked for as, beside loopback and that of `ui_url`: `name` or `name:port`, in lower case."""
    automation: bool = False
    """Whether schedules and sensors run without being switched on one by one."""
    stub_changes: bool = False
    """Whether the change sensors also watch sources that serve stub rows."""
    shard: Shard = field(default_factory=Shard)
    """The tenants for which this code location starts runs."""
    log_format: str = "text"
    """`text`, or `json`: one object a line on standard error."""
    sandbox_url: str | None = None
    """Where `make dev` and the demo run the sandbox. Unset: a run that needs stub rows starts its own."""


def read_settings(env: Mapping[str, str]) -> Settings:
    """Read the `WEATHERVANE_*` variables.

    Raises: ConfigurationError: a value is not one of those allowed; the message names the variable.
    """
    stubs = env.get("WEATHERVANE_STUBS") or "auto"
    if stubs not in STUB_POLICIES:
        raise ConfigurationError(f"WEATHERVANE_STUBS is {stubs!r}; it must be one of: {', '.join(STUB_POLICIES)}")
    log_format = env.get("WEATHERVANE_LOG_FORMAT") or "text"
    if log_format not in LOG_FORMATS:
        raise ConfigurationError(
            f"WEATHERVANE_LOG_FORMAT is {log_format!r}; it must be one of: {', '.join(LOG_FORMATS)}"
        )
    severity = env.get("WEATHERVANE_ALERT_SEVERITY") or "warning"
    if severity not in ALERT_SEVERITIES:
        allowed = ", ".join(ALERT_SEVERITIES)
        raise ConfigurationError(f"WEATHERVANE_ALERT_SEVERITY is {severity!r}; it must be one of: {allowed}")
    return Settings(
        tenants_file=Path(env.get("WEATHERVANE_TENANTS") or "tenants.toml"),
        lake=_lake(env.get("WEATHERVANE_LAKE") or "storage/lake"),
        state_url=env.get("WEATHERVANE_STATE_URL") or "sqlite:///storage/state/weathervane.db",
        token_key=env.get("WEATHERVANE_TOKEN_KEY") or None,
        stubs=cast("Literal['auto', 'never']", stubs),
        start_date=_start_date(env.get("WEATHERVANE_START_DATE") or "2024-01-01"),
        alert_urls=tuple(env.get("WEATHERVANE_ALERT_URLS", "").split()),
        dagster_home=_folder("DAGSTER_HOME", env.get("DAGSTER_HOME") or "storage/dagster", "[%?]"),
        alert_severity=severity,
        alert_inside=_switch(env, "WEATHERVANE_ALERT_INSIDE"),
        ui_url=env.get("WEATHERVANE_UI_URL") or "http://127.0.0.1:3000",
        ui_hosts=_hosts(env.get("WEATHERVANE_UI_HOSTS", "")),
        automation=_switch(env, "WEATHERVANE_AUTOMATION"),
        stub_changes=_switch(env, "WEATHERVANE_STUB_CHANGES"),
        shard=_shard(env.get("WEATHERVANE_SHARD") or "1/1"),
        log_format=log_format,
        sandbox_url=env.get("WEATHERVANE_SANDBOX_URL") or None,
    )


def _lake(root: str) -> str:
    odd = r"[\[\]\\=|^]"
    if root.startswith("file://"):
        _folder("WEATHERVANE_LAKE", root.removeprefix("file://"), odd)
    elif "://" not in root:
        _folder("WEATHERVANE_LAKE", root, rf"{odd}|%[0-9A-Fa-f]{{2}}")
    return root


def _folder(variable: str, path: str, odd: str) -> Path:
    """Return a folder; its libraries take what is `odd`, a pattern, for something else, and fail on it late and obscurely."""
    whole = str(Path(path).absolute())
    if found := re.search(odd, whole):
        raise ConfigurationError(
            f"{variable} is the folder {whole}, which cannot have {found[0]} in its name; choose another"
        )
    return Path(path)


def _switch(env: Mapping[str, str], name: str) -> bool:
    return is_on(name, env.get(name) or "off")


def is_on(name: str, value: str) -> bool:
    """Return whether a switch is on.

    Raises: ConfigurationError: the value says neither on nor off.
    """
    said = value.strip().lower()
    if said not in (*_ON, *_OFF):
        raise ConfigurationError(f"{name} is {said!r}; it must be on or off")
    return said in _ON


def require_address(variable: str, url: str) -> str:
    """Return the address that a variable holds.

    Raises: ConfigurationError: it is none; not repeated, since a proxy's may hold a password.
    """
    try:
        is_address = URL(url).scheme in ("http", "https") and bool(URL(url).origin().host)
    except ValueError:
        is_address = False
    if not is_address:
        raise ConfigurationError(f"{variable} must be http(s)://host, with the port and path it needs")
    return url


def _hosts(text: str) -> tuple[str, ...]:
    hosts = tuple(host.strip().lower() for host in text.split(",") if host.strip())
    if not all(_HOST.fullmatch(host) for host in hosts):
        raise ConfigurationError(
            f"WEATHERVANE_UI_HOSTS is {text!r}; write hosts as a browser shows them, like weather.example.com or "
            "10.0.0.7:3000, separated by commas"
        )
    return hosts


def _shard(text: str) -> Shard:
    try:
        return parse_shard(text)
    except ValueError as error:
        raise ConfigurationError(f"WEATHERVANE_SHARD is {text!r}; write number and count like 2/4") from error


def _start_date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ConfigurationError(f"WEATHERVANE_START_DATE is {text!r}; write a date like 2024-01-01") from error
