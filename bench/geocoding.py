"""1,000,000 orders of 5,000 places through the ladder: `python -m bench.geocoding`. Aim: under 3 s and 1 GiB."""

from __future__ import annotations

import resource
import statistics
import sys
import time

import numpy as np
import polars as pl

from weathervane_resources.geocoder import PLACES_SCHEMA, locate

ORDERS, PLACES, RUNS = 1_000_000, 5_000, 5
MOST_SECONDS, MOST_MIB = 3.0, 1024.0


def made_up(orders: int, places: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return orders (70% with coordinates, 25% with a postal code only, 4% with a city, 1% nowhere) and their places."""
    rng = np.random.default_rng(1)
    latitude, longitude = (np.round(rng.uniform(*span, places), 3) for span in ((25, 48), (-124, -68)))
    table = pl.DataFrame(
        {
            "country": ["US"] * places,
            "postal_key": [f"{n:05d}" for n in range(places)],
            "place": [f"Town {n}" for n in range(places)],
            "admin1_code": ["KY"] * places,
            "latitude": latitude,
            "longitude": longitude,
        },
        schema=PLACES_SCHEMA,
    )
    pick, kind = rng.integers(0, places, orders), pl.Series(rng.random(orders))
    frame = pl.DataFrame(
        {
            "latitude": pl.Series(latitude[pick]).set(kind > 0.7, None),
            "longitude": pl.Series(longitude[pick]).set(kind > 0.7, None),
            "postal_code": pl.Series([f"{n:05d}-1234" for n in pick]).set(kind > 0.95, None),
            "country": pl.Series(["US"]).new_from_index(0, orders),
            "city": pl.Series([f"town {n}" for n in pick]).set(kind > 0.99, None),
            "admin1_code": pl.Series(["KY"]).new_from_index(0, orders),
        }
    )
    return frame, table


def main() -> int:
    """Print the figures; return 1 if they miss the aim."""
    orders, places = made_up(ORDERS, PLACES)
    seconds = []
    for _ in range(RUNS):
        begun = time.perf_counter()
        located = locate(orders, places)
        seconds.append(time.perf_counter() - begun)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    median = statistics.median(seconds)
    shares = dict(located["geo_source"].value_counts(sort=True).iter_rows())
    print(
        f"geocoding: {ORDERS:,} orders, {PLACES:,} places: median {median:.2f} s of {RUNS}, peak {peak:.0f} MiB, {shares}"
    )
    return int(median > MOST_SECONDS or peak > MOST_MIB)


if __name__ == "__main__":
    sys.exit(main())
