"""Where an order goes, as a geohash cell: coordinates first, then GeoNames' postal tables.

Belongs here: cells (encode, centre, time zone), the postal tables and the ladder address -> postal -> postal_prefix ->
city -> none. Does not belong here: weather, and how many orders must be found (`weathervane_checks`).

Nothing is looked up row by row: tables are joined, and each distinct place is encoded once.
Data: GeoNames postal codes (CC BY 4.0), https://download.geonames.org/export/zip/ (readme.txt, read 2026-11).
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

import geohash
import polars as pl
import tzfpy

from weathervane_resources.lake import Lake

PRECISION = 5
COUNTRY = re.compile(r"[A-Z]{2}")
POSTAL_COLUMNS = (
    "country", "postal_code", "place", "admin1", "admin1_code", "admin2", "admin2_code", "admin3", "admin3_code",
    "latitude", "longitude", "accuracy",
)  # fmt: skip
PLACES_SCHEMA = pl.Schema(
    {
        "country": pl.String,
        "postal_key": pl.String,
        "place": pl.String,
        "admin1_code": pl.String,
        "latitude": pl.Float64,
        "longitude": pl.Float64,
    }
)
PREFIX_LENGTH = {"AR": 5, "CA": 3, "GB": 4, "IE": 3, "MT": 3, "NL": 4}
"""Countries of which GeoNames lists only the first part of the code."""
LARGEST_TABLE_BYTES = 512 * 2**20
"""Four times GB_full, the largest table of GeoNames (read 2026-11)."""
# damaged, absent, encrypted, compressed in a way we do not know, cut off, or not a table
_UNREADABLE = (
    zipfile.BadZipFile, zlib.error, KeyError, RuntimeError, EOFError, OSError, OverflowError, ValueError,
    pl.exceptions.PolarsError,
)  # fmt: skip


class BadPlacesFile(Exception):
    """A postal table is not what GeoNames publishes."""


def centre(cell: str) -> tuple[float, float]:
    """Return latitude and longitude of a cell's centre, degrees."""
    latitude, longitude = geohash.decode(cell)
    return float(latitude), float(longitude)


@lru_cache(maxsize=100_000)
def time_zone(latitude: float, longitude: float) -> str:
    """Return the IANA zone of a point; at sea the nautical zone (`Etc/GMT+5`)."""
    return str(tzfpy.get_tz(longitude, latitude)) or "Etc/GMT"


