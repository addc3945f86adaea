"""The header by which a manager account reads its customers' accounts."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.resources.connecting import DAY, KEY, TENANTS
from tests.resources.http.scripted import Script, json_answer, serving
from weathervane_resources.connectors import GoogleAdsConnector
from weathervane_resources.credentials import CREDENTIAL_NAMES
from weathervane_resources.platform import Platform
from weathervane_resources.sandbox import RunningSandbox


@pytest.fixture
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sandbox_url: str) -> pytest.MonkeyPatch:
    for name in CREDENTIAL_NAMES:
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "tenants.toml").write_text(TENANTS)
    monkeypatch.setenv("WEATHERVANE_TENANTS", str(tmp_path / "tenants.toml"))
    monkeypatch.setenv("WEATHERVANE_STATE_URL", f"sqlite:///{tmp_path}/state/w.db")
    monkeypatch.setenv("WEATHERVANE_TOKEN_KEY", KEY)
    values = {
        "CUSTOMER_ID": "200-000-1",
        "DEVELOPER_TOKEN": "planted-developer",
        "CLIENT_ID": "app",
        "CLIENT_SECRET": "planted-secret",
        "REFRESH_TOKEN": "1//planted-refresh",
    }
    for name, value in values.items():
        monkeypatch.setenv(f"ACME__GOOGLE_ADS_{name}", value)
    monkeypatch.setenv("ACME__GOOGLE_OAUTH_URL", f"{sandbox_url}/t/acme/token")
    return monkeypatch


@pytest.fixture(scope="module")
def sandbox_url() -> Any:
    with RunningSandbox() as sandbox:
        yield sandbox.url


@pytest.mark.parametrize("use_stream", [True, False])
@pytest.mark.parametrize(
    ("manager", "sent"), [("123-456-7890", "1234567890"), ("1234567890", "1234567890"), (None, None)]
)
def test_the_login_header_is_the_managers_id_and_is_left_out_without_one(
    configured: pytest.MonkeyPatch, manager: str | None, sent: str | None, use_stream: bool
) -> None:
    """Trap 19: it held the customer's own id, and Google refused every account that is reached by a manager."""
    if manager:
        configured.setenv("ACME__GOOGLE_ADS_LOGIN_CUSTOMER_ID", manager)
    nothing = {"fieldMask": "campaign.id"}
    script = Script([json_answer([nothing] if use_stream else nothing)])

    async def main() -> None:
        async with serving(script):
            configured.setenv("ACME__GOOGLE_ADS_BASE_URL", script.origin)
            platform = Platform(threshold_names=[])
            connector = GoogleAdsConnector(use_stream=use_stream)
            async with connector.connect(connector.access("acme", platform), platform) as client:
                assert [page.rows async for page in client.campaign_days(DAY, DAY)] == [[]]

    asyncio.run(main())
    (asked,) = script.seen
    assert "/customers/2000001/googleAds:" in asked.path
    assert asked.headers.get("login-customer-id") == sent
    assert asked.headers["developer-token"] == "planted-developer"
