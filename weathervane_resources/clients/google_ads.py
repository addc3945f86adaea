"""Google Ads REST `googleAds:search` and `googleAds:searchStream`: one row a campaign and account-local day.

Facts (developers.google.com, read 2026-11): a stream is one answer, a JSON array of batches, and an error may follow
good batches; a page of a search has up to 10,000 rows, `pageSize` is an error, its token expires; either way a
query is one operation of the quota; int64 arrive as strings, doubles as numbers, absent optionals are left out; an empty answer has no `results`
but keeps `fieldMask`. `developer-token` and `login-customer-id` come with the session.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Annotated, Any, Generic, TypeVar

import msgspec

from weathervane_resources.clients.rows import BadRow, PageDecoder
from weathervane_resources.http.errors import BadRequest, Malformed, Where
from weathervane_resources.http.paging import PageToken, Trail
from weathervane_resources.http.session import Reply, Request, VendorSession
from weathervane_resources.http.strict_json import decode

R = TypeVar("R")
ONE_DAY, LONGEST = timedelta(days=1), timedelta(days=92)
"""An answer above the size cap fails for good: three years of 360 campaigns are that large, a quarter of 4,000."""
EXPIRED = "EXPIRED_PAGE_TOKEN"
KEEPS = timedelta(days=36 * 365 // 12)
"""Daily numbers are kept for about 37 months; a month less, since nobody says when the oldest goes (others ask for 1,110 days)."""
Int64 = Annotated[str, msgspec.Meta(pattern="^-?[0-9]{1,19}$")]


class Customer(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """The account's id, day and money."""

    id: str
    currency_code: str | None = None
    time_zone: str | None = None


class Campaign(msgspec.Struct, frozen=True, gc=False):
    """The id is the key; names change."""

    id: str
    name: str | None = None


class Segments(msgspec.Struct, frozen=True, gc=False):
    """The account-local day."""

    date: str


