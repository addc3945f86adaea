"""Whether what a tenant has set can lead to a shop or an account at all, said before anything is asked.

Belongs here: the shape of a shop's host, and of what names an account. Does not belong here: which variables count
(`credentials.py`).
"""

from __future__ import annotations

import re

from weathervane_resources.credentials import Access, digits, statuses
from weathervane_resources.settings import ConfigurationError

_SHOP_HOST = re.compile(r"[a-z0-9][a-z0-9-]*\.myshopify\.com", re.IGNORECASE)
_ACCOUNTS = ("META_AD_ACCOUNT_ID", "GOOGLE_ADS_CUSTOMER_ID", "GOOGLE_ADS_LOGIN_CUSTOMER_ID")


def refuse_wrong_values(access: Access) -> None:
    """Refuse what no vendor could be asked with.

    Raises: ConfigurationError: a shop's domain is not Shopify's, an account id is no number, or a status no word.
    """
    values = access.values
    if "SHOPIFY_SHOP_DOMAIN" in values and "SHOPIFY_BASE_URL" not in values:
        own_shop(shop_host(values["SHOPIFY_SHOP_DOMAIN"]))
    for name in _ACCOUNTS:
        if name in values:
            digits(values[name])
    if "META_EFFECTIVE_STATUSES" in values:
        statuses(values["META_EFFECTIVE_STATUSES"])


def shop_host(domain: str) -> str:
    """Return the host of a shop that may be given by its name alone."""
    host = domain.removeprefix("https://").rstrip("/")
    return host if "." in host else f"{host}.myshopify.com"


def own_shop(host: str) -> str:
    """Refuse a host that is not Shopify's: the shop's token goes there.

    Raises: ConfigurationError: it is another's, or no host name.
    """
    if not _SHOP_HOST.fullmatch(host):
        raise ConfigurationError(
            f"SHOPIFY_SHOP_DOMAIN is {host!r}; it must be <shop>.myshopify.com (SHOPIFY_BASE_URL names a proxy)"
        )
    return host
