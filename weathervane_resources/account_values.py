"""Whether what a tenant has set can lead to a shop or an account at all, said before anything is asked.

Belongs here: the values that no vendor could be asked with. Does not belong here: which variables count
(`credentials.py`).
"""

from __future__ import annotations

from weathervane_resources.credentials import Access, digits, statuses
from weathervane_resources.shop_address import shop_url

_ACCOUNTS = ("META_AD_ACCOUNT_ID", "GOOGLE_ADS_CUSTOMER_ID", "GOOGLE_ADS_LOGIN_CUSTOMER_ID")


def refuse_wrong_values(access: Access) -> None:
    """Refuse what no vendor could be asked with.

    Raises: ConfigurationError: a shop's domain is not Shopify's, an account id is no number, or a status no word.
    """
    values = access.values
    if "SHOPIFY_SHOP_DOMAIN" in values:
        shop_url(values)
    for name in _ACCOUNTS:
        if name in values:
            digits(values[name])
    if "META_EFFECTIVE_STATUSES" in values:
        statuses(values["META_EFFECTIVE_STATUSES"])
