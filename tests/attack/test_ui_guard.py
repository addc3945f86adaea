"""What other pages in the operator's browser can do to the UI: over real HTTP, to Dagster's webserver behind our guard."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from urllib.parse import urlencode

import pytest
from dagster._cli import dev
from dagster_webserver import cli

from tests.servers import free_port
from weathervane_assets.cli_configuration import Complaint
from weathervane_assets.quiet_dev import guarded_command
from weathervane_assets.replacing import replace_called
from weathervane_assets.ui_guard import served_hosts
from weathervane_assets.webserver import MAKES, SERVES, refuse_open
from weathervane_resources.settings import ConfigurationError, read_settings

MUTATION = "mutation { reloadWorkspace { __typename } }"
"""Any will do; it is one that an empty workspace answers."""
JSON = {"Content-Type": "application/json"}
HANDSHAKE = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
             "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol": "graphql-ws"}  # fmt: skip
LINKED, LISTED = "weather.example.com", "10.0.0.7:3000"
Ask = Callable[..., "Answer"]


class Answer:
    """What came back."""

    def __init__(self, reply: http.client.HTTPResponse) -> None:
        self.status = reply.status
        self.headers = reply.headers
        self.text = "" if reply.status == http.HTTPStatus.SWITCHING_PROTOCOLS else reply.read().decode(errors="replace")


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The UI of an instance without code locations, reached at two names beside loopback."""
    home, found = tmp_path_factory.mktemp("ui"), free_port()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    env = {name: value for name, value in os.environ.items() if not name.startswith("WEATHERVANE_")} | {
        "DAGSTER_HOME": str(home),
        "WEATHERVANE_UI_URL": f"https://{LINKED}/",
        "WEATHERVANE_UI_HOSTS": f" {LISTED}, Weather.Internal",
    }
    command = [sys.executable, "-m", "weathervane_assets.webserver", "--empty-workspace", "--port", str(found)]
    with (home / "log").open("wb") as log, subprocess.Popen(command, cwd=home, env=env, stdout=log, stderr=log) as it:
        try:
            _await_answer(found, it, home / "log")
            yield found
        finally:
            it.terminate()


