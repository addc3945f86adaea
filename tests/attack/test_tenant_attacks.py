"""A hostile tenant: what stands in tenants.toml, in partition keys and in a tenant's variables stays harmless."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import subprocess
import sys
from datetime import date
from pathlib import Path

import click
import dagster as dg
import pytest

from weathervane_assets.cli import main
from weathervane_assets.dev import dev_command
from weathervane_checks.reports import write_report
from weathervane_resources.connectors import ShopifyConnector
from weathervane_resources.credentials import SHOPIFY, SOURCES, Access, find_access
from weathervane_resources.lake import Lake, LakeError
from weathervane_resources.platform import Platform
from weathervane_resources.settings import ConfigurationError
from weathervane_resources.tenants import load_tenants

START = date(2024, 1, 1)
TENANT = 'timezone = "UTC"\ncurrency = "USD"\n'
ESCAPES = (
    "..", "../x", "../../etc", "a/../b", "/etc", "/", "//host/share", "a/b", "a\\b", "..\\x", "C:", "C:\\x", "C:/x",
    "%2e%2e", "%2e%2e%2fx", "..%2f", "%00", "\x00", "a\x00", "a\n", "\na", "a\r", "a\t", " ", " a", "a ", "", ".", "...",
    "a.", ".a", "~", "~root", "$HOME", "${x}", "`id`", "$(id)", "a;b", "a|b", "a&b", "a>b", "a<b", "a*", "a?", "a'b",
    'a"b', "' OR '1'='1", "a--'", "x';DROP TABLE t;--", "CON.", "A", "ACME", "а", "ａcme", "ac\u200bme", "ac\u202eme",
    "é", "e\u0301", "İ", "ß", "😀", "-a", "_a", "_reports", "_quarantine", "a" * 64, "a" * 300, "2025-01-01", "file:///x",
    "s3://b", "http://h", "a%", "a=b", "month=2026-11", "a@b", "a:b", "a+b", "a,b", "{a}", "[a]", "(a)", "a#b", "a!b",
)  # fmt: skip


@pytest.mark.parametrize("tenant_id", ESCAPES)
def test_an_id_that_is_no_plain_name_is_refused_on_load(tenant_id: str, tmp_path: Path) -> None:
    """An id is a folder, a variable's prefix and a partition key: each reads something else into it."""
    file = tmp_path / "tenants.toml"
    file.write_text(f"[tenants.{json.dumps(tenant_id, ensure_ascii=False)}]\n{TENANT}", encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        load_tenants(file, frozenset(), START)
    assert "is not safe" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("tenant_id", ["shopify", "orders", "alerts", "nightly_schedule", "dagster", "tenants"])
def test_a_word_of_our_own_is_no_tenants_id(tenant_id: str, tmp_path: Path) -> None:
    """The purge of `orders` took that word out of every other tenant's cursor, and of `shopify` the quota of every shop."""
    file = tmp_path / "tenants.toml"
    file.write_text(f"[tenants.{tenant_id}]\n{TENANT}")
    with pytest.raises(ConfigurationError, match=f"{tenant_id}-shop"):
        load_tenants(file, frozenset(), START)
    file.write_text(f"[tenants.{tenant_id}-shop]\n{TENANT}[tenants.places]\n{TENANT}")
    assert list(load_tenants(file, frozenset(), START)) == [f"{tenant_id}-shop", "places"]


@pytest.mark.parametrize(
    "name", ["..", "../x", "/etc", "a/../../b", "a/b/../../../c", "", ".", "%2e%2e", "a\\..\\b", "a\x00"]
)
def test_a_partition_of_a_tenant_nobody_configured_reaches_no_file_outside_the_lake(name: str, tmp_path: Path) -> None:
    """The UI adds any text as a partition; the lake is the last place that can refuse it."""
    outside = tmp_path / "secret.json"
    outside.write_text("{}")
    lake = Lake(str(tmp_path / "lake"))
    for reach in (
        lambda: lake.version(name, "orders"),
        lambda: lake.ledger(name),
        lambda: write_report(lake, "quality.json", {"tenant_id": name}),
        lambda: lake.files.write(f"_reports/{name}/secret.json", "taken"),
        lambda: lake.files.read(f"_reports/{name}/secret.json"),
        lambda: lake.files.delete(f"_reports/{name}/../.."),
    ):
        with pytest.raises(LakeError):
            reach()
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["secret.json"]
    assert outside.read_text() == "{}"


def test_a_tenant_file_cannot_say_where_requests_go(tmp_path: Path) -> None:
    """A base URL in a tenant's table would send that tenant's, or everybody's, token to whoever wrote the table."""
    names = [name for source in SOURCES for name in source.overrides if name.endswith("_URL")] + ["GEONAMES_BASE_URL"]
    assert len(names) == 8
    for name in (*names, *(n.lower() for n in names), "base_url", "api_url", "proxy", "host"):
        (tmp_path / "t.toml").write_text(f'[tenants.acme]\n{TENANT}{name} = "http://169.254.169.254/"\n')
        with pytest.raises(ConfigurationError, match="is not a known key"):
            load_tenants(tmp_path / "t.toml", frozenset(), START)


@pytest.mark.parametrize(
    "text", ["a\r\nX-Evil: 1", "a\nHost: evil", "a\rb", "a\x00b", "a\x1b[2J", "a\u2028b", "shpat_ä"]
)
@pytest.mark.parametrize("source", SOURCES, ids=lambda s: s.vendor)
def test_a_value_that_would_be_two_headers_is_refused_without_quoting_it(text: str, source: object) -> None:
    """Everything in these variables ends up in a header, a path or a form."""
    names = source.complete[0]  # type: ignore[attr-defined]
    env = {f"ACME__{name}": "1" for name in names} | {f"ACME__{names[-1]}": f"PLANTED{text}"}
    if not source.own:  # type: ignore[attr-defined]
        env = dict.fromkeys(names, f"PLANTED{text}")
    with pytest.raises(ConfigurationError, match=names[-1]) as caught:
        find_access(source, env, "acme", frozenset({"acme"}), "never")  # type: ignore[arg-type]
    assert "PLANTED" not in str(caught.value)


@pytest.mark.parametrize(
    "domain",
    [
        "evil.example", "evil.example/?x=.myshopify.com", "evil.example#.myshopify.com", "acme.myshopify.com@evil.example",
        "acme.myshopify.com:8443", "acme.myshopify.com.evil.example", "http://acme.myshopify.com", "169.254.169.254",
        "a/b.myshopify.com", "evil.example\\.myshopify.com", ".myshopify.com", "user@acme.myshopify.com",
    ],
)  # fmt: skip
def test_a_shops_token_goes_to_shopify_only(domain: str) -> None:
    """A shop domain is a tenant's word, and the token is sent wherever it leads."""
    access = Access("acme", "shopify_api", {"SHOPIFY_SHOP_DOMAIN": domain, "SHOPIFY_ACCESS_TOKEN": "shpat_PLANTED"})
    platform = Platform(threshold_names=[])

    async def connect() -> None:
        async with ShopifyConnector().connect(access, platform):
            raise AssertionError("connected")

    with pytest.raises(dg.Failure, match="SHOPIFY_SHOP_DOMAIN") as caught:
        asyncio.run(connect())
    assert "PLANTED" not in str(caught.value)
    assert SHOPIFY.own[0] == "SHOPIFY_SHOP_DOMAIN"


def test_the_state_is_private_under_any_umask(tmp_path: Path) -> None:
    """A container's umask is often 0: database, write-ahead log, key, locks and folders must not rely on it."""
    code = (
        "import os; os.umask(0)\n"
        "from weathervane_resources.state import open_state\n"
        "from weathervane_resources.token_key import token_cipher\n"
        f"state = open_state('sqlite:///{tmp_path}/s/w.db')\n"
        "token_cipher(state.path, None)\n"
        "with state.begin() as c: c.exec_driver_sql('CREATE TABLE t(x)')\n"
        "import asyncio\n"
        "async def hold():\n"
        "    async with state.exclusive('x'): pass\n"
        "asyncio.run(hold())\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
    found = {str(p.relative_to(tmp_path)): stat.S_IMODE(p.stat().st_mode) for p in tmp_path.rglob("*")}
    assert {"s", "s/w.db", "s/w.key"} <= set(found)
    assert {name: oct(mode) for name, mode in found.items() if mode & 0o077} == {}


def test_no_option_takes_a_secret() -> None:
    """Arguments stand in the process list, which every user of the machine can read, and in shell histories."""

    def options(command: click.Command) -> list[str]:
        own = [name for p in command.params for name in p.opts]
        inner = command.commands.values() if isinstance(command, click.Group) else []
        return [*own, *(name for c in inner for name in options(c))]

    found = options(main)
    assert len(found) > 10
    assert [n for n in found if any(word in n for word in ("token", "secret", "password", "key", "credential"))] == []


def test_a_crash_of_a_command_or_of_what_it_starts_leaves_no_memory_on_the_disk(tmp_path: Path) -> None:
    """A core file in the working folder holds every token that was in use, and goes into the next back-up."""
    (tmp_path / "tenants.toml").write_text(f"[tenants.acme]\n{TENANT}")
    code = (
        "import resource, subprocess, sys\n"
        "resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)\n"
        "from weathervane_assets.cli import main\n"
        "main(['tenants', 'list'], standalone_mode=False)\n"
        "child = [sys.executable, '-c', 'import os; print(open(\"/proc/self/limits\").read(), flush=True); os.abort()']\n"
        "subprocess.run(child, check=False)\n"
    )
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, cwd=tmp_path, env=env, capture_output=True, text=True
    )
    (limit,) = [line for line in done.stdout.splitlines() if line.startswith("Max core file size")]
    assert limit.split()[4] == "0"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("core")] == []


def test_the_ui_listens_on_loopback_and_its_command_holds_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """The webserver has no login: whoever reaches it can start runs."""
    monkeypatch.setenv("ACME__SHOPIFY_ACCESS_TOKEN", "PLANTED")
    command = dev_command(3000)
    assert command[command.index("--host") + 1] == "127.0.0.1"
    assert "PLANTED" not in " ".join(command)
    assert "PLANTED" in os.environ["ACME__SHOPIFY_ACCESS_TOKEN"]
    assert "--host" not in [name for p in main.commands["dev"].params for name in p.opts]
