"""`weathervane places fetch`: GeoNames' postal tables into the lake, ahead of the orders that need them.

Belongs here: which countries, and fetching each. Does not belong here: what a table is (`weathervane_resources.geocoder`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from weathervane_assets.overridable import OVERRIDABLE
from weathervane_resources.connectors import GeoNamesConnector
from weathervane_resources.geocoder import COUNTRY, BadPlacesFile, PostalPlaces, parse_postal_zip
from weathervane_resources.http.errors import VendorError
from weathervane_resources.lake import Lake
from weathervane_resources.platform import Platform
from weathervane_resources.settings import ConfigurationError


@dataclass(frozen=True)
class FetchedCountry:
    """What came of one country: its rows, or why there are none."""

    country: str
    rows: int = 0
    error: str = ""


def read_countries(text: str) -> list[str]:
    """Return the countries of `US,DE`, each once, in order.

    Raises: ConfigurationError: one is not a two-letter code.
    """
    codes = [code.strip().upper() for code in text.split(",") if code.strip()]
    wrong = [code for code in codes if not COUNTRY.fullmatch(code)]
    if wrong or not codes:
        raise ConfigurationError(f"--country {text}: write ISO 3166-1 alpha-2 codes, like US,DE,GB")
    return list(dict.fromkeys(codes))


def fetch_places(lake: Lake, countries: Sequence[str]) -> list[FetchedCountry]:
    """Replace each country's postal table; one that fails does not keep the others from coming."""
    platform = Platform(threshold_names=sorted(OVERRIDABLE))
    return asyncio.run(_fetch(PostalPlaces(lake), countries, platform, GeoNamesConnector()))


async def _fetch(
    postal: PostalPlaces, countries: Sequence[str], platform: Platform, geonames: GeoNamesConnector
) -> list[FetchedCountry]:
    done: list[FetchedCountry] = []
    async with geonames.connect("", platform, is_stub=False) as fetch:
        for country in countries:
            try:
                table = parse_postal_zip(await fetch(country), country)
            except VendorError as error:
                done.append(FetchedCountry(country, error=_not_fetched(error)))
            except BadPlacesFile as error:
                done.append(FetchedCountry(country, error=str(error)))
            else:
                postal.write(country, table)
                done.append(FetchedCountry(country, table.height))
    return done


def _not_fetched(error: VendorError) -> str:
    status = f", HTTP {error.status}" if error.status is not None else ""
    cure = (
        "run it again, or set GEONAMES_BASE_URL to a mirror"
        if error.is_transient
        else "GeoNames may have no such table"
    )
    return f"the postal table could not be fetched ({error.message}{status}); {cure}"
