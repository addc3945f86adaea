"""Cells, postal tables and the ladder from address to nowhere."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import geohash
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weathervane_resources.geocoder import (
    PLACES_SCHEMA,
    BadPlacesFile,
    PostalPlaces,
    centre,
    encode_cells,
    locate,
    parse_postal_zip,
    standard_offset_hours,
    time_zone,
)
from weathervane_resources.lake import Lake

NAN, INF = float("nan"), float("inf")
ORDERS_SCHEMA = {
    "order_id": pl.String, "latitude": pl.Float64, "longitude": pl.Float64, "postal_code": pl.String,
    "country": pl.String, "city": pl.String, "admin1_code": pl.String,
}  # fmt: skip
PLACES = pl.DataFrame(
    [
        ("US", "02134", "Allston", "MA", 42.355, -71.132),
        ("US", "10001", "New York", "NY", 40.748, -73.997),
        ("US", "97201", "Portland", "OR", 45.508, -122.690),
        ("US", "04101", "Portland", "ME", 43.660, -70.259),
        ("CA", "K1A", "Ottawa", "ON", 45.421, -75.700),
        ("GB", "SW1A", "London", "ENG", 51.501, -0.124),
        ("GB", "M1", "Manchester", "ENG", 53.478, -2.229),
        ("NL", "1012", "Amsterdam", "07", 52.374, 4.897),
        ("MT", "VLT", "Valletta", "60", 35.898, 14.514),
        ("AR", "C1425", "Buenos Aires", "07", -34.582, -58.412),
        ("DE", "10115", "Berlin", "BE", 52.532, 13.385),
        ("DE", "10115", "Berlin Mitte", "BE", 52.534, 13.389),
    ],
    schema=PLACES_SCHEMA,
    orient="row",
)


def cells(*points: tuple[float | None, float | None]) -> list[str | None]:
    frame = pl.DataFrame(points, schema={"latitude": pl.Float64, "longitude": pl.Float64}, orient="row")
    return encode_cells(frame)["ship_geohash"].to_list()


def one(
    postal: str | None = None,
    country: str | None = None,
    *,
    city: str | None = None,
    admin: str | None = None,
    at: tuple[float | None, float | None] = (None, None),
) -> dict[str, object]:
    row = ("1", *at, postal, country, city, admin)
    return locate(pl.DataFrame([row], schema=ORDERS_SCHEMA, orient="row"), PLACES).row(0, named=True)


NICE = st.floats(-89.999, 89.999, allow_nan=False)
POINT = st.tuples(NICE, st.floats(-180, 180, exclude_max=True))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(POINT, st.sampled_from([(0.0, 5.0), (-0.0, 5.0), (5.0, -0.0), (5.0, 0.0)])), max_size=40))
def test_a_cell_is_the_geohash_of_its_point(points: list[tuple[float, float]]) -> None:
    """Each distinct place is encoded once and joined back: a join on floats must neither lose nor swap one."""
    assert cells(*points) == [None if (a, o) == (0, 0) else geohash.encode(a, o, 5) for a, o in points]


NO_PLACE = st.one_of(
    st.sampled_from([None, NAN, INF, -INF, 90.0, -90.0, 90.5, 1e9]),
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(NO_PLACE, st.floats(-180, 180)),
            st.tuples(NICE, st.sampled_from([None, NAN, INF, -180.5, 181.0])),
            POINT,
        ),
        max_size=20,
    )
)
def test_what_is_no_point_gives_null_and_spoils_no_neighbour(points: list[tuple[float | None, float | None]]) -> None:
    """One NaN failed a whole batch; the north pole came back as the south pole; longitude 181 wrapped silently."""
    for (latitude, longitude), cell in zip(points, cells(*points), strict=True):
        is_point = latitude is not None and longitude is not None and -90 < latitude < 90 and -180 <= longitude <= 180
        assert (cell is not None) == (is_point and (latitude, longitude) != (0, 0))


def test_null_island_is_unknown_but_its_neighbours_are_places() -> None:
    """(0, 0) is how software says 'unknown'; the Gulf of Guinea got the weather of every bad address."""
    assert cells((0.0, 0.0), (-0.0, 0.0), (0.0, -0.0)) == [None, None, None]
    assert cells((0.0, 10.0), (10.0, 0.0)) == [geohash.encode(0.0, 10.0, 5), geohash.encode(10.0, 0.0, 5)]


def test_the_date_line_is_one_line() -> None:
    """180 and -180 are the same meridian: two libraries put them into different cells."""
    assert cells((-17.0, 180.0)) == cells((-17.0, -180.0)) != [None]


def test_rows_keep_their_number_and_order() -> None:
    """A join that reorders puts the cell of one order beside another."""
    points = [(50.0 - n % 3, 8.0) for n in range(50)]
    assert cells(*points) == [geohash.encode(*point, 5) for point in points]


def test_a_centre_is_in_its_cell() -> None:
    """Weather is asked for at the centre: half a cell off is another cell."""
    for cell in ("u33d8", "9q8yy", "r3gx2", "6gkzw"):
        assert geohash.encode(*centre(cell), 5) == cell


# the ladder


def test_coordinates_come_first() -> None:
    """An address with coordinates was placed at the centroid of its postal code all the same."""
    found = one("10001", "US", at=(42.3551, -71.1324))
    assert (found["geo_source"], found["latitude"], found["longitude"]) == ("address", 42.355, -71.132)


@pytest.mark.parametrize("bad", [(0.0, 0.0), (NAN, 1.0), (91.0, 1.0), (None, None), (89.9999, 1.0), (40.0, None)])
def test_coordinates_that_are_no_place_fall_through_to_the_postal_code(bad: tuple[float | None, float | None]) -> None:
    """(0, 0) from the shop's address book, taken for coordinates, hid a perfectly good postal code."""
    found = one("10001", "US", at=bad)
    assert (found["geo_source"], found["latitude"]) == ("postal", 40.748)


