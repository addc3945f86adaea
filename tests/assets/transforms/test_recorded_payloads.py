"""Every payload that was recorded of Shopify, Meta and Google: valid rows, a named reason, or a named error."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from aiohttp import web

from tests.resources.http.scripted import DATA, Naps, Script, calling, json_answer
from weathervane_assets.tables import Ads, Orders
from weathervane_assets.transforms.ads import CONTRADICTED, meta_rows
from weathervane_assets.transforms.orders import order_columns, order_rows
from weathervane_assets.transforms.rejects import Sorted
from weathervane_resources.clients.google_ads import GoogleAdsClient
from weathervane_resources.clients.meta_ads import MetaAdsClient
from weathervane_resources.clients.rows import BadRow
from weathervane_resources.clients.shopify_graphql import ShopifyGraphql
from weathervane_resources.clients.shopify_rest import ShopifyRest
from weathervane_resources.geocoder import PLACES_SCHEMA
from weathervane_resources.http.errors import VendorError
from weathervane_resources.http.session import VendorSession

NOW = datetime(2026, 11, 20, 15, tzinfo=UTC)
OPENED = datetime(2000, 1, 1, tzinfo=UTC)
VENDORS = {"shopify": "shopify", "meta": "meta_ads", "google-ads": "google_ads"}
NO_PLACES = pl.DataFrame(schema=PLACES_SCHEMA)
NO_PAYLOADS = {"shopify/link_headers.json": "headers without a body; test_json_and_paging reads them"}
WITHOUT_ROWS = {
    "count": "a number of orders",
    "fulfillment_orders": "of the fulfilment API, which is not asked",
    "risk": "of the risk API, which is not asked",
    "risks": "of the risk API, which is not asked",
    "": "the empty answer to a deletion",
}
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the recorded vendor payloads are not here")


@dataclass(frozen=True)
class Payload:
    """One recorded answer."""

    file: str
    number: int
    status: int
    body: Any

    @property
    def vendor(self) -> str:
        return VENDORS[self.file.partition("/")[0]]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The orders or insights in it."""
        if not isinstance(self.body, dict):
            return []
        one = [self.body["order"]] if "order" in self.body else []
        return [*self.body.get("orders", []), *one, *self.body.get("data", [])] if self.is_good else []

    @property
    def is_good(self) -> bool:
        return (
            isinstance(self.body, dict) and not {"error", "errors"} & set(self.body) and "extensions" not in self.body
        )

    @property
    def reason_without_rows(self) -> str | None:
        """Why it has none, where it is no answer that we ask for."""
        return WITHOUT_ROWS.get(next(iter(self.body), "")) if self.is_good and not self.rows else None

    def __str__(self) -> str:
        return f"{self.file}[{self.number}]"


def files() -> list[str]:
    return sorted(
        str(path.relative_to(DATA)) for folder in VENDORS for path in (DATA / folder).rglob("*") if path.is_file()
    )


def payloads() -> Iterator[Payload]:
    """Yield what was recorded, whichever way the file names status and body."""
    for file in files():
        if file in NO_PAYLOADS:
            continue
        content = json.loads((DATA / file).read_text())
        for number, item in enumerate(content if isinstance(content, list) else [{"body": content}]):
            status = item.get("status", item.get("http", 200))
            yield Payload(file, number, status, item["response"] if "response" in item else item["body"])


Read = tuple[list[Any], list[BadRow]]


def ask(vendor: str, answer: Any, use: Callable[[VendorSession], Awaitable[Read]]) -> Read:
    """Let a client read the answer from loopback; the scopes of a shop are what it needs."""

    async def reply(request: web.Request) -> web.StreamResponse:
        if request.path.endswith("access_scopes.json"):
            return json_answer({"access_scopes": [{"handle": "read_all_orders"}]})
        return json_answer(answer.body, answer.status)

    async def main() -> Read:
        async with calling(Script([reply]), vendor) as session:
            return await use(session)

    return asyncio.run(main())


