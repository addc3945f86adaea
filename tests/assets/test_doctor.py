"""The doctor: one line for each part, and what to do."""

from __future__ import annotations

import json
import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from tests.assets.test_cli import GOOD
from tests.commands import run
from weathervane_assets.doctor import examine
from weathervane_assets.tables import CONTRACTS, shape_of
from weathervane_resources.lake import Lake
from weathervane_resources.sandbox import RunningSandbox, SandboxConfig, TenantProfile
from weathervane_resources.settings import read_settings
from weathervane_resources.state import open_state
from weathervane_resources.state_tables import tokens


def live(url: str) -> dict[str, str]:
    base = f"{url}/t/acme"
    return {
        "SHOPIFY_BASE_URL": base,
        "SHOPIFY_SHOP_DOMAIN": "acme",
        "SHOPIFY_ACCESS_TOKEN": "shpat_PLANTED",
        "META_BASE_URL": base,
        "META_ACCESS_TOKEN": "EAAPLANTED",
        "META_AD_ACCOUNT_ID": "act_1",
        "GOOGLE_ADS_BASE_URL": base,
        "GOOGLE_OAUTH_URL": f"{base}/token",
        "GOOGLE_ADS_CUSTOMER_ID": "1-2-3",
        "GOOGLE_ADS_DEVELOPER_TOKEN": "PLANTED",
        "GOOGLE_ADS_REFRESH_TOKEN": "1//PLANTED",
        "GOOGLE_ADS_CLIENT_ID": "client",
        "GOOGLE_ADS_CLIENT_SECRET": "PLANTED",
        "KLAVIYO_BASE_URL": base,
        "KLAVIYO_API_KEY": "pk_PLANTED",
        "OPEN_METEO_FORECAST_URL": f"{base}/v1/forecast",
        "OPEN_METEO_ARCHIVE_URL": f"{base}/v1/archive",
    }


def said(folder: Path, level: str, **env: str) -> tuple[int, dict[str, str]]:
    """Return the exit code, and what is said on one level, by subject; several lines of one are joined."""
    done = run(folder, "doctor", "--json", **env)
    assert "PLANTED" not in done.stdout + done.stderr
    texts: dict[str, list[str]] = {}
    for line in json.loads(done.stdout):
        if line["level"] == level:
            texts.setdefault(line["subject"], []).append(line["text"])
    return done.returncode, {subject: "\n".join(lines) for subject, lines in texts.items()}


def findings(folder: Path, **env: str) -> tuple[int, dict[str, str]]:
    return said(folder, "finding", **env)


def test_a_healthy_installation_has_no_finding(tmp_path: Path) -> None:
    """Someone installs it on a Monday and wants to know before Tuesday whether the tokens work."""
    (tmp_path / "tenants.toml").write_text(GOOD)
    with RunningSandbox() as sandbox:
        assert findings(tmp_path, **live(sandbox.url)) == (0, {})
        listed = run(tmp_path, "tokens", "list")
        said = run(tmp_path, "doctor", **live(sandbox.url)).stdout
    for version in ("SHOPIFY_API_VERSION=2026-10", "META_GRAPH_VERSION=v26.0", "GOOGLE_ADS_API_VERSION=v26"):
        assert f"{version} is served until about 2027" in said
    assert "KLAVIYO_REVISION=2026-07-15 is served until about 2028-07-15" in said
    assert "google_ads" in listed.stdout
    assert "valid" in listed.stdout
    assert "PLANTED" not in listed.stdout


def test_each_illness_is_named_with_its_cure(tmp_path: Path) -> None:
    """v21 of Google's API ended one night and every import with it; an expired token said "HTTP 400"."""
    (tmp_path / "tenants.toml").write_text(GOOD.replace("USD", "EUR"))
    (tmp_path / "file").write_text("")
    with RunningSandbox() as sandbox:
        sick = {
            "META_ACCESS_TOKEN": "expired_PLANTED",
            "KLAVIYO_API_KEY": "denied_PLANTED",
            "GOOGLE_ADS_API_VERSION": "v21",
            "WEATHERVANE_LAKE": "file/lake",
            "WEATHERVANE_STATE_URL": f"sqlite:///{tmp_path}/state.db",
        }
        code, found = findings(tmp_path, **live(sandbox.url) | sick)
    assert code == 1
    assert set(found) == {"lake", "version", "shopify acme", "meta_ads acme", "google_ads acme", "klaviyo acme"}
    assert "cannot be written" in found["lake"]
    assert "GOOGLE_ADS_API_VERSION=v21 ended 2026-08-05" in found["version"]
    assert "the shop says America/New_York, USD" in found["shopify acme"]
    assert "ACME__META_ACCESS_TOKEN" in found["meta_ads acme"]
    assert "campaigns:read" in found["klaviyo acme"] or "permission" in found["klaviyo acme"].lower()


