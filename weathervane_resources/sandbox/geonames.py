"""GeoNames' postal tables, cut down to the places that the sandbox ships to."""

from __future__ import annotations

import io
import zipfile

from aiohttp import web

from weathervane_resources.sandbox.gazetteer import PLACES, Place

_ACCURACY = "4"
_ZIP_EPOCH = (2026, 1, 1, 0, 0, 0)


def routes() -> list[web.RouteDef]:
    """Return the routes of this vendor."""
    return [web.get(r"/export/zip/{country:[A-Z]{2}}.zip", _postal_codes)]


def _line(place: Place) -> str:
    region = (place.region, place.region_code)
    where = (str(place.latitude), str(place.longitude), _ACCURACY)
    return "\t".join((place.country, place.postal_code, place.city, *region, "", "", "", "", *where))


async def _postal_codes(request: web.Request) -> web.Response:
    country = request.match_info["country"]
    lines = [_line(place) for place in PLACES if place.country == country]
    if not lines:
        raise web.HTTPNotFound(text=f"no postal table for {country}")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(f"{country}.txt", _ZIP_EPOCH), "\n".join(lines) + "\n")
    return web.Response(body=buffer.getvalue(), content_type="application/zip")
