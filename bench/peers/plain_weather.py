"""Weather of many places to a Delta table, one request each: `plain_weather.py URL FOLDER FROM TO LAT,LON ... `.

At most five requests a second, which is what Open-Meteo's free service lets through in the long run.
"""

import sys
import time

import pandas as pd
import requests
from deltalake import write_deltalake

DAILY = "temperature_2m_mean,temperature_2m_max,temperature_2m_min,precipitation_sum,wind_gusts_10m_max,snowfall_sum"
EVERY_S = 0.2


def main(url: str, folder: str, first: str, last: str, *places: str) -> None:
    """Ask for one place after another, and say how long that took without the imports."""
    begun, cpu = time.perf_counter(), time.process_time()
    session, frames, turn = requests.Session(), [], time.monotonic()
    for place in places:
        time.sleep(max(0.0, turn - time.monotonic()))
        turn = time.monotonic() + EVERY_S
        latitude, longitude = place.split(",")
        span = {"start_date": first, "end_date": last, "daily": DAILY, "timezone": "GMT"}
        answer = session.get(url, params={"latitude": latitude, "longitude": longitude, **span}, timeout=60)
        answer.raise_for_status()
        frames.append(pd.DataFrame(answer.json()["daily"]).assign(place=place))
    rows = pd.concat(frames)
    write_deltalake(f"{folder}/weather", rows, mode="overwrite")
    print(f"{len(rows)} rows in {time.perf_counter() - begun:.2f} s, {time.process_time() - cpu:.2f} CPU s")


if __name__ == "__main__":
    main(*sys.argv[1:])
