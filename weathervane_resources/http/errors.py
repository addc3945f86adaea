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
_GUARDED_NAME = (
    r"(?i)\b([\w-]*(?:access_token|refresh_token|fb_exchange_token|secret|password|api_?key|appsecret_proof))"
)
_SECRET_PAIR = re.compile(_GUARDED_NAME + r"""("?\s*[=:]\s*)"?[^\s&,"'}]+""")
_SECRET_SHAPE = re.compile(r"\b(?:shp[a-z]{2}_\w+|EAA\w{12,}|pk_\w{6,}|ya29\.[\w.-]+|1//[\w-]{10,}|Bearer\s+\S+)")
_MAX_MESSAGE = 300


class Where(TypedDict):
    """Whose call it was: `Malformed("...", **where)`."""

    vendor: str
    tenant: str
    window: str


class VendorError(Exception):
    """A vendor call failed.

    `str()` says what was tried, for which tenant and window, what came back, and what to do.
    """

    is_transient: ClassVar[bool] = False

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
        self.hint = hint

    def __str__(self) -> str:
        window = f", window {self.window}" if self.window else ""
        status = f" (HTTP {self.status})" if self.status is not None else ""
        hint = f" What to do: {self.hint}" if self.hint else ""
        return f"{self.vendor} for tenant {self.tenant or '?'}{window}: {self.message}{status}.{hint}"


class Throttled(VendorError):
    """The vendor asks for a pause; `scope` names the quota that ran out (shop, account, app, developer_token)."""

    is_transient = True

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
    """5xx, network failure or timeout; `wait_s` where the vendor gave a Retry-After."""

    is_transient = True
    wait_s: float | None = None


class Malformed(VendorError):
    """The answer is not JSON, was cut off, or is not of the promised shape. Never read as an empty page."""

    is_transient = True


class Deferred(VendorError):
    """The vendor's wait is longer than this run's patience: park the work until `until` and free the slot."""

    is_transient = True

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


class AuthDead(VendorError):
    """The grant is revoked or unknown; only connecting the account again helps."""


class PermissionLost(VendorError):
    """A scope, role or plan is missing. Never read as zero rows."""


class BadRequest(VendorError):
    """The vendor does not accept the request; sending it again is futile."""


class TooBig(VendorError):
    """Too much was asked for at once; ask for less without changing the query."""


class VersionDead(VendorError):
    """The pinned API version is retired."""


class ForeignOrigin(VendorError):
    """A link or redirect leads to another scheme, host or port; the credential was not sent there."""


class PagingLoop(VendorError):
    """A cursor came back, the pages bring nothing new, or they exceed the cap."""


class BodyTooLarge(VendorError):
    """The answer exceeds the size cap, possibly only after decompression."""


def redact(text: str) -> str:
    """Return `text` without query strings and anything that looks like a credential, at most 300 characters."""
    text = _URL_QUERY.sub(r"\1?[redacted]", text)
    text = _SECRET_PAIR.sub(r"\1\2[redacted]", text)
    text = _SECRET_SHAPE.sub("[redacted]", text)
    text = " ".join(text.split()).rstrip(".")
    return text if len(text) <= _MAX_MESSAGE else text[: _MAX_MESSAGE - 1] + "…"
