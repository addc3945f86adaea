"""What the UI refuses, because a page in somebody's browser asks for it and not the UI.

Belongs here: the rules and the middleware that applies them. Does not belong here: starting a webserver (`webserver.py`).

Dagster's webserver has no login: it answers whoever reaches it, by whatever name, and runs a mutation that comes as a link,
an image's address or a form. Any page that the operator opens can send those to 127.0.0.1, and can give its own name that
address (DNS rebinding), after which the browser lets it read the answers as well.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

from graphql import GraphQLError, OperationDefinitionNode, OperationType, parse
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose
from yarl import URL

from weathervane_resources.settings import Settings, require_address

LOOPBACK = ("127.0.0.1", "localhost", "[::1]", "::1")
READING = ("GET", "HEAD", "OPTIONS")
POLICY_VIOLATION = 1008
"""Of RFC 6455; before the handshake is over the server makes an HTTP 403 of it."""


class Guard:
    """ASGI middleware: 403 and one line of text to what `refusal` finds, the app's own answer to all else."""

    def __init__(self, app: ASGIApp, hosts: Collection[str]) -> None:
        self.app = app
        self.hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request or one websocket's handshake."""
        reason = refusal(HTTPConnection(scope), self.hosts) if scope["type"] in ("http", "websocket") else None
        answer = self.app if reason is None else _refuse(scope, reason)
        await answer(scope, receive, partial(_send_unframed, send))


def served_hosts(settings: Settings) -> frozenset[str]:
    """Return the hosts that the UI is served as beside loopback: those configured, and that of the links in messages.

    Raises: ConfigurationError: WEATHERVANE_UI_URL is no address.
    """
    linked = authority(require_address("WEATHERVANE_UI_URL", settings.ui_url))
    return frozenset(host for host in (*settings.ui_hosts, linked) if host and not is_loopback(host))


def refusal(asked: HTTPConnection, hosts: Collection[str]) -> str | None:
    """Return why a request is refused, or None; `hosts` are what the UI is served as beside loopback."""
    said = [host.lower() for host in asked.headers.getlist("host")]
    named = [without_usual_port(host) for host in said]
    if len(named) != 1 or not (is_loopback(named[0]) or named[0] in hosts):
        return f"the UI is not served as {', '.join(said)!a}; if it is, name that in WEATHERVANE_UI_HOSTS"
    method = asked.scope.get("method")  # a websocket has none
    if method not in READING:
        foreign = [origin for origin in asked.headers.getlist("origin") if authority(origin) not in {*named, *hosts}]
        if foreign:
            return f"a page of {', '.join(foreign)!a} may change nothing here"
    return _graphql_refusal(asked, method) if method and asked.scope["path"].endswith("/graphql") else None


def authority(url: str) -> str | None:
    """Return host and port of an address as browsers send them: in lower case, without the scheme's usual port."""
    try:
        return URL(url).host_port_subcomponent
    except ValueError:
        return None


def without_usual_port(host: str) -> str:
    """Return a host without a port that some scheme leaves out, as `authority` does: not every client and proxy does."""
    name, _, port = host.rpartition(":")
    return name if port in ("80", "443") and name else host


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine, at any port: at the near end of a tunnel it is another than ours."""
    name, _, port = host.rpartition(":")
    return host in LOOPBACK or (name in LOOPBACK and port.isdecimal())


def only_reads(query: str) -> bool:
    """Return whether a GraphQL document has queries alone, whichever of its operations is to run."""
    try:
        document = parse(query, no_location=True)
    except GraphQLError:
        return False
    operations = [node.operation for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    return all(operation is OperationType.QUERY for operation in operations)


def _graphql_refusal(asked: HTTPConnection, method: str) -> str | None:
    """Return why a GraphQL request is refused: browsers send links and forms to anybody, and JSON only to their own."""
    if method in READING:
        is_read = all(map(only_reads, asked.query_params.getlist("query")))
        return None if is_read else "a link changes nothing: send what is no query by POST, as application/json"
    kind = asked.headers.get("content-type", "").partition(";")[0].strip().lower()
    return None if kind == "application/json" else "a form changes nothing: send application/json"


def _refuse(scope: Scope, reason: str) -> ASGIApp:
    if scope["type"] == "websocket":
        return WebSocketClose(POLICY_VIOLATION)
    return PlainTextResponse(f"refused: {reason}\n", 403)


async def _send_unframed(send: Send, message: Message) -> None:
    """Send an answer that no other site may show in a frame, where clicks meant for that site would land in the UI."""
    if message["type"] == "http.response.start":
        MutableHeaders(scope=message)["X-Frame-Options"] = "SAMEORIGIN"
    await send(message)
