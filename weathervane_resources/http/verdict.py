"""What an answer means, before anyone reads its data."""

from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """The ten meanings of an answer."""

    OK = "ok"
    THROTTLED = "throttled"
    TRANSIENT = "transient"
    MALFORMED = "malformed"
    AUTH_EXPIRED = "auth_expired"
    AUTH_DEAD = "auth_dead"
    PERMISSION = "permission"
    BAD_REQUEST = "bad_request"
    TOO_BIG = "too_big"
    VERSION_DEAD = "version_dead"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The classifier's word on one answer; `scope` names the quota of a throttle."""

    kind: Kind
    wait_s: float | None = None
    scope: str = ""
    message: str = ""
    hint: str = ""
    """What to do, where more is known than the error's own next step."""


OK = Verdict(Kind.OK)

_BY_STATUS = {
    401: Kind.AUTH_EXPIRED,
    403: Kind.PERMISSION,
    408: Kind.TRANSIENT,
    413: Kind.TOO_BIG,
    414: Kind.TOO_BIG,
    425: Kind.TRANSIENT,
    429: Kind.THROTTLED,
}


def by_status(status: int, wait_s: float | None = None, scope: str = "", message: str = "") -> Verdict:
    """Return what the status alone says: 2xx OK, 5xx transient, other 4xx and 3xx a bad request."""
    if status in _BY_STATUS:
        kind = _BY_STATUS[status]
    elif 200 <= status < 300:
        kind = Kind.OK
    elif status >= 500:
        kind = Kind.TRANSIENT
    else:
        kind = Kind.BAD_REQUEST
    return Verdict(kind, wait_s, scope if kind is Kind.THROTTLED else "", message)