def _await_answer(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    ends = time.monotonic() + 120
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except OSError:
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < ends, log.read_text()
            time.sleep(0.1)
        else:
            return


@pytest.fixture
def ask(port: int) -> Ask:
    def asked(method: str, path: str, headers: Mapping[str, str] | None = None, body: str | None = None) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            connection.request(method, path, body, dict(headers or {}))
            return Answer(connection.getresponse())
        finally:
            connection.close()

    return asked


def link(*queries: str, **others: str) -> str:
    return "/graphql?" + urlencode([*(("query", query) for query in queries), *others.items()])


def posted(query: str) -> str:
    return json.dumps({"query": query})


@pytest.mark.parametrize("path", ["/", "/runs", "/graphql", "/server_info", "/favicon.png"])
def test_the_ui_opens_at_loopback(ask: Ask, port: int, path: str) -> None:
    """A guard that keeps the operator out is switched off within the day."""
    for host in ("127.0.0.1", "localhost", "LocalHost", "[::1]"):
        answer = ask("GET", path, {"Host": f"{host}:{port}", "Accept": "text/html,*/*"})
        assert answer.status == 200, answer.text
    assert ask("GET", path, {"Host": "localhost:8080", "Accept": "text/html"}).status == 200, "at the end of a tunnel"


def test_the_ui_asks_and_changes_by_json(ask: Ask, port: int) -> None:
    """What the UI itself sends: JSON from a page of its own; and a script, which sends no origin."""
    for origin in ({}, {"Origin": f"http://127.0.0.1:{port}"}):
        assert json.loads(ask("POST", "/graphql", JSON | origin, posted("{ version }")).text)["data"]["version"]
        changed = ask("POST", "/graphql", JSON | origin, posted(MUTATION))
        assert json.loads(changed.text)["data"]["reloadWorkspace"] == {"__typename": "Workspace"}
    asked = ask("POST", "/graphql", {"Content-Type": "application/json; charset=utf-8"}, posted("{ version }"))
    assert asked.status == 200


def test_a_link_may_ask(ask: Ask) -> None:
    """Scripts of operators read by GET."""
    answer = ask("GET", link("query A { version } query B { version }", operationName="B", variables="{}"))
    assert json.loads(answer.text)["data"]["version"]


@pytest.mark.parametrize(
    "queries",
    [
        [MUTATION],
        [f"query Reads {{ version }} {MUTATION.replace('mutation', 'mutation Changes')}"],
        ["{ version }", MUTATION],
        [MUTATION, "{ version }"],
        [f"# {{ version }}\n{MUTATION}"],
        ["subscription { locationStateChangeEvents { __typename } }"],
        ["{ version"],
        [""],
        ["{a" * 2000],
    ],
)
def test_a_link_changes_nothing(ask: Ask, queries: list[str]) -> None:
    """`<img src="http://127.0.0.1:3000/graphql?query=mutation{...}">` on any page started runs."""
    for method in ("GET", "HEAD"):
        for accept in ("image/png", "text/html"):
            answer = ask(method, link(*queries, operationName="Changes"), {"Accept": accept})
            assert answer.status == 403, answer.text
    assert ask("GET", link(*queries)).text.startswith("refused: a link changes nothing")


@pytest.mark.parametrize(
    "kind",
    [
        "application/x-www-form-urlencoded",
        "text/plain",
        "text/plain; application/json",
        "multipart/form-data; boundary=application/json",
        "application/graphql",
        None,
    ],
)
def test_a_form_changes_nothing(ask: Ask, kind: str | None) -> None:
    """A form of any page is sent to any address, and Dagster takes what only resembles JSON's type."""
    headers = {"Content-Type": kind} if kind else {}
    for path, body in ((link(MUTATION), ""), ("/graphql", posted(MUTATION)), ("/graphql", MUTATION)):
        answer = ask("POST", path, headers, body)
        assert (answer.status, answer.text) == (403, "refused: a form changes nothing: send application/json\n")


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "evil.example:127.0.0.1", "localhost:evil", "127.0.0.1@evil",
             LINKED + ".evil", LINKED + ":8443", "10.0.0.7", ""]
)  # fmt: skip
def test_another_name_is_refused(ask: Ask, host: str) -> None:
    """A page that gives its own name our address may read and change everything: to the browser it is the same site."""
    own = {"Host": host, "Origin": f"http://{host}"}
    for answer in (
        ask("GET", "/", own),
        ask("GET", link("{ version }"), own),
        ask("POST", "/graphql", own | JSON, posted(MUTATION)),
        ask("GET", "/graphql", own | HANDSHAKE),
    ):
        assert answer.status == 403
    assert ask("GET", "/", own).text == (
        f"refused: the UI is not served as {host!r}; if it is, name that in WEATHERVANE_UI_HOSTS\n"
    )


@pytest.mark.parametrize("host", [LINKED, LISTED, "weather.internal", "WEATHER.internal"])
def test_a_configured_name_is_served(ask: Ask, host: str) -> None:
    """A proxy passes on the name that people know; the other way, it asks by the address and passes on their origin."""
    assert ask("GET", "/", {"Host": host}).status == 200
    for named in ({"Host": host}, {}):
        own = named | {"Origin": f"https://{host}"}
        assert ask("POST", "/graphql", own | JSON, posted(MUTATION)).status == 200
        assert ask("GET", "/graphql", own | HANDSHAKE).status == 101


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost:1", "http://127.0.0.1", "http://["]
)
def test_a_page_of_another_site_changes_nothing(ask: Ask, origin: str) -> None:
    """Another program on this machine has pages too; and what Dagster takes beside GraphQL takes forms."""
    foreign = {"Origin": origin}
    for method, path in (("POST", "/graphql"), ("POST", "/report_asset_materialization/orders"), ("PUT", "/")):
        answer = ask(method, path, foreign | JSON, posted(MUTATION))
        assert (answer.status, answer.text) == (403, f"refused: a page of {origin!r} may change nothing here\n")


def test_a_page_of_another_site_opens_no_websocket(ask: Ask, port: int) -> None:
    """No browser asks beforehand whether a page may open one, so it could read along: runs, logs, what is in them."""
    for own in ({}, {"Origin": f"http://127.0.0.1:{port}"}):
        assert ask("GET", "/graphql", HANDSHAKE | own).status == 101
    for foreign in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Host": "evil.example"}):
        assert ask("GET", "/graphql", HANDSHAKE | foreign).status == 403


