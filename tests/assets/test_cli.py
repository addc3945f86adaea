"""The command line as an operator meets it: one clear line for what is wrong, exit 2, nothing written."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.commands import run
from weathervane_resources.lake import Lake
from weathervane_resources.sandbox import RunningSandbox

GOOD = '[tenants.acme]\ntimezone = "America/New_York"\ncurrency = "USD"\n'
BACKFILL = ["backfill", "--tenant", "acme", "--from", "2026-11-01", "--to", "2026-11-02"]


@pytest.mark.parametrize(
    ("tenants", "arguments", "env", "says"),
    [
        (None, BACKFILL, {}, "tenants.toml: no such file"),
        ("[tenants.acme", BACKFILL, {}, "is not valid TOML"),
        (GOOD + "colour = 1\n", BACKFILL, {}, "[tenants.acme] colour: is not a known key"),
        (GOOD.replace("New_York", "Nowhere"), BACKFILL, {}, "[tenants.acme] timezone: is 'America/Nowhere'"),
        (GOOD.replace("acme", "'../x'"), BACKFILL, {}, "tenant id '../x' is not safe"),
        (GOOD, [*BACKFILL[:2], "ghost", *BACKFILL[3:]], {}, "unknown tenant 'ghost'"),
        (GOOD, [*BACKFILL, "--asset", "sales"], {}, "unknown asset 'sales'"),
        (GOOD, [*BACKFILL[:4], "2026-11-03", *BACKFILL[5:]], {}, "--from 2026-11-03 is after --to 2026-11-02"),
        (
            GOOD,
            [*BACKFILL[:4], "gestern", *BACKFILL[5:]],
            {},
            "'gestern' is no day; write it like 2026-01-31, or yesterday",
        ),
        (GOOD, [*BACKFILL[:4], "yesterday", *BACKFILL[5:]], {}, "is after --to 2026-11-02; swap them"),
        (GOOD, [*BACKFILL[:6], "2999-01-01"], {}, "is in the future"),
        (GOOD, [*BACKFILL[:4], "2020-01-01", *BACKFILL[5:]], {}, "is before 2024-01-01"),
        (
            GOOD,
            BACKFILL,
            {"WEATHERVANE_START_DATE": "2999-01-01"},
            "the first partition of acme is 2999-01-01, in the future",
        ),
        (GOOD + "start_date = 2999-01-01\n", BACKFILL, {}, "the first partition of acme is 2999-01-01, in the future"),
        (None, ["demo"], {"WEATHERVANE_START_DATE": "2999-01-01"}, "WEATHERVANE_START_DATE is 2999-01-01, and no day"),
        (
            GOOD,
            BACKFILL,
            {"SHOPIFY_SHOP_DOMAIN": "acme"},
            "is set, but missing: SHOPIFY_CLIENT_ID and SHOPIFY_CLIENT_SECRET or SHOPIFY_ACCESS",
        ),
        (GOOD, BACKFILL, {"ACME__META_APP_ID": "1"}, "meta_ads of tenant acme: META_APP_ID is set, but missing"),
        (GOOD, BACKFILL, {"ACME__KLAVIYO_API_KEY": "pk", "KLAVIYO_BASE_URL": "proxy:80"}, "KLAVIYO_BASE_URL"),
        (
            GOOD,
            BACKFILL,
            {"SHOPIFY_SHOP_DOMAIN": "https://shop.acme.com", "SHOPIFY_ACCESS_TOKEN": "t"},
            "SHOPIFY_SHOP_DOMAIN is 'shop.acme.com'; it must be <shop>.myshopify.com",
        ),
        (GOOD, BACKFILL, {"META_AD_ACCOUNT_ID": "acme", "META_ACCESS_TOKEN": "t"}, "an ad account id must be digits"),
        (GOOD, BACKFILL, {"OPEN_METEO_FORECAST_URL": "https://x/v1"}, "but missing: OPEN_METEO_API_KEY"),
        (GOOD, BACKFILL, {"WEATHERVANE_STUBS": "maybe"}, "WEATHERVANE_STUBS is 'maybe'"),
        (GOOD, BACKFILL, {"WEATHERVANE_LAKE": "tenants.toml/lake"}, "cannot be written"),
        (GOOD, ["sandbox", "--replay", "nowhere"], {}, "--replay nowhere: no such folder"),
        (GOOD, ["sandbox", "--faults", "gremlins"], {}, "gremlins"),
        (GOOD, ["demo", "--days", "2"], {}, "holds your own tenants"),
        (GOOD, ["demo", "--days", "2", "--tenants", "1"], {}, "holds your own tenants"),
    ],
)
def test_what_is_wrong_is_one_line_and_nothing_is_written(
    tmp_path: Path, tenants: str | None, arguments: list[str], env: dict[str, str], says: str
) -> None:
    """A traceback tells an operator nothing, and a half-started backfill leaves something to clean up."""
    if tenants is not None:
        (tmp_path / "tenants.toml").write_text(tenants)
    done = run(tmp_path, *arguments, **env)
    assert done.returncode == 2, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith("Error")]) == 1
    assert {path.name for path in tmp_path.iterdir()} <= {"tenants.toml"}


def test_a_busy_port_is_one_line(tmp_path: Path) -> None:
    """The sandbox and the UI share a laptop with everything else that likes port 3000."""
    (tmp_path / "tenants.toml").write_text(GOOD)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for command in ("sandbox", "dev"):
            done = run(tmp_path, command, "--port", port)
            assert done.returncode == 2
            assert port in done.stderr
            assert "--port" in done.stderr
            assert "Traceback" not in done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"tenants.toml"}


@pytest.mark.parametrize("polite", [signal.SIGINT, signal.SIGTERM])
def test_the_sandbox_says_where_it_is_and_ends_politely(tmp_path: Path, polite: signal.Signals) -> None:
    """With port 0 nobody knows the port but the process itself; a script has to read it somewhere."""
    command = [sys.executable, "-m", "weathervane_assets.cli", "sandbox", "--port", "0"]
    # where the tests run in the background of a shell, a child would be deaf to ctrl-c
    hear = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True, preexec_fn=hear) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            url = line.split()[2]
            with urllib.request.urlopen(f"{url}/healthz", timeout=10) as reply:
                assert reply.status == 200
            process.send_signal(polite)
            assert process.wait(20) == 0
        finally:
            process.kill()


def test_a_look_at_the_tokens_makes_nothing(tmp_path: Path) -> None:
    """In the wrong folder it made a state database, and the next one who looked took it for the installation's."""
    listed = run(tmp_path, "tokens", "list")
    assert (listed.returncode, listed.stdout) == (0, "no tokens are stored\n")
    assert not list(tmp_path.iterdir())


