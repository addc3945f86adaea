"""When a tenant's credential ends, as its connector tells it: with the date, and who must do what."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.resources.connecting import Bench, account, campaigns, google, meta, shop, shopify
from weathervane_resources.connectors import (
    GoogleAdsConnector,
    KlaviyoConnector,
    MetaAdsConnector,
    ShopifyConnector,
)


def test_a_credential_that_ends_soon_says_when_and_who_must_do_what(bench: Bench) -> None:
    """The shop was closed for a month; the refresh token ended on a day that Shopify had said each time."""
    renewed = [(shopify(bench, SHOPIFY_ACCESS_TOKEN="expired-planted", SHOPIFY_REFRESH_TOKEN="shprt_planted"), shop)]
    renewed += [(google(bench, "1//planted-refresh"), campaigns), (meta(bench, "EAAplantedplanted"), account)]
    now = datetime.now(UTC)
    for connector, use in renewed:
        bench.call(connector, use)
        access = connector.access("acme", bench.platform)
        assert connector.ending(access, bench.platform, now) == "", "it has just been renewed"
    [shops] = [info for info in bench.tokens() if info.vendor == "shopify"]
    assert shops.ends_at == shops.refresh_expires_at
    assert timedelta(days=29) < shops.ends_at - now < timedelta(days=31)
    for days, is_told in ((15, False), (13, True), (-1, True)):
        ends = now + timedelta(days=days)
        bench.end(ends)
        for connector, _ in renewed:
            told = connector.ending(connector.access("acme", bench.platform), bench.platform, now)
            assert bool(told) is is_told
            if told:
                assert told.startswith(f"the credential {'ends' if days > 0 else 'ended'} on {ends:%Y-%m-%d}: ")
                assert told.endswith(f"then set ACME__{connector.cure_name}")
                assert "planted" not in told


def test_the_end_of_a_credential_that_was_replaced_is_nobodys_concern(bench: Bench) -> None:
    """A person's token was replaced by a system user's, as was asked for, and the warning stayed."""
    connector = meta(bench, "EAAplantedplanted")
    bench.call(connector, account)
    now = datetime.now(UTC)
    bench.end(now + timedelta(days=3))
    assert connector.ending(connector.access("acme", bench.platform), bench.platform, now)
    for change in ({"META_ACCESS_TOKEN": "EAAanother"}, {"META_APP_ID": "", "META_APP_SECRET": ""}):
        with bench.monkeypatch.context() as patch:
            for name, value in change.items():
                patch.setenv(f"ACME__{name}", value)
            assert connector.ending(connector.access("acme", bench.platform), bench.platform, now) == ""


def test_the_end_of_stub_rows_touches_no_state(bench: Bench) -> None:
    """A laptop without a writable state folder runs the demo, with its checks."""
    bench.monkeypatch.setenv("WEATHERVANE_STATE_URL", "sqlite:////proc/none/w.db")
    for connector in (ShopifyConnector(), MetaAdsConnector(), GoogleAdsConnector(), KlaviyoConnector()):
        assert connector.ending(connector.access("acme", bench.platform), bench.platform, datetime.now(UTC)) == ""
