"""From the classifier's verdict to the error that a client raises, with what to do about it."""

from collections.abc import Iterable

from weathervane_resources.http import errors
from weathervane_resources.http.verdict import Kind, Verdict

_PERMANENT: dict[Kind, tuple[type[errors.VendorError], str]] = {
    Kind.AUTH_EXPIRED: (errors.AuthExpired, "issue a new token, or configure what renews it"),
    Kind.AUTH_DEAD: (errors.AuthDead, "connect the account again"),
    Kind.PERMISSION: (
        errors.PermissionLost,
        "grant the scope, role or plan that the message names; rows are missing, not zero",
    ),
    Kind.BAD_REQUEST: (
        errors.BadRequest,
        "sending it again is futile; compare the request with the pinned API version",
    ),
    Kind.TOO_BIG: (errors.TooBig, "ask for less at a time, with the same query"),
    Kind.VERSION_DEAD: (errors.VersionDead, "pin a living API version ('weathervane doctor' lists the sunset dates)"),
    Kind.MALFORMED: (errors.Malformed, "it is retried a few times"),
}
_SHORTEST_SECRET = 6


def to_error(
    verdict: Verdict, status: int, path: str, secrets: Iterable[str], where: errors.Where
) -> errors.VendorError:
    """Return the error for a verdict that is not OK.

    `secrets` are the header values sent: a vendor that echoes one must not get it into a log.
    """
    message = f"{path}: {_without(verdict.message, secrets) or verdict.kind.value}"
    if verdict.kind is Kind.THROTTLED:
        hint = f"the quota of this {verdict.scope or 'account'} is spent; lower rate_limit_per_second or wait"
        return errors.Throttled(message, wait_s=verdict.wait_s, scope=verdict.scope, status=status, hint=hint, **where)
    if verdict.kind is Kind.TRANSIENT:
        error = errors.Unavailable(
            message, status=status, hint="the vendor's side; run the window again later", **where
        )
        error.wait_s = verdict.wait_s
        return error
    kind, hint = _PERMANENT[verdict.kind]
    return kind(message, status=status, hint=hint, **where)


def _without(message: str, secrets: Iterable[str]) -> str:
    for secret in secrets:
        for part in {secret, secret.rpartition(" ")[2]}:
            if len(part) >= _SHORTEST_SECRET:
                message = message.replace(part, "[redacted]")
    return message