@pytest.mark.parametrize(
    ("postal", "country", "source", "latitude"),
    [
        ("02134", "US", "postal", 42.355),
        ("02134-1234", "US", "postal", 42.355),
        ("021341234", "US", "postal", 42.355),
        (" 02134 ", "us", "postal", 42.355),
        ("k1a 0b1", "CA", "postal_prefix", 45.421),
        ("K1A0B1", "ca", "postal_prefix", 45.421),
        ("K1A", "CA", "postal", 45.421),
        ("SW1A 1AA", "GB", "postal_prefix", 51.501),
        ("sw1a1aa", "GB", "postal_prefix", 51.501),
        ("M1 1AE", "GB", "postal_prefix", 53.478),
        ("1012 AB", "NL", "postal_prefix", 52.374),
        ("1012ab", "NL", "postal_prefix", 52.374),
        ("VLT 1010", "MT", "postal_prefix", 35.898),
        ("C1425DKA", "AR", "postal_prefix", -34.582),
        ("c1425 dka", "AR", "postal_prefix", -34.582),
        ("C1425", "AR", "postal", -34.582),
        ("10115", "DE", "postal", 52.533),
    ],
)
def test_postal_codes_are_matched_as_people_write_them(postal: str, country: str, source: str, latitude: float) -> None:
    """Boston's 02134 read as the number 2134, ZIP+4, lower case, a missing space: each lost its orders their weather."""
    found = one(postal, country)
    assert (found["geo_source"], found["latitude"]) == (source, latitude)
    assert found["ship_geohash"] is not None
    assert found["postal_code"] == postal


@pytest.mark.parametrize(
    ("postal", "country"),
    [
        ("2134", "US"), ("99999", "US"), ("", "US"), (None, "US"), ("10001", None), ("10001", "FR"), ("10001", "CA"),
        ("10", "DE"), ("X", "GB"), ("X1", "GB"), ("ZZ9 9ZZ", "GB"),
    ],
)  # fmt: skip
def test_what_is_not_found_has_no_cell_and_says_so(postal: str | None, country: str | None) -> None:
    """A fallback point in San Francisco gave every unknown order Californian weather."""
    found = one(postal, country)
    assert (found["geo_source"], found["ship_geohash"], found["latitude"], found["longitude"]) == (
        "none",
        None,
        None,
        None,
    )


