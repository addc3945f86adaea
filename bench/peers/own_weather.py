"""Our weather of many places, `own_weather.py FROM TO LAT,LON ...`: into the cache, as the assets fill it."""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime

from weathervane_assets.overridable import OVERRIDABLE
from weathervane_resources.connectors import OpenMeteoConnector
from weathervane_resources.platform import Platform
from weathervane_resources.weather_cache import WeatherCache


@contextlib.asynccontextmanager
async def alone() -> AsyncIterator[None]:
    """Hold no lock: nobody else is here."""
    yield


def main(first: str, last: str, *points: str) -> None:
    """Fill the cache, and say how long that took without the imports."""
    platform, connector = Platform(threshold_names=sorted(OVERRIDABLE)), OpenMeteoConnector()
    tenant = next(iter(platform.tenants()))
    access = connector.access(tenant, platform)
    cache = WeatherCache(platform.lake(), access.source)
    begun, cpu = time.perf_counter(), time.process_time()
    span = list(points), date.fromisoformat(first), date.fromisoformat(last)
    asyncio.run(cache.fill(*span, lambda: datetime.now(UTC), lambda: connector.connect(access, platform), alone))
    rows = len(points) * ((span[2] - span[1]).days + 1)
    print(f"{rows} rows in {time.perf_counter() - begun:.2f} s, {time.process_time() - cpu:.2f} CPU s")


if __name__ == "__main__":
    main(*sys.argv[1:])
