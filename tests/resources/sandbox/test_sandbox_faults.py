"""Fault modes: what each vendor's trouble looks like, and that retries get past what retries can cure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import aiohttp
import msgspec
import pytest

from weathervane_resources.sandbox import RunningSandbox, SandboxConfig
from weathervane_resources.sandbox.faults import MODES, SINGLE, UnknownFaultMode

Make = Callable[..., RunningSandbox]
Ask = Get = Callable[..., Any]


def test_an_unknown_mode_names_the_known_ones() -> None:
    with pytest.raises(UnknownFaultMode, match=r"'meteor'.*throttle, flaky, expired, hostile"):
        RunningSandbox(SandboxConfig(faults="throttle+meteor")).start()


def test_every_vendor_throttles_in_its_own_words(faulty: Make, call: Ask, vendors: list[str]) -> None:
    """A wait read from the wrong place is a hot loop or a day of silence."""
    with faulty("throttle", fault_wait_s=1.5) as running:
        answers = {vendor: call(running, vendor) for vendor in vendors}
    assert {vendor: a.status for vendor, a in answers.items()} == {
        **dict.fromkeys(vendors, 429),
        "meta": 400,
        "shopify_graphql": 200,
    }
    assert answers["shopify"].headers["Retry-After"] in ("0", "1.5")
    assert answers["klaviyo"].headers["Retry-After"] == "2"
    assert not any("Retry-After" in answers[vendor].headers for vendor in ("meta", "google", "open_meteo"))
    assert answers["meta"].data["error"]["code"] in (17, 613, 80004)
    assert msgspec.json.decode(answers["meta"].headers["X-Business-Use-Case-Usage"])["42"][0]["call_count"] == 100
    for error in (answers["google"].data["error"], answers["google_stream"].data[0]["error"]):
        assert error["status"] == "RESOURCE_EXHAUSTED"
        assert error["details"][0]["errors"][0]["details"]["quotaErrorDetails"]["retryDelay"] == "1.5s"
    cost = answers["shopify_graphql"].data["extensions"]["cost"]
    bucket = cost["throttleStatus"]
    assert (cost["requestedQueryCost"] - bucket["currentlyAvailable"]) / bucket["restoreRate"] == 1.5
    assert answers["open_meteo"].data["reason"].startswith("Minutely API request limit exceeded")


def test_shopify_says_wait_two_seconds_as_a_float_and_sometimes_zero(faulty: Make, call: Ask) -> None:
    """`int("2.0")` raises, and 0 taken at its word is a hot loop."""
    with faulty("throttle", fault_wait_s=2.0) as running:
        waits = {call(running, "shopify", f"t{n}").headers["Retry-After"] for n in range(12)}
    assert waits == {"0", "2.0"}


@pytest.mark.parametrize("faults", ["throttle", "flaky", "throttle+flaky"])
def test_no_request_is_hit_more_than_twice_in_a_row(faulty: Make, call: Ask, faults: str, vendors: list[str]) -> None:
    with faulty("") as fault_free, faulty(faults, fault_share=0.7) as running:
        for vendor in vendors:
            wanted = call(fault_free, vendor).body
            for _ in range(3):
                answers = []
                for _ in range(4):
                    try:
                        answers.append(call(running, vendor).body)
                    except aiohttp.ClientError:
                        answers.append(b"")
                assert wanted.replace(fault_free.url.encode(), running.url.encode()) in answers[:3]
        assert any(record.fault for record in running.log)


def test_faults_are_the_same_in_every_run(faulty: Make, call: Ask, vendors: list[str]) -> None:
    runs = []
    for _ in range(2):
        with faulty("throttle", fault_share=0.4) as running:
            runs.append([call(running, vendor).status for vendor in vendors for _ in range(5)])
    assert runs[0] == runs[1]
    assert len(set(runs[0])) == 3


@pytest.mark.parametrize("fault", [f.name for f in MODES["flaky"]])
def test_flaky_answers_are_never_whole(faulty: Make, call: Ask, fault: str, vendors: list[str]) -> None:
    """A body cut in half without Content-Length looks complete to the HTTP client; only the JSON shows it."""
    concerned = [vendor for vendor in vendors if vendor in SINGLE[fault].kinds]
    with faulty("") as fault_free, faulty(fault) as running:
        for vendor in concerned:
            whole = call(fault_free, vendor)
            try:
                answer = call(running, vendor)
            except aiohttp.ClientError:
                assert fault in ("connection_reset", "cut_with_length", "cut_chunk")
                continue
            assert (answer.status, answer.body) != (200, whole.body)
            assert len(running.log) == len(fault_free.log)
    assert concerned == [] or {record.fault for record in running.log} == {fault}


def test_a_cut_body_without_a_length_arrives_as_a_success(faulty: Make, call: Ask) -> None:
    with faulty("cut_without_length") as running:
        answer = call(running, "shopify")
    assert answer.status == 200
    assert "Content-Length" not in answer.headers
    with pytest.raises(msgspec.DecodeError):
        _ = answer.data


def test_a_token_expires_after_some_requests_and_a_refreshed_one_works(faulty: Make, get: Get) -> None:
    """The refresh itself may be answered into the void: the old token must get another try."""
    form = {"grant_type": "refresh_token", "refresh_token": "shprt_a", "client_id": "a", "client_secret": "b"}
    with faulty("expired", fault_expire_after=3) as running:
        shop, refresh = (
            f"{running.url}/t/acme/admin/api/2026-07/shop.json",
            f"{running.url}/t/acme/admin/oauth/access_token",
        )
        for _ in range(2):
            with pytest.raises(aiohttp.ClientError):
                get(refresh, "POST", json=form)
        pair = get(refresh, "POST", json=form).data
        headers = {"X-Shopify-Access-Token": pair["access_token"]}
        assert [get(shop, headers=headers).status for _ in range(5)] == [200, 200, 200, 401, 401]
        lost = [record.fault for record in running.log.matching("access_token")]
    assert lost == ["lost_response", "lost_response", ""]
    assert pair["refresh_token"] != "shprt_a"


def test_every_vendor_says_in_its_own_words_that_a_token_has_expired(
    faulty: Make, call: Ask, vendors: list[str]
) -> None:
    with faulty("expired", fault_expire_after=0) as running:
        answers = {vendor: call(running, vendor) for vendor in vendors}
    statuses = {vendor: answer.status for vendor, answer in answers.items()}
    assert statuses == {**dict.fromkeys(vendors, 401), "meta": 400, "open_meteo": 200}
    assert answers["meta"].data["error"]["code"] == 190
    assert answers["google_stream"].data[0]["error"]["status"] == "UNAUTHENTICATED"
