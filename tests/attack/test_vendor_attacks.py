"""A hostile vendor, or whoever names a campaign there: text stays text, a bomb is not unpacked, nobody is sent inside."""

from __future__ import annotations

import io
import re
import zipfile
from datetime import date

import pytest

from tests.checks.alerting import Webhook
from weathervane_assets import console
from weathervane_assets.backfill import Outcome
from weathervane_checks.alert_routing import configured_targets
from weathervane_checks.alert_text import clean
from weathervane_resources import geocoder
from weathervane_resources.geocoder import BadPlacesFile, parse_postal_zip
from weathervane_resources.inside import is_inside
from weathervane_resources.notifier import deliver, open_target
from weathervane_resources.settings import read_settings
from weathervane_resources.tenants import Tenant

INSIDE = (
    "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "localhost", "0.0.0.0", "10.1.2.3", "172.16.0.1",
    "192.168.1.1", "169.254.169.254", "100.64.0.1", "[::1]", "[::]", "[fe80::1]", "[fd00:ec2::254]", "[::ffff:127.0.0.1]",
    "[::ffff:169.254.169.254]", "[2002:7f00:1::]", "224.0.0.1", "255.255.255.255",
)  # fmt: skip
ROW = b"NZ\t0110\tPlace\tNorth\tF6\t\t\t\t\t-35.7\t174.3\t4\n"
HOSTILE = (
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "[x](javascript:alert(1))", "![x](http://evil/p.png)",
    "@channel", "<!here>", "<@U123>", "[/bold]", "[link=http://evil]x[/link]", "\x1b]0;title\x07", "\x1b[2J", "a\u202egpj.exe",
    "=HYPERLINK(\"http://evil\")", "`rm`", "&lt;b&gt;", "a\r\nb", "access_token=PLANTED",
)  # fmt: skip


@pytest.mark.parametrize("host", INSIDE)
def test_a_tenants_webhook_inside_our_network_is_not_knocked_at(host: str) -> None:
    """169.254.169.254 answers whoever asks from inside with the machine's own credentials."""
    assert is_inside(host)


@pytest.mark.parametrize("host", ["8.8.8.8", "[2606:4700::1111]", "no-such-host.invalid", ""])
def test_a_public_host_is_not_inside(host: str) -> None:
    """A rule that refuses everything would be switched off."""
    assert not is_inside(host or "no-such-host.invalid")


@pytest.mark.parametrize("inside", ["off", "on"])
def test_only_the_installation_may_send_alerts_inside(inside: str) -> None:
    """A tenant's URL is the tenant's word; the installation's is the operator's."""
    hook = Webhook()
    try:
        env = {"WEATHERVANE_ALERT_URLS": hook.url, "WEATHERVANE_ALERT_INSIDE": inside}
        tenant = Tenant("acme", "Acme", "UTC", "USD", date(2024, 1, 1), alert_urls=(hook.url.replace("/hook", "/own"),))
        targets, _ = configured_targets(read_settings(env), [tenant])
        said = {t.tenant: deliver(t, "t", "b", key="k", kind="alert") for t in targets}
    finally:
        hook.close()
    assert said[""] == ""
    assert bool(said["acme"]) == (inside == "off")
    assert len(hook.taken) == (1 if inside == "off" else 2)


@pytest.mark.parametrize("url", ["syslog://", "mailto://u:p@gmail.com?smtp=127.0.0.1", "gotify://localhost/token"])
def test_other_ways_inside_are_closed_too(url: str) -> None:
    """Apprise speaks to more than webhooks: to the machine's own log, and to a mail server that the query names."""
    target = open_target(url, tenant="acme")
    closed = type(target)(
        target.url, target.id, target.label, target.min_severity, target.tenant, may_reach_inside=False
    )
    assert "leads into this network" in deliver(closed, "t", "b", key="k", kind="alert")


def test_a_receiver_cannot_send_us_on_to_another_address() -> None:
    """A public webhook that answers 307 is the usual way around a check of its address."""
    inner, outer = Webhook(), Webhook()
    handler = outer.server.RequestHandlerClass

    def redirect(self: object) -> None:
        self.send_response(307)  # type: ignore[attr-defined]
        self.send_header("Location", f"http://127.0.0.1:{inner.server.server_port}/hook")  # type: ignore[attr-defined]
        self.end_headers()  # type: ignore[attr-defined]

    handler.do_POST = redirect  # type: ignore[attr-defined]
    try:
        said = [deliver(open_target(f"{outer.url}{q}"), "t", "b", key="k", kind="alert") for q in ("", "?redirect=yes")]
    finally:
        inner.close()
        outer.close()
    assert inner.taken == []
    assert all(said)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_name_is_plain_text_in_an_alert_and_on_the_terminal(
    text: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`[/bold]` in a vendor's error ended the command with a traceback, after the run; an escape clears the screen."""
    monkeypatch.setattr(console, "out", console.Console(force_terminal=True, width=200, no_color=True))
    monkeypatch.setattr(console, "err", console.Console(force_terminal=True, width=200, no_color=True, stderr=True))
    console.print_tenants([Tenant("acme", text, "UTC", "USD", date(2024, 1, 1))])
    console.print_outcomes([Outcome("acme", failures=[text])])
    shown = "".join(capsys.readouterr())
    assert "]8;" not in shown, "a link"
    assert not {"\x07", "\u202e", "\x1b]", "\x1b[2J"} & {
        c for c in ("\x07", "\u202e", "\x1b]", "\x1b[2J") if c in shown
    }
    assert not set("@<>`\x1b\u202e\r\n") & set(clean(text))
    assert not re.search(r"\]\s*[(\[:]", clean(text)), "brackets make a link only so"
    assert "PLANTED" not in clean(text)


def bomb(name: str, size: int, line: bytes = ROW) -> bytes:
    packed = io.BytesIO()
    with (
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive,
        archive.open(name, "w") as file,
    ):
        for _ in range(size // 2**20):
            file.write(line * (2**20 // len(line)))
    return packed.getvalue()


def test_a_zip_bomb_of_postal_codes_is_stopped_while_it_expands(monkeypatch: pytest.MonkeyPatch) -> None:
    """1 MB of zip is 1 GB of memory."""
    monkeypatch.setattr(geocoder, "LARGEST_TABLE_BYTES", 4 * 2**20)
    packed = bomb("NZ.txt", 8 * 2**20)
    assert len(packed) < 100_000
    with pytest.raises(BadPlacesFile, match="BadZipFile"):
        parse_postal_zip(packed, "NZ")


def test_a_damaged_zip_is_one_typed_error_wherever_it_is_damaged() -> None:
    """A flipped byte is a wrong checksum, a cut stream, an unknown method or a password, each another exception."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("NZ.txt", ROW)
    good = packed.getvalue()
    assert parse_postal_zip(good, "NZ").height == 1
    refused = 0
    for position in range(len(good)):
        damaged = [good[:position] + bytes([value]) + good[position + 1 :] for value in (0, 1, 99, 255)]
        for content in (*damaged, good[:position]):
            try:
                table = parse_postal_zip(content, "NZ")
            except BadPlacesFile:
                refused += 1
            else:  # a time stamp or an attribute was hit: the row is whole
                assert table.equals(parse_postal_zip(good, "NZ"))
    assert refused > len(good) * 2


def test_a_line_of_a_million_columns_is_refused_at_once() -> None:
    """A CSV reader makes every tab a column: 8 MB of tabs took 3.5 GB of memory."""
    with pytest.raises(BadPlacesFile, match="BadZipFile"):
        parse_postal_zip(bomb("NZ.txt", 2**20, b"\t"), "NZ")
