"""What every asset needs to know about the installation: settings, tenants and the lake, as one Dagster resource.

Belongs here: nothing but the way to them. The environment is read when a run asks, never at import.
"""

from __future__ import annotations

import os

from dagster import ConfigurableResource

from weathervane_resources.lake import Lake
from weathervane_resources.settings import Settings, read_settings
from weathervane_resources.tenants import Tenant, load_tenants


class Platform(ConfigurableResource[None]):
    """The installation. `threshold_names` are the keys that tenants.toml may override."""

    threshold_names: list[str]

    def settings(self) -> Settings:
        """Return the settings of the environment.

        Raises: ConfigurationError: a variable has a value that is not allowed.
        """
        return read_settings(os.environ)

    def tenants(self) -> dict[str, Tenant]:
        """Return the tenants by id.

        Raises: ConfigurationError: tenants.toml is missing or wrong.
        """
        settings = self.settings()
        return load_tenants(settings.tenants_file, frozenset(self.threshold_names), settings.start_date)

    def own_tenants(self) -> dict[str, Tenant]:
        """Return the tenants of this code location's shard. Whose a credential is goes by all of them: `tenants`.

        Raises: ConfigurationError: as `tenants`.
        """
        shard = self.settings().shard
        return {name: tenant for name, tenant in self.tenants().items() if shard.has(name)}

    def lake(self) -> Lake:
        """Return the lake."""
        return Lake(self.settings().lake)