class Metrics(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """Integers as strings; `cost_micros` is in millionths of the account's currency."""

    cost_micros: Int64 | None = None
    impressions: Int64 | None = None
    clicks: Int64 | None = None
    conversions: float | None = None
    conversions_value: float | None = None


class CampaignDay(msgspec.Struct, frozen=True):
    """One campaign's day, as sent."""

    customer: Customer
    campaign: Campaign
    segments: Segments
    metrics: Metrics


class _Search(msgspec.Struct, Generic[R], rename="camel"):
    results: list[R] | msgspec.UnsetType = msgspec.UNSET
    next_page_token: str | None = None
    field_mask: str | None = None


@dataclass(frozen=True, slots=True)
class SearchPage(Generic[R]):
    """One page of typed rows."""

    rows: list[R]
    bad: list[BadRow]


CAMPAIGN_DAYS = (
    "SELECT customer.id, customer.currency_code, customer.time_zone, campaign.id, campaign.name, segments.date,"
    " metrics.cost_micros, metrics.impressions, metrics.clicks, metrics.conversions, metrics.conversions_value"
    " FROM campaign WHERE segments.date BETWEEN '{since}' AND '{until}'"
)


@dataclass(frozen=True, slots=True)
class GoogleAdsClient:
    """One account. `base_url` is `https://googleads.googleapis.com` or its override; `customer_id` has digits only."""

    session: VendorSession
    base_url: str
    api_version: str
    customer_id: str
    use_stream: bool = False

    async def campaign_days(self, since: date, until: date) -> AsyncIterator[SearchPage[CampaignDay]]:
        """Yield the campaign days of since..until, both inclusive, in account-local days, a quarter at a time."""
        first = since
        while first <= until:
            last = min(first + LONGEST - ONE_DAY, until)
            for page in await self._quarter(first, last):
                yield page
            first = last + ONE_DAY

    async def _quarter(self, first: date, last: date) -> list[SearchPage[CampaignDay]]:
        """Return the pages of a query, once all are there: where a page's token has expired, it is asked from the beginning, once."""
        query = CAMPAIGN_DAYS.format(since=first.isoformat(), until=last.isoformat())
        ask, asked = self.stream if self.use_stream else self.search, (query, CampaignDay, ("campaign", "id"))
        try:
            return [page async for page in ask(*asked, f"{first}..{last}")]
        except BadRequest as error:
            if EXPIRED not in error.message:
                raise
            return [page async for page in ask(*asked, f"{first}..{last}")]

    async def stream(
        self, query: str, row: type[R], key_path: tuple[str, ...] = (), window: str = ""
    ) -> AsyncIterator[SearchPage[R]]:
        """Yield the rows of a GAQL query, decoded as `row`, as one page: all batches came in one answer."""
        decoder = _stream_decoder(row, key_path)
        where = self.session.where(window)

        def parse(reply: Reply) -> SearchPage[R]:
            if reply.body.lstrip().startswith(b"{"):
                return _without_rows(reply.body, where)
            batches, rows, bad = decoder.decode(reply.body, where)
            for batch in batches:
                _require_content(batch, where)
            return SearchPage(rows, bad)

        yield await self.session.read(self._request("searchStream", {"query": query}, window), parse)

    async def search(
        self, query: str, row: type[R], key_path: tuple[str, ...] = (), window: str = ""
    ) -> AsyncIterator[SearchPage[R]]:
        """Yield the pages of a GAQL query, decoded as `row`; a page token is only good for the same query."""
        decoder = _decoder(row, key_path)
        tokens = PageToken(Trail(self.session.where(window)))
        body = {"query": query}
        while True:
            page, next_token, size = await self._page(decoder, body, window)
            token = tokens.next(next_token, size)
            yield page
            if token is None:
                return
            body = {"query": query, "pageToken": token}

    async def _page(
        self, decoder: PageDecoder[R, Any], body: dict[str, str], window: str
    ) -> tuple[SearchPage[R], str | None, int]:
        where = self.session.where(window)

        def parse(reply: Reply) -> tuple[SearchPage[R], str | None, int]:
            page, rows, bad = decoder.decode(reply.body, where)
            _require_content(page, where)
            return SearchPage(rows, bad), page.next_page_token, len(reply.body)

        return await self.session.read(self._request("search", body, window), parse)

    def _request(self, method: str, body: dict[str, str], window: str) -> Request:
        url = f"{self.base_url.rstrip('/')}/{self.api_version}/customers/{self.customer_id}/googleAds:{method}"
        return Request("POST", url, json=body, window=window, is_safe=True)


def _require_content(page: _Search[Any], where: Where) -> None:
    if page.results is msgspec.UNSET and page.field_mask is None:
        raise Malformed("neither results nor fieldMask in the answer", **where)


def _without_rows(body: bytes, where: Where) -> SearchPage[Any]:
    """Return what a stream without rows is since 2025-08, as Google prints it: an object, no list of batches."""
    batch = decode(body, _Search[msgspec.Raw], where)
    if batch.field_mask is None or _rows_of(batch):
        raise Malformed("neither a list of batches nor a stream without rows", **where)
    return SearchPage([], [])


def _rows_of(page: _Search[Any]) -> list[Any]:
    return [] if isinstance(page.results, msgspec.UnsetType) else page.results


def _decoder(row: type[R], key_path: tuple[str, ...]) -> PageDecoder[R, Any]:
    typed: Any = _Search[row]  # type: ignore[valid-type]
    return PageDecoder(msgspec.json.Decoder(typed), msgspec.json.Decoder(_Search[msgspec.Raw]), row, _rows_of, key_path)


def _stream_decoder(row: type[R], key_path: tuple[str, ...]) -> PageDecoder[R, Any]:
    typed: Any = list[_Search[row]]  # type: ignore[valid-type]
    return PageDecoder(
        msgspec.json.Decoder(typed),
        msgspec.json.Decoder(list[_Search[msgspec.Raw]]),
        row,
        lambda batches: [found for batch in batches for found in _rows_of(batch)],
        key_path,
    )