def test_tenants_are_listed_and_synced(tmp_path: Path) -> None:
    """Adding a brand is a line in a file; its partition must appear without a deploy, once."""
    (tmp_path / "tenants.toml").write_text(GOOD)
    listed = run(tmp_path, "tenants", "list", "--json")
    assert [tenant["id"] for tenant in json.loads(listed.stdout)] == ["acme"]
    assert run(tmp_path, "tenants", "sync").stdout == "added: acme\n"
    assert run(tmp_path, "tenants", "sync").stdout == "every tenant has its partition\n"


def test_a_listing_that_is_piped_is_not_cut(tmp_path: Path) -> None:
    """`weathervane tenants list | grep New_York` found nothing: the table said `America/New_…`."""
    long = GOOD.replace("acme", "acme-outdoor-north-america-east") + 'name = "Acme Outdoor Equipment and Apparel"\n'
    (tmp_path / "tenants.toml").write_text(long + GOOD.replace("New_York", "Argentina/ComodRivadavia"))
    listed = run(tmp_path, "tenants", "list").stdout
    assert "…" not in listed
    for whole in ("acme-outdoor-north-america-east", "Acme Outdoor Equipment and Apparel", "America/New_York"):
        assert whole in listed
    assert "America/Argentina/ComodRivadavia" in listed
    assert len(listed.splitlines()) == 6, "a line for each tenant"
    assert re.search(r"shopify +.? *state", listed), "the last column had no name, and `active` stood nowhere"


def test_half_set_credentials_of_what_is_not_asked_for_stop_nothing(tmp_path: Path, sandbox: RunningSandbox) -> None:
    """Somebody sets up Meta, and the shop's orders are still brought in."""
    (tmp_path / "tenants.toml").write_text(GOOD)
    half = {"ACME__META_APP_ID": "1", "WEATHERVANE_SANDBOX_URL": sandbox.url}
    assert run(tmp_path, *BACKFILL, "--asset", "promos", "--asset", "ads", **half).returncode == 0


