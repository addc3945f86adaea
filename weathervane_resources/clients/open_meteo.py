"""Open-Meteo daily weather for many points, from the archive or the forecast host: what is asked.

Facts (open-meteo server and docs, read 2026-11): up to 1,000 locations a request on the free hosts; `timezone`,
`elevation` may be one value a location; `elevation=nan` switches temperature downscaling off, so the grid point's own
values come back; GET and POST are the same; the key goes in a header, never in the URL. Reading the answer is
`open_meteo_answer.py`'s work.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Literal
from urllib.parse import urlencode

from weathervane_resources.clients.open_meteo_answer import Asked, PlaceDays, Point, read_places
from weathervane_resources.http.session import Request, VendorSession

Host = Literal["archive", "forecast"]
POINTS_PER_REQUEST = 100
LONGEST_URL = 8_000


def call_weight(variables: Sequence[str], days: int, locations: int) -> float:
    """Return what a request costs of the quota.

    The server's formula: per location max(1, max(V/10, V/10 * days/14)), V the number of variables (one model).
    """
    per_location = len(variables) / 10
    return locations * max(1.0, per_location, per_location * days / 14)


@dataclass(frozen=True, slots=True)
class OpenMeteoClient:
    """The two hosts, each given as a whole endpoint URL; the session must allow both origins (`also_origins`)."""

    session: VendorSession
    forecast_url: str
    archive_url: str
    api_key: str | None = field(default=None, repr=False)

    async def daily(
        self,
        host: Host,
        points: Sequence[Point],
        start: date,
        end: date,
        variables: Sequence[str],
        models: str | None = None,
    ) -> AsyncIterator[list[PlaceDays]]:
        """Yield batches of places, one for each point in order, with exactly the days start..end (both inclusive).

        Raises:
            Malformed: places, days or variables are missing, in another unit, or somewhere else on Earth.
        """
        if not variables or start > end or (models and "," in models):
            raise ValueError("daily() needs variables, start <= end, and at most one model")
        window = f"{start}..{end}"
        where = self.session.where(window)
        for first in range(0, len(points), POINTS_PER_REQUEST):
            asked = Asked(tuple(points[first : first + POINTS_PER_REQUEST]), start, end, tuple(variables), where)
            request = self._request(host, asked, models, window)
            yield await self.session.read(request, lambda reply, asked=asked: read_places(reply.body, asked))  # type: ignore[misc]

    def _request(self, host: Host, asked: Asked, models: str | None, window: str) -> Request:
        url = self.archive_url if host == "archive" else self.forecast_url
        query = _query(asked, models)
        headers = {"X-Api-Key": self.api_key} if self.api_key else {}
        days = (asked.end - asked.start).days + 1
        weight = call_weight(asked.variables, days, len(asked.points))
        if len(url) + len(urlencode(query)) > LONGEST_URL:
            return Request("POST", url, form=query, headers=headers, window=window, is_safe=True, weight=weight)
        return Request("GET", url, params=query, headers=headers, window=window, weight=weight)


def _query(asked: Asked, models: str | None) -> dict[str, str]:
    query = {
        "latitude": ",".join(f"{point.latitude:.6g}" for point in asked.points),
        "longitude": ",".join(f"{point.longitude:.7g}" for point in asked.points),
        "elevation": ",".join(f"{point.elevation:g}" for point in asked.points),
        "timezone": ",".join(point.timezone for point in asked.points),
        "cell_selection": "nearest",
        "daily": ",".join(asked.variables),
        "start_date": asked.start.isoformat(),
        "end_date": asked.end.isoformat(),
    }
    return {**query, "models": models} if models else query
