"""From the classifier's verdict to the error that a client raises, with what to do about it."""

from collections.abc import Iterable

from weathervane_resources.http import errors
from weathervane_resources.http.verdict import Kind, Verdict

_ERRORS: dict[Kind, type[errors.VendorError]] = {
    Kind.AUTH_EXPIRED: errors.AuthExpired,
    Kind.AUTH_DEAD: errors.AuthDead,
    Kind.PERMISSION: errors.PermissionLost,
    Kind.BAD_REQUEST: errors.BadRequest,
    Kind.TOO_BIG: errors.TooBig,
    Kind.VERSION_DEAD: errors.VersionDead,
    Kind.MALFORMED: errors.Malformed,
}
_SHORTEST_SECRET = 6


def to_error(
    verdict: Verdict, status: int | None, path: str, secrets: Iterable[str], where: errors.Where
) -> errors.VendorError:
    """Return the error for a verdict that is not OK.

    `secrets` are the header values sent: a vendor that echoes one must not get it into a log.
    """
    message = f"{path}: {_without(verdict.message, secrets) or verdict.kind.value}"
    if verdict.kind is Kind.THROTTLED:
        hint = f"the quota of this {verdict.scope or 'account'} is spent; lower rate_limit_per_second or wait"
        return errors.Throttled(message, wait_s=verdict.wait_s, scope=verdict.scope, status=status, hint=hint, **where)
    if verdict.kind is Kind.TRANSIENT:
        error = errors.Unavailable(message, status=status, **where)
        error.wait_s = verdict.wait_s
        return error
    return _ERRORS[verdict.kind](message, status=status, hint=verdict.hint, **where)


def _without(message: str, secrets: Iterable[str]) -> str:
    for secret in secrets:
        for part in {secret, secret.rpartition(" ")[2]}:
            if len(part) >= _SHORTEST_SECRET:
                message = message.replace(part, "[redacted]")
    return message
