"""The server: ports, tenants, the log and time travel."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from weathervane_resources.sandbox import RunningSandbox, SandboxConfig, SandboxPortBusy
from weathervane_resources.sandbox.faults import UnknownFaultMode

SHOP = {"X-Shopify-Access-Token": "any"}


def test_health_is_answered(sandbox: RunningSandbox, get: Any) -> None:
    assert get(f"{sandbox.url}/healthz").data == {"status": "ok"}


def test_a_busy_port_is_a_clear_error(sandbox: RunningSandbox) -> None:
    """A second sandbox on the same port used to die inside its thread, and the test hung."""
    port = int(sandbox.url.rsplit(":", 1)[1])
    with pytest.raises(SandboxPortBusy, match=str(port)), RunningSandbox(SandboxConfig(), port):
        pass


def test_a_stopped_sandbox_frees_its_port_and_can_be_stopped_twice() -> None:
    running = RunningSandbox(SandboxConfig()).start()
    port = int(running.url.rsplit(":", 1)[1])
    running.stop()
    running.stop()
    with RunningSandbox(SandboxConfig(), port) as again:
        assert again.url.endswith(str(port))


def test_every_request_is_logged_with_its_tenant_and_without_secrets(config: SandboxConfig, get: Any) -> None:
    with RunningSandbox(config) as running:
        get(f"{running.url}/t/acme/admin/api/2026-07/shop.json", headers=SHOP)
        get(f"{running.url}/t/acme/v26.0/act_1/insights?fields=spend&access_token=secret")
        get(f"{running.url}/nowhere")
        records = list(running.log)
    assert [(r.method, r.tenant, r.status) for r in records] == [
        ("GET", "acme", 200),
        ("GET", "acme", 200),
        ("GET", "", 404),
    ]
    assert "secret" not in repr(records)


def test_a_token_issued_by_the_sandbox_carries_its_tenant(sandbox: RunningSandbox, get: Any) -> None:
    grant = {"grant_type": "refresh_token", "refresh_token": "any"}
    token = get(f"{sandbox.url}/t/acme/token", "POST", data=grant).data["access_token"]
    headers = {"Authorization": f"Bearer {token}", "developer-token": "d"}
    body = {"query": "SELECT customer.descriptive_name FROM customer"}
    answer = get(f"{sandbox.url}/v26/customers/1/googleAds:search", "POST", headers=headers, json=body)
    assert answer.data["results"][0]["customer"]["descriptiveName"] == "Sandbox acme"


def test_a_bad_time_header_is_refused(sandbox: RunningSandbox, get: Any) -> None:
    for text in ("yesterday", "2025-01-01T00:00:00"):
        headers = {**SHOP, "X-Sandbox-Now": text}
        assert get(f"{sandbox.url}/t/acme/admin/api/2026-07/shop.json", headers=headers).status == 400


def test_an_unknown_fault_mode_is_refused_not_ignored(config: SandboxConfig) -> None:
    with pytest.raises(UnknownFaultMode), RunningSandbox(replace(config, faults="meteor")):
        pass
