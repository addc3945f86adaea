"""The weather join may not know the future. Each rule names the rows that break it; ids as in docs/weather.md."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, timedelta

import polars as pl

from weathervane_checks.findings import Finding, Severity
from weathervane_checks.rules.join import ARCHIVE_MODEL, KEYS, LAGS, ROLL_DAYS, ROLL_MIN_DAYS, ROLLED, Join
from weathervane_checks.rules.leakage_derived import OF_NORMALS, wrong_flags
from weathervane_checks.rules.leakage_said import differs, mean_was_never_known, never_said, told_of
from weathervane_checks.rules.leakage_sources import (
    forecast_learnt_too_late,
    future_matters,
    history_was_rewritten,
    impossible_units,
    kinds_are_mixed,
    model_of_unknown_age,
    normal_counts_twice,
    normal_knows_the_year,
)

ARCHIVE_DELAY = timedelta(days=4)
FLAG_INPUTS = {
    "freeze_flag": "temp_min_c",
    "heatwave_flag": "temp_max_c",
    "snow_event_flag": "snowfall_cm",
    "high_wind_flag": "wind_gust_max_kmh",
    "uv_alert_flag": "uv_index_max",
    "high_precip_prob_flag": "precip_probability",
    "temp_anomaly": "temp_c",
    "precip_anomaly": "precip_mm",
}
NOT_WEATHER = frozenset({"tenant_id", "date", "geohash", "source", "as_of_utc"})


def _day_end() -> pl.Expr:
    return pl.col("utc_datetime") + pl.duration(days=1)


def observed_before_the_day_ended(join: Join) -> pl.DataFrame:
    """W01: an observation of a day was known before the day was over."""
    observed = pl.col("observation_type") == "observed"
    return join.weather.filter(observed & (pl.col("as_of_utc") < _day_end()))


def known_after_the_decision(join: Join) -> pl.DataFrame:
    """W02: in join mode as_of, the weather was learnt after the decision (where that is not known: after the day began)."""
    if join.is_as_of:
        return join.as_of.filter(pl.col("weather_known_at_utc") > pl.col("decision_at"))
    starts = join.weather.select(*KEYS, "utc_datetime")
    as_of = join.features.filter(pl.col("join_mode") == "as_of").join(starts, on=KEYS, how="left")
    return as_of.filter(pl.col("weather_known_at_utc") > pl.col("utc_datetime"))


def archived_too_early(join: Join) -> pl.DataFrame:
    """W03: a row says it is from the archive at a time when the archive cannot have had it."""
    archived = pl.col("source_model") == ARCHIVE_MODEL
    return join.weather.filter(archived & (pl.col("as_of_utc") < _day_end() + pl.lit(ARCHIVE_DELAY)))


def lag_is_not_yesterday(join: Join) -> pl.DataFrame:
    """W05: a lag is not of the calendar day before, or a mean not of the week before, as then known."""
    if join.is_as_of and join.versions.width:
        return _lag_was_not_known(join)
    yesterday = join.weather.select(
        "geohash",
        pl.col("date").dt.offset_by("1d"),
        *(pl.col(value).alias(f"_{lag}") for lag, value in LAGS.items()),
        pl.lit(value=True).alias("_known"),
    )
    both = join.weather.join(yesterday, on=["geohash", "date"], how="inner")
    wrong = both.filter(pl.any_horizontal(*(pl.col(lag).ne_missing(pl.col(f"_{lag}")) for lag in LAGS)))
    if not join.versions.width:
        return wrong
    # a run of one day has no row of yesterday to hold its lags against: the versions have what was said of it
    lagged = told_of(join).filter(pl.any_horizontal(pl.col(*LAGS).is_not_null()))
    never = _lag_was_never_said(pl.concat([wrong.select(lagged.columns), lagged]).unique(), join.versions)
    return pl.concat([never.select(KEYS), mean_was_never_known(join)]).unique()


def _lag_was_never_said(rows: pl.DataFrame, versions: pl.DataFrame) -> pl.DataFrame:
    """Return the rows whose lags no version of the day before says: yesterday's row may have been read at another time."""
    said = versions.select(
        "geohash",
        pl.col("valid_date").dt.offset_by("1d").alias("date"),
        *(pl.col(value).alias(lag) for lag, value in LAGS.items()),
    )
    return rows.join(said, on=["geohash", "date", *LAGS], how="anti", nulls_equal=True)


