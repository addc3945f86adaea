"""Where a tenant's shop is: Shopify's host of it, or the proxy that stands before it.

Belongs here: what follows from SHOPIFY_SHOP_DOMAIN and SHOPIFY_BASE_URL. Does not belong here: asking the shop (`connectors.py`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from weathervane_resources.settings import ConfigurationError

_SHOP_HOST = re.compile(r"[a-z0-9][a-z0-9-]*\.myshopify\.com", re.IGNORECASE)


def shop_host(domain: str) -> str:
    """Return the host of a shop that may be given by its name alone."""
    host = domain.removeprefix("https://").rstrip("/")
    return host if "." in host else f"{host}.myshopify.com"


def shop_url(values: Mapping[str, str]) -> str:
    """Return the address that a shop's token is sent to.

    Raises: ConfigurationError: it is another's than Shopify's without SHOPIFY_BASE_URL, or no host name.
    """
    host = shop_host(values.get("SHOPIFY_SHOP_DOMAIN", ""))
    if named := values.get("SHOPIFY_BASE_URL"):
        return named
    if not _SHOP_HOST.fullmatch(host):
        raise ConfigurationError(
            f"SHOPIFY_SHOP_DOMAIN is {host!r}; it must be <shop>.myshopify.com (SHOPIFY_BASE_URL names a proxy)"
        )
    return f"https://{host}"


def token_url(base_url: str) -> str:
    """Return where the shop at `base_url` gives and renews access tokens."""
    return f"{base_url.rstrip('/')}/admin/oauth/access_token"
