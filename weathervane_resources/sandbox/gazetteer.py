"""The real postal places that synthetic shops ship to. Static facts only; who ships where is `commerce_world`."""

from __future__ import annotations

from typing import NamedTuple


class Place(NamedTuple):
    """A postal place: centre of the postal code, with its region and IANA time zone."""

    country: str
    postal_code: str
    city: str
    region: str
    region_code: str
    latitude: float
    longitude: float
    timezone: str


COUNTRY_NAMES = {
    "US": "United States",
    "CA": "Canada",
    "GB": "United Kingdom",
    "DE": "Germany",
    "FR": "France",
    "AU": "Australia",
    "NZ": "New Zealand",
    "IN": "India",
    "JP": "Japan",
}

_EAST, _CENTRAL, _MOUNTAIN, _PACIFIC = "America/New_York", "America/Chicago", "America/Denver", "America/Los_Angeles"

PLACES: tuple[Place, ...] = (
    Place("US", "10001", "New York", "New York", "NY", 40.7484, -73.9967, _EAST),
    Place("US", "11201", "Brooklyn", "New York", "NY", 40.6940, -73.9903, _EAST),
    Place("US", "14202", "Buffalo", "New York", "NY", 42.8871, -78.8779, _EAST),
    Place("US", "02108", "Boston", "Massachusetts", "MA", 42.3576, -71.0684, _EAST),
    Place("US", "04101", "Portland", "Maine", "ME", 43.6606, -70.2589, _EAST),
    Place("US", "06103", "Hartford", "Connecticut", "CT", 41.7672, -72.6760, _EAST),
    Place("US", "07030", "Hoboken", "New Jersey", "NJ", 40.7445, -74.0329, _EAST),
    Place("US", "19103", "Philadelphia", "Pennsylvania", "PA", 39.9513, -75.1741, _EAST),
    Place("US", "15222", "Pittsburgh", "Pennsylvania", "PA", 40.4477, -79.9933, _EAST),
    Place("US", "20001", "Washington", "District of Columbia", "DC", 38.9122, -77.0177, _EAST),
    Place("US", "21201", "Baltimore", "Maryland", "MD", 39.2946, -76.6252, _EAST),
    Place("US", "23219", "Richmond", "Virginia", "VA", 37.5463, -77.4378, _EAST),
    Place("US", "27601", "Raleigh", "North Carolina", "NC", 35.7727, -78.6324, _EAST),
    Place("US", "28202", "Charlotte", "North Carolina", "NC", 35.2286, -80.8450, _EAST),
    Place("US", "30303", "Atlanta", "Georgia", "GA", 33.7529, -84.3925, _EAST),
    Place("US", "33130", "Miami", "Florida", "FL", 25.7672, -80.2059, _EAST),
    Place("US", "33602", "Tampa", "Florida", "FL", 27.9614, -82.4597, _EAST),
    Place("US", "40202", "Louisville", "Kentucky", "KY", 38.2529, -85.7514, "America/Kentucky/Louisville"),
    Place("US", "43215", "Columbus", "Ohio", "OH", 39.9671, -83.0044, _EAST),
    Place("US", "44113", "Cleveland", "Ohio", "OH", 41.4816, -81.7018, _EAST),
    Place("US", "48226", "Detroit", "Michigan", "MI", 42.3333, -83.0484, "America/Detroit"),
    Place("US", "37203", "Nashville", "Tennessee", "TN", 36.1504, -86.7916, _CENTRAL),
    Place("US", "53202", "Milwaukee", "Wisconsin", "WI", 43.0506, -87.8968, _CENTRAL),
    Place("US", "55401", "Minneapolis", "Minnesota", "MN", 44.9835, -93.2683, _CENTRAL),
    Place("US", "60601", "Chicago", "Illinois", "IL", 41.8858, -87.6181, _CENTRAL),
    Place("US", "63101", "Saint Louis", "Missouri", "MO", 38.6346, -90.1913, _CENTRAL),
    Place("US", "64106", "Kansas City", "Missouri", "MO", 39.1052, -94.5699, _CENTRAL),
    Place("US", "68102", "Omaha", "Nebraska", "NE", 41.2589, -95.9341, _CENTRAL),
    Place("US", "70112", "New Orleans", "Louisiana", "LA", 29.9605, -90.0753, _CENTRAL),
    Place("US", "75201", "Dallas", "Texas", "TX", 32.7904, -96.8044, _CENTRAL),
    Place("US", "77002", "Houston", "Texas", "TX", 29.7594, -95.3594, _CENTRAL),
    Place("US", "78701", "Austin", "Texas", "TX", 30.2713, -97.7426, _CENTRAL),
    Place("US", "80202", "Denver", "Colorado", "CO", 39.7491, -104.9946, _MOUNTAIN),
    Place("US", "84101", "Salt Lake City", "Utah", "UT", 40.7559, -111.8967, _MOUNTAIN),
    Place("US", "85004", "Phoenix", "Arizona", "AZ", 33.4557, -112.0686, "America/Phoenix"),
    Place("US", "87102", "Albuquerque", "New Mexico", "NM", 35.0818, -106.6482, _MOUNTAIN),
    Place("US", "89101", "Las Vegas", "Nevada", "NV", 36.1720, -115.1224, _PACIFIC),
    Place("US", "90012", "Los Angeles", "California", "CA", 34.0614, -118.2385, _PACIFIC),
    Place("US", "92101", "San Diego", "California", "CA", 32.7185, -117.1593, _PACIFIC),
    Place("US", "94103", "San Francisco", "California", "CA", 37.7725, -122.4147, _PACIFIC),
    Place("US", "97205", "Portland", "Oregon", "OR", 45.5206, -122.7104, _PACIFIC),
    Place("US", "98101", "Seattle", "Washington", "WA", 47.6114, -122.3305, _PACIFIC),
    Place("US", "99501", "Anchorage", "Alaska", "AK", 61.2116, -149.8761, "America/Anchorage"),
    Place("US", "96813", "Honolulu", "Hawaii", "HI", 21.3135, -157.8463, "Pacific/Honolulu"),
    Place("CA", "M5V", "Toronto", "Ontario", "ON", 43.6404, -79.3995, "America/Toronto"),
    Place("CA", "H2Y", "Montreal", "Quebec", "QC", 45.5057, -73.5550, "America/Toronto"),
    Place("CA", "V6B", "Vancouver", "British Columbia", "BC", 49.2788, -123.1139, "America/Vancouver"),
    Place("CA", "T2P", "Calgary", "Alberta", "AB", 51.0472, -114.0802, "America/Edmonton"),
    Place("GB", "EC1A", "London", "England", "ENG", 51.5203, -0.0976, "Europe/London"),
    Place("GB", "M1", "Manchester", "England", "ENG", 53.4779, -2.2343, "Europe/London"),
    Place("GB", "EH1", "Edinburgh", "Scotland", "SCT", 55.9520, -3.1883, "Europe/London"),
    Place("DE", "10115", "Berlin", "Land Berlin", "BE", 52.5323, 13.3846, "Europe/Berlin"),
    Place("DE", "80331", "Munich", "Bavaria", "BY", 48.1345, 11.5710, "Europe/Berlin"),
    Place("FR", "75001", "Paris", "Ile-de-France", "11", 48.8592, 2.3417, "Europe/Paris"),
    Place("FR", "69001", "Lyon", "Auvergne-Rhone-Alpes", "84", 45.7679, 4.8344, "Europe/Paris"),
    Place("AU", "2000", "Sydney", "New South Wales", "NSW", -33.8688, 151.2093, "Australia/Sydney"),
    Place("AU", "3000", "Melbourne", "Victoria", "VIC", -37.8136, 144.9631, "Australia/Melbourne"),
    Place("NZ", "1010", "Auckland", "Auckland", "AUK", -36.8485, 174.7633, "Pacific/Auckland"),
    Place("IN", "400001", "Mumbai", "Maharashtra", "MH", 18.9388, 72.8354, "Asia/Kolkata"),
    Place("IN", "110001", "New Delhi", "Delhi", "DL", 28.6304, 77.2177, "Asia/Kolkata"),
    Place("JP", "100-0001", "Tokyo", "Tokyo To", "13", 35.6836, 139.7531, "Asia/Tokyo"),
    Place("JP", "530-0001", "Osaka", "Osaka Fu", "27", 34.7024, 135.4959, "Asia/Tokyo"),
)


def nearest_place(latitude: float, longitude: float) -> Place:
    """Return the place nearest on the map, good enough for guessing a time zone."""
    return min(PLACES, key=lambda p: (p.latitude - latitude) ** 2 + ((p.longitude - longitude + 180) % 360 - 180) ** 2)
