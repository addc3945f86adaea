"""The connectors as a run uses them: real sandbox, real vault, real state database."""

from __future__ import annotations

import asyncio
import hmac
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from tests.resources.connecting import DAY, KEY, Bench, account, campaigns, google, meta, promos, shop, shopify
from weathervane_resources.connector import Connector
from weathervane_resources.connectors import (
    GoogleAdsConnector,
    KlaviyoConnector,
    MetaAdsConnector,
    OpenMeteoConnector,
    ShopifyConnector,
)
from weathervane_resources.http.auth import Token
from weathervane_resources.http.errors import Deferred
from weathervane_resources.http.session import VendorSession
from weathervane_resources.quota import OPEN_METEO_FREE, Cell, Limit, Window
from weathervane_resources.state import open_state
from weathervane_resources.tokens import Vault, fingerprint


@pytest.mark.parametrize(
    ("connector", "use"),
    [
        (ShopifyConnector(), shop),
        (MetaAdsConnector(), account),
        (GoogleAdsConnector(), campaigns),
        (KlaviyoConnector(), promos),
    ],
)
def test_stub_rows_touch_neither_vault_nor_state(bench: Bench, connector: Connector, use: Any) -> None:
    """A laptop without a writable state folder runs the demo."""
    bench.monkeypatch.setenv("WEATHERVANE_STATE_URL", "sqlite:////proc/none/w.db")
    bench.monkeypatch.setenv("WEATHERVANE_TOKEN_KEY", "no key at all")
    assert bench.call(connector, use)
    assert not (bench.folder / "state").exists()


def test_a_rotated_pair_is_kept_for_the_next_run(bench: Bench) -> None:
    """The refresh token in the environment is used once; then only the vault knows the living one."""
    connector = shopify(bench, SHOPIFY_ACCESS_TOKEN="expired-planted", SHOPIFY_REFRESH_TOKEN="shprt_planted")
    for _ in range(3):
        assert bench.call(connector, shop).currency
    assert bench.grants() == [200]
    [info] = bench.tokens()
    assert (info.vendor, info.tenant, info.status) == ("shopify", "acme", "valid")


def test_client_credentials_are_asked_for_once_a_day(bench: Bench) -> None:
    """Without a configured token the first request has one already."""
    connector = shopify(bench)
    for _ in range(3):
        bench.call(connector, shop)
    assert bench.grants() == [200]
    assert 401 not in [record.status for record in bench.sandbox.log]


def test_googles_access_token_is_shared_by_the_runs_of_its_hour(bench: Bench) -> None:
    """More than 100 living tokens of a user and client kill the oldest."""
    connector = google(bench, "1//planted-refresh")
    for _ in range(3):
        bench.call(connector, campaigns)
    assert bench.grants() == [200]


def test_metas_token_is_exchanged_at_first_sight_and_then_left_alone(bench: Bench) -> None:
    """Nobody knows when a configured token ends; the exchange tells, and gives sixty days."""
    connector = meta(bench, "EAAplantedplanted")
    for _ in range(3):
        bench.call(connector, account)
    assert bench.grants() == [200]
    [info] = bench.tokens()
    assert info.expires_at is not None
    assert info.expires_at > datetime.now(UTC) + timedelta(days=50)