def test_a_dead_credential_is_found_until_another_is_configured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was replaced within the hour; cron's `doctor` was red for good, since the row of the old one stays."""
    (tmp_path / "tenants.toml").write_text(GOOD)
    state = f"sqlite:///{tmp_path}/state/w.db"
    here = {"WEATHERVANE_TENANTS": f"{tmp_path}/tenants.toml", "WEATHERVANE_LAKE": f"{tmp_path}/lake"}
    app = {"SHOPIFY_CLIENT_ID": "app", "SHOPIFY_CLIENT_SECRET": "PLANTED"}
    rotating = app | {"SHOPIFY_REFRESH_TOKEN": "shprt_PLANTED", "SHOPIFY_ACCESS_TOKEN": "expired_PLANTED"}
    with RunningSandbox() as sandbox:
        env = live(sandbox.url) | {"META_APP_ID": "1", "META_APP_SECRET": "PLANTED", "WEATHERVANE_STATE_URL": state}

        def doctor(**values: str) -> set[str]:
            with monkeypatch.context() as patch:
                for name, value in (env | here | values).items():
                    patch.setenv(name, value)
                lines = list(examine(read_settings(os.environ), datetime.now(UTC)))
            assert "PLANTED" not in repr(lines)
            return {line.subject for line in lines if line.level == "finding"}

        assert doctor(**rotating) == set()
        assert doctor(**app, SHOPIFY_ACCESS_TOKEN="expired_PLANTED") == set()
        with open_state(state).begin() as connection:
            assert connection.execute(sa.update(tokens).values(is_dead=True)).rowcount == 4
        assert doctor(**rotating) == {"token shopify acme", "token meta_ads acme", "token google_ads acme"}
        replaced = {"META_ACCESS_TOKEN": "EAAPLANTED2", "GOOGLE_ADS_REFRESH_TOKEN": "1//PLANTED2"}
        assert doctor(**app, **replaced, SHOPIFY_ACCESS_TOKEN="expired_PLANTED") == {"token shopify acme"}
        assert doctor(**replaced, **app | {"SHOPIFY_CLIENT_SECRET": "PLANTED2"}) == set()
        assert doctor(**replaced, **rotating | {"SHOPIFY_REFRESH_TOKEN": "shprt_PLANTED2"}) == set()
        assert doctor(**replaced) == set(), "a fixed token has no row"


def test_an_ad_account_that_is_not_as_the_shop_is_noted_and_needs_nobody(tmp_path: Path) -> None:
    """It stays so and stops no night, and cron's `doctor`, which watches the alerter, was red for ever.

    Before it was said at all, the spend was null on every day, or stood beside the shop's day hours apart.
    """
    (tmp_path / "tenants.toml").write_text(GOOD)
    with RunningSandbox(SandboxConfig(tenants={"tokyo": TenantProfile("Asia/Tokyo", "JPY")})) as sandbox:
        tokyo = f"{sandbox.url}/t/tokyo"
        code, noted = said(
            tmp_path, "note", **live(sandbox.url) | {"META_BASE_URL": tokyo, "GOOGLE_ADS_BASE_URL": tokyo}
        )
    assert code == 0
    for subject in ("meta_ads acme", "google_ads acme"):
        assert "the account is in JPY, the shop in USD" in noted[subject]
        assert "days are those of Asia/Tokyo, the shop's of America/New_York" in noted[subject]


def test_a_token_that_sees_no_order_is_found_beside_a_wrong_zone(tmp_path: Path) -> None:
    """Doctor spoke of orders older than 60 days while none could be read, or of the zone and not of scopes at all."""
    (tmp_path / "tenants.toml").write_text(GOOD.replace("America/New_York", "Europe/Berlin"))
    with RunningSandbox(SandboxConfig(shopify_scopes=("read_locations",))) as sandbox:
        code, found = findings(tmp_path, **live(sandbox.url))
    assert code == 1
    assert "the shop says America/New_York, USD" in found["shopify acme"]
    assert "no order can be read" in found["shopify acme"]
    assert "60 days" not in found["shopify acme"]


