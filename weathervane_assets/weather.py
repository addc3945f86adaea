"""The assets `climatology`, `weather_daily` and `weather_forecast`: the weather of the places a tenant ships to."""

import asyncio
from collections.abc import Iterable
from datetime import date, timedelta

import dagster as dg
import polars as pl

from weathervane_assets.lineage import OF_WEATHER, lineage
from weathervane_assets.pictures import FEWEST_DAYS, weather_picture
from weathervane_assets.stub_forecasts import make_up, unmade
from weathervane_assets.tables import (
    Climatology,
    Orders,
    WeatherDaily,
    WeatherForecast,
    conform,
    polars_schema,
    shape_of,
)
from weathervane_assets.transforms.as_of import NORMALS_DELAY_DAYS
from weathervane_assets.transforms.calendar import active_cells, history_start
from weathervane_assets.transforms.normals import base_period, normals
from weathervane_assets.transforms.weather import LOOKBACK_DAYS, FlagLimits, describe_days
from weathervane_assets.window import Window, empty_batch, open_window, vet_stubs
from weathervane_resources import metrics
from weathervane_resources.clock import Clock
from weathervane_resources.connectors import OpenMeteoConnector
from weathervane_resources.credentials import NOT_KEPT, Access
from weathervane_resources.failures import as_failure
from weathervane_resources.lake_io import Batch
from weathervane_resources.platform import Platform
from weathervane_resources.quota_use import spent_metadata
from weathervane_resources.state import open_state
from weathervane_resources.weather_cache import (
    ARCHIVE_MODEL,
    LOCK_PATIENCE_S,
    Lock,
    Now,
    WeatherCache,
    cell_table,
    observation_type,
)
from weathervane_resources.weather_plan import FORECAST_DAYS, is_history

ORDERS_SHAPE, NORMALS_SHAPE = shape_of(Orders), shape_of(Climatology)


def shipping_days(window: Window, since: date, until: date) -> pl.DataFrame:
    """Return `date` and `geohash` of the tenant's own orders in since..until, without test orders: nothing was shipped."""
    rows = window.lake.scan_own(window.tenant.id, "orders", ORDERS_SHAPE).filter(~pl.col("is_test"))
    pairs = rows.filter(pl.col("date").is_between(since, until)).select("date", pl.col("ship_geohash").alias("geohash"))
    return window.whole("orders", pairs.drop_nulls().unique())


def places_of_year(window: Window, year: int) -> pl.DataFrame:
    """Return the cells that the normals of `year` are for: shipped to in it or the year before, or in the first week after it.

    Decisions of join mode as_of use them until the next year's are out, and the first days of January look back on December.
    """
    return cell_table(shipping_days(window, *days_of_places(year))["geohash"].to_list())


def days_of_places(year: int) -> tuple[date, date]:
    """Return the first and the last day whose orders say which places the normals of `year` are for."""
    return history_start(date(year, 1, 1)), date(year, 12, 31) + timedelta(days=NORMALS_DELAY_DAYS)


def active_in(window: Window) -> pl.DataFrame:
    """Return `date`, `geohash`, `is_first_order_day` of the window's active cells."""
    return active_cells(shipping_days(window, history_start(window.first), window.last), window.days)


async def _fill(
    connector: OpenMeteoConnector,
    access: Access,
    platform: Platform,
    cache: WeatherCache,
    span: tuple[list[str], date, date],
    now: Now,
) -> int:
    """Fetch what the cache misses of the points and days; return the number of requests."""
    with as_failure():
        lock = _lock(platform, cache)
        requests = await cache.fill(
            *span, now, lambda plan: connector.connect(access, platform, is_history=is_history(plan)), lock
        )
    _count_lookup(access, is_hit=requests == 0)
    return requests


def _spent(connector: OpenMeteoConnector, access: Access, platform: Platform, requests: int) -> dict[str, float]:
    """Return what the quota's windows hold now, for the newest day of a run that asked; empty where there is no quota."""
    return spent_metadata(connector.spent(access, platform)) if requests else {}


def _count_lookup(access: Access, *, is_hit: bool) -> None:
    result = "hit" if is_hit else "miss"
    metrics.count(metrics.CACHE_LOOKUPS, 1, tenant=access.tenant_id, vendor=access.source, result=result)