def test_a_backfill_brings_in_an_asset_and_exits_0(tmp_path: Path, sandbox: RunningSandbox) -> None:
    """The command a cron job runs: its exit code is all that is looked at."""
    (tmp_path / "tenants.toml").write_text(GOOD)
    done = run(tmp_path, *BACKFILL, "--asset", "promos", WEATHERVANE_SANDBOX_URL=sandbox.url)
    assert done.returncode == 0, done.stderr
    assert "promos" in done.stdout
    says = "2 of 2 days not ok; 2026-11-01: stub rows from the sandbox, not the vendor's (threshold live). Set the source's cred"
    assert f"warning acme promos.live_source: {says}" in done.stdout, (
        "a table that says `1` under `warning` is no reason"
    )
    assert (tmp_path / "storage/lake/acme/promos/_delta_log").is_dir()


def test_yesterday_is_the_tenants_own(tmp_path: Path, sandbox: RunningSandbox) -> None:
    """README brought October in on November 27; up to yesterday is `date -d` on one machine, `date -v` on the other."""
    (tmp_path / "tenants.toml").write_text(GOOD.replace("America/New_York", "Pacific/Kiritimati"))
    span = ["--from", "yesterday", "--to", "yesterday", "--asset", "promos"]
    before = datetime.now(ZoneInfo("Pacific/Kiritimati")).date()
    done = run(tmp_path, *BACKFILL[:3], *span, WEATHERVANE_SANDBOX_URL=sandbox.url)
    after = datetime.now(ZoneInfo("Pacific/Kiritimati")).date()
    assert done.returncode == 0, done.stderr
    (day,) = Lake(str(tmp_path / "storage/lake")).ledger("acme", "promos")["date"]
    assert day + timedelta(days=1) in (before, after)


def test_a_backfill_says_on_the_screen_what_its_assets_warn_of(tmp_path: Path) -> None:
    """A slip in a variable's name: every check was ok, the table said 31 days and 0 rows, and the reason stood in the event log only."""
    (tmp_path / "tenants.toml").write_text(GOOD)
    done = run(tmp_path, *BACKFILL, "--asset", "promos", WEATHERVANE_STUBS="never")
    assert done.returncode == 0, done.stderr
    says = "warning acme promos: acme: no credentials for this source are set; the partition stays empty."
    assert done.stderr.count(says) == 1


@pytest.mark.parametrize(("address", "asset"), [("localhost:8099", "promos"), ("http://", "orders")])
def test_an_address_of_the_sandbox_that_is_none_is_said_by_its_name(tmp_path: Path, address: str, asset: str) -> None:
    """WEATHERVANE_SANDBOX_URL=localhost:8099 was "ValueError: URL should be absolute", with a library's traceback in the event log."""
    (tmp_path / "tenants.toml").write_text(GOOD)
    done = run(tmp_path, *BACKFILL, "--asset", asset, WEATHERVANE_SANDBOX_URL=address)
    assert done.returncode == 1
    says = "WEATHERVANE_SANDBOX_URL must be http(s)://host, with the port and path it needs"
    assert f"failed acme {asset}: {says}" in done.stderr.splitlines()


def test_a_failed_backfill_exits_1_and_says_why(tmp_path: Path, sandbox: RunningSandbox) -> None:
    """A dead token ends a run; the reason must stand on the screen, not only in the event log."""
    (tmp_path / "tenants.toml").write_text(GOOD)
    shop = {"SHOPIFY_SHOP_DOMAIN": "acme", "SHOPIFY_ACCESS_TOKEN": "expired-planted"}
    done = run(tmp_path, *BACKFILL, "--asset", "orders", **shop, SHOPIFY_BASE_URL=f"{sandbox.url}/t/acme")
    assert done.returncode == 1
    failed, log = done.stderr.splitlines()
    assert failed.startswith("failed acme orders: shopify for tenant acme"), "one line, also in a pipe"
    assert "What to do:" in failed
    assert re.fullmatch(r"its log is that of run [0-9a-f-]{36} in the UI \(`weathervane dev`\)", log)
    assert re.fullmatch(r"acme: \d+\.\d s, 1 run\n", done.stdout), "no table without a row"


def test_the_demo_runs_twice_and_changes_nothing(tmp_path: Path) -> None:
    """A newcomer runs it again to see whether it works: the same rows, and the same answer."""
    import polars as pl

    first = run(tmp_path, "demo", "--days", "3", "--tenants", "1", SHOPIFY_ACCESS_TOKEN="never-used")
    assert first.returncode == 0, first.stderr
    assert "0 critical" in first.stdout
    before = pl.read_delta(str(tmp_path / "storage/lake/acme/features")).sort("date", "geohash")
    second = run(tmp_path, "demo", "--days", "3", "--tenants", "1")
    assert second.returncode == 0, second.stderr
    assert pl.read_delta(str(tmp_path / "storage/lake/acme/features")).sort("date", "geohash").equals(before)
