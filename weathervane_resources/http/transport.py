"""The wire: one aiohttp session, redirects within our own origins, size caps, and nothing secret in an error.

Knows no vendor: what an answer means, and whether to try again, is `session.py`'s work.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import metadata
from typing import Any

import aiohttp
from yarl import URL

from weathervane_resources.http.body import ACCEPT_ENCODING, read_body
from weathervane_resources.http.errors import BadRequest, ForeignOrigin, Unavailable, Where
from weathervane_resources.http.origin import origin_of, same_origin

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_CONNECT_S = 10.0
_SOCK_READ_S = 60.0


@dataclass(frozen=True, slots=True)
class Request:
    """One request.

    `is_safe`: sending it twice does no harm (searches, refreshes; every GET). `weight`: its cost where the vendor's
    quota counts more than requests (Open-Meteo). `too_big_after`: so often the vendor may fail on it before it counts as
    too big, once where the answer is late; 0 where less cannot be asked for.
    """

    method: str
    url: str = field(repr=False)
    params: Mapping[str, str] | None = field(default=None, repr=False)
    json: Any = field(default=None, repr=False)
    form: Mapping[str, str] | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    window: str = ""
    is_safe: bool = False
    weight: float = 1.0
    too_big_after: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """One good answer: header names are lower case, the body is decompressed, the path has no query string."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    url_path: str


@lru_cache(maxsize=1)
def user_agent() -> str:
    """Return `weathervane/<version>`; read when the first session opens, not at import."""
    try:
        return f"weathervane/{metadata.version('weathervane')}"
    except metadata.PackageNotFoundError:
        return "weathervane/0"


class Transport:
    """Sends one request and returns one answer; a redirect is returned as a URL, already known to be ours."""

    def __init__(self, origins: Collection[str], total_s: float, max_body_bytes: int) -> None:
        """Open nothing yet."""
        self._origins = tuple(origins)
        self._timeout = aiohttp.ClientTimeout(total=total_s, sock_connect=_CONNECT_S, sock_read=_SOCK_READ_S)
        self._max_body_bytes = max_body_bytes
        self._http: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Open the aiohttp session inside the running loop."""
        self._http = aiohttp.ClientSession(
            timeout=self._timeout,
            headers={"User-Agent": user_agent(), "Accept": "application/json", "Accept-Encoding": ACCEPT_ENCODING},
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
        )

    async def close(self) -> None:
        """Close it."""
        if self._http is not None:
            await self._http.close()
            self._http = None

    def require_own(self, url: URL, where: Where) -> None:
        """Raise ForeignOrigin unless a credential may go to `url`."""
        if not any(same_origin(str(url), origin) for origin in self._origins):
            raise ForeignOrigin(
                f"the way leads to {origin_of(str(url)) or 'an unreadable address'}, which is not ours",
                hint="no credential was sent there; check the base URL",
                **where,
            )

    async def send(
        self, request: Request, url: URL, headers: Mapping[str, str], where: Where
    ) -> tuple[Reply, URL | None]:
        """Return the answer, and where it redirects to."""
        if self._http is None:
            raise RuntimeError("use the session inside 'async with'")
        self.require_own(url, where)
        options: dict[str, Any] = {"json": request.json} if request.json is not None else {"data": request.form}
        options |= {"headers": headers, "allow_redirects": False}
        try:
            async with self._http.request(request.method, url, **options) as response:
                content = await read_body(response, self._max_body_bytes, where)
                reply = Reply(response.status, _joined(response.headers), content, url.path)
                return reply, self._redirect(request, response, where)
        except aiohttp.InvalidURL:
            raise BadRequest("the URL is not valid", hint="check the base URL", **where) from None
        except TimeoutError as error:
            late = Unavailable(f"no answer from {origin_of(str(url))} in time", **where)
            late.is_late = not isinstance(error, aiohttp.ConnectionTimeoutError)
            raise late from None
        except (aiohttp.ClientError, OSError) as error:
            raise Unavailable(f"{type(error).__name__} from {origin_of(str(url))}", **where) from None

    def _redirect(self, request: Request, response: aiohttp.ClientResponse, where: Where) -> URL | None:
        if response.status not in _REDIRECTS:
            return None
        try:
            target = response.url.join(URL(response.headers.get("Location", "")))
        except ValueError:
            raise BadRequest("redirected to an unreadable address", status=response.status, **where) from None
        self.require_own(target, where)
        if request.method != "GET":
            raise BadRequest("a POST was redirected", status=response.status, hint="check the base URL", **where)
        return target


def _joined(headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers with lower-case names, repeated ones joined by commas (two Link headers are legal)."""
    joined: dict[str, str] = {}
    for name, value in headers.items():
        key = name.lower()
        joined[key] = f"{joined[key]}, {value}" if key in joined else value
    return joined