def _lag_was_not_known(join: Join) -> pl.DataFrame:
    """Return the as_of rows whose lags or means differ from a plain count over the versions known at the decision."""
    rows = join.as_of.filter(~pl.col("is_weather_missing")).with_columns(_month=pl.col("date").dt.truncate("1mo"))
    months = rows.partition_by("_month", maintain_order=True, include_key=False)  # all versions of a year are gigabytes
    return pl.concat([_lag_of_month_was_not_known(month, join.versions) for month in months] or [rows.drop("_month")])


def _lag_of_month_was_not_known(rows: pl.DataFrame, versions: pl.DataFrame) -> pl.DataFrame:
    first, last = rows["date"].min(), rows["date"].max()
    week = _week_before(
        rows, versions.filter(pl.col("valid_date").dt.offset_by(f"{ROLL_DAYS}d") >= first, pl.col("valid_date") < last)
    )
    lags = week.filter(pl.col("_back") == 1).select(*KEYS, *(pl.col(v).alias(f"_{lag}") for lag, v in LAGS.items()))
    means = week.group_by(KEYS).agg(
        pl.when(pl.col(value).count() >= ROLL_MIN_DAYS).then(pl.col(value).mean()).alias(f"_{name}")
        for name, value in ROLLED.items()
    )
    both = rows.join(lags, on=KEYS, how="left").join(means, on=KEYS, how="left")
    return both.filter(pl.any_horizontal(*(differs(name) for name in (*LAGS, *ROLLED))))


def _week_before(rows: pl.DataFrame, versions: pl.DataFrame) -> pl.DataFrame:
    back = pl.LazyFrame({"_back": range(1, ROLL_DAYS + 1)}, schema={"_back": pl.Int64})
    days = rows.lazy().select(*KEYS, "decision_at").join(back, how="cross")
    dated = days.with_columns((pl.col("date") - pl.duration(days=pl.col("_back"))).alias("valid_date"))
    values = versions.lazy().select(
        "geohash", "valid_date", "known_at_utc", "is_archived", *{*LAGS.values(), *ROLLED.values()}
    )
    return (
        dated.join(values, on=["geohash", "valid_date"], how="inner")
        .filter(pl.col("known_at_utc") <= pl.col("decision_at"))
        .sort("is_archived", "known_at_utc")
        .unique([*KEYS, "_back"], keep="last", maintain_order=True)
        .collect()
    )


def doubled_rows(join: Join) -> pl.DataFrame:
    """W08: a cell and day stands more than once in the matrix or in the weather."""
    keys = ["date", "geohash"]
    doubled = [frame.filter(pl.struct(keys).is_duplicated()).select(keys) for frame in (join.features, join.weather)]
    return pl.concat(doubled)


def joined_to_another_day(join: Join) -> pl.DataFrame:
    """W09: the matrix shows weather that the cell did not have on that local day.

    Held against the weather table, and that against the versions and the limits of its flags: a build that is wrong is wrong in
    both tables alike.
    """
    carried = [name for name in join.features.columns if name in join.weather.columns and name not in NOT_WEATHER]
    mine = join.weather.select("date", "geohash", "local_date", *(pl.col(name).alias(f"_{name}") for name in carried))
    older = join.renormed.with_columns(_is_older=True)
    joined = join.features.join(mine, on=KEYS, how="left").join(older, on=KEYS, how="left")
    # where the matrix says that weather is missing, it must show none
    is_there = ~pl.col("is_weather_missing")
    has_its_flags = ~pl.col("date").is_in(sorted(join.reflagged))
    has_its_normals = pl.col("_is_older").is_null()

    def is_another(name: str) -> pl.Expr:
        is_other = pl.col(name).ne_missing(pl.when(is_there).then(f"_{name}"))
        is_other = is_other & has_its_normals if name in OF_NORMALS else is_other
        return is_other & has_its_flags if name.endswith("_flag") else is_other

    other = joined.filter(
        pl.any_horizontal(*map(is_another, carried), is_there & pl.col("local_date").ne_missing(pl.col("date")))
    )
    return pl.concat([other.select(KEYS), never_said(join), wrong_flags(join)]).unique()


def mixed_day_basis(join: Join) -> pl.DataFrame:
    """W10: days are cut in more than one way, or a day starts at an hour that no time zone knows."""
    is_mixed = pl.col("day_basis").n_unique() > 1
    off = (pl.col("utc_datetime") - pl.col("local_datetime").dt.replace_time_zone("UTC")).dt.total_hours().abs() > 14
    return join.weather.filter(is_mixed | off | (pl.col("local_date") != pl.col("date")))


def known_though_input_is_unknown(join: Join) -> pl.DataFrame:
    """W12: a flag or anomaly has a value though its input is null: null became zero."""
    wrong = pl.any_horizontal(
        *(pl.col(derived).is_not_null() & pl.col(value).is_null() for derived, value in FLAG_INPUTS.items())
    )
    return join.weather.filter(wrong)