def _lock(platform: Platform, cache: WeatherCache) -> Lock:
    """Return the lock under which weather of the source is fetched, over all runs and tenants."""
    state = open_state(platform.settings().state_url)
    return lambda: state.exclusive(f"weather {cache.source}", LOCK_PATIENCE_S)


def climatology(
    context: dg.AssetExecutionContext, platform: Platform, clock: Clock, open_meteo: OpenMeteoConnector
) -> Batch:
    """What weather is normal where a tenant ships, for each day of the year, from whole years before it.

    The normals of year Y use years before Y only (the last 10, or a fixed period), so no anomaly can see its own day.
    """
    window = open_window(context.partition_keys, platform, clock)
    access = open_meteo.access(window.tenant.id, platform)
    vet_stubs(context, access, window)
    if not access.is_configured:
        return empty_batch(context, window, polars_schema(Climatology))
    frames, requests = [], 0
    for january_first in window.days:
        frame, sent = _normals_of_year(window, january_first, open_meteo, access, platform, clock)
        frames.append(frame)
        requests += sent
    spent = _spent(open_meteo, access, platform, requests)
    return Batch(pl.concat(frames), access.source, {"requests": requests}, {window.last: spent})


def _normals_of_year(
    window: Window, january_first: date, connector: OpenMeteoConnector, access: Access, platform: Platform, clock: Clock
) -> tuple[pl.DataFrame, int]:
    year = january_first.year
    cells = places_of_year(window, year)
    start, end = base_period(window.tenant, year)
    points = cells["point"].unique().sort().to_list()
    cache = WeatherCache(window.lake, access.source)
    requests = asyncio.run(_fill(connector, access, platform, cache, (points, start, end), clock.now))
    history = cache.latest(points, start, end).filter(pl.col("model") == ARCHIVE_MODEL)
    by_cell = cells.join(history.drop("lst_offset_hours"), on="point", how="inner", validate="m:m")
    table = normals(by_cell.rename({"valid_date": "date"})).with_columns(
        tenant_id=pl.lit(window.tenant.id),
        date=pl.lit(january_first),
        base_start=pl.lit(start),
        base_end=pl.lit(end),
        model=pl.lit(ARCHIVE_MODEL),
        source=pl.lit(access.source),
        as_of_utc=pl.lit(window.now).dt.cast_time_unit("us"),
    )
    return conform(table, Climatology), requests


def weather_daily(
    context: dg.AssetExecutionContext, platform: Platform, clock: Clock, open_meteo: OpenMeteoConnector
) -> Batch:
    """The weather of each local day where a tenant ships: observed, or forecast until the archive has the day.

    With its anomaly against the normals of the year, means and values of the days before, and event flags. What is
    unknown is null. Cells are those with an order in the 365 days up to and including the day.
    """
    window = open_window(context.partition_keys, platform, clock)
    access = open_meteo.access(window.tenant.id, platform)
    vet_stubs(context, access, window)
    if not access.is_configured:
        return empty_batch(context, window, polars_schema(WeatherDaily))
    active = active_in(window)
    cells = cell_table(active["geohash"].to_list())
    points = cells["point"].unique().sort().to_list()
    cache = WeatherCache(window.lake, access.source)
    start = window.first - timedelta(days=LOOKBACK_DAYS)
    requests = asyncio.run(_fill(open_meteo, access, platform, cache, (points, start, window.last), clock.now))
    values = _cell_values(cells, cache.latest(points, start, window.last), access)
    years, limits = range(start.year, window.last.year + 1), FlagLimits.of(window.tenant.thresholds)
    described = describe_days(values, normals_of(window, years), active, cells.drop("point"), limits)
    frame = conform(described.with_columns(tenant_id=pl.lit(window.tenant.id)), WeatherDaily)
    by_day = _coverage(frame, active, window)
    by_day.setdefault(window.last, {}).update(_spent(open_meteo, access, platform, requests))
    noted = dict.fromkeys(window.days, limits.noted)
    return Batch(frame, access.source, {"requests": requests}, by_day, flag_limits=noted)


