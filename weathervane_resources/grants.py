"""From configured credentials to an `Auth` that renews itself, with the pair kept in the vault.

Belongs here: which flow each vendor has. Does not belong here: the flows (`http/oauth.py`), the vault (`tokens.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from weathervane_resources.http.auth import RefreshingToken, Token, bearer, shopify_token
from weathervane_resources.http.oauth import MetaExchange, RefreshGrant, ShopifyClientCredentials, TokenEndpoint
from weathervane_resources.tokens import Vault, fingerprint

META_EARLY = timedelta(days=7)
"""Meta's token is exchanged only while it is valid, so a week of failing runs must not lose it."""


def shopify_grant(values: Mapping[str, str], tenant: str, endpoint: TokenEndpoint, vault: Vault) -> RefreshingToken:
    """Return Shopify's rotating refresh token where one is configured, else its client credentials (about a day)."""
    token, refresh_token = values.get("SHOPIFY_ACCESS_TOKEN", ""), values.get("SHOPIFY_REFRESH_TOKEN")
    if refresh_token:
        store = vault.store("shopify", tenant, fingerprint(refresh_token))
        pair = Token(token, None, refresh_token)
        return RefreshingToken(pair, RefreshGrant(endpoint), shopify_token, endpoint.clock, store)
    mark = fingerprint(endpoint.url, endpoint.client_id, endpoint.client_secret, token)
    store = vault.store("shopify", tenant, mark, is_replaceable=True)
    return RefreshingToken(Token(token), ShopifyClientCredentials(endpoint), shopify_token, endpoint.clock, store)


def google_grant(values: Mapping[str, str], tenant: str, endpoint: TokenEndpoint, vault: Vault) -> RefreshingToken:
    """Return Google's refresh token, which does not rotate; the vault keeps the access token for its hour."""
    refresh_token = values["GOOGLE_ADS_REFRESH_TOKEN"]
    mark = fingerprint(refresh_token, endpoint.client_id)
    store = vault.store("google_ads", tenant, mark, is_replaceable=True)
    pair = Token(values.get("GOOGLE_ADS_ACCESS_TOKEN", ""), None, refresh_token)
    return RefreshingToken(pair, RefreshGrant(endpoint), bearer, endpoint.clock, store)


def meta_grant(values: Mapping[str, str], tenant: str, exchange: MetaExchange, vault: Vault) -> RefreshingToken:
    """Return Meta's token, exchanged at first sight, daily until its end is known, and then a week before that."""
    token = values["META_ACCESS_TOKEN"]
    store = vault.store("meta_ads", tenant, fingerprint(token))
    clock = exchange.endpoint.clock
    return RefreshingToken(Token(token), exchange, bearer, clock, store, META_EARLY, explores=True)
