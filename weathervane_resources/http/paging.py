"""The ways vendors link pages, and what keeps a paging loop finite.

Each paginator looks at one answer and says where the next page is, or None. It does no HTTP and no decoding. All
share a `Trail`: a cursor seen before (a loop of any length), too many pages, too many bytes or too many pages without
anything new raise `PagingLoop`. An empty page with a next link goes on: Meta and Klaviyo send those.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b

from yarl import URL

from weathervane_resources.http.errors import ForeignOrigin, Malformed, PagingLoop, Where
from weathervane_resources.http.origin import origin_of, same_origin

_LINK = re.compile(r"<([^>]*)>([^<]*)")
_REL = re.compile(r";\s*rel\s*=\s*(?:\"([^\"]*)\"|([^\s;,]+))", re.IGNORECASE)


@dataclass(slots=True)
class Trail:
    """The pages walked so far in one window."""

    where: Where
    max_pages: int = 20_000
    max_bytes: int = 8 * 2**30
    max_stale_pages: int = 5
    pages: int = field(default=0, init=False)
    bytes_read: int = field(default=0, init=False)
    _stale: int = field(default=0, init=False)
    _seen: set[bytes] = field(default_factory=set, init=False, repr=False)

    def step(self, cursor: str | None, size: int, *, is_stale: bool = False) -> str | None:
        """Return `cursor` after counting the page that carried it.

        Args:
            cursor: Where the next page is; None on the last page.
            size: Bytes of the page just read.
            is_stale: The page had rows, and all of them were seen before.
        """
        self.pages += 1
        self.bytes_read += size
        self._stale = self._stale + 1 if is_stale else 0
        if cursor is None:
            return None
        digest = blake2b(cursor.encode(), digest_size=16).digest()
        if digest in self._seen:
            self._stop(f"page {self.pages} links to a page read before")
        if self.pages >= self.max_pages or self.bytes_read >= self.max_bytes:
            self._stop(f"{self.pages} pages and {self.bytes_read} bytes without an end")
        if self._stale >= self.max_stale_pages:
            self._stop(f"{self._stale} pages in a row brought nothing new")
        self._seen.add(digest)
        return cursor

    def _stop(self, reason: str) -> None:
        raise PagingLoop(reason, hint="report it to the vendor; a smaller window may get round it", **self.where)


@dataclass(frozen=True, slots=True)
class LinkHeader:
    """Shopify: `Link: <https://shop/...orders.json?page_info=abc&limit=250>; rel="next"`; no such link: last page."""

    origin: str
    trail: Trail

    def next(self, headers: Mapping[str, str], size: int = 0, *, is_stale: bool = False) -> str | None:
        """Return the next page's `page_info`.

        Raises:
            ForeignOrigin: the link leads elsewhere.
            Malformed: a next link without page_info.
        """
        url = next_link(headers.get("link"))
        return self.trail.step(None if url is None else self._page_info(url), size, is_stale=is_stale)

    def _page_info(self, url: str) -> str:
        _require_origin(url, self.origin, self.trail.where)
        page_info = URL(url).query.get("page_info")
        if not page_info:
            raise Malformed("a next link without page_info", **self.trail.where)
        return page_info


@dataclass(frozen=True, slots=True)
class NextUrl:
    """Meta `{"paging": {"next": "https://..."}}`, Klaviyo `{"links": {"next": "https://..."}}`: absent or null ends.

    The URL may hold a token: it is followed, never logged or kept.
    """

    origin: str
    trail: Trail

    def next(self, url: str | None, size: int = 0, *, is_stale: bool = False) -> str | None:
        """Return the next page's URL, of our own origin."""
        if url is not None:
            _require_origin(url, self.origin, self.trail.where)
        return self.trail.step(url, size, is_stale=is_stale)


@dataclass(frozen=True, slots=True)
class PageToken:
    """Google `{"results": [...], "nextPageToken": "abc"}`; absent or empty on the last page."""

    trail: Trail

    def next(self, token: str | None, size: int = 0) -> str | None:
        """Return the token to send with the same query."""
        return self.trail.step(token or None, size)


def next_link(header: str | None) -> str | None:
    """Return the URL with rel=next of a Link header (RFC 8288); URLs may contain commas."""
    for url, params in _LINK.findall(header or ""):
        relation = _REL.search(params)
        if relation and "next" in (relation[1] or relation[2] or "").lower().split():
            return str(url).strip()
    return None


def _require_origin(url: str, origin: str, where: Where) -> None:
    if not same_origin(url, origin):
        raise ForeignOrigin(
            f"the next page is at {origin_of(url) or 'an unreadable address'}, not at {origin_of(origin)}",
            hint="no credential was sent there; check the base URL, or whether a proxy rewrites links",
            **where,
        )
