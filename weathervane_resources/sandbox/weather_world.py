"""The weather of the synthetic planet: numbers only, no HTTP and no vendor names of grids or units.

Truth is a seasonal cycle by latitude plus smooth noise (plane waves over the sphere and time) plus hashed white noise.
Forecasts perturb the noise by an error that grows with lead and is seeded by the day of issue. Everything is element
by element: a location's value is the same alone and in a batch, which a matrix product would not promise.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from weathervane_resources.sandbox import seeding

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_WAVES = 10
_YEAR_DAYS = 365.2425
_ORDINAL_2000 = 730_120
_LAPSE_C_PER_M = 0.0065
_WET_AT = 0.45
_DRY_AND_COLD_CM_PER_MM = 0.7  # 7 cm of snow is 10 mm of water


@dataclass(frozen=True)
class Latents:
    """Standardised noise fields of shape (locations, days): temperature, moisture, wind."""

    heat: Floats
    moisture: Floats
    wind: Floats


@lru_cache(maxsize=512)
def _waves(seed: int, name: str, slowest_days: float) -> tuple[Floats, Floats, Floats]:
    """Return wave vectors (waves, 3), time frequencies and phases of one named field."""
    random = seeding.stream("waves", seed, name)
    direction = random.normal(size=(_WAVES, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    vectors = direction * random.uniform(6.0, 26.0, size=(_WAVES, 1))
    frequencies = 2 * np.pi / np.exp(random.uniform(np.log(4.0), np.log(slowest_days), size=_WAVES))
    return vectors, frequencies * random.choice([-1.0, 1.0], size=_WAVES), random.uniform(0, 2 * np.pi, size=_WAVES)


def _smooth(seed: int, name: str, latitude: Floats, longitude: Floats, days: Ints) -> Floats:
    """Return smooth noise of unit variance, shape (locations, days)."""
    lat, lon = np.radians(latitude), np.radians(longitude)
    x, y, z = np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)
    total = np.zeros((latitude.size, days.size))
    vectors, frequencies, phases = _waves(seed, name, 60.0)
    for (kx, ky, kz), frequency, phase in zip(vectors, frequencies, phases, strict=True):
        space = x * kx + y * ky + z * kz + phase
        time = days * frequency
        total += np.cos(space)[:, None] * np.cos(time)[None, :]
        total -= np.sin(space)[:, None] * np.sin(time)[None, :]
    return np.asarray(total * np.sqrt(2.0 / _WAVES))


def _white(seed: int, name: str, latitude: Floats, longitude: Floats, days: Ints) -> Floats:
    """Return hashed noise of unit variance, independent in place and day (splitmix64)."""
    place = np.round(latitude * 1000).astype(np.int64) * 1_000_003 + np.round(longitude * 1000).astype(np.int64)
    key = np.uint64(seeding.number("white", seed, name))
    mixed = (place.astype(np.uint64)[:, None] * np.uint64(0x9E3779B97F4A7C15)) ^ (
        days.astype(np.uint64)[None, :] * np.uint64(0xD1B54A32D192ED03) + key
    )
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return np.asarray((mixed.astype(np.float64) / 2**64 - 0.5) * np.sqrt(12.0))


def elevation_m(latitude: Floats, longitude: Floats) -> Floats:
    """Return the height of the ground; the same planet whatever the seed."""
    relief = _smooth(0, "relief", latitude, longitude, np.zeros(1, dtype=np.int64))[:, 0]
    return np.asarray(np.round(np.clip(180 + 160 * relief, 0, None)))


def latents(seed: int, latitude: Floats, longitude: Floats, days: Ints) -> Latents:
    """Return the true noise fields at these points and day ordinals."""
    where = (latitude, longitude, days)
    return Latents(
        heat=_smooth(seed, "heat", *where) + 0.2 * _white(seed, "heat", *where),
        moisture=_smooth(seed, "moisture", *where) + 0.6 * _white(seed, "moisture", *where),
        wind=_smooth(seed, "wind", *where) + 0.4 * _white(seed, "wind", *where),
    )


def forecast_latents(seed: int, latitude: Floats, longitude: Floats, days: Ints, issued_on: int) -> Latents:
    """Return the fields as the forecast host has them on the day of issue (an ordinal).

    Past days carry a small bias against the truth, so that values restate when the archive publishes them.
    """
    truth = latents(seed, latitude, longitude, days)
    lead = np.clip(days - issued_on, 0, None).astype(np.float64)[None, :]
    size = 0.06 + 0.11 * lead**0.85
    where = (latitude, longitude, days)
    return Latents(
        heat=truth.heat + 0.08 + size * _smooth(seed, f"heat error {issued_on}", *where),
        moisture=truth.moisture + 0.05 + size * _smooth(seed, f"moisture error {issued_on}", *where),
        wind=truth.wind + 0.12 + size * _smooth(seed, f"wind error {issued_on}", *where),
    )


def _seasonal_mean_c(latitude: Floats, phase: Floats) -> Floats:
    annual = 33.0 * np.cos(np.radians(latitude)) ** 2 - 5.0
    swing = np.clip(0.32 * np.abs(latitude), 1.0, 17.0) * np.where(latitude < 0, -1.0, 1.0)
    warmest = 2 * np.pi * 201 / _YEAR_DAYS
    return np.asarray(annual[:, None] + swing[:, None] * np.cos(phase - warmest)[None, :])


def _uv(latitude: Floats, phase: Floats, moisture: Floats) -> Floats:
    declination = np.radians(-23.44) * np.cos(phase + 2 * np.pi * 10 / _YEAR_DAYS)
    height = np.clip(np.cos(np.radians(latitude)[:, None] - declination[None, :]), 0, 1)
    return np.asarray(12.5 * height**1.6 * np.clip(0.9 - 0.22 * moisture, 0.2, 1.0))


def daily(latitude: Floats, elevation: Floats, days: Ints, fields: Latents) -> dict[str, Floats]:
    """Return every daily variable by its vendor name, each of shape (locations, days), not rounded.

    Units: degC, mm, cm of snow, km/h, percent, hours. The minimum never exceeds the mean, nor the mean the maximum.
    """
    phase: Floats = np.asarray(2 * np.pi * (days - _ORDINAL_2000) / _YEAR_DAYS, dtype=np.float64)
    mean = _seasonal_mean_c(latitude, phase) - (_LAPSE_C_PER_M * elevation)[:, None] + 3.8 * fields.heat
    half_range = np.clip(4.8 - 1.1 * fields.moisture, 1.0, None)
    rain = np.round(7.5 * np.clip(fields.moisture - _WET_AT, 0, None) ** 1.4, 1)
    frozen = np.clip((1.0 - mean) / 2.5, 0, 1)
    wind = np.clip(16 + 6.5 * fields.wind, 2, None)
    chance = 100 / (1 + np.exp(-3.2 * (fields.moisture - _WET_AT + 0.1)))
    humidity = np.clip(66 + 11 * fields.moisture, 12, 100)
    code = np.where(rain > 0, np.where(frozen > 0.5, 73, 61), np.where(fields.moisture > 0, 3, 1))
    return {
        "temperature_2m_mean": mean,
        "temperature_2m_max": mean + half_range,
        "temperature_2m_min": mean - half_range,
        "apparent_temperature_mean": mean + 0.04 * (humidity - 60) - 0.09 * wind,
        "precipitation_sum": rain,
        "rain_sum": rain * (1 - frozen),
        "snowfall_sum": rain * frozen * _DRY_AND_COLD_CM_PER_MM,
        "precipitation_hours": np.asarray(np.round(np.clip(rain * 1.6, 0, 24))),
        "precipitation_probability_max": np.round(chance),
        "relative_humidity_2m_mean": np.round(humidity),
        "wind_speed_10m_max": wind,
        "wind_gusts_10m_max": wind * 1.75 + 4,
        "uv_index_max": _uv(latitude, phase, fields.moisture),
        "weather_code": code.astype(np.float64),
    }