def test_a_dead_credential_says_who_must_do_what(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """By tenant, with the variable to set, without the credential, and never retried."""
    caplog.set_level(logging.DEBUG)
    connector = google(bench, "expired-planted-refresh")
    with pytest.raises(dg.Failure) as raised:
        bench.call(connector, campaigns)
    said = raised.value.description or ""
    assert "tenant acme" in said
    assert "grants access once more" in said
    assert "ACME__GOOGLE_ADS_REFRESH_TOKEN" in said
    assert raised.value.allow_retries is False
    assert "planted" not in said + caplog.text + repr(raised.value) + repr(raised.value.__cause__)


def test_a_dead_rotating_grant_is_listed_as_dead(bench: Bench) -> None:
    """`weathervane tokens list` tells it from one that only expired."""
    connector = shopify(bench, SHOPIFY_ACCESS_TOKEN="expired-planted", SHOPIFY_REFRESH_TOKEN="shprt_planted")
    bench.call(connector, shop)
    vault = Vault(open_state(bench.state_url), KEY, lambda: datetime.now(UTC))
    revoked = Token("expired-planted", None, "planted-revoked")
    asyncio.run(vault.store("shopify", "acme", fingerprint("shprt_planted")).save(revoked))
    with pytest.raises(dg.Failure, match="ACME__SHOPIFY_REFRESH_TOKEN") as raised:
        bench.call(connector, shop)
    assert "planted" not in str(raised.value.description)
    assert [info.status for info in bench.tokens()] == ["dead"]


@pytest.mark.parametrize(
    ("own", "advised"),
    [
        ({"SHOPIFY_ACCESS_TOKEN": "expired-planted"}, "new Admin API access token; set ACME__SHOPIFY_ACCESS_TOKEN"),
        ({"SHOPIFY_CLIENT_ID": "app", "SHOPIFY_CLIENT_SECRET": "expired-planted"}, "or SHOPIFY_CLIENT_SECRET"),
    ],
)
def test_who_has_no_refresh_token_is_not_told_to_set_one(bench: Bench, own: dict[str, str], advised: str) -> None:
    """The token of a custom app was revoked, and the message asked for a refresh token, which such an app does not have."""
    bench.configure(SHOPIFY_SHOP_DOMAIN="acme", SHOPIFY_BASE_URL=f"{bench.sandbox.url}/t/acme", **own)
    with pytest.raises(dg.Failure) as raised:
        bench.call(ShopifyConnector(), shop)
    said = str(raised.value.description)
    assert said.endswith(advised)
    assert "REFRESH" not in said
    assert "planted" not in said


def test_no_secret_reaches_a_log_or_a_repr(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """Connectors, accesses and sessions are printed by Dagster's UI and by tracebacks."""
    caplog.set_level(logging.DEBUG)
    connectors: list[tuple[Connector, Any]] = [
        (shopify(bench, SHOPIFY_ACCESS_TOKEN="expired-planted", SHOPIFY_REFRESH_TOKEN="shprt_planted"), shop),
        (google(bench, "1//planted-refresh"), campaigns),
        (meta(bench, "EAAplantedplanted"), account),
    ]
    shown = []

    async def look(client: Any) -> None:
        shown.extend([repr(client), repr(client.session), repr(client.session._auth), repr(vars(client.session._pace))])

    for connector, use in connectors:
        bench.call(connector, use)
        bench.call(connector, look)
        shown += [repr(connector), repr(connector.access("acme", bench.platform))]
    assert "planted" not in "".join(shown) + caplog.text
    assert "planted" not in "".join(bench.quotas())


def test_a_half_set_source_is_a_failure_that_names_what_is_missing(bench: Bench) -> None:
    """Not a traceback, and not stub rows in the lake."""
    bench.configure(SHOPIFY_SHOP_DOMAIN="acme")
    with pytest.raises(dg.Failure, match="SHOPIFY_ACCESS_TOKEN"):
        ShopifyConnector().access("acme", bench.platform)


def test_half_of_what_renews_a_token_fails_before_the_token_does(bench: Bench) -> None:
    """The hour went well; then every night said to set the refresh token, which was set: the app's secret was not."""
    connector = shopify(bench, SHOPIFY_ACCESS_TOKEN="expired-planted", SHOPIFY_REFRESH_TOKEN="shprt_planted")
    bench.configure(SHOPIFY_CLIENT_SECRET="")
    with pytest.raises(dg.Failure, match="without SHOPIFY_CLIENT_SECRET") as raised:
        bench.call(connector, shop)
    assert raised.value.allow_retries is False
    assert "planted" not in str(raised.value.description)
    assert not list(bench.sandbox.log)


def test_an_unreachable_state_database_is_a_failure_worth_a_retry(bench: Bench) -> None:
    """Without it a run could exceed a quota or lose a token, so it does not go on."""
    connector = shopify(bench)
    bench.monkeypatch.setenv("WEATHERVANE_STATE_URL", "postgresql://u:planted-pw@127.0.0.1:1/x")
    with pytest.raises(dg.Failure, match="WEATHERVANE_STATE_URL") as raised:
        bench.call(connector, shop)
    assert raised.value.allow_retries is True
    assert "planted-pw" not in str(raised.value.description)


@pytest.mark.parametrize("app", [{}, {"META_APP_ID": "77", "META_APP_SECRET": "planted-secret"}])
def test_what_meta_says_of_an_ad_account_holds_for_every_run_that_reads_it(bench: Bench, app: dict[str, str]) -> None:
    """One run was told to come back in an hour; the next asked at once, and Meta took away more."""
    base = f"{bench.sandbox.url}/t/acme"
    bench.configure(META_ACCESS_TOKEN="planted-token", META_AD_ACCOUNT_ID="1", META_BASE_URL=base, **app)

    async def throttled(client: Any) -> None:
        await client.session._pace.pause(3_600, "account")

    assert bench.call(MetaAdsConnector(), account)
    bench.call(MetaAdsConnector(), throttled)
    with pytest.raises(dg.Failure) as failure:
        bench.call(MetaAdsConnector(), account)
    assert "deferred_until" in failure.value.metadata
    bench.configure(META_AD_ACCOUNT_ID="2")
    assert bench.call(MetaAdsConnector(), account), "another account of the app is not meant"


def test_calls_to_meta_carry_the_apps_proof_of_the_token_that_goes_with_them(bench: Bench) -> None:
    """An app that requires it answered every call with a plain refusal, although its secret was set as told."""
    sent: list[str] = []
    answer = VendorSession._answer

    async def listening(session: VendorSession, request: Any, credential: Any) -> Any:
        sent.append(str(credential.get("Authorization", "")))
        return await answer(session, request, credential)

    bench.monkeypatch.setattr(VendorSession, "_answer", listening)
    assert bench.call(meta(bench, "planted-token"), account)
    asked = [record.query for record in bench.sandbox.log if record.path.endswith("/act_1")]
    token = sent[-1].removeprefix("Bearer ")
    assert token
    assert [query["appsecret_proof"] for query in asked] == [
        hmac.new(b"planted-secret", token.encode(), "sha256").hexdigest()
    ]
    bench.sandbox.log.clear()
    for name in ("META_APP_ID", "META_APP_SECRET"):
        bench.monkeypatch.delenv(f"ACME__{name}")
    assert bench.call(MetaAdsConnector(), account)
    assert not any("appsecret_proof" in record.query for record in bench.sandbox.log)


def test_each_vendor_counts_in_its_own_scope(bench: Bench) -> None:
    """A developer token and an app are shared by all tenants, a shop and an account are not."""
    bench.call(shopify(bench, SHOPIFY_ACCESS_TOKEN="shpat_x"), shop)
    bench.call(google(bench, "1//planted-refresh"), campaigns)
    bench.call(meta(bench, "EAAplantedplanted"), account)
    bench.configure(KLAVIYO_API_KEY="pk_planted", KLAVIYO_BASE_URL=f"{bench.sandbox.url}/t/acme")
    bench.call(KlaviyoConnector(), promos)
    found = bench.quotas()
    assert found["shopify:acme.myshopify.com"] == {"rate 2"}
    assert found["meta_ads:app 77"] == {"rate 10"}
    assert {scope.partition(":")[0] for scope in found} == {"shopify", "google_ads", "meta_ads", "klaviyo"}
    assert {"rate 10", "rate 2.33333"} in found.values()


@pytest.mark.parametrize(
    ("values", "host"),
    [({"OPEN_METEO_API_KEY": "planted-key"}, "customer-"), ({"OPEN_METEO_NON_COMMERCIAL": "true"}, "")],
)
def test_a_key_is_for_the_hosts_of_customers(bench: Bench, values: dict[str, str], host: str) -> None:
    """The free hosts do not know the key: a shop that paid was counted as one that did not."""
    bench.configure(**values)

    async def look(client: Any) -> tuple[str, str]:
        return client.forecast_url, client.archive_url

    assert bench.call(OpenMeteoConnector(), look) == (
        f"https://{host}api.open-meteo.com/v1/forecast",
        f"https://{host}archive-api.open-meteo.com/v1/archive",
    )


@pytest.mark.parametrize(
    ("values", "scope", "windows"),
    [
        ({"OPEN_METEO_NON_COMMERCIAL": "true"}, "open_meteo:free", OPEN_METEO_FREE),
        ({"OPEN_METEO_API_KEY": "planted-key"}, "open_meteo:key ", ()),
        (
            {"OPEN_METEO_FORECAST_URL": "http://127.0.0.1:9/v1/f", "OPEN_METEO_ARCHIVE_URL": "http://127.0.0.1:9/v1/a"},
            "open_meteo:http://127.0.0.1:9",
            (),
        ),
    ],
)
def test_only_the_free_hosts_count_weight(
    bench: Bench, values: dict[str, str], scope: str, windows: tuple[Window, ...]
) -> None:
    """A paid key has no minute, hour or day; a server of one's own has no limit at all."""
    bench.configure(**values)

    async def look(client: Any) -> tuple[str, tuple[Limit, ...]]:
        pace = client.session._pace
        await pace.take(100.0)
        return pace.scope, pace._limits

    found, limits = bench.call(OpenMeteoConnector(), look)
    assert found.startswith(scope)
    assert "planted" not in found
    assert limits[1:] == windows


def test_a_day_of_free_weather_that_is_spent_defers_the_run(bench: Bench) -> None:
    """10,000 of weight a day: the run frees its slot until 00:00 UTC instead of failing."""
    bench.configure(OPEN_METEO_NON_COMMERCIAL="true")

    async def spend(client: Any) -> None:
        client.session._pace._sleep = _no_sleep
        client.session._pace._patience_s = 0
        await client.session._pace.take(10_000.0)
        await client.session.get(client.archive_url)

    with pytest.raises(dg.Failure, match="run the same window again") as raised:
        bench.call(OpenMeteoConnector(), spend)
    assert raised.value.allow_retries is False
    assert isinstance(raised.value.__cause__, Deferred)
    until = raised.value.metadata["deferred_until"].value
    assert isinstance(until, float)
    assert until == pytest.approx(datetime.now(UTC).timestamp() // 86_400 * 86_400 + 86_400, abs=5)


async def _no_sleep(_: float) -> None:
    return None


async def sixty_days(client: Any) -> list[Any]:
    return [row async for page in client.insights(DAY - timedelta(days=60), DAY) for row in page.rows]


async def sixty_days_of_orders(client: Any) -> list[Any]:
    end = datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC)
    return [row async for page in client.orders(end - timedelta(days=60), end) for row in page.rows]


def test_a_long_windows_job_is_found_by_the_next_run_and_forgotten_once_read(bench: Bench) -> None:
    """A run that was deferred or killed asked for the same report again and again."""
    shop_connector = shopify(bench, SHOPIFY_ACCESS_TOKEN="shpat_x")
    for connector, use in ((meta(bench, "EAAplantedplanted"), sixty_days), (shop_connector, sixty_days_of_orders)):
        with bench.monkeypatch.context() as patch:
            patch.setattr("weathervane_resources.clients.jobs.PATIENCE_S", -1.0)
            with pytest.raises(dg.Failure, match="finds it when it resumes"):
                bench.call(connector, use)
        assert len(bench.jobs()) == 1
        assert bench.call(connector, use)
        assert bench.jobs() == []
    asked = [record for record in bench.sandbox.log if record.method == "POST" and record.path.endswith("/insights")]
    assert len(asked) == 1


def test_no_minute_of_klaviyo_has_more_requests_than_it_allows() -> None:
    """150 a minute was 158: the burst came on top."""
    cells = dict.fromkeys(KlaviyoConnector()._limits(), Cell(0.0, 0.0))
    now_s, sent_s = 0.0, list[float]()
    while now_s < 180:
        waits = {limit: limit.reserve(cell, now_s, 1.0) for limit, cell in cells.items()}
        cells = {limit: cell for limit, (_, cell) in waits.items()}
        now_s += max(wait for wait, _ in waits.values())
        sent_s.append(now_s)
    in_a_minute = [sum(begin <= at < begin + 60 for at in sent_s) for begin in sent_s]
    assert 130 < max(in_a_minute) <= 150
