"""JSON as a vendor must send it, or `Malformed`.

msgspec rejects NaN and Infinity, cut-off documents and trailing garbage; nesting beyond the interpreter's limit becomes
`Malformed` too, so no answer can crash the process. Decode into a type wherever there is one: fields that the type does
not declare (customer data) are then never built at all.
"""

from functools import cache
from typing import Any, TypeVar, cast

import msgspec

from weathervane_resources.http.errors import Malformed, Where

T = TypeVar("T")

UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises of bytes that are not the JSON that was promised."""
NOWHERE: Where = {"vendor": "json", "tenant": "", "window": ""}
_RETRY_HINT = "it is retried a few times; if it stays, compare the vendor's changelog with the pinned version"


def decode(body: bytes | msgspec.Raw, kind: type[T], where: Where = NOWHERE) -> T:
    """Return `body` decoded as `kind`.

    Raises:
        Malformed: not JSON, cut off, too deep, or not of the shape of `kind`.
    """
    try:
        found: T = _decoder(cast("Any", kind)).decode(body)
    except UNREADABLE as error:
        raise malformed(error, where) from None
    return found


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    """Return what reads a type; to look through the type takes as long as to read a short list of it."""
    return msgspec.json.Decoder(kind)


def decode_any(body: bytes, where: Where = NOWHERE) -> Any:
    """Return `body` decoded without a type; for error bodies, whose shape is never sure."""
    return decode(body, object, where)


def malformed(error: Exception, where: Where) -> Malformed:
    """Return the `Malformed` for a decoding error; msgspec's text names paths and types, never values."""
    reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
    return Malformed(f"the answer is not what was promised: {reason}", hint=_RETRY_HINT, **where)
