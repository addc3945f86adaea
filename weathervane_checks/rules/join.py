"""What the leakage rules look at: the matrix, and everything that it was made from."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

import polars as pl

ARCHIVE_MODEL = "era5_seamless"
FORECAST_MODEL = "best_match"
LAGS = {
    "temp_c_lag1": "temp_c",
    "precip_mm_lag1": "precip_mm",
    "uv_index_lag1": "uv_index_max",
    "precip_probability_lag1": "precip_probability",
    "humidity_lag1": "humidity_mean",
}
ROLLED = {"temp_roll7": "temp_c", "precip_roll7": "precip_mm"}
ROLL_DAYS, ROLL_MIN_DAYS = 7, 5
KEYS = ["date", "geohash"]


def nothing() -> pl.DataFrame:
    """Return no rows."""
    return pl.DataFrame(schema={"date": pl.Date, "geohash": pl.String})


@dataclass(frozen=True)
class Join:
    """The matrix of a window, the weather it was joined from, and the normals behind the weather's anomalies.

    Of days in join mode as_of, `weather` is what the decisions knew, rebuilt. What a rule needs and is empty here (a frame without
    columns) that rule does not judge. `decisions`: `date`, `decision_at`, `normals_year`, `ends_at`. `versions`: every
    version of the window's cells, `geohash`, `valid_date`, `known_at_utc`, `is_archived`, `source_model`, values.
    `shuffled`: what the canary found. `modes`: the join modes in the whole stored matrix. `reflagged`: days whose weather was made
    again with other limits of its flags than the matrix has. `normed`: days whose weather was written after the normals of their
    year. `renormed`: `date` and `geohash` of the rows in join mode as_of that are older than the normals of their decision. `limits`: `date`
    and the limits by which the flags of its weather were set, of the days of which they were noted.
    """

    features: pl.DataFrame
    weather: pl.DataFrame
    normals: pl.DataFrame
    today: date
    decisions: pl.DataFrame = field(default_factory=pl.DataFrame)
    versions: pl.DataFrame = field(default_factory=pl.DataFrame)
    forecasts: pl.DataFrame = field(default_factory=pl.DataFrame)
    promos: pl.DataFrame = field(default_factory=pl.DataFrame)
    shuffled: pl.DataFrame = field(default_factory=pl.DataFrame)
    modes: frozenset[str] = frozenset()
    reflagged: frozenset[date] = frozenset()
    normed: frozenset[date] = frozenset()
    renormed: pl.DataFrame = field(default_factory=nothing)
    limits: pl.DataFrame = field(default_factory=pl.DataFrame)

    @property
    def as_of(self) -> pl.DataFrame:
        """The rows of join mode as_of, with their `decision_at` and `normals_year`; none where decisions are not given."""
        rows = self.features.filter(pl.col("join_mode") == "as_of")
        if not self.decisions.width:
            return rows.clear().with_columns(
                decision_at=pl.lit(None, pl.Datetime("us", "UTC")), normals_year=pl.lit(None, pl.Int32)
            )
        return rows.join(self.decisions.drop("ends_at"), on="date", how="inner")

    @property
    def is_as_of(self) -> bool:
        """Whether the matrix is in join mode as_of and the decisions are known."""
        return bool(self.decisions.width) and "as_of" in self.features["join_mode"]
