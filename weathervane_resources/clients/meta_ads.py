"""Meta Marketing insights: one row an ad set and account-local day.

Facts (developers.facebook.com, read 2026-11): both ends of `time_range` are inclusive; only an absent `paging.next`
ends the pages, an empty page with one goes on; "reduce the amount of data" means a smaller `limit`, not another
query; every number is a string; days without delivery have no row. `paging.next` carries the access token: it is
taken out before use.
"""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date
from typing import Any, Generic, TypeVar

import msgspec
from yarl import URL

from weathervane_resources.clients.rows import BadRow, PageDecoder
from weathervane_resources.http.errors import TooBig
from weathervane_resources.http.paging import NextUrl, Trail
from weathervane_resources.http.session import Reply, Request, VendorSession
from weathervane_resources.http.strict_json import decode

R = TypeVar("R")
PAGE_SIZE = 500


class Account(msgspec.Struct, frozen=True, gc=False):
    """The ad account's day and money."""

    currency: str
    timezone_name: str


class Action(msgspec.Struct, frozen=True, gc=False):
    """A count or value by action type; a type that is missing was not measured, it is not 0."""

    action_type: str
    value: str | None = None


class Insight(msgspec.Struct, frozen=True):
    """One ad set's day, as sent."""

    date_start: str
    account_id: str
    campaign_id: str
    adset_id: str
    date_stop: str | None = None
    account_currency: str | None = None
    campaign_name: str | None = None
    adset_name: str | None = None
    spend: str | None = None
    impressions: str | None = None
    clicks: str | None = None
    actions: list[Action] | None = None
    action_values: list[Action] | None = None


class _Paging(msgspec.Struct):
    next: str | None = None


class _Insights(msgspec.Struct, Generic[R]):
    data: list[R]
    paging: _Paging | None = None


FIELDS = ",".join(Insight.__struct_fields__)
_PAGE: PageDecoder[Insight, Any] = PageDecoder(
    msgspec.json.Decoder(_Insights[Insight]),
    msgspec.json.Decoder(_Insights[msgspec.Raw]),
    Insight,
    lambda p: p.data,
    ("adset_id",),
)


@dataclass(frozen=True, slots=True)
class InsightsPage:
    """One page of ad set days."""

    rows: list[Insight]
    bad: list[BadRow]


@dataclass(frozen=True, slots=True)
class MetaAdsClient:
    """One ad account. `base_url` is `https://graph.facebook.com` or its override; `account_id` has digits only."""

    session: VendorSession
    base_url: str
    api_version: str
    account_id: str

    async def account(self) -> Account:
        """Return the account's currency and time zone."""
        request = Request("GET", self._url(), params={"fields": "currency,timezone_name"}, window="account")
        where = self.session.where("account")
        return await self.session.read(request, lambda reply: decode(reply.body, Account, where))

    async def insights(self, since: date, until: date) -> AsyncIterator[InsightsPage]:
        """Yield the ad set days of since..until, both inclusive, in account-local days.

        Raises:
            TooBig: even one row at a time is too much.
        """
        window = f"{since}..{until}"
        links = NextUrl(self.session.origin, Trail(self.session.where(window)))
        url = URL(f"{self._url()}/insights").with_query(_query(since, until))
        limit = PAGE_SIZE
        while True:
            try:
                page, next_url, size = await self._page(url.update_query(limit=str(limit)), window)
            except TooBig:
                if limit == 1:
                    raise
                limit //= 2
                continue
            following = links.next(next_url, size)
            yield page
            if following is None:
                return
            url = URL(following).without_query_params("access_token", "appsecret_proof")

    async def _page(self, url: URL, window: str) -> tuple[InsightsPage, str | None, int]:
        where = self.session.where(window)

        def parse(reply: Reply) -> tuple[InsightsPage, str | None, int]:
            page, rows, bad = _PAGE.decode(reply.body, where)
            return InsightsPage(rows, bad), page.paging.next if page.paging else None, len(reply.body)

        return await self.session.read(Request("GET", str(url), window=window), parse)

    def _url(self) -> str:
        return f"{self.base_url.rstrip('/')}/{self.api_version}/act_{self.account_id}"


def _query(since: date, until: date) -> dict[str, str]:
    """`time_range` is JSON, not a Python repr (traps.md 20)."""
    return {
        "level": "adset",
        "time_increment": "1",
        "time_range": json.dumps({"since": since.isoformat(), "until": until.isoformat()}),
        "fields": FIELDS,
    }
