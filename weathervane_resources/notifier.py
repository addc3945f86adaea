"""Apprise: one message to one target.

Belongs here: what an Apprise URL is, and whether the message arrived. Does not belong here: which target gets what
(`weathervane_checks.alert_routing`) and trying again (`alert_outbox.py`). No URL, which may hold a token, is ever shown.
A tenant's URL must not make us knock on doors inside our own network; the installation's own may.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from weathervane_resources.alert_records import NoticeKind
from weathervane_resources.inside import is_inside
from weathervane_resources.settings import ConfigurationError

if TYPE_CHECKING:
    from apprise import NotifyBase

TIMEOUT_S, DEADLINE_S = 4, 10
TITLE_MOST, BODY_MOST = 120, 1800
WEBHOOK_SCHEMAS = frozenset({"json", "jsons", "form", "forms", "xml", "xmls"})
PAGERS = frozenset({"pagerduty", "opsgenie", "pagertree", "signl4", "spike", "splunk", "victorops"})
"""Services that call somebody out of bed."""
THIS_MACHINE = frozenset({"syslog", "dbus", "kde", "qt", "glib", "gnome", "macosx", "windows"})
NOTIFY_TYPES = {"alert": "failure", "worse": "failure", "reminder": "warning", "recovery": "success"}
DIGEST_TYPES = {"critical": "failure", "warning": "warning"}
"""How Apprise calls what is sent, a digest by the worst in it; anything else is "info"."""
_QUIET = ("apprise", "urllib3")


@dataclass(frozen=True)
class Target:
    """One place that messages go to. `id` is a digest of the URL, `label` its service and host."""

    url: str = field(repr=False)
    id: str
    label: str
    min_severity: str = "warning"
    tenant: str = ""
    """The only tenant whose messages it gets; empty: of all."""
    may_reach_inside: bool = True
    """Whether it may be a host of this machine or its network."""

    @property
    def is_pager(self) -> bool:
        """Whether a message there calls somebody at night."""
        return self.url.partition("://")[0].lower() in PAGERS

    @property
    def keeps_incidents(self) -> bool:
        """Whether an incident there ends only by a message with the key of the one that began it."""
        return self.url.partition("://")[0].lower() == "pagerduty"


def open_target(url: str, *, min_severity: str = "warning", tenant: str = "", where: str = "") -> Target:
    """Return the target behind an Apprise URL.

    Raises: ConfigurationError: Apprise does not know such a URL; says where it stands, not what it is.
    """
    service = _service(url)
    if service is None:
        schema = url.partition("://")[0][:20] if "://" in url else "no schema"
        raise ConfigurationError(
            f"{where or 'an alert URL'}: Apprise cannot read the {len(url)} characters that begin with {schema!r}; "
            "see https://github.com/caronc/apprise/wiki"
        )
    digest = hashlib.blake2b(url.encode(), digest_size=8).hexdigest()
    masked = str(service.url(privacy=True))  # type: ignore[no-untyped-call]
    schema, _, rest = masked.partition("://")
    label = f"{schema}://{rest.partition('/')[0].rpartition('@')[2]} #{digest[:6]}"  # a path may be a token
    return Target(url, digest, label, min_severity, tenant)


def deliver(target: Target, title: str, body: str, *, key: str, kind: NoticeKind, severity: str = "") -> str:
    """Send one message and return "" if it was taken, else what is wrong; never raises for what the receiver does.

    `key` begins with the incident's id and a dash. A webhook gets it as the header Idempotency-Key, PagerDuty the id as its
    deduplication key: one incident there, which a recovery resolves. A chat has no such thing; the text carries the id.
    """
    import apprise  # noqa: PLC0415 - a tenth of a second that only a message should pay
    from apprise.plugins.pagerduty import NotifyPagerDuty, PagerDutyAction  # noqa: PLC0415

    service = _service(target.url)
    if service is None:
        return "Apprise cannot read its URL"
    if not target.may_reach_inside and _leads_inside(service, target.url):
        return "it leads into this network; the installation may allow that with WEATHERVANE_ALERT_INSIDE=on"
    service.redirects = False  # wherever a receiver sends us, nobody has looked at that address
    if hasattr(service, "headers") and target.url.partition("://")[0].lower() in WEBHOOK_SCHEMAS:
        service.headers["Idempotency-Key"] = key
    if isinstance(service, NotifyPagerDuty) and not service.dedup:
        service.dedup, service.action = key.partition("-")[0], PagerDutyAction.MAP
    service.socket_connect_timeout = service.socket_read_timeout = TIMEOUT_S
    sender = apprise.Apprise()
    sender.add(service)
    with _Overheard() as said:
        result = sender.notify(
            body[:BODY_MOST],
            title[:TITLE_MOST],
            notify_type=apprise.NotifyType(
                DIGEST_TYPES.get(severity if kind == "digest" else "", NOTIFY_TYPES.get(kind, "info"))
            ),
            body_format=apprise.NotifyFormat.TEXT,
            timeout=DEADLINE_S,
        )
    return "" if result else said.reason(target) or "the receiver did not take it"


def _service(url: str) -> NotifyBase | None:
    import apprise  # noqa: PLC0415 - as above

    with _Overheard():
        found = apprise.Apprise.instantiate(url, suppress_exceptions=True)
    return found if isinstance(found, apprise.NotifyBase) else None


def _leads_inside(service: NotifyBase, url: str) -> bool:
    """Return whether a message would go to this machine or its network.

    Only services whose URL names a host are looked up: the "host" of a chat service is a token, which must not reach DNS.
    """
    if url.partition("://")[0].lower() in THIS_MACHINE:
        return True
    names = [getattr(service, "smtp_host", "")]
    templates: tuple[str, ...] = service.templates
    if any("{host}" in template for template in templates):
        names.append(service.host)
    return any(is_inside(name) for name in names if name)


class _Overheard(logging.Handler):
    """Listens to Apprise's log, which says why; what it and the HTTP client say stays here, since it may quote a URL."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._lines: list[str] = []
        self._loggers = [logging.getLogger(name) for name in _QUIET]

    def __enter__(self) -> Self:
        for logger in self._loggers:
            logger.propagate = False
            logger.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        for logger in self._loggers:
            logger.removeHandler(self)
            logger.propagate = True

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one line."""
        self._lines.append(record.getMessage())

    def reason(self, target: Target) -> str:
        """Return the first line without anything that stands in the URL."""
        line = next(iter(self._lines), "")
        for part in _parts(target.url):
            line = line.replace(part, "…")
        return " ".join(line.split())[:160]


def _parts(url: str) -> Sequence[str]:
    """Return the pieces of a URL that may be secret, longest first."""
    rest = url.partition("://")[2]
    for mark in "/@:?&=+":
        rest = rest.replace(mark, " ")
    return sorted({piece for piece in rest.split() if len(piece) >= 6}, key=len, reverse=True)