def test_no_other_site_shows_the_ui_in_a_frame(ask: Ask) -> None:
    """A click that seemed to go to the page around it would land on a button of the UI."""
    assert ask("GET", "/").headers["X-Frame-Options"] == "SAMEORIGIN"


def test_links_lead_to_a_host_that_is_served() -> None:
    """The address in an alert was set, and the page behind it said 403."""
    env = {"WEATHERVANE_UI_URL": "https://Weather.Example.com:443/ui", "WEATHERVANE_UI_HOSTS": "a:81,,[fd00::1]:3000"}
    assert served_hosts(read_settings(env)) == {"weather.example.com", "a:81", "[fd00::1]:3000"}
    assert served_hosts(read_settings({})) == frozenset()
    assert served_hosts(read_settings({"WEATHERVANE_UI_HOSTS": "localhost:1,[::1]"})) == frozenset()
    with pytest.raises(ConfigurationError, match="WEATHERVANE_UI_URL must be"):
        served_hosts(read_settings({"WEATHERVANE_UI_URL": "weather.example.com"}))


def test_a_port_that_the_scheme_leaves_out_may_be_named(ask: Ask) -> None:
    """Some proxies pass on `Host: weather.example.com:443`."""
    assert ask("GET", "/", {"Host": f"{LINKED}:443"}).status == 200
    assert ask("GET", "/", {"Host": f"{LINKED}:444"}).status == 403


@pytest.mark.parametrize("hosts", ["*", "https://weather.example.com", "a b", "a/ui", "a:b"])
def test_a_host_is_written_as_the_browser_shows_it(hosts: str) -> None:
    """An address in the list would match no request, and the UI would refuse everyone."""
    with pytest.raises(ConfigurationError, match="WEATHERVANE_UI_HOSTS is"):
        read_settings({"WEATHERVANE_UI_HOSTS": hosts})


def test_the_ui_listens_beyond_loopback_only_under_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """`--host 0.0.0.0` in a start script lets the whole network start runs."""
    for name in ("WEATHERVANE_UI_HOSTS", "WEATHERVANE_UI_URL"):
        monkeypatch.delenv(name, raising=False)
    for address in ("127.0.0.1", "localhost", "::1"):
        refuse_open(address)
    for address in ("0.0.0.0", "::", "192.168.0.7"):
        with pytest.raises(Complaint, match="lets everyone change everything"):
            refuse_open(address)
    monkeypatch.setenv("WEATHERVANE_UI_HOSTS", LINKED)
    refuse_open("0.0.0.0")


def test_a_part_of_dagster_that_we_do_not_know_does_not_start() -> None:
    """A new Dagster that serves its UI from another module would serve it unguarded, and nobody would see."""
    served = guarded_command([sys.executable, "-m", "dagster_webserver", "--port", "1"])
    assert served == [sys.executable, "-m", "weathervane_assets.webserver", "--port", "1"]
    daemon = [sys.executable, "-m", "dagster._daemon", "run"]
    assert guarded_command(daemon) == daemon
    for other in ([sys.executable, "-m", "dagster_ui", "--port", "1"], ["dagster-webserver", "--port", "1", "x"]):
        with pytest.raises(RuntimeError, match="without our guard"):
            guarded_command(other)


@pytest.mark.parametrize(
    ("module", "caller", "name"), [(dev, "dev_command_impl", "open_ipc_subprocess"), (cli, SERVES, MAKES)]
)
def test_a_function_that_dagster_does_not_call_is_not_replaced_in_silence(
    module: ModuleType, caller: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guard hangs on two functions of Dagster; renamed or unused, the UI would start without it."""
    theirs = getattr(module, name)
    monkeypatch.setattr(module, name, theirs)  # put back afterwards
    replace_called(module, caller, name, lambda replaced: replaced)
    assert getattr(module, name)() is theirs
    for called, by in (("of_another_name", caller), (name, "gone")):
        with pytest.raises(RuntimeError, match="which we have to replace"):
            replace_called(module, by, called, print)