def day_is_in_the_future(join: Join) -> pl.DataFrame:
    """W18: the matrix has sales of a day that has not begun, or ads and promos that its decision could not know."""
    ahead = join.features.filter(pl.col("date") > pl.lit(join.today)).select(KEYS)
    if not join.is_as_of:
        return ahead
    spent = pl.any_horizontal(pl.col("^tenant_(ad|meta|google)_.*$").is_not_null())
    early = join.as_of.filter(spent).select(KEYS)
    return pl.concat([ahead, early, _unplanned(join)]).unique()


def _unplanned(join: Join) -> pl.DataFrame:
    """Return the rows that count more campaigns than stood at their decision: planned, or sent by then.

    What was touched after a row was made says nothing of it: as it was then, it was read.
    """
    rows = join.as_of.filter(pl.col("tenant_promos").is_not_null())
    if not join.promos.width:
        return rows.select(KEYS)
    days = rows.select("date", "decision_at", pl.col("as_of_utc").alias("made_at")).unique()
    dated = days.join(join.promos, on="date", how="inner").filter(pl.col("created_at") <= pl.col("decision_at"))
    is_out = pl.min_horizontal("updated_at", "send_time") <= pl.col("decision_at")
    stood = dated.filter(is_out | (pl.col("updated_at") > pl.col("made_at"))).group_by("date", "made_at").len()
    counted = rows.join(stood, left_on=["date", "as_of_utc"], right_on=["date", "made_at"], how="left")
    return counted.filter(pl.col("tenant_promos") > pl.col("len").fill_null(0)).select(KEYS)


Rule = Callable[[Join], pl.DataFrame]
RULES: dict[str, Rule] = {
    "W01": observed_before_the_day_ended,
    "W02": known_after_the_decision,
    "W03": archived_too_early,
    "W04": forecast_learnt_too_late,
    "W05": lag_is_not_yesterday,
    "W06": normal_knows_the_year,
    "W07": normal_counts_twice,
    "W08": doubled_rows,
    "W09": joined_to_another_day,
    "W10": mixed_day_basis,
    "W11": model_of_unknown_age,
    "W12": known_though_input_is_unknown,
    "W13": impossible_units,
    "W14": kinds_are_mixed,
    "W15": history_was_rewritten,
    "W16": future_matters,
    "W18": day_is_in_the_future,
}
WARNINGS = frozenset({"W14"})
"""Rules that do not block: what they find may be meant."""


def judge_leakage(join: Join, days: Sequence[date]) -> list[Finding]:
    """Return one finding a day; a violation is critical, of `WARNINGS` a warning.

    A rule about normals speaks against every day of their year.
    """
    found = [(rule, _located(find(join))) for rule, find in RULES.items()]
    violations = [(rule, broken) for rule, broken in found if broken.height]
    rows: dict[date, int] = dict(join.features.group_by("date").len().iter_rows())
    return [_judge(day, violations, rows.get(day, 0)) for day in sorted(days)]


def _located(rows: pl.DataFrame) -> pl.DataFrame:
    is_yearly = pl.col("is_yearly") if "is_yearly" in rows.columns else pl.lit(value=False)
    return rows.select(pl.col("date"), pl.col("geohash").cast(pl.String), is_yearly.alias("is_yearly"))


def _judge(day: date, violations: Sequence[tuple[str, pl.DataFrame]], rows: int) -> Finding:
    is_of_day = (pl.col("date") == day) | (pl.col("is_yearly") & (pl.col("date").dt.year() == day.year))
    hits = [(rule, found) for rule, broken in violations if (found := broken.filter(is_of_day)).height]
    if not hits:
        return Finding(day, "ok", 0, 0, note=f"{rows} rows, {len(RULES)} rules, none broken", extra={"rows": rows})
    count = sum(found.height for _, found in hits)
    note = "; ".join(f"{rule}: {_first_sentence(rule)} ({found.height} rows)" for rule, found in hits)
    sample = tuple(f"{day}/{cell}" for _, found in hits for cell in found["geohash"].head(5))
    severity: Severity = "warning" if {rule for rule, _ in hits} <= WARNINGS else "critical"
    alerts = tuple(f"leakage_{rule}" for rule, _ in hits)
    return Finding(day, severity, count, 0, alerts, note, sample, {"rows": rows})


def _first_sentence(rule: str) -> str:
    return (RULES[rule].__doc__ or "").partition(": ")[2].rstrip(".")
