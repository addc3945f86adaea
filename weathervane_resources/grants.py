"""From configured credentials to an `Auth` that renews itself, with the pair kept in the vault.

Belongs here: which flow each vendor has. Does not belong here: the flows (`http/oauth.py`), the vault (`tokens.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import partial

from weathervane_resources.credentials import (
    GOOGLE_ADS,
    META,
    SHOPIFY,
    SOURCES,
    Access,
    missing_to_renew,
    tenant_variable,
)
from weathervane_resources.http.auth import RefreshingToken, Token, bearer, shopify_token
from weathervane_resources.http.oauth import MetaExchange, RefreshGrant, ShopifyClientCredentials, TokenEndpoint
from weathervane_resources.shop_address import shop_url, token_url
from weathervane_resources.tokens import Vault, fingerprint

SOURCE_NAMES = {source.live: source for source in SOURCES}
META_EARLY = timedelta(days=21)
"""Meta's token is exchanged only while it is valid, so weeks of failing runs must not lose it; and what is left of it two
weeks before its end (`connector.END_AHEAD`) was exchanged in vain."""


def mark_in_use(access: Access) -> str | None:
    """Return which row of the vault a tenant's credential has; None where nothing renews it.

    A row of a credential that was replaced stays, and its end or death is nobody's concern.
    Raises: ConfigurationError: the shop's address is wrong.
    """
    values = access.values
    if access.is_stub or not access.is_configured or missing_to_renew(SOURCE_NAMES[access.source], values)[1]:
        return None
    if access.source == SHOPIFY.live and "SHOPIFY_CLIENT_SECRET" in values:
        return _shopify_mark(values, token_url(shop_url(values)))
    if access.source == GOOGLE_ADS.live and "GOOGLE_ADS_REFRESH_TOKEN" in values:
        return _google_mark(values["GOOGLE_ADS_REFRESH_TOKEN"], values["GOOGLE_ADS_CLIENT_ID"])
    return _meta_mark(values["META_ACCESS_TOKEN"]) if access.source == META.live and "META_APP_ID" in values else None


def shopify_cure(access: Access) -> str:
    """Return who must do what when Shopify refuses a token that no refresh token renews; empty where one does."""
    values, own = access.values, partial(tenant_variable, access.tenant_id)
    if "SHOPIFY_REFRESH_TOKEN" in values:
        return ""
    if {"SHOPIFY_CLIENT_ID", "SHOPIFY_CLIENT_SECRET"} <= values.keys():
        return (
            "someone who manages the shop sees that the app is installed on it, and looks up its client id and secret;"
            f" set {own('SHOPIFY_CLIENT_SECRET')} or SHOPIFY_CLIENT_SECRET"
        )
    return (
        "nothing renews a fixed token: someone who manages the shop sees that its app is installed, and makes a new Admin"
        f" API access token; set {own('SHOPIFY_ACCESS_TOKEN')}"
    )


def _shopify_mark(values: Mapping[str, str], url: str) -> str:
    if refresh_token := values.get("SHOPIFY_REFRESH_TOKEN"):
        return fingerprint(refresh_token)
    app = values["SHOPIFY_CLIENT_ID"], values["SHOPIFY_CLIENT_SECRET"]
    return fingerprint(url, *app, values.get("SHOPIFY_ACCESS_TOKEN", ""))


def _google_mark(refresh_token: str, client_id: str) -> str:
    return fingerprint(refresh_token, client_id)


def _meta_mark(access_token: str) -> str:
    return fingerprint(access_token)


def shopify_grant(values: Mapping[str, str], tenant: str, endpoint: TokenEndpoint, vault: Vault) -> RefreshingToken:
    """Return Shopify's rotating refresh token where one is configured, else its client credentials (about a day)."""
    token, refresh_token = values.get("SHOPIFY_ACCESS_TOKEN", ""), values.get("SHOPIFY_REFRESH_TOKEN")
    mark = _shopify_mark(values, endpoint.url)
    if refresh_token:
        store = vault.store("shopify", tenant, mark)
        pair = Token(token, None, refresh_token)
        return RefreshingToken(pair, RefreshGrant(endpoint), shopify_token, endpoint.clock, store)
    store = vault.store("shopify", tenant, mark, is_replaceable=True)
    return RefreshingToken(Token(token), ShopifyClientCredentials(endpoint), shopify_token, endpoint.clock, store)


def google_grant(values: Mapping[str, str], tenant: str, endpoint: TokenEndpoint, vault: Vault) -> RefreshingToken:
    """Return Google's refresh token, which does not rotate; the vault keeps the access token for its hour."""
    refresh_token = values["GOOGLE_ADS_REFRESH_TOKEN"]
    mark = _google_mark(refresh_token, endpoint.client_id)
    store = vault.store("google_ads", tenant, mark, is_replaceable=True)
    pair = Token(values.get("GOOGLE_ADS_ACCESS_TOKEN", ""), None, refresh_token)
    return RefreshingToken(pair, RefreshGrant(endpoint), bearer, endpoint.clock, store)


def meta_grant(values: Mapping[str, str], tenant: str, exchange: MetaExchange, vault: Vault) -> RefreshingToken:
    """Return Meta's token, exchanged at first sight, daily until its end is known, and then three weeks before that."""
    token = values["META_ACCESS_TOKEN"]
    store = vault.store("meta_ads", tenant, _meta_mark(token))
    clock = exchange.endpoint.clock
    return RefreshingToken(Token(token), exchange, bearer, clock, store, META_EARLY, explores=True)
