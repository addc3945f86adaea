"""Values that vendors should never send: text, times, amounts, numbers and places at their edges, and pages damaged on the way.

The strings are our own, after the categories of the Big List of Naughty Strings; no file of others is in the tree.
"""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

STRINGS = (
    "", " ", "undefined", "null", "NULL", "nil", "None", "true", "NaN", "Infinity", "-Infinity", "0", "1/0", "1E400", "0x10",
    "1,000.00", "١٢٣", "①", "⅓", "<script>", "' OR 1=1--", "\";--", "%s%n", "%00", "\x00", "\x07\x1b[31m", "\t\n\r", "\u2028",
    "\ufeff", "\u200b", "\u202eabc", "A\u0301", "\u00c1", "I\u0307", "ß", "田中さん", "مرحبا", "הלו", "👩‍👩‍👧‍👦", "🇺🇸", "\U0010ffff",
    "Ⱥ", "../../etc/passwd", "C:\\con", "$(id)", "=1+1", "@SUM(1)", "{{7*7}}", "${7*7}", "Z" * 100_000, "a\u0300" * 5_000,
)  # fmt: skip
TIMES = (
    "0001-01-01T00:00:00Z", "1677-09-21T00:12:43Z", "1969-12-31T23:59:59Z", "2000-02-29T00:00:00Z", "2024-02-29T23:59:59+14:00",
    "2026-03-08T02:30:00-05:00", "2026-12-31T23:59:60Z", "2100-02-29T00:00:00Z", "2262-04-12T00:00:00Z", "9999-12-31T23:59:59Z",
    "9999-12-31T23:59:59-12:00", "10000-01-01T00:00:00Z", "2026-11-01", "2026-11-01T00:00:00", "yesterday", "1e9", "-1",
)  # fmt: skip
AMOUNTS = (
    "0", "-0.00", "0.0001", "0.00001", "1.23456789", "99999999999999.9999", "100000000000000", "-99999999999999.9999",
    "9223372036854775807", "9223372036854775808", "1e3", "1E-2", "1e400", "NaN", "inf", "-Infinity", "1_000", "1,5", "", " 1", "+1", "٣", "1e-5", "12345e-6",
)  # fmt: skip
NUMBERS = (
    2**53 - 1, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 2**70, -1, 0, -(2**63), 10**400, 1.0, 1.5, -0.0, 1e308, True, None, "1", [], {},
)  # fmt: skip
COORDINATES = (0.0, -0.0, 90.0, -90.0, 90.001, 180.0, -180.0, 180.001, 1e308, 5e-324, 359.9, None)

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
EDITS: dict[str, Any] = {
    "edits": st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), max_size=6),
    "end": st.integers(-50, 0),
}
FEW = settings(max_examples=250, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
MANY = settings(max_examples=5_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def damaged(body: bytes, edits: list[tuple[int, int]], end: int) -> bytes:
    """Return the page with some bytes changed and its end cut off."""
    found = bytearray(body)
    for position, value in edits:
        found[position % len(found)] = value
    return bytes(found[: end or None])