@lru_cache(maxsize=10_000)
def standard_offset_hours(zone: str, year: int) -> int:
    """Return a zone's standard-time offset from UTC in whole hours (half hours round up), the same all year."""
    offsets = [ZoneInfo(zone).utcoffset(datetime(year, month, 1, tzinfo=UTC).replace(tzinfo=None)) for month in (1, 7)]
    hours = min(offset.total_seconds() / 3600 for offset in offsets if offset is not None)
    return int((hours + 0.5) // 1)


def encode_cells(places: pl.DataFrame) -> pl.DataFrame:
    """Add `ship_geohash` to a frame with `latitude` and `longitude`; each distinct place is encoded once.

    Coordinates that are no place give null: null, NaN, out of range, the poles and (0, 0), which is how software
    says "unknown".
    """
    latitude, longitude = pl.col("latitude"), pl.col("longitude")
    is_place = (
        latitude.is_finite()
        & longitude.is_finite()
        & latitude.is_between(-90, 90, closed="none")
        & longitude.is_between(-180, 180)
        & ~((latitude == 0) & (longitude == 0))
    )
    distinct = places.lazy().select("latitude", "longitude").unique().filter(is_place).collect()
    cells = [geohash.encode(lat, -180.0 if lon == 180 else lon, PRECISION) for lat, lon in distinct.iter_rows()]
    table = distinct.with_columns(pl.Series("ship_geohash", cells, dtype=pl.String))
    return places.join(table, on=["latitude", "longitude"], how="left", validate="m:1", maintain_order="left")


def postal_key(code: pl.Expr, country: pl.Expr) -> pl.Expr:
    """Return the code as it is matched: upper case, no space or hyphen, US ZIP+4 cut to 5, leading zeros kept."""
    plain = code.str.to_uppercase().str.replace_all(r"[\s\-]", "")
    return pl.when(country == "US").then(plain.str.slice(0, 5)).otherwise(plain)


def locate(orders: pl.DataFrame, places: pl.DataFrame) -> pl.DataFrame:
    """Return one row per input row, in order, with `latitude`, `longitude`, `ship_geohash` and `geo_source`.

    Input columns: latitude, longitude (Float64, null where the vendor gave none), postal_code, country, city,
    admin1_code (String, null allowed). `places` is `PostalPlaces.read`'s. Coordinates are rounded to 3 decimals.
    """
    tagged = orders.with_row_index("_row").with_columns(pl.col("latitude", "longitude").round(3))
    direct = encode_cells(tagged)
    found = direct.filter(pl.col("ship_geohash").is_not_null()).with_columns(geo_source=pl.lit("address"))
    rest = direct.filter(pl.col("ship_geohash").is_null()).drop("ship_geohash", "latitude", "longitude")
    parts = [found]
    for source, keys, table in _rungs(places):
        joined = rest.with_columns(**keys).join(table, on=list(keys), how="left", validate="m:1")
        hit = joined.filter(pl.col("latitude").is_not_null()).drop(*keys)
        parts.append(encode_cells(hit).with_columns(geo_source=pl.lit(source)))
        rest = joined.filter(pl.col("latitude").is_null()).drop(*keys, "latitude", "longitude")
    nowhere = rest.with_columns(
        pl.lit(None, pl.Float64).alias("latitude"),
        pl.lit(None, pl.Float64).alias("longitude"),
        pl.lit(None, pl.String).alias("ship_geohash"),
        pl.lit("none").alias("geo_source"),
    )
    return pl.concat([*parts, nowhere], how="diagonal").sort("_row").drop("_row")


def _rungs(places: pl.DataFrame) -> list[tuple[str, dict[str, pl.Expr], pl.DataFrame]]:
    """Return the ladder below the address: name, keys computed on the order, table to join."""
    country = pl.col("country").str.to_uppercase()
    key = postal_key(pl.col("postal_code"), country)
    length = country.replace_strict(PREFIX_LENGTH, default=None, return_dtype=pl.Int64)
    prefix = (
        pl.when(country == "GB")
        .then(key.str.head(key.str.len_chars().cast(pl.Int64) - 3))
        .otherwise(key.str.head(length))
    )
    city = pl.col("city").str.to_lowercase().str.strip_chars()
    by_code = _points(places, ["country", "postal_key"])
    by_city = _points(places.with_columns(pl.col("place").str.to_lowercase()), ["country", "admin1_code", "place"])
    return [
        ("postal", {"_country": country, "_key": key}, by_code.rename({"country": "_country", "postal_key": "_key"})),
        (
            "postal_prefix",
            {"_country": country, "_key": prefix},
            by_code.rename({"country": "_country", "postal_key": "_key"}),
        ),
        (
            "city",
            {"_country": country, "_admin": pl.col("admin1_code"), "_city": city},
            by_city.rename({"country": "_country", "admin1_code": "_admin", "place": "_city"}),
        ),
    ]


def _points(places: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    """Return one point a key: GeoNames may list several places under one code; their mean is used."""
    return (
        places.drop_nulls([*keys, "latitude", "longitude"])
        .group_by(keys)
        .agg(pl.col("latitude", "longitude").mean().round(3))
        .sort(keys)
    )


def geo_tags(orders: int, geocoded: int) -> list[str]:
    """Return the context tags of a set of orders: `geo.missing` where none has a cell, `geo.partial` where some lack one."""
    if not orders or geocoded == orders:
        return []
    return ["geo.partial"] if geocoded else ["geo.missing"]


def parse_postal_zip(content: bytes, country: str) -> pl.DataFrame:
    """Read one country's postal zip of GeoNames into `PLACES_SCHEMA`.

    Raises: BadPlacesFile: not a zip, no `<CC>.txt` in it, larger than any country's, or not the twelve columns.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            text = _unpacked(archive, f"{country}.txt")
        raw = pl.read_csv(
            text,
            separator="\t",
            has_header=False,
            new_columns=list(POSTAL_COLUMNS),
            infer_schema=False,
            quote_char=None,
        )
        table = raw.select(
            "country",
            postal_key(pl.col("postal_code"), pl.col("country")).alias("postal_key"),
            "place",
            "admin1_code",
            pl.col("latitude", "longitude").cast(pl.Float64),
        )
    except _UNREADABLE as error:
        raise BadPlacesFile(f"GeoNames postal table of {country}: {type(error).__name__}; fetch it again") from error
    return table.match_to_schema(PLACES_SCHEMA)


def _unpacked(archive: zipfile.ZipFile, name: str) -> bytes:
    """Read one file of a zip under a cap (its directory may lie about the size); a wide line would be a bomb too."""
    with archive.open(name) as file:
        text = file.read(LARGEST_TABLE_BYTES + 1)
    if len(text) > LARGEST_TABLE_BYTES or text.partition(b"\n")[0].count(b"\t") != len(POSTAL_COLUMNS) - 1:
        raise zipfile.BadZipFile
    return text


@dataclass(frozen=True)
class PostalPlaces:
    """The postal tables in the lake, one Delta partition a country. `is_stub` keeps the sandbox's apart."""

    lake: Lake
    is_stub: bool = False

    @property
    def table(self) -> str:
        """Name of the table under `<lake>/_places`."""
        return "stub_postal" if self.is_stub else "postal"

    def countries(self) -> set[str]:
        """Return the countries already fetched."""
        return set(self._scan().select(pl.col("country").unique()).collect()["country"])

    def read(self, countries: Iterable[str]) -> pl.DataFrame:
        """Return the places of `countries`; those never fetched are simply not in it."""
        return self._scan().filter(pl.col("country").is_in(sorted(set(countries)))).collect()

    def write(self, country: str, table: pl.DataFrame) -> None:
        """Replace one country's places in one commit.

        Raises: BadPlacesFile: the country is not a two-letter code.
        """
        if not COUNTRY.fullmatch(country):
            raise BadPlacesFile(f"{country!r} is not an ISO 3166-1 alpha-2 country code; write one like US")
        self.lake.replace_shared("_places", self.table, table, f"country = '{country}'", ["country"])

    def _scan(self) -> pl.LazyFrame:
        return self.lake.scan_shared("_places", self.table, PLACES_SCHEMA)