@pytest.mark.parametrize("scope", ["read_orders", pytest.param("write_orders", marks=pytest.mark.slow)])
def test_orders_of_long_ago_matter_until_they_were_read(tmp_path: Path, scope: str) -> None:
    """A shop that never wanted them, or that had them before the scope was taken away, had a finding for ever."""
    here = {"WEATHERVANE_LAKE": str(tmp_path / "lake")}
    today = datetime.now(ZoneInfo("America/New_York")).date()
    first, last = today - timedelta(days=63), today - timedelta(days=61)
    with RunningSandbox(SandboxConfig(shopify_scopes=(scope,))) as sandbox:
        (tmp_path / "tenants.toml").write_text(f"{GOOD}start_date = {first}\n")
        code, found = findings(tmp_path, **live(sandbox.url), **here)
        assert code == 1
        assert f"absent, and {first} to {last} were not read yet: ask for the scope" in found["shopify acme"]
        lake, shape = Lake(here["WEATHERVANE_LAKE"]), shape_of(CONTRACTS["orders"])
        lake.replace(
            "acme", "orders", shape.schema.to_frame(), shape=shape, source="shopify_api", run_id="r",
            days=[first + timedelta(days=n) for n in range(3)], now=datetime.now(UTC),
        )  # fmt: skip
        code, noted = said(tmp_path, "note", **live(sandbox.url), **here)
        assert code == 0
        assert noted["shopify acme"].startswith("without read_all_orders, orders older than 60 days are absent")
        (tmp_path / "tenants.toml").write_text(f"{GOOD}start_date = {last + timedelta(days=1)}\n")
        assert findings(tmp_path, **live(sandbox.url)) == (0, {})


def test_days_that_nobody_ever_read_are_a_finding(tmp_path: Path) -> None:
    """October was brought in, and the nights began two weeks before they were switched on: nine days were in no table.

    Nor were those of a night without credentials, though the ledger has them.
    """
    (tmp_path / "tenants.toml").write_text(GOOD)
    lake, shape = Lake(str(tmp_path / "lake")), shape_of(CONTRACTS["orders"])
    for day, source in ((1, "shopify_api"), (2, "shopify_api"), (4, "not_configured"), (6, "shopify_api"), (8, "stub")):
        lake.replace(
            "acme", "orders", shape.schema.to_frame(), shape=shape, days=[date(2026, 10, day)], source=source,
            run_id="r", now=datetime(2026, 10, 20, tzinfo=UTC),
        )  # fmt: skip
    code, found = findings(tmp_path, WEATHERVANE_LAKE=str(tmp_path / "lake"))
    assert code == 1
    assert found.pop("shopify acme").startswith("no credentials, though it was live until 2026-10-06")
    assert found == {
        "days acme": "2026-10-03 to 2026-10-05 were never read: weathervane backfill --tenant acme --from 2026-10-03 --to 2026-10-05"
    }


def test_days_before_a_source_was_connected_are_noted_with_what_is_made_of_it(tmp_path: Path) -> None:
    """Google was connected in October: spend doubled overnight in the matrix, and doctor said ok."""
    (tmp_path / "tenants.toml").write_text(GOOD)
    lake = Lake(str(tmp_path / "lake"))
    for day, source in ((1, "not_configured"), (2, "not_configured"), (3, "google_ads_api"), (4, "not_configured")):
        shape = shape_of(CONTRACTS["google_ads"])
        lake.replace(
            "acme", "google_ads", shape.schema.to_frame(), shape=shape, days=[date(2026, 10, day)], source=source,
            run_id="r", now=datetime(2026, 10, 20, tzinfo=UTC),
        )  # fmt: skip
    lines = json.loads(run(tmp_path, "doctor", "--json", WEATHERVANE_LAKE=str(tmp_path / "lake")).stdout)
    assert [(line["level"], line["text"]) for line in lines if line["subject"] == "days acme"] == [
        (
            "note",
            (
                "2 days of google_ads before 2026-10-03 have no source, which was connected later: weathervane backfill --tenant acme"
                " --from 2026-10-01 --to 2026-10-02 --asset google_ads --asset ads --asset features"
            ),
        )
    ]


def test_a_first_day_to_come_is_a_finding(tmp_path: Path) -> None:
    """`start_date = 2030-01-01` was a slip of four years: every night was quiet, and doctor content."""
    (tmp_path / "tenants.toml").write_text(GOOD + "start_date = 2099-01-01\n")
    code, found = findings(tmp_path)
    assert code == 1
    assert found["days acme"].startswith(
        "start_date in tenants.toml is 2099-01-01, in the future: no day is brought in"
    )