def test_a_city_counts_only_with_its_state() -> None:
    """Portland, Maine, had the rain of Portland, Oregon."""
    assert one(country="US", city=" PORTLAND ", admin="ME")["latitude"] == 43.660
    assert one(country="US", city="Portland", admin="OR")["latitude"] == 45.508
    assert one("99999", "US", city="Portland", admin="OR")["geo_source"] == "city"
    assert one(country="US", city="Portland")["geo_source"] == "none"


def test_several_places_under_one_code_are_one_point_and_one_row() -> None:
    """GeoNames lists Berlin's 10115 more than once: joined as it is, the order and its revenue doubled."""
    orders = pl.DataFrame([("1", None, None, "10115", "DE", None, None)] * 3, schema=ORDERS_SCHEMA, orient="row")
    assert locate(orders, PLACES).height == 3


ORDER = st.tuples(
    st.one_of(st.none(), st.sampled_from([0.0, 42.3, NAN])),
    st.one_of(st.none(), st.sampled_from([0.0, -71.0, 200.0])),
    st.one_of(st.none(), st.sampled_from(["02134", "k1a 0b1", "SW1A 1AA", "", "nonsense", "1012AB", "A"])),
    st.one_of(st.none(), st.sampled_from(["US", "ca", "GB", "NL", "XX", ""])),
    st.one_of(st.none(), st.sampled_from(["Portland", "Ottawa"])),
    st.one_of(st.none(), st.sampled_from(["OR", "ON"])),
)


@settings(max_examples=20, deadline=None)
@given(st.lists(ORDER, max_size=15))
def test_locating_keeps_each_row_in_its_place(drawn: list[tuple[object, ...]]) -> None:
    """Orders split over five rungs and put together again: one lost, and its revenue is gone without an error."""
    orders = pl.DataFrame([(str(n), *row) for n, row in enumerate(drawn)], schema=ORDERS_SCHEMA, orient="row")
    found = locate(orders, PLACES)
    kept = ["order_id", "postal_code", "country", "city", "admin1_code"]
    assert found.select(kept).equals(orders.select(kept))
    for number, row in enumerate(found.iter_rows(named=True)):
        alone = locate(orders.slice(number, 1), PLACES).row(0, named=True)
        assert row == alone
        assert (row["geo_source"] == "none") == (row["ship_geohash"] is None) == (row["latitude"] is None)


def test_without_any_table_orders_still_go_by_their_coordinates() -> None:
    """GeoNames was down on the first run; the asset failed although most orders needed no table."""
    rows = [("1", 42.3, -71.1, None, "US", None, None), ("2", None, None, "02134", "US", None, None)]
    found = locate(pl.DataFrame(rows, schema=ORDERS_SCHEMA, orient="row"), pl.DataFrame(schema=PLACES_SCHEMA))
    assert found["geo_source"].to_list() == ["address", "none"]


# postal tables


def packed(text: str, name: str = "US.txt") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("readme.txt", "GeoNames")
        archive.writestr(name, text)
    return buffer.getvalue()


def line(postal: str, place: str, latitude: str = "42.3", country: str = "US") -> str:
    return f"{country}\t{postal}\t{place}\tMassachusetts\tMA\tSuffolk\t025\t\t\t{latitude}\t-71.1\t4"


def test_a_postal_zip_is_read_as_text_and_numbers_only_where_they_are_numbers() -> None:
    """A column of digits became integers, and New England lost its leading zeros; a quote in a name swallowed lines."""
    table = parse_postal_zip(packed("\n".join([line("02134", 'Al"lston'), line("02135", "Brighton")]) + "\n"), "US")
    assert table.schema == PLACES_SCHEMA
    assert table.rows() == [
        ("US", "02134", 'Al"lston', "MA", 42.3, -71.1),
        ("US", "02135", "Brighton", "MA", 42.3, -71.1),
    ]


