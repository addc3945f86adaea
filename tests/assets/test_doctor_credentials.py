"""What the doctor says of variables before any vendor is asked: whose they are, and which are missing."""

from __future__ import annotations

import json
from pathlib import Path

from tests.assets.test_cli import GOOD
from tests.assets.test_doctor import findings, live, said
from tests.commands import run
from weathervane_resources.sandbox import RunningSandbox


def test_two_tenants_that_read_one_shop_or_account_are_named(tmp_path: Path) -> None:
    """A line was copied for the second brand, and both tenants had the first one's orders: every sum was twice what was sold."""
    (tmp_path / "tenants.toml").write_text(GOOD + GOOD.replace("acme", "north-wind"))
    with RunningSandbox() as sandbox:
        env = {
            f"{tenant}__{name}": value for name, value in live(sandbox.url).items() for tenant in ("ACME", "NORTH_WIND")
        }
        env |= {"NORTH_WIND__SHOPIFY_SHOP_DOMAIN": "https://Acme.myshopify.com/", "NORTH_WIND__META_AD_ACCOUNT_ID": "1"}
        code, found = findings(tmp_path, **env)
        _, fine = said(tmp_path, "ok", **env)
        _, noted = said(tmp_path, "note", **env)
        apart = {"SHOPIFY_SHOP_DOMAIN": "north-wind", "META_AD_ACCOUNT_ID": "act_2", "KLAVIYO_API_KEY": "pk_PLANTED2"}
        apart |= {"GOOGLE_ADS_CUSTOMER_ID": "124"}
        assert findings(tmp_path, **env | {f"NORTH_WIND__{name}": value for name, value in apart.items()}) == (0, {})
    assert code == 1
    shared = {
        "shopify": "the shop acme.myshopify.com", "meta_ads": "the ad account 1", "google_ads": "the customer 123",
        "klaviyo": "one account of Klaviyo, by one key",
    }  # fmt: skip
    assert set(found) == {"shopify"}, "two shops of a brand may share an ad account"
    told = found | noted
    assert all(told[source].startswith(f"acme, north-wind read {what}: ") for source, what in shared.items())
    assert fine["shopify acme"].startswith("acme.myshopify.com: ")
    assert fine["meta_ads acme"].startswith("account 1 in ")
    assert fine["google_ads acme"].startswith("customer 123: ")


def test_with_two_tenants_every_name_is_the_one_that_counts(tmp_path: Path) -> None:
    """A second tenant was added: both were told to set the very variable that was set, and that counted for none of them."""
    (tmp_path / "tenants.toml").write_text(GOOD + GOOD.replace("acme", "north-wind"))
    set_once = {"SHOPIFY_ACCESS_TOKEN": "shpat_PLANTED", "KLAVIYO_API_KEY": "pk_PLANTED"}
    done = run(tmp_path, "doctor", "--json", **set_once, ACME__KLAVIYO_API_KEY="", META_APP_ID="1")
    lines = json.loads(done.stdout)
    assert done.returncode == 1
    assert [line["text"] for line in lines if line["level"] == "finding"] == [
        f"{name} is set but counts for no tenant, since there are 2; write ACME__{name}" for name in set_once
    ]
    notes = {line["subject"]: line["text"] for line in lines if line["level"] == "note"}
    assert notes["shopify north-wind"].endswith(
        "set NORTH_WIND__SHOPIFY_SHOP_DOMAIN, SHOPIFY_CLIENT_ID and SHOPIFY_CLIENT_SECRET"
    )
    assert notes["open_meteo acme"].endswith("set OPEN_METEO_API_KEY")
    assert "PLANTED" not in done.stdout + done.stderr


def test_a_prefix_that_no_tenant_has_is_named_with_the_one_that_was_meant(tmp_path: Path) -> None:
    """`SECNOD__SHOPIFY_ACCESS_TOKEN`: to doctor the second shop had no credentials, as one that nobody had connected yet."""
    (tmp_path / "tenants.toml").write_text(GOOD + GOOD.replace("acme", "north-wind"))
    typed = {"NORTHWIND__SHOPIFY_ACCESS_TOKEN": "shpat_PLANTED", "NORTHWIND__META_BASE_URL": "http://PLANTED"}
    fine = {"FOO__BAR": "PLANTED", "ACME__META_ACCESS_TOKEN": "", "GONE__KLAVIYO_API_KEY": " "}
    done = run(tmp_path, "doctor", "--json", **typed, **fine, XYZZY__OPEN_METEO_API_KEY="PLANTED")
    assert done.returncode == 1
    assert "PLANTED" not in done.stdout + done.stderr
    assert [line["text"] for line in json.loads(done.stdout) if line["level"] == "finding"] == [
        (
            "NORTHWIND__… belongs to no tenant (NORTHWIND__META_BASE_URL, NORTHWIND__SHOPIFY_ACCESS_TOKEN);"
            " did you mean NORTH_WIND__?"
        ),
        (
            "XYZZY__… belongs to no tenant (XYZZY__OPEN_METEO_API_KEY);"
            " unset what a tenant left behind; there are: ACME__, NORTH_WIND__"
        ),
    ]


def test_half_of_what_renews_a_token_is_found_and_what_all_tenants_share_of_it_is_noted(tmp_path: Path) -> None:
    """Doctor was content at noon, and the token died at one."""
    (tmp_path / "tenants.toml").write_text(GOOD + GOOD.replace("acme", "north-wind"))
    with RunningSandbox() as sandbox:
        env = {f"ACME__{name}": value for name, value in live(sandbox.url).items()}
        env |= {
            "ACME__GOOGLE_ADS_CLIENT_SECRET": "",
            "ACME__SHOPIFY_REFRESH_TOKEN": "shprt_PLANTED",
            "META_APP_ID": "1",
        }
        code, found = findings(tmp_path, **env)
        _, noted = said(tmp_path, "note", **env)
    assert code == 1
    assert set(found) == {"shopify acme", "google_ads acme"}
    assert "SHOPIFY_REFRESH_TOKEN cannot renew its token without SHOPIFY_CLIENT_ID and SHOP" in found["shopify acme"]
    assert "GOOGLE_ADS_CLIENT_SECRET" in found["google_ads acme"]
    shared = "META_APP_ID renews no token without META_APP_SECRET: this one is used as it is, to its end"
    assert noted["meta_ads acme"] == shared


def test_with_one_tenant_names_need_no_prefix(tmp_path: Path) -> None:
    """The quickstart's variables are the plain ones."""
    (tmp_path / "tenants.toml").write_text(GOOD)
    done = run(tmp_path, "doctor")
    assert "set SHOPIFY_SHOP_DOMAIN, SHOPIFY_CLIENT_ID and SHOPIFY_CLIENT_SECRET" in done.stdout
    assert "GOOGLE_ADS_ACCESS_TOKEN" not in done.stdout, "it lives an hour"
    assert f"{tmp_path}/storage/state/weathervane.db, 0 stored tokens" in done.stdout
    assert done.returncode == 0
