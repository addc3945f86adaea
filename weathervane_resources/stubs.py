"""Where stub rows come from: the sandbox that runs beside us, or one started inside this process.

Belongs here: finding or starting the sandbox. Does not belong here: the decision to use it (`credentials.py`).

The sandbox is imported when it is needed: with GraphQL and its synthetic vendors it is a tenth of what a code location
takes to load, and a location with credentials never needs it.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

from weathervane_resources.platform import Platform
from weathervane_resources.settings import require_address
from weathervane_resources.tenants import Tenant

if TYPE_CHECKING:
    from weathervane_resources.sandbox import RunningSandbox, SandboxConfig

_lock = threading.Lock()
_running: RunningSandbox | None = None


def sandbox_config(tenants: Mapping[str, Tenant]) -> SandboxConfig:
    """Return a sandbox whose shops are in the tenants' time zones and currencies, their prices with tax where that is so."""
    from weathervane_resources.sandbox import SandboxConfig, TenantProfile
    from weathervane_resources.sandbox.config import PRICES_WITH_TAX

    profiles = {
        t.id: TenantProfile(t.timezone, t.currency, taxes_included=t.currency in PRICES_WITH_TAX)
        for t in tenants.values()
    }
    return SandboxConfig(tenants=profiles)


def sandbox_url(platform: Platform) -> str:
    """Return the address of the sandbox; started in a thread of this process, once, where none is configured.

    Raises: ConfigurationError: WEATHERVANE_SANDBOX_URL is no address.
    """
    configured = platform.settings().sandbox_url
    if configured:
        return require_address("WEATHERVANE_SANDBOX_URL", configured)
    global _running  # noqa: PLW0603 - one sandbox a process, for as long as it lives
    from weathervane_resources.sandbox import RunningSandbox

    with _lock:
        if _running is None:
            _running = RunningSandbox(sandbox_config(platform.tenants()))
            _running.start()
        return _running.url