def _cell_values(cells: pl.DataFrame, latest: pl.DataFrame, access: Access) -> pl.DataFrame:
    return (
        cells.select("geohash", "point")
        .join(latest, on="point", how="inner", validate="m:m")
        .with_columns(
            date=pl.col("valid_date"),
            observation_type=observation_type(access.source),
            source_model=pl.col("model"),
            as_of_utc=pl.col("known_at_utc"),
        )
        .drop("point", "lst_offset_hours")
    )


def normals_of(window: Window, years: Iterable[int]) -> pl.DataFrame:
    """Return the normals of years, with their `year`; none of one that was never materialised.

    Read here and not loaded by Dagster, which would map each day to its year one by one for it: a second for a year of days.
    """
    januaries = [date(year, 1, 1) for year in years]
    table = window.lake.scan(window.tenant.id, "climatology", NORMALS_SHAPE, januaries)
    return window.whole("climatology", table.with_columns(pl.col("date").dt.year().alias("year")))


def _coverage(frame: pl.DataFrame, active: pl.DataFrame, window: Window) -> dict[date, dict[str, object]]:
    """Return the share of active cells with weather for each day, and the picture on the last one."""
    by_day = _share_of_cells(active, frame)
    if not frame.is_empty():
        by_day.setdefault(window.last, {}).update(lineage(OF_WEATHER))
    if frame["date"].n_unique() >= FEWEST_DAYS:
        by_day[window.last]["weather"] = dg.MetadataValue.md(weather_picture(frame))
    return by_day


def _share_of_cells(active: pl.DataFrame, frame: pl.DataFrame) -> dict[date, dict[str, object]]:
    """Return for each day the share of its active cells that have rows."""
    there = frame.select("date", "geohash", is_there=True).unique()
    cells = active.join(there, on=["date", "geohash"], how="left", validate="1:1")
    ratios = cells.group_by("date").agg(pl.col("is_there").fill_null(value=False).mean().alias("ratio"))
    return {day: {"weather_coverage_ratio": ratio} for day, ratio in ratios.iter_rows()}


def weather_forecast(
    context: dg.AssetExecutionContext, platform: Platform, clock: Clock, open_meteo: OpenMeteoConnector
) -> Batch:
    """The forecast as it was issued on each day, for that day and the seven after it; never rewritten.

    A day of issue that is past is served only from forecasts learnt on that day. Where none was, it stays empty and its source is
    `not_kept`. Rows of a cell that has no order in the year any more (one was deleted, or found another place) stay.
    """
    window = open_window(context.partition_keys, platform, clock)
    access = open_meteo.access(window.tenant.id, platform)
    vet_stubs(context, access, window)
    if not access.is_configured:
        return empty_batch(context, window, polars_schema(WeatherForecast))
    active = active_in(window)
    cells = cell_table(active["geohash"].to_list())
    wanted = active.join(cells.select("geohash", "point"), on="geohash", how="inner", validate="m:1")
    cache = WeatherCache(window.lake, access.source)
    known, requests = asyncio.run(_forecasts(window, wanted, cache, open_meteo, access, platform, clock))
    frame = _with_those_before(_as_issued(known, window, access), window, access.source)
    by_day = _share_of_cells(active, frame)
    by_day.setdefault(window.last, {}).update(_spent(open_meteo, access, platform, requests))
    missed = {} if access.is_stub else dict.fromkeys(_days_missed(wanted, frame, window), NOT_KEPT)
    return Batch(frame, access.source, {"requests": requests}, by_day, source_by_day=missed)


def _days_missed(wanted: pl.DataFrame, issued: pl.DataFrame, window: Window) -> list[date]:
    """Return the days that are past and have no forecast, though there were cells before the day's own orders."""
    were_asked_for = wanted.filter(~pl.col("is_first_order_day") & (pl.col("date") < window.tenant.today(window.now)))
    return were_asked_for.join(issued, on="date", how="anti")["date"].unique().to_list()


