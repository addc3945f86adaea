"""Klaviyo campaigns: three channels, each with its archived ones as a query of its own.

Facts (klaviyo/openapi 2026-07-15): `filter` must name the channel; archived campaigns come only with
`equals(archived,true)`; bounds too close to now are an error; `page[size]` exists from revision 2026-04-15 and is a 400
before; a retired revision falls forward in silence unless the opt-out header is sent; `greater-than` drops ties.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, Literal, TypeVar

import msgspec

from weathervane_resources.clients.rows import BadRow, PageDecoder
from weathervane_resources.http.paging import NextUrl, Trail
from weathervane_resources.http.session import Reply, Request, VendorSession, utc_now

R = TypeVar("R")
Channel = Literal["email", "sms", "mobile_push"]
CHANNELS: tuple[Channel, ...] = ("email", "sms", "mobile_push")
PAGE_SIZE_SINCE = "2026-04-15"
SAFETY = timedelta(seconds=10)


class _Attributes(msgspec.Struct, frozen=True, gc=False):
    name: str | None = None
    status: str | None = None
    archived: bool | None = None
    created_at: str | None = None
    scheduled_at: str | None = None
    send_time: str | None = None
    updated_at: str | None = None


class _Resource(msgspec.Struct, frozen=True, gc=False):
    id: str
    attributes: _Attributes


class _Links(msgspec.Struct):
    next: str | None = None


class _Campaigns(msgspec.Struct, Generic[R]):
    data: list[R]
    links: _Links


class Campaign(msgspec.Struct, frozen=True, gc=False):
    """A campaign as sent; unknown statuses pass; channel and `archived` are the query's where the answer is silent."""

    id: str
    channel: str
    name: str | None = None
    status: str | None = None
    archived: bool | None = None
    created_at: str | None = None
    scheduled_at: str | None = None
    send_time: str | None = None
    updated_at: str | None = None


FIELDS = ",".join(_Attributes.__struct_fields__)
_PAGE: PageDecoder[_Resource, Any] = PageDecoder(
    msgspec.json.Decoder(_Campaigns[_Resource]),
    msgspec.json.Decoder(_Campaigns[msgspec.Raw]),
    _Resource,
    lambda p: p.data,
    ("id",),
)


@dataclass(frozen=True, slots=True)
class CampaignsPage:
    """One page; `duplicates` were on an earlier page (a campaign updated while we read) and are left out."""

    rows: list[Campaign]
    bad: list[BadRow]
    duplicates: int = 0


@dataclass(frozen=True, slots=True)
class Times:
    """Half-open bounds on `updated_at` and `created_at`; None is open."""

    updated_from: datetime | None = None
    updated_to: datetime | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None

    def filters(self, latest: datetime) -> list[str]:
        """Return the filter terms; an upper bound is never later than `latest`."""
        terms = []
        for field, start, end in (
            ("created_at", self.created_from, self.created_to),
            ("updated_at", self.updated_from, self.updated_to),
        ):
            if start is not None:
                terms.append(f"greater-or-equal({field},{_stamp(start)})")
            if end is not None:
                terms.append(f"less-than({field},{_stamp(min(end, latest))})")
        return terms


@dataclass(frozen=True, slots=True)
class KlaviyoClient:
    """One account. `base_url` is `https://a.klaviyo.com` or its override; `revision` is a date."""

    session: VendorSession
    base_url: str
    revision: str
    clock: Callable[[], datetime] = utc_now

    async def all_campaigns(
        self,
        *,
        updated_from: datetime | None = None,
        updated_to: datetime | None = None,
        created_from: datetime | None = None,
        created_to: datetime | None = None,
    ) -> AsyncIterator[CampaignsPage]:
        """Yield the campaigns of all channels, archived or not, each once (one archived meanwhile comes twice)."""
        times = Times(updated_from, updated_to, created_from, created_to)
        seen: set[str] = set()
        for channel in CHANNELS:
            for archived in (False, True):
                async for page in self._campaigns(channel, times, archived=archived):
                    yield _once(page, seen)

    async def campaigns(
        self,
        *,
        channel: Channel,
        archived: bool,
        updated_from: datetime | None = None,
        updated_to: datetime | None = None,
        created_from: datetime | None = None,
        created_to: datetime | None = None,
    ) -> AsyncIterator[CampaignsPage]:
        """Yield one channel's campaigns, archived ones or the others, each once."""
        seen: set[str] = set()
        async for page in self._campaigns(
            channel, Times(updated_from, updated_to, created_from, created_to), archived=archived
        ):
            yield _once(page, seen)

    async def _campaigns(self, channel: Channel, times: Times, *, archived: bool) -> AsyncIterator[CampaignsPage]:
        window = f"{channel}{' archived' if archived else ''}"
        links = NextUrl(self.session.origin, Trail(self.session.where(window)))
        url = f"{self.base_url.rstrip('/')}/api/campaigns"
        params: dict[str, str] | None = self._query(channel, times, archived=archived)
        while True:
            rows, bad, next_url, size = await self._page(url, params, window)
            following = links.next(next_url, size)
            yield CampaignsPage([_campaign(row, channel, archived=archived) for row in rows], bad)
            if following is None:
                return
            url, params = following, None

    async def _page(
        self, url: str, params: dict[str, str] | None, window: str
    ) -> tuple[list[_Resource], list[BadRow], str | None, int]:
        where = self.session.where(window)

        def parse(reply: Reply) -> tuple[list[_Resource], list[BadRow], str | None, int]:
            page, rows, bad = _PAGE.decode(reply.body, where)
            return rows, bad, page.links.next, len(reply.body)

        request = Request("GET", url, params=params, headers=self._headers(), window=window)
        return await self.session.read(request, parse)

    def _headers(self) -> dict[str, str]:
        return {
            "revision": self.revision,
            "accept": "application/vnd.api+json",
            "X-Klaviyo-Revision-Fall-Forward-Opt-Out": "1",
        }

    def _query(self, channel: Channel, times: Times, *, archived: bool) -> dict[str, str]:
        """Sorted by `updated_at`: a campaign updated while we read moves to the end and is met twice, not missed."""
        terms = [f"equals(messages.channel,'{channel}')", f"equals(archived,{'true' if archived else 'false'})"]
        terms += times.filters(self.clock() - SAFETY)
        query = {"filter": ",".join(terms), "sort": "updated_at", "fields[campaign]": FIELDS}
        if self.revision >= PAGE_SIZE_SINCE:
            query["page[size]"] = "100"
        return query


def _campaign(row: _Resource, channel: Channel, *, archived: bool) -> Campaign:
    sent = msgspec.structs.asdict(row.attributes)
    sent["archived"] = archived if row.attributes.archived is None else row.attributes.archived
    return Campaign(id=row.id, channel=channel, **sent)


def _once(page: CampaignsPage, seen: set[str]) -> CampaignsPage:
    """Return the page without rows of earlier pages; `seen` is extended."""
    kept = []
    for row in page.rows:
        if row.id not in seen:
            seen.add(row.id)
            kept.append(row)
    return replace(page, rows=kept, duplicates=len(page.rows) - len(kept))


def _stamp(at: datetime) -> str:
    if at.tzinfo is None:
        raise ValueError("a window needs aware datetimes")
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
