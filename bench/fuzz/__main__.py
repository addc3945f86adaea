"""Give the classifiers and parsers bytes that reach new branches, for a while: a crash or a hang ends it and keeps the input.

`make fuzz` (ARGS="-max_total_time=600" by default; any option of libFuzzer). The first two bytes choose the reader and the status;
valid answers are the seeds. Anything but a typed error is a finding.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["weathervane_resources.http", "weathervane_resources.clients"]):
    from weathervane_resources.clients import google_ads, klaviyo, meta_ads, shopify_file, shopify_graphql, shopify_rest
    from weathervane_resources.clients.open_meteo_answer import Asked, Point, read_places
    from weathervane_resources.http.classify import classify
    from weathervane_resources.http.errors import Malformed
    from weathervane_resources.http.retry import parse_retry_after
    from weathervane_resources.http.strict_json import decode, decode_any

VENDORS = ("shopify", "meta_ads", "google_ads", "klaviyo", "open_meteo")
STATUSES = (200, 400, 401, 403, 404, 429, 500, 503)
HEADERS = ("Retry-After", "X-Business-Use-Case-Usage", "X-Shopify-Shop-Api-Call-Limit", "X-RateLimit-Reset")
NOW = datetime(2026, 11, 20, tzinfo=UTC)
WHERE = {"vendor": "v", "tenant": "t", "window": "w"}
DAY = date(2026, 11, 1)
ASKED = Asked((Point(40.7, -74.0, "UTC"),), DAY, DAY, ("temperature_2m_mean",), WHERE)
Reader = Callable[[bytes, int], object]


def _verdict(vendor: str) -> Reader:
    def read(body: bytes, status: int) -> object:
        text = body[:400].decode("latin-1")
        return classify(vendor, STATUSES[status % len(STATUSES)], dict.fromkeys(HEADERS, text), body, now=NOW)

    return read


READERS: tuple[Reader, ...] = (
    *(_verdict(vendor) for vendor in VENDORS),
    lambda body, _: meta_ads._PAGE.decode(body, WHERE),
    lambda body, _: google_ads._stream_decoder(google_ads.CampaignDay, ("campaign", "id")).decode(body, WHERE),
    lambda body, _: google_ads._decoder(google_ads.CampaignDay, ("campaign", "id")).decode(body, WHERE),
    lambda body, _: klaviyo._PAGE.decode(body, WHERE),
    lambda body, _: shopify_rest._PAGE.decode(body, WHERE),
    lambda body, _: shopify_file.parse(body, 2, 1, WHERE),
    lambda body, _: decode(body, shopify_graphql._Answer[shopify_graphql._ShopOf], WHERE),
    lambda body, _: read_places(body, ASKED),
    lambda body, _: decode_any(body, WHERE),
    lambda body, _: parse_retry_after(body.decode("latin-1"), NOW),
)


def seeds() -> list[bytes]:
    """Return an answer that each reader takes."""
    day = {
        "customer": {"id": "1"},
        "campaign": {"id": "2"},
        "segments": {"date": "2026-11-01"},
        "metrics": {"costMicros": "1"},
    }
    insight = {"date_start": "2026-11-01", "account_id": "1", "campaign_id": "2", "adset_id": "3", "spend": "1.5"}
    at = "2026-11-01T08:00:00Z"
    node = {"id": "gid://shopify/Order/1", "legacyResourceId": "1", "createdAt": at}
    child = {"quantity": 1, "__parentId": node["id"]}
    place = {
        "latitude": 40.7, "longitude": -74.0, "utc_offset_seconds": 0, "daily_units": {"temperature_2m_mean": "°C"},
        "daily": {"time": ["2026-11-01"], "temperature_2m_mean": [1.5]},
    }  # fmt: skip
    answers: list[object] = [
        {"errors": [{"message": "Throttled", "extensions": {"code": "THROTTLED"}}]},
        {"error": {"code": 17, "message": "limit", "error_subcode": 463, "is_transient": True}},
        {"error": {"code": 429, "details": [{"errors": [{"errorCode": {"quotaError": "RESOURCE_EXHAUSTED"}}]}]}},
        {"errors": [{"code": "throttled", "detail": "Request was throttled."}]},
        {"error": True, "reason": "Minutely API request limit exceeded."},
        {"data": [insight], "paging": {"next": None}},
        [{"results": [day], "fieldMask": "x"}],
        {"results": [day], "nextPageToken": "x"},
        {"data": [{"id": "7", "attributes": {"name": "n", "created_at": at}}], "links": {"next": None}},
        {"orders": [{"id": 1, "created_at": at, "updated_at": at, "total_price": "1.50"}]},
        None,
        {"data": {"shop": {"currencyCode": "USD", "ianaTimezone": "UTC"}}},
        place,
        [],
    ]
    bodies = [json.dumps(answer, separators=(",", ":")).encode() for answer in answers]
    bodies[10] = b"\n".join(json.dumps(one, separators=(",", ":")).encode() for one in (node, child))
    return [bytes([n, 0]) + body for n, body in enumerate([*bodies, b"Wed, 21 Oct 2026 07:28:00 GMT"])]


def words() -> str:
    """Return the names that the readers look for, as libFuzzer's dictionary."""
    found = {word for seed in seeds() for word in re.findall(rb'"[^"]*"', seed)}
    found |= {word.encode() for source in ("classify", "classify_ads") for word in _words_of(source)}
    return "".join(f'"{_escaped(word)}"\n' for word in sorted(found) if word)


def _escaped(word: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word)


def _words_of(module: str) -> list[str]:
    text = (Path(__file__).parents[2] / "weathervane_resources" / "http" / f"{module}.py").read_text()
    return re.findall(r'"[A-Za-z_ ]{3,40}"', text)


def one(data: bytes) -> None:
    """Read one input."""
    if len(data) < 2:
        return
    try:
        READERS[data[0] % len(READERS)](data[2:], data[1])
    except Malformed:
        return


def main() -> None:
    """Check the seeds, then fuzz with the arguments given."""
    with tempfile.TemporaryDirectory() as corpus:
        for n, seed in enumerate(seeds()):
            Path(corpus, f"seed-{n:02}").write_bytes(seed)
            one(seed)
        dictionary = Path(corpus).with_suffix(".dict")
        dictionary.write_text(words())
        options = ["-timeout=5", "-rss_limit_mb=1024", "-max_len=4096", f"-dict={dictionary}"]
        atheris.Setup([sys.argv[0], corpus, *options, *sys.argv[1:]], one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