async def _forecasts(
    window: Window,
    wanted: pl.DataFrame,
    cache: WeatherCache,
    connector: OpenMeteoConnector,
    access: Access,
    platform: Platform,
    clock: Clock,
) -> tuple[pl.DataFrame, int]:
    """Return what can be had of the wanted forecasts, as versions of each `date` and `geohash`, and the number of requests.

    Today's is asked for, a past one was learnt on its day, or is made up by the sandbox.
    """
    today = window.tenant.today(window.now)
    found, made, made_requests = wanted, wanted.clear(), 0
    with as_failure():
        todays = wanted.filter(pl.col("date") == today)
        requests = await _learn_today(window, todays, cache, connector, access, platform, clock.now)
        if access.is_stub:
            missed = _unlearnt(window, wanted, cache).filter(pl.col("date") < today)
            found = wanted.join(missed, on=["date", "geohash"], how="anti")
            made, made_requests = await make_up(
                window, unmade(window, missed), cache, lambda at: connector.connect(access, platform, at)
            )
    learnt = cache.issued(wanted["point"].to_list(), window.first, window.last, window.tenant.timezone)
    by_cell = found.join(
        learnt, left_on=["date", "point"], right_on=["issue_date", "point"], how="inner", validate="m:m"
    )
    return pl.concat([by_cell, made], how="diagonal"), requests + made_requests


async def _learn_today(
    window: Window,
    wanted: pl.DataFrame,
    cache: WeatherCache,
    connector: OpenMeteoConnector,
    access: Access,
    platform: Platform,
    now: Now,
) -> int:
    """Fetch and keep what is missing of today's forecasts; return the number of requests."""
    if wanted.is_empty():
        return 0
    is_hit = _unlearnt(window, wanted, cache).is_empty()
    _count_lookup(access, is_hit=is_hit)
    if is_hit:
        return 0
    async with _lock(platform, cache)():
        missing = _unlearnt(window, wanted, cache)
        if missing.is_empty():
            return 0
        points, today = missing["point"].unique().sort().to_list(), window.tenant.today(window.now)
        plan = cache.whole_forecast(points, today, today + timedelta(days=FORECAST_DAYS))
        async with connector.connect(access, platform, window.now if access.is_stub else None) as client:
            cache.keep([cache.versions_of(await cache.ask(client, plan, now))])
            return client.session.requests


def _unlearnt(window: Window, wanted: pl.DataFrame, cache: WeatherCache) -> pl.DataFrame:
    """Return those of `wanted` of which no forecast of their day is known that has all of our days.

    What `weather_daily`, or a tenant whose day is another, asked of the same host that day is learnt on it too: days that
    are over, fewer days ahead, or only from tomorrow on.
    """
    days_wanted = wanted["date"].to_list()
    first, last = min(days_wanted, default=window.first), max(days_wanted, default=window.last)
    known = cache.issued(wanted["point"].to_list(), first, last, window.tenant.timezone)
    lead = (pl.col("valid_date") - pl.col("issue_date")).dt.total_days()
    days = (
        known.filter(lead.is_between(0, FORECAST_DAYS))
        .group_by("point", "issue_date")
        .agg(pl.col("valid_date").n_unique())
    )
    whole = days.filter(pl.col("valid_date") == FORECAST_DAYS + 1)
    return wanted.join(whole, left_on=["date", "point"], right_on=["issue_date", "point"], how="anti")


def _as_issued(known: pl.DataFrame, window: Window, access: Access) -> pl.DataFrame:
    """Return versions of each `date` and `geohash` as rows of `WeatherForecast`."""
    lead = (pl.col("valid_date") - pl.col("date")).dt.total_days()
    rows = known.with_columns(
        tenant_id=pl.lit(window.tenant.id),
        lead_days=lead,
        issued_at_utc=pl.col("known_at_utc"),
        source_model=pl.col("model"),
        source=pl.lit(access.source),
        as_of_utc=pl.col("known_at_utc"),
    ).filter(pl.col("lead_days").is_between(0, FORECAST_DAYS))
    return conform(rows.sort("date", "geohash", "valid_date"), WeatherForecast)


def _with_those_before(issued: pl.DataFrame, window: Window, source: str) -> pl.DataFrame:
    """Add the stored forecasts of the window for cells that are not asked for any more."""
    stored = window.lake.scan(window.tenant.id, "weather_forecast", shape_of(WeatherForecast), window.days)
    mine = conform(window.whole("weather_forecast", stored.filter(pl.col("source") == source)), WeatherForecast)
    before = mine.join(issued, on=["date", "geohash"], how="anti")
    return pl.concat([issued, before]).sort("date", "geohash", "valid_date")
