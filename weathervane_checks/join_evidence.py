"""What the leakage rules need, gathered from the lake: the stored matrix and everything it was made from."""

from __future__ import annotations

from datetime import date, datetime

import polars as pl
from weathervane_assets.tables import CONTRACTS, shape_of
from weathervane_resources.lake import whole
from weathervane_resources.lake_ledger import IS_OWN

from weathervane_checks.evidence import Evidence, Rebuild
from weathervane_checks.rules.canary import canary
from weathervane_checks.rules.join import KEYS, Join
from weathervane_checks.rules.leakage_derived import LIMITS


def is_as_of(evidence: Evidence) -> bool:
    """Whether the stored matrix of the window is in join mode as_of; of an empty one, whether the tenant's is."""
    modes = evidence.frame["join_mode"]
    return "as_of" in modes if modes.len() else evidence.tenant.join_mode == "as_of"


def decisions_of(evidence: Evidence) -> pl.DataFrame:
    """Return `date`, `decision_at` and `ends_at` (UTC) of each day of the window."""
    tenant = evidence.tenant
    rows = [(day, tenant.decision_at(day), tenant.window(day, day)[1]) for day in evidence.days]
    instant = pl.Datetime("us", "UTC")
    return pl.DataFrame(rows, schema={"date": pl.Date, "decision_at": instant, "ends_at": instant}, orient="row")


def first_forecast_of(evidence: Evidence) -> datetime | None:
    """Return when the tenant's first forecast that was kept was issued; None in join mode observed.

    Those that are left over of a demo are none: the tenant's own decisions do not know them. Where none was kept yet, the first one
    cannot be older than what the ledger has of the tenant's weather.
    """
    if not is_as_of(evidence):
        return None
    weather = evidence.lake.ledger(evidence.tenant.id).filter(
        pl.col("dataset").is_in(["weather_daily", "weather_forecast"])
    )
    own = weather.filter(IS_OWN)
    mine = weather if own.is_empty() else own
    kept = mine.filter(pl.col("dataset") == "weather_forecast", pl.col("row_count") > 0)["date"].to_list()
    known = evidence.table("weather_forecast", [min(kept)])["issued_at_utc"] if kept else mine["written_at_utc"]
    first = known.min()
    return first if isinstance(first, datetime) else None


def gather_join(evidence: Evidence) -> Join:
    """Return the join of the evidence's window; `Join` says what is in it."""
    januaries = sorted({day.replace(month=1, day=1) for day in evidence.days})
    normals = evidence.table("climatology", januaries)
    rebuild = evidence.rebuild
    if rebuild is None:
        weather, reflagged = evidence.table("weather_daily"), _reflagged(evidence)
        return Join(evidence.frame, weather, normals, evidence.today, reflagged=reflagged)
    as_of = is_as_of(evidence)
    years = rebuild.decisions.select("date", "normals_year")
    return Join(
        evidence.frame,
        _weather(evidence, rebuild) if as_of else evidence.table("weather_daily"),
        rebuild.normals.drop("year") if as_of else normals,
        evidence.today,
        decisions=decisions_of(evidence).join(years, on="date", how="inner", validate="1:1"),
        versions=rebuild.versions,
        forecasts=evidence.table("weather_forecast"),
        promos=evidence.table("promos"),
        shuffled=_shuffled(evidence) if as_of else pl.DataFrame(),
        modes=_modes(evidence),
        reflagged=_reflagged(evidence),
        normed=_normed(evidence),
        renormed=_renormed(evidence.frame, years, rebuild.normals),
        limits=_limits(evidence),
    )


def _weather(evidence: Evidence, rebuild: Rebuild) -> pl.DataFrame:
    """Return what was joined: of days in join mode as_of what the decisions knew, of others the stored weather."""
    days = evidence.frame.filter(pl.col("join_mode") == "as_of")["date"].unique().implode()
    known, stored = rebuild.weather(rebuild.versions), evidence.table("weather_daily")
    return pl.concat([known.filter(pl.col("date").is_in(days)), stored.filter(~pl.col("date").is_in(days))])


def _reflagged(evidence: Evidence) -> frozenset[date]:
    """Return the days in join mode observed whose weather was made again with other limits than what the matrix was joined from."""
    observed = evidence.frame.filter(pl.col("join_mode") == "observed")["date"].unique().implode()
    ledger = evidence.lake.ledger(evidence.tenant.id).filter(pl.col("dataset").is_in(["features", "weather_daily"]))
    by_day = ledger.filter(pl.col("date").is_in(observed)).drop_nulls("flag_limits").group_by("date")
    return frozenset(by_day.agg(pl.col("flag_limits").n_unique()).filter(pl.col("flag_limits") > 1)["date"])


def _normed(evidence: Evidence) -> frozenset[date]:
    """Return the days whose weather was written after the normals of their year: those of before may have had others, or none."""
    ledger = evidence.lake.ledger(evidence.tenant.id)
    year = pl.col("date").dt.year().alias("year")
    normals = ledger.filter(dataset="climatology").select(year, pl.col("written_at_utc").alias("normals_at"))
    written = ledger.filter(pl.col("dataset") == "weather_daily", pl.col("date").is_in(list(evidence.days)))
    both = written.with_columns(year).join(normals, on="year", how="inner", validate="m:1")
    return frozenset(both.filter(pl.col("written_at_utc") > pl.col("normals_at"))["date"])


def _renormed(features: pl.DataFrame, years: pl.DataFrame, normals: pl.DataFrame) -> pl.DataFrame:
    """Return the rows in join mode as_of that say what they say since before their normals did: by another base period, or none.

    Normals that were made again and say the same keep the time at which they were learnt.
    """
    year = pl.col("year").alias("normals_year")
    learnt = normals.group_by(year, "geohash").agg(pl.col("as_of_utc").max().alias("normals_at"))
    rows = features.filter(pl.col("join_mode") == "as_of").join(years, on="date", how="inner", validate="m:1")
    both = rows.join(learnt, on=["normals_year", "geohash"], how="inner", validate="m:1")
    return both.filter(pl.col("as_of_utc") < pl.col("normals_at")).select(KEYS)


def _limits(evidence: Evidence) -> pl.DataFrame:
    """Return the limits by which the flags of each day's weather were set, where they were noted."""
    ledger = evidence.lake.ledger(evidence.tenant.id, "weather_daily").filter(pl.col("date").is_in(list(evidence.days)))
    limits = pl.Struct(dict.fromkeys(LIMITS, pl.Float64()))
    noted = ledger.select("date", pl.col("flag_limits").str.json_decode(limits)).drop_nulls()
    return noted.unnest("flag_limits")


def _shuffled(evidence: Evidence) -> pl.DataFrame:
    """Return the rows of the newest day that another future changes."""
    newest = evidence.days[-1]
    alone = evidence.rebuild_of([newest])
    if alone is None:
        return pl.DataFrame()
    return canary(alone.versions, evidence.tenant.decision_at(newest), alone.matrix)


def _modes(evidence: Evidence) -> frozenset[str]:
    return frozenset(days_by_mode(evidence)["join_mode"])


def days_by_mode(evidence: Evidence) -> pl.DataFrame:
    """Return `date` and `join_mode` of all days of the stored matrix, older ones than the window too."""
    rows = evidence.lake.scan(evidence.tenant.id, "features", shape_of(CONTRACTS["features"]))
    return whole(rows.select("date", "join_mode").unique(), evidence.lake.uri(evidence.tenant.id, "features"))