async def _read(pages: Any) -> Read:
    found = [page async for page in pages]
    # the answer is the same for each part of a long window, which no vendor's is: what is bad in each of them counts once
    return [row for page in found for row in page.rows], list(dict.fromkeys(bad for page in found for bad in page.bad))


def clients(payload: Payload) -> list[Callable[[VendorSession], Awaitable[Read]]]:
    """Return the ways of reading a vendor's rows."""
    if payload.vendor == "shopify":
        return [
            lambda s: _read(ShopifyRest(s, s.origin, "2026-07", lambda: NOW).orders(OPENED, NOW)),
            lambda s: _read(
                ShopifyGraphql(s, s.origin, "2026-07", clock=lambda: NOW, sleep=Naps()).orders(NOW - timedelta(1), NOW)
            ),
        ]
    if payload.vendor == "meta_ads":
        days = [date.fromisoformat(row["date_start"]) for row in payload.rows] or [NOW.date()]
        return [lambda s: _read(MetaAdsClient(s, s.origin, "v26.0", "1", sleep=Naps()).insights(min(days), max(days)))]
    day = NOW.date()
    return [
        lambda s, way=way: _read(GoogleAdsClient(s, s.origin, "v26", "9", use_stream=way).campaign_days(day, day))
        for way in (True, False)
    ]


def normalised(payload: Payload, rows: list[Any]) -> Sorted:
    if payload.vendor == "shopify":
        return order_rows(
            order_columns(rows),
            NO_PLACES,
            tenant_id="acme",
            timezone="America/New_York",
            source="shopify_api",
            as_of=NOW,
        )
    assert payload.vendor == "meta_ads", "of Google only refusals were recorded"
    return meta_rows(rows, tenant_id="acme", currency="USD", source="meta_api", as_of=NOW)


RECORDED = list(payloads()) if DATA.is_dir() else []
ROWS = [payload for payload in RECORDED if payload.rows]
REFUSALS = [payload for payload in RECORDED if not payload.rows and payload.reason_without_rows is None]


def test_no_file_and_no_payload_is_passed_over_in_silence() -> None:
    """A recording that no test reads is a recording that no one keeps working."""
    assert {payload.file for payload in RECORDED} | set(NO_PAYLOADS) == set(files())
    named = [payload for payload in RECORDED if payload.reason_without_rows]
    assert len(ROWS) + len(REFUSALS) + len(named) == len(RECORDED)
    assert {payload.file for payload in named} == {"shopify/rest_order_pairs_2026-07.json"}
    listed = [json.loads((DATA / file).read_text()) for file in files() if file not in NO_PAYLOADS]
    assert len(RECORDED) == sum(len(content) if isinstance(content, list) else 1 for content in listed)


@pytest.mark.parametrize("payload", ROWS, ids=str)
def test_every_recorded_row_is_valid_or_has_a_named_reason(payload: Payload) -> None:
    """A field that only the vendor's own payloads leave out took the whole night's run down."""
    answer = payload
    if payload.vendor == "shopify":  # a single order is read as the page that would list it
        answer = Payload(payload.file, payload.number, payload.status, {"orders": payload.rows})
    rows, bad = ask(payload.vendor, answer, clients(payload)[0])
    found = normalised(payload, rows)
    assert found.rows.height + found.rejects.height + len(bad) == len(payload.rows)
    (Orders if payload.vendor == "shopify" else Ads).validate(found.rows, lazy=True)
    reasons = [*found.rejects["reason"], *(row.reason for row in bad)]
    assert all("is missing or not usable" in r or "required field" in r or r == CONTRADICTED for r in reasons), reasons


@pytest.mark.parametrize("payload", REFUSALS, ids=str)
def test_every_recorded_refusal_is_a_named_error_and_never_an_empty_answer(payload: Payload) -> None:
    """A lost permission read as zero rows made every day of it "no ads"."""
    for use in clients(payload):
        with pytest.raises(VendorError) as caught:
            ask(payload.vendor, payload, use)
        assert type(caught.value) is not VendorError
        assert "acme" in str(caught.value)
