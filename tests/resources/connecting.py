"""A configured installation, whose connectors talk to the sandbox, and what they are asked in the tests."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from weathervane_resources.connector import Connector
from weathervane_resources.connectors import GoogleAdsConnector, MetaAdsConnector, ShopifyConnector
from weathervane_resources.credentials import CREDENTIAL_NAMES, SOURCES
from weathervane_resources.platform import Platform
from weathervane_resources.sandbox import RunningSandbox
from weathervane_resources.state import open_state
from weathervane_resources.state_tables import jobs, quotas, tokens
from weathervane_resources.tokens import TokenInfo, Vault

KEY = "gBu2Kc7Tk4mqiRAsbGSYpDKNOS0qFb5LtaLrTIQTmGE="
DAY = date(2026, 11, 1)
TENANTS = '[tenants.acme]\ntimezone = "America/New_York"\ncurrency = "USD"\n[tenants.kiwi]\ntimezone = "UTC"\ncurrency = "NZD"\n'


class Bench:
    """A configured installation and what was asked of the vendors."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, sandbox: RunningSandbox) -> None:
        self.folder, self.monkeypatch, self.sandbox = folder, monkeypatch, sandbox
        self.platform = Platform(threshold_names=[])
        self.state_url = f"sqlite:///{folder}/state/w.db"

    def configure(self, **values: str) -> None:
        for name, value in values.items():
            self.monkeypatch.setenv(f"ACME__{name}", value)

    def call(self, connector: Connector, use: Callable[[Any], Awaitable[Any]]) -> Any:
        access = connector.access("acme", self.platform)

        async def main() -> Any:
            async with connector.connect(access, self.platform) as client:  # type: ignore[attr-defined]
                return await use(client)

        return asyncio.run(main())

    def grants(self) -> list[int]:
        return [record.status for record in self.sandbox.log if record.path.endswith(("/access_token", "/token"))]

    def tokens(self) -> list[TokenInfo]:
        return Vault(open_state(self.state_url), KEY, lambda: datetime.now(UTC)).list_tokens()

    def end(self, ends: datetime) -> None:
        """Let every stored credential end then."""
        with open_state(self.state_url).begin() as connection:
            connection.execute(sa.update(tokens).values(expires_at=ends, refresh_expires_at=ends))

    def jobs(self) -> list[str]:
        with open_state(self.state_url).begin() as connection:
            return [row.job_id for row in connection.execute(sa.select(jobs))]

    def quotas(self) -> dict[str, set[str]]:
        with open_state(self.state_url).begin() as connection:
            rows = connection.execute(sa.select(quotas)).all()
        return {row.scope: {r.part for r in rows if r.scope == row.scope} for row in rows}


@contextmanager
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """Yield an installation of two tenants without any credential."""
    for name in [*CREDENTIAL_NAMES, *(n for source in SOURCES for n in source.overrides)]:
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "tenants.toml").write_text(TENANTS)
    monkeypatch.setenv("WEATHERVANE_TENANTS", str(tmp_path / "tenants.toml"))
    monkeypatch.setenv("WEATHERVANE_STATE_URL", f"sqlite:///{tmp_path}/state/w.db")
    monkeypatch.setenv("WEATHERVANE_TOKEN_KEY", KEY)
    with RunningSandbox() as sandbox:
        monkeypatch.setenv("WEATHERVANE_SANDBOX_URL", sandbox.url)
        yield Bench(tmp_path, monkeypatch, sandbox)


async def shop(client: Any) -> Any:
    return await client.shop()


async def campaigns(client: Any) -> list[Any]:
    return [row async for page in client.campaign_days(DAY, DAY) for row in page.rows]


async def account(client: Any) -> Any:
    return await client.account()


async def promos(client: Any) -> list[Any]:
    return [row async for page in client.campaigns(channel="email", archived=False) for row in page.rows]


def shopify(bench: Bench, **values: str) -> ShopifyConnector:
    base = f"{bench.sandbox.url}/t/acme"
    bench.configure(SHOPIFY_SHOP_DOMAIN="acme", SHOPIFY_BASE_URL=base, **values)
    bench.configure(SHOPIFY_CLIENT_ID="app", SHOPIFY_CLIENT_SECRET="planted-secret")
    return ShopifyConnector()


def google(bench: Bench, refresh_token: str) -> GoogleAdsConnector:
    bench.configure(
        GOOGLE_ADS_CUSTOMER_ID="2000001",
        GOOGLE_ADS_DEVELOPER_TOKEN="planted-developer",
        GOOGLE_ADS_CLIENT_ID="app",
        GOOGLE_ADS_CLIENT_SECRET="planted-secret",
        GOOGLE_ADS_REFRESH_TOKEN=refresh_token,
        GOOGLE_ADS_BASE_URL=f"{bench.sandbox.url}/t/acme",
        GOOGLE_OAUTH_URL=f"{bench.sandbox.url}/t/acme/token",
    )
    return GoogleAdsConnector()


def meta(bench: Bench, token: str) -> MetaAdsConnector:
    bench.configure(META_ACCESS_TOKEN=token, META_AD_ACCOUNT_ID="1", META_BASE_URL=f"{bench.sandbox.url}/t/acme")
    bench.configure(META_APP_ID="77", META_APP_SECRET="planted-secret")
    return MetaAdsConnector()