def test_days_that_no_night_catches_up_on_are_noted(tmp_path: Path) -> None:
    """README brought October in on November 27: every dataset was stale, and doctor had nothing to say of 26 days."""
    (tmp_path / "tenants.toml").write_text(GOOD)
    due = datetime.now(ZoneInfo("America/New_York")).date() - timedelta(days=1)
    newest, here = due - timedelta(days=15), {"WEATHERVANE_LAKE": str(tmp_path / "lake")}
    read_on(tmp_path, "orders", newest)
    _, noted = said(tmp_path, "note", **here)
    command = f"weathervane backfill --tenant acme --from {newest + timedelta(days=1)} --to yesterday"
    more = "more than the 14 days that a night catches up on"
    assert noted["days acme"] == f"newest day {newest}, due {due}, {more}: {command}"
    read_on(tmp_path, "orders", newest + timedelta(days=1))
    _, noted = said(tmp_path, "note", **here)
    assert "days acme" not in noted, "the next night catches up on 14 days"


@pytest.mark.slow
def test_days_of_the_zone_before_are_found_once_it_is_corrected(tmp_path: Path) -> None:
    """The zone was corrected as `doctor` said, which was content then; a year of days was still cut at Berlin's midnight."""
    days = ["--from", "2026-11-02", "--to", "2026-11-04", "--asset", "orders"]
    with RunningSandbox() as sandbox:
        env = {name: value for name, value in live(sandbox.url).items() if name.startswith("SHOPIFY")}
        env["GEONAMES_BASE_URL"] = sandbox.url
        (tmp_path / "tenants.toml").write_text(GOOD.replace("America/New_York", "Europe/Berlin"))
        assert run(tmp_path, "backfill", "--tenant", "acme", *days, **env).returncode == 0
        code, found = findings(tmp_path, **env)
        assert set(found) == {"shopify acme"}
        assert found["shopify acme"].endswith("follow tenants.toml: correct it there and read the days again")
        (tmp_path / "tenants.toml").write_text(GOOD)
        later = ["--from", "2026-11-05", "--to", "2026-11-06", "--asset", "orders"]
        assert run(tmp_path, "backfill", "--tenant", "acme", *later, **env).returncode == 0
        code, found = findings(tmp_path, **env)
        command = "weathervane backfill --tenant acme --from 2026-11-02 --to 2026-11-05"
        assert found == {
            "days acme": "3 days of orders are cut by another time zone than America/New_York"
            f" (2026-11-02 to 2026-11-04): {command}"
        }
        assert code == 1
        assert run(tmp_path, *command.split()[1:], "--asset", "orders", **env).returncode == 0
        assert findings(tmp_path, **env) == (0, {})


def test_a_live_source_without_credentials_is_a_finding(tmp_path: Path) -> None:
    """The shell had lost the shop's variables: its nights failed, and to the doctor stub rows were what someone wanted."""
    (tmp_path / "tenants.toml").write_text(GOOD)
    lake, shape = Lake(str(tmp_path / "lake")), shape_of(CONTRACTS["orders"])
    lake.replace(
        "acme", "orders", shape.schema.to_frame(), shape=shape, days=[date(2026, 10, 1)], source="shopify_api",
        run_id="r", now=datetime(2026, 10, 2, tzinfo=UTC),
    )  # fmt: skip
    code, found = findings(tmp_path, WEATHERVANE_LAKE=str(tmp_path / "lake"))
    assert code == 1
    assert set(found) == {"shopify acme"}
    assert found["shopify acme"].startswith(
        "no credentials, though it was live until 2026-10-01: its runs fail; set SHOP"
    )


def read_on(folder: Path, dataset: str, *days: date, at: datetime = datetime(2026, 10, 2, tzinfo=UTC)) -> None:
    """Put days into the lake that were read from the vendor, without rows."""
    shape = shape_of(CONTRACTS[dataset])
    Lake(str(folder / "lake")).replace(
        "acme", dataset, shape.schema.to_frame(), shape=shape, days=days, source="live", run_id="r",
        now=at,
    )  # fmt: skip


