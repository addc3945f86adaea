"""Every way a vendor call can fail, as one tree.

    VendorError
    ├── transient: the same request may succeed later
    │   ├── Throttled      wait_s, scope: the vendor asks for a pause
    │   ├── Unavailable    5xx, network, timeout
    │   ├── Malformed      not JSON, cut off, or not the promised shape
    │   └── Deferred       until: the wait is longer than this run's patience
    └── permanent: someone or something must change first
        ├── AuthExpired    the token was refused and could not be renewed
        ├── AuthDead       the grant is gone: connect the account again
        ├── PermissionLost a scope, role or plan is missing
        ├── BadRequest     the vendor does not accept what we asked
        ├── TooBig         ask for less at a time
        ├── VersionDead    the pinned API version is retired
        ├── ForeignOrigin  a link or redirect leads to another host
        ├── PagingLoop     the pages do not end
        └── BodyTooLarge   the answer exceeds the size cap

An error never holds a credential, a query string or a header. Turning one into a Dagster failure is the connector's
work.
"""

import re
from datetime import datetime
from typing import ClassVar, TypedDict

_URL_QUERY = re.compile(r"(https?://[^\s?\"'<>]*)\?[^\s\"'<>]*")
_GUARDED_NAME = r"\b([\w-]*(?:access_token|refresh_token|fb_exchange_token|secret|password|api_?key|appsecret_proof))"
_END_OF_A_PATH = r"(?!(?<=/)access_token: the token endpoint )"
"""`.../oauth/access_token: the token endpoint says no`: our own words, after the path of an endpoint."""
_SECRET_PAIR = re.compile(_END_OF_A_PATH + _GUARDED_NAME + r"""("?\s*[=:]\s*)"?[^\s&,"'}]+""", re.IGNORECASE)
_SECRET_SHAPE = re.compile(r"\b(?:shp[a-z]{2}_\w+|EAA\w{12,}|pk_\w{6,}|ya29\.[\w.-]+|1//[\w-]{10,}|Bearer\s+\S+)")
_MAX_MESSAGE = 300
_WHAT_TO_DO = ". What to do: "


class Where(TypedDict):
    """Whose call it was: `Malformed("...", **where)`."""

    vendor: str
    tenant: str
    window: str


class VendorError(Exception):
    """A vendor call failed.

    `str()` says what was tried, for which tenant and window, what came back, and what to do: `hint`, else the class's
    `next_step`.
    """

    is_transient: ClassVar[bool] = False
    next_step: ClassVar[str]

    def __init__(
        self, message: str, *, vendor: str, tenant: str, window: str = "", status: int | None = None, hint: str = ""
    ) -> None:
        """Keep the parts; nothing secret may be passed in, and `redact` is applied to be sure."""
        self.message = redact(message)
        super().__init__(self.message)
        self.vendor = vendor
        self.tenant = tenant
        self.window = window
        self.status = status
        self.hint = hint or self.next_step

    def __str__(self) -> str:
        window = f", window {self.window}" if self.window else ""
        whose = f"tenant {self.tenant}" if self.tenant else "all tenants"
        return f"{self.vendor} for {whose}{window}: {self.happened}{_WHAT_TO_DO}{self.hint}"

    @property
    def happened(self) -> str:
        """The message, with the HTTP status where there was an answer."""
        return f"{self.message} (HTTP {self.status})" if self.status is not None else self.message


class Throttled(VendorError):
    """The vendor asks for a pause; `scope` names the quota that ran out (shop, account, app, developer_token)."""

    is_transient = True
    next_step = "wait, or lower rate_limit_per_second of the connector"

    def __init__(
        self,
        message: str,
        *,
        vendor: str,
        tenant: str,
        window: str = "",
        status: int | None = None,
        hint: str = "",
        wait_s: float | None = None,
        scope: str = "",
    ) -> None:
        """Keep the wait; None where the vendor does not say how long."""
        super().__init__(message, vendor=vendor, tenant=tenant, window=window, status=status, hint=hint)
        self.wait_s = wait_s
        self.scope = scope


class Unavailable(VendorError):
    """5xx, network failure or timeout; `wait_s` where the vendor gave a Retry-After.

    `is_late`: the vendor was reached, and did not answer in time.
    """

    is_transient = True
    next_step = "it lies with the vendor or the network; run the window again later"
    wait_s: float | None = None
    is_late = False


class Malformed(VendorError):
    """The answer is not JSON, was cut off, or is not of the promised shape. Never read as an empty page."""

    is_transient = True
    next_step = (
        "it was retried; run the window again, and if it stays so, the vendor changed its answer: update Weathervane"
    )


class Deferred(VendorError):
    """The vendor's wait is longer than this run's patience: park the work until `until` and free the slot."""

    is_transient = True
    next_step = "nothing is lost: the sensor deferred_runs starts the window again after that time"

    def __init__(
        self,
        message: str,
        *,
        until: datetime,
        vendor: str,
        tenant: str,
        window: str = "",
        status: int | None = None,
        hint: str = "",
    ) -> None:
        """Keep `until`, an aware UTC datetime."""
        super().__init__(message, vendor=vendor, tenant=tenant, window=window, status=status, hint=hint)
        self.until = until


class AuthExpired(VendorError):
    """The token was refused, and either cannot be renewed or was refused again after one renewal."""

    next_step = "issue a new token, or configure what renews it"


class AuthDead(VendorError):
    """The grant is revoked or unknown; only connecting the account again helps."""

    next_step = "connect the account again and configure the new credential"


class PermissionLost(VendorError):
    """A scope, role or plan is missing. Never read as zero rows."""

    next_step = "grant the scope, role or plan that the message names; rows are missing, not zero"


class BadRequest(VendorError):
    """The vendor does not accept the request; sending it again is futile."""

    next_step = "sending it again is futile; compare the request with the pinned API version"


class TooBig(VendorError):
    """Too much was asked for at once; ask for less without changing the query."""

    next_step = "ask for a shorter window"


class VersionDead(VendorError):
    """The pinned API version is retired."""

    next_step = "pin a living API version ('weathervane doctor' lists the sunset dates)"


class ForeignOrigin(VendorError):
    """A link or redirect leads to another scheme, host or port; the credential was not sent there."""

    next_step = "check the base URL and any proxy; nothing was sent there"


class PagingLoop(VendorError):
    """A cursor came back, the pages bring nothing new, or they exceed the cap."""

    next_step = "report it to the vendor; a smaller window may get round it"


class BodyTooLarge(VendorError):
    """The answer exceeds the size cap, possibly only after decompression."""

    next_step = "ask for a shorter window"


def parted(text: str) -> tuple[str, str]:
    """Return what went wrong and what to do, from a vendor error's whole text; of another text all of it, and nothing to do."""
    said, _, cure = text.rpartition(_WHAT_TO_DO)
    return (said, cure) if said else (text, "")


def redact(text: str) -> str:
    """Return `text` without query strings and anything that looks like a credential, at most 300 characters."""
    text = " ".join(scrub(text).split()).rstrip(".")
    return text if len(text) <= _MAX_MESSAGE else text[: _MAX_MESSAGE - 1] + "…"


def scrub(text: str) -> str:
    """Return `text` without query strings and anything that looks like a credential, its lines and length as they are."""
    text = _URL_QUERY.sub(r"\1?[redacted]", text)
    text = _SECRET_PAIR.sub(r"\1\2[redacted]", text)
    return _SECRET_SHAPE.sub("[redacted]", text)