def test_codes_in_the_table_are_normalised_like_those_of_orders() -> None:
    """GeoNames writes 'K1A 0B1' with a space in CA_full: matched against 'K1A0B1' nothing is found."""
    table = parse_postal_zip(packed(line("K1A 0B1", "Ottawa", country="CA"), "CA.txt"), "CA")
    assert table["postal_key"].to_list() == ["K1A0B1"]


@pytest.mark.parametrize(
    "content",
    [
        b"<html>404</html>",
        packed(line("02134", "Allston"), "GB.txt"),
        packed("US\t02134\tAllston\n"),
        packed(line("02134", "Allston", latitude="north")),
        packed(""),
    ],
    ids=["no zip", "another country's", "three columns", "a latitude that is none", "nothing"],
)
def test_a_file_that_is_not_geonames_table_is_refused(content: bytes) -> None:
    """A proxy's error page with status 200 was stored as an empty table: no code of the country was found again."""
    with pytest.raises(BadPlacesFile, match="GeoNames postal table of US"):
        parse_postal_zip(content, "US")


def test_places_come_back_from_the_lake_as_they_went_in(tmp_path: Path) -> None:
    """Fetching Canada again replaced the whole table, and the United States were gone."""
    postal = PostalPlaces(Lake(str(tmp_path)))
    assert postal.countries() == set()
    assert postal.read(["US"]).schema == PLACES_SCHEMA
    for country in ("US", "CA", "US"):
        postal.write(country, PLACES.filter(pl.col("country") == country))
    assert postal.countries() == {"US", "CA"}
    stored = postal.read(["US", "XX"]).sort("postal_key")
    assert stored.equals(PLACES.filter(pl.col("country") == "US").sort("postal_key"))


def test_stub_places_are_kept_apart(tmp_path: Path) -> None:
    """The sandbox's ten towns stood in for the United States after the shop went live."""
    lake = Lake(str(tmp_path))
    PostalPlaces(lake, is_stub=True).write("US", PLACES.filter(pl.col("country") == "US"))
    assert PostalPlaces(lake).countries() == set()


@pytest.mark.parametrize("country", ["us", "USA", "U'", "", "' OR 1"])
def test_only_a_country_code_reaches_the_predicate(tmp_path: Path, country: str) -> None:
    """It goes into SQL text; the country comes from an order's address."""
    with pytest.raises(BadPlacesFile, match="is not an ISO 3166-1"):
        PostalPlaces(Lake(str(tmp_path))).write(country, PLACES.head(0))


# time zones


@pytest.mark.parametrize(
    ("zone", "hours"),
    [
        ("Europe/Berlin", 1), ("Pacific/Auckland", 12), ("America/Los_Angeles", -8), ("Asia/Kolkata", 6),
        ("Europe/Dublin", 0), ("America/St_Johns", -3), ("America/New_York", -5), ("Australia/Sydney", 10),
        ("Etc/GMT+5", -5), ("UTC", 0), ("Asia/Kathmandu", 6), ("Pacific/Marquesas", -9),
    ],
)  # fmt: skip
def test_the_standard_offset_is_winters_on_both_hemispheres(zone: str, hours: int) -> None:
    """Auckland's January is summer time, and Dublin's law calls summer time standard: days were cut an hour off."""
    assert {standard_offset_hours(zone, year) for year in (2024, 2025, 2026)} == {hours}


def test_a_point_has_a_zone_even_at_sea() -> None:
    """A cell's centre may be in the water: no zone, no day, no weather."""
    assert time_zone(52.52, 13.405) == "Europe/Berlin"
    assert time_zone(40.7, -74.0) == "America/New_York"
    assert time_zone(0.0, -140.0).startswith("Etc/GMT")