def test_a_source_that_was_lost_without_stubs_is_a_finding_and_later_a_note(tmp_path: Path) -> None:
    """In the image stubs are off: the container came back without its secrets, and to the doctor empty tables were what someone wanted."""
    (tmp_path / "tenants.toml").write_text(GOOD)
    today = datetime.now(ZoneInfo("America/New_York")).date()
    lately, long_ago = today - timedelta(days=5), today - timedelta(days=20)
    read_on(tmp_path, "meta_ads", lately, at=datetime.now(UTC) - timedelta(days=4))
    read_on(tmp_path, "promos", long_ago, at=datetime.now(UTC) - timedelta(days=19))
    read_on(tmp_path, "orders", long_ago, at=datetime.now(UTC))
    env = {"WEATHERVANE_LAKE": str(tmp_path / "lake"), "WEATHERVANE_STUBS": "never"}
    code, found = findings(tmp_path, **env)
    assert code == 1
    orders = found.pop("shopify acme")
    assert orders.startswith(f"no credentials, though it was live until {long_ago}: its new days stay empty")
    assert orders.endswith(f"no finding any more from {today + timedelta(days=16)} on"), "it was read a moment ago"
    assert "never made of meta_ads" in found.pop("tables acme")
    assert found == {
        "meta_ads acme": f"no credentials, though it was live until {lately}: its new days stay empty; set META_ACCESS_TOKEN and"
        f" META_AD_ACCOUNT_ID; where it was given up, this is no finding any more from {lately + timedelta(days=17)} on"
    }
    _, noted = said(tmp_path, "note", **env)
    assert (
        noted["klaviyo acme"]
        == f"no credentials, though it was live until {long_ago}: it counts as given up, and its new days stay empty"
    )
    assert noted["google_ads acme"] == "no credentials: its partitions stay empty"


@pytest.mark.parametrize("stubs", ["auto", "never"])
def test_a_ledger_that_is_damaged_where_a_source_is_looked_up_is_a_finding(tmp_path: Path, stubs: str) -> None:
    """Only the part of the ledger of the ads was gone: the lost account passed for one that nobody ever had."""
    (tmp_path / "tenants.toml").write_text(GOOD)
    read_on(tmp_path, "orders", date(2026, 10, 1))
    read_on(tmp_path, "meta_ads", date(2026, 10, 1))
    (part,) = (tmp_path / "lake/acme/_ledger/dataset=meta_ads").glob("*.parquet")
    part.unlink()
    _, found = findings(tmp_path, WEATHERVANE_LAKE=str(tmp_path / "lake"), WEATHERVANE_STUBS=stubs)
    assert "_ledger is gone or damaged" in found["meta_ads acme"]


def test_another_name_of_the_same_hours_is_no_finding(tmp_path: Path) -> None:
    """US/Eastern is New York."""
    (tmp_path / "tenants.toml").write_text(GOOD.replace("America/New_York", "US/Eastern"))
    with RunningSandbox() as sandbox:
        assert findings(tmp_path, **live(sandbox.url)) == (0, {})


@pytest.mark.parametrize(
    "address",
    ["proxy.internal:8080", "http://p:PLANTED"]
    + [pytest.param(one, marks=pytest.mark.slow) for one in ("proxy.internal", "ftp://proxy", "http://")],
)
def test_an_address_that_is_none_is_one_finding_and_hides_nothing_else(tmp_path: Path, address: str) -> None:
    """A proxy without `http://` ended `doctor` in a traceback of a library, and no line was printed at all."""
    (tmp_path / "tenants.toml").write_text(GOOD)
    with RunningSandbox() as sandbox:
        code, found = findings(tmp_path, **live(sandbox.url) | {"SHOPIFY_BASE_URL": address})
        assert found == {"shopify acme": "SHOPIFY_BASE_URL must be http(s)://host, with the port and path it needs"}
        assert code == 1
        _, fine = said(tmp_path, "ok", **live(sandbox.url), ACME__SHOPIFY_BASE_URL=address)
    assert {"meta_ads acme", "google_ads acme", "klaviyo acme", "open_meteo acme"} < set(fine)


def test_an_endpoint_that_nobody_answers_is_a_finding(tmp_path: Path) -> None:
    """A proxy that is down looks like a wrong token until someone says which address did not answer."""
    (tmp_path / "tenants.toml").write_text(GOOD)
    nobody = {"OPEN_METEO_FORECAST_URL": "http://127.0.0.1:9/f", "OPEN_METEO_ARCHIVE_URL": "http://127.0.0.1:9/a"}
    code, found = findings(tmp_path, **nobody)
    assert code == 1
    assert set(found) == {"open_meteo acme"}
    assert found["open_meteo acme"].endswith(
        "ask again later; OPEN_METEO_FORECAST_URL is http://127.0.0.1:9/f, OPEN_METEO_ARCHIVE_URL is http://127.0.0.1:9/a"
    )
    assert "window" not in found["open_meteo acme"], "nobody has run anything"


def test_an_alert_target_that_cannot_be_read_is_not_none_too(tmp_path: Path) -> None:
    """Beside "Apprise cannot read" stood "none: set WEATHERVANE_ALERT_URLS", which was set."""
    (tmp_path / "tenants.toml").write_text(GOOD)
    lines = json.loads(run(tmp_path, "doctor", "--json", WEATHERVANE_ALERT_URLS="slak://PLANTED").stdout)
    assert [line["level"] for line in lines if line["subject"] == "alert target"] == ["finding"]
