"""What commands of several files need: settings, tenants, and one clear line for what is wrong with them.

Belongs here: reading the configuration for a command. Does not belong here: commands.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from weathervane_resources.settings import Settings
    from weathervane_resources.tenants import Tenant

F = TypeVar("F", bound=Callable[..., Any])


class Complaint(click.ClickException):
    """Wrong usage or configuration: one line on standard error, exit code 2."""

    exit_code = 2


def complains(command: F) -> F:
    """Turn what an operator can mend into one line and exit code 2."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        from weathervane_resources.lake import LakeError
        from weathervane_resources.settings import ConfigurationError
        from weathervane_resources.state import StateError

        try:
            return command(*args, **kwargs)
        except (ConfigurationError, LakeError, StateError) as error:
            raise Complaint(" ".join(str(error).split())) from error

    return wrapped  # type: ignore[return-value]


def configured() -> Settings:
    """Return the settings of the environment, and log as they say."""
    from weathervane_resources.logs import configure_logs
    from weathervane_resources.settings import read_settings

    settings = read_settings(os.environ)
    configure_logs(os.environ)
    return settings


def all_tenants(settings: Settings) -> dict[str, Tenant]:
    """Return the tenants of tenants.toml by id."""
    from weathervane_assets.overridable import OVERRIDABLE
    from weathervane_resources.tenants import load_tenants

    return load_tenants(settings.tenants_file, OVERRIDABLE, settings.start_date)


def one_tenant(settings: Settings, tenant_id: str) -> Tenant:
    """Return a tenant of tenants.toml.

    Raises: Complaint: it has no such tenant.
    """
    known = all_tenants(settings)
    if tenant_id not in known:
        raise Complaint(f"unknown tenant {tenant_id!r}; {settings.tenants_file} has: {', '.join(known)}")
    return known[tenant_id]


def chosen_tenants(settings: Settings, tenant_id: str | None) -> list[Tenant]:
    """Return the one tenant asked for, or all."""
    return [one_tenant(settings, tenant_id)] if tenant_id else list(all_tenants(settings).values())
