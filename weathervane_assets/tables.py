"""The contracts: one pandera model a table, in the order of the graph.

Belongs here: columns, types, units, nullability, keys and physical ranges. Everything that says what a table looks
like is derived from here: the empty frame, the check of each write, the column schema in the UI, docs/tables.md and
the JSON Schemas in docs/contracts/. Does not belong here: how a table is computed.

Physical ranges are what nature and vendors can produce, not what is usual; what is usual is judged by the checks.
"""

from __future__ import annotations

from typing import Annotated, Any

import pandera.polars as pa
import polars as pl

from weathervane_resources.credentials import STUB
from weathervane_resources.lake import Shape

MONEY = pl.Decimal(18, 4)
Money = Annotated[pl.Decimal, MONEY.precision, MONEY.scale]
UtcInstant = Annotated[pl.Datetime, "us", "UTC"]
LocalInstant = Annotated[pl.Datetime, "us", None]

GEO_SOURCES = ("address", "postal", "postal_prefix", "city", "none")


def column(description: str, *, unit: str | None = None, null: bool = False, **rules: Any) -> Any:
    """Describe one column; `rules` are pandera's checks (ge, le, isin, str_matches)."""
    metadata = {"unit": unit} if unit else None
    return pa.Field(description=description, nullable=null, metadata=metadata, **rules)


class Table(pa.DataFrameModel):
    """The columns that every table starts with."""

    tenant_id: str = column("Tenant that the row belongs to.")
    date: pl.Date = column("Day of the partition: the tenant's; of ads the account's, of observed weather the place's.")

    class Config:
        """Strict and ordered: a column more, less or elsewhere is a finding."""

        strict = True
        ordered = True


def _flag(what: str) -> Any:
    return column(f"1 where {what}, 0 where not, null where unknown.", null=True, isin=[0, 1])


def _spent(what: str) -> Any:
    said = f"{what}, in another currency than the tenant's, or in join mode as_of."
    return column(said, unit="currency", null=True)


def _of_ads(what: str, unit: str) -> Any:
    return column(f"{what}; null where one was not fetched, or in join mode as_of.", unit=unit, null=True, ge=0)


class Orders(Table):
    """One row per order, on the tenant-local day it was created."""

    order_id: str = column("Shopify's id of the order.")
    name: str = column("Number the merchant sees, such as #1001.", null=True)
    created_at: UtcInstant = column(
        "When the order was created at Shopify, which decides its day; of an imported order, when it was imported.",
        unit="UTC",
    )
    updated_at: UtcInstant = column("When the order last changed.", unit="UTC")
    cancelled_at: UtcInstant = column("When the order was cancelled; null if it was not.", unit="UTC", null=True)
    is_test: bool = column("Whether the order was placed in test mode.")
    financial_status: str = column("Payment state as Shopify names it.", null=True)
    currency: str = column("Currency of the shop.", unit="ISO 4217", str_matches=r"^[A-Z]{3}$")
    total_price: Money = column("Total when placed, with tax and shipping.", unit="currency")
    subtotal_price: Money = column(
        "Items after discounts when placed, as the shop's prices are: with tax where they include it.", unit="currency"
    )
    total_tax: Money = column("Tax when placed.", unit="currency")
    total_discounts: Money = column("Discounts when placed.", unit="currency")
    net_revenue: Money = column(
        "Current subtotal: of the items that were not removed or refunded since, before tax (also where the shop's prices include it) and "
        "shipping; money given back without an item does not lower it; null where Shopify gave none, or not the tax that is in it.",
        unit="currency",
        null=True,
    )
    line_item_count: pl.Int32 = column("Number of line items.", unit="items", ge=0)
    shipping_postal_code: str = column("Postal code shipped to.", null=True)
    shipping_country: str = column("Country shipped to.", unit="ISO 3166-1 alpha-2", null=True)
    ship_latitude: pl.Float64 = column("Latitude, 3 decimals.", unit="degree", null=True, ge=-90, le=90)
    ship_longitude: pl.Float64 = column("Longitude, 3 decimals.", unit="degree", null=True, ge=-180, le=180)
    ship_geohash: str = column(
        "Cell of these coordinates, precision 5.", unit="geohash", null=True, str_matches=r"^[0-9b-hjkmnp-z]{5}$"
    )
    geo_source: str = column("How the cell was found.", isin=list(GEO_SOURCES))
    source: str = column("Where the row came from.", isin=["shopify_api", STUB])
    as_of_utc: UtcInstant = column("When this row was learnt.", unit="UTC")

    class Config(Table.Config):
        """Key: order."""

        unique = ["order_id"]


class Ads(Table):
    """One row per ad set (campaign for Google) and account-local day."""

    platform: str = column("Ad platform.", isin=["meta", "google"])
    account_id: str = column("Ad account (Meta) or customer (Google).")
    campaign_id: str = column("Campaign.")
    campaign_name: str = column("Name of the campaign.", null=True)
    adset_id: str = column("Ad set; null for Google.", null=True)
    adset_name: str = column("Name of the ad set.", null=True)
    spend: Money = column("Money spent, to 4 decimals (Google reports millionths).", unit="currency", ge=0)
    currency: str = column("Currency of the account.", unit="ISO 4217", str_matches=r"^[A-Z]{3}$")
    impressions: pl.Int64 = column("Times shown.", unit="impressions", ge=0)
    clicks: pl.Int64 = column("Times clicked.", unit="clicks", ge=0)
    conversions: pl.Float64 = column(
        "Conversions credited: Meta's purchases, all primary conversions of Google; null where none is reported.",
        unit="conversions",
        null=True,
        ge=0,
    )
    conversion_value: Money = column("Value of those conversions, to 4 decimals.", unit="currency", null=True)
    source: str = column("Where the row came from.", isin=["meta_api", "google_ads_api", STUB])
    as_of_utc: UtcInstant = column("When this row was learnt.", unit="UTC")

    class Config(Table.Config):
        """Key: platform, account, campaign, ad set and day."""

        unique = ["date", "platform", "account_id", "campaign_id", "adset_id"]


class MetaAds(Ads):
    """One row per Meta ad set and account-local day."""


class GoogleAds(Ads):
    """One row per Google Ads campaign and account-local day."""


class Promos(Table):
    """One row per campaign, on the tenant-local day of its send (or scheduled, or creation) time."""

    campaign_id: str = column("Klaviyo's id of the campaign.")
    name: str = column("Name of the campaign.", null=True)
    channel: str = column("Channel it goes out on.", isin=["email", "sms", "mobile_push"])
    status: str = column("State as Klaviyo names it.")
    is_archived: bool = column("Whether the campaign is archived.")
    created_at: UtcInstant = column("When it was created.", unit="UTC")
    scheduled_at: UtcInstant = column("When it is scheduled; null for drafts.", unit="UTC", null=True)
    send_time: UtcInstant = column("When it was sent or will be; null for drafts.", unit="UTC", null=True)
    updated_at: UtcInstant = column("When it last changed.", unit="UTC")
    source: str = column("Where the row came from.", isin=["klaviyo_api", STUB])
    as_of_utc: UtcInstant = column("When this row was learnt.", unit="UTC")

    class Config(Table.Config):
        """Key: campaign."""

        unique = ["campaign_id"]


class Climatology(Table):
    """One row per cell and day of year, for use in partition year Y, from years before Y only."""

    geohash: str = column("Cell, precision 5.", unit="geohash")
    day_of_year: pl.Int16 = column("Calendar-day slot 1-366; Feb 29 is 60 in every year.", unit="day", ge=1, le=366)
    temp_mean_c: pl.Float64 = column(
        "Normal daily mean temperature (harmonic fit); null below 3 years.", unit="degC", null=True, ge=-90, le=60
    )
    temp_sd_c: pl.Float64 = column("Standard deviation about the normal.", unit="degC", null=True, ge=0, le=40)
    temp_p10_c: pl.Float64 = column("10th percentile of the daily minimum, +-15 days.", unit="degC", null=True)
    temp_p90_c: pl.Float64 = column("90th percentile of the daily maximum, +-15 days.", unit="degC", null=True)
    precip_mean_mm: pl.Float64 = column(
        "Normal daily precipitation, +-15 days; null below 3 years of it.", unit="mm", null=True, ge=0, le=500
    )
    precip_sd_mm: pl.Float64 = column("Standard deviation of daily precipitation.", unit="mm", null=True, ge=0)
    years: pl.Int16 = column("Years of the base period with temperatures of 330 days.", unit="years", ge=0, le=200)
    base_start: pl.Date = column("First day of the base period.")
    base_end: pl.Date = column("Last day of the base period; always before the partition year.")
    model: str = column("Open-Meteo model of the base data.")
    source: str = column("Where the base data came from.", isin=["open_meteo", STUB])
    as_of_utc: UtcInstant = column("When this row was learnt.", unit="UTC")

    class Config(Table.Config):
        """Key: cell, slot and partition year."""

        unique = ["date", "geohash", "day_of_year"]


def _temperature(what: str, *, null: bool = True) -> Any:
    return column(what, unit="degC", null=null, ge=-95, le=65)


class WeatherDaily(Table):
    """One row per cell and local day, latest version known, observed or forecast, never both."""

    local_date: pl.Date = column("The day, in the place's local standard time; equals date.")
    local_datetime: LocalInstant = column("Start of the day on the place's standard-time clock.")
    utc_datetime: UtcInstant = column("The instant at which that day starts.", unit="UTC")
    timezone: str = column("IANA time zone of the place.")
    day_basis: str = column("How days are cut: local standard time all year.", isin=["lst"])
    geohash: str = column("Cell, precision 5.", unit="geohash")
    day_of_year: pl.Int16 = column("Calendar-day slot 1-366; Feb 29 is 60 in every year.", unit="day", ge=1, le=366)
    temp_c: pl.Float64 = _temperature("Mean temperature.", null=False)
    temp_max_c: pl.Float64 = _temperature("Highest temperature.")
    temp_min_c: pl.Float64 = _temperature("Lowest temperature.")
    apparent_temp_c: pl.Float64 = column("Mean apparent temperature.", unit="degC", null=True, ge=-120, le=90)
    precip_mm: pl.Float64 = column("Precipitation.", unit="mm", null=True, ge=0, le=2000)
    precip_probability: pl.Float64 = column(
        "Highest hourly probability of precipitation (forecast only).", unit="ratio 0-1", null=True, ge=0, le=1
    )
    humidity_mean: pl.Float64 = column("Mean relative humidity.", unit="%", null=True, ge=0, le=100)
    wind_gust_max_kmh: pl.Float64 = column("Strongest gust.", unit="km/h", null=True, ge=0, le=450)
    wind_speed_max_kmh: pl.Float64 = column("Strongest mean wind.", unit="km/h", null=True, ge=0, le=400)
    uv_index_max: pl.Float64 = column("Highest UV index (forecast only).", unit="UV index", null=True, ge=0, le=45)
    snowfall_cm: pl.Float64 = column("Snowfall.", unit="cm", null=True, ge=0, le=300)
    temp_anomaly: pl.Float64 = column("Mean temperature minus its normal.", unit="degC", null=True)
    precip_anomaly: pl.Float64 = column("Precipitation minus its normal.", unit="mm", null=True)
    temp_roll7: pl.Float64 = column(
        "Mean temperature of the 7 days before, at least 5 of them.", unit="degC", null=True
    )
    precip_roll7: pl.Float64 = column("Mean precipitation of the 7 days before.", unit="mm", null=True)
    temp_c_lag1: pl.Float64 = column("Mean temperature of the day before.", unit="degC", null=True)
    precip_mm_lag1: pl.Float64 = column("Precipitation of the day before.", unit="mm", null=True)
    uv_index_lag1: pl.Float64 = column("UV index of the day before.", unit="UV index", null=True)
    precip_probability_lag1: pl.Float64 = column("Its probability, the day before.", unit="ratio 0-1", null=True)
    humidity_lag1: pl.Float64 = column("Mean humidity of the day before.", unit="%", null=True)
    freeze_flag: pl.Int8 = _flag("the lowest temperature is at or below 0 degC")
    heatwave_flag: pl.Int8 = _flag("it is the third or a later day above the p90 of the day of year and 25 degC")
    snow_event_flag: pl.Int8 = _flag("snowfall is at least 1 cm")
    high_wind_flag: pl.Int8 = _flag("gusts reach 62 km/h")
    uv_alert_flag: pl.Int8 = _flag("the UV index reaches 8")
    high_precip_prob_flag: pl.Int8 = _flag("the probability of precipitation reaches 0.7")
    observation_type: str = column("Kind of value.", isin=["observed", "forecast", STUB])
    source_model: str = column("Open-Meteo model.")
    source: str = column("Where the row came from.", isin=["open_meteo", STUB])
    as_of_utc: UtcInstant = column("When this row was learnt.", unit="UTC")

    class Config(Table.Config):
        """Key: cell and day."""

        unique = ["date", "geohash"]


class WeatherForecast(Table):
    """One row per cell and valid date, as issued on the partition date; never rewritten."""

    geohash: str = column("Cell, precision 5.", unit="geohash")
    valid_date: pl.Date = column("Local day that the forecast is for.")
    lead_days: pl.Int16 = column("Valid date minus the day of issue.", unit="days", ge=0, le=16)
    temp_c: pl.Float64 = _temperature("Mean temperature.", null=False)
    temp_max_c: pl.Float64 = _temperature("Highest temperature.")
    temp_min_c: pl.Float64 = _temperature("Lowest temperature.")
    apparent_temp_c: pl.Float64 = column("Mean apparent temperature.", unit="degC", null=True, ge=-120, le=90)
    precip_mm: pl.Float64 = column("Precipitation.", unit="mm", null=True, ge=0, le=2000)
    precip_probability: pl.Float64 = column(
        "Highest hourly probability of precipitation.", unit="ratio 0-1", null=True, ge=0, le=1
    )
    humidity_mean: pl.Float64 = column("Mean relative humidity.", unit="%", null=True, ge=0, le=100)
    wind_gust_max_kmh: pl.Float64 = column("Strongest gust.", unit="km/h", null=True, ge=0, le=450)
    wind_speed_max_kmh: pl.Float64 = column("Strongest mean wind.", unit="km/h", null=True, ge=0, le=400)
    uv_index_max: pl.Float64 = column("Highest UV index.", unit="UV index", null=True, ge=0, le=45)
    snowfall_cm: pl.Float64 = column("Snowfall.", unit="cm", null=True, ge=0, le=300)
    issued_at_utc: UtcInstant = column("When it was asked for; no host says when its model ran.", unit="UTC")
    known_at_utc: UtcInstant = column("When we could first have used it.", unit="UTC")
    source_model: str = column("Open-Meteo model.")
    source: str = column("Where the row came from.", isin=["open_meteo", STUB])
    as_of_utc: UtcInstant = column("When this row was learnt.", unit="UTC")

    class Config(Table.Config):
        """Key: cell, day of issue and valid date."""

        unique = ["date", "geohash", "valid_date"]


class Features(Table):
    """One row per active cell and day: the modelling matrix.

    A cell is active on a day if an order went there in the 365 days up to and including it. `tenant_*` columns
    concern the whole tenant-day and are repeated on each of its cells: never sum them over cells.
    """

    geohash: str = column("Cell, precision 5.", unit="geohash")
    is_first_order_day: bool = column(
        "Whether the cell is active by an order of this day alone, the first in 365 days; never in join mode as_of."
    )
    orders: pl.Int32 = column("Sales orders shipped to the cell (no test, no cancelled).", unit="orders", ge=0)
    net_revenue: Money = column(
        "Their net revenue; an order without one is not in it, and `conservation` warns of the day.", unit="currency"
    )
    tenant_orders: pl.Int32 = column("Sales orders of the tenant-day, with or without a place.", unit="orders", ge=0)
    tenant_ad_spend: Money = _spent("Ad spend on all platforms of the tenant; null where one was not fetched")
    tenant_meta_spend: Money = _spent("Spend on Meta; null where not fetched")
    tenant_google_spend: Money = _spent("Spend on Google Ads; null where not fetched")
    tenant_ad_impressions: pl.Int64 = _of_ads("Impressions on all of them", "impressions")
    tenant_ad_clicks: pl.Int64 = _of_ads("Clicks on all of them", "clicks")
    tenant_promos: pl.Int32 = column(
        "Campaigns that went out, in join mode as_of those planned or out at the decision; null where that is unknown.",
        unit="campaigns",
        null=True,
        ge=0,
    )
    tenant_promos_email: pl.Int32 = column("Those by e-mail.", unit="campaigns", null=True, ge=0)
    tenant_promos_sms: pl.Int32 = column("Those by SMS.", unit="campaigns", null=True, ge=0)
    tenant_promos_push: pl.Int32 = column("Those by mobile push.", unit="campaigns", null=True, ge=0)
    temp_c: pl.Float64 = _temperature("Mean temperature; null where the weather is missing.")
    temp_max_c: pl.Float64 = _temperature("Highest temperature.")
    temp_min_c: pl.Float64 = _temperature("Lowest temperature.")
    apparent_temp_c: pl.Float64 = column("Mean apparent temperature.", unit="degC", null=True)
    precip_mm: pl.Float64 = column("Precipitation.", unit="mm", null=True, ge=0)
    precip_probability: pl.Float64 = column("Probability of precipitation.", unit="ratio 0-1", null=True, ge=0, le=1)
    humidity_mean: pl.Float64 = column("Mean relative humidity.", unit="%", null=True)
    wind_gust_max_kmh: pl.Float64 = column("Strongest gust.", unit="km/h", null=True, ge=0)
    wind_speed_max_kmh: pl.Float64 = column("Strongest mean wind.", unit="km/h", null=True, ge=0)
    uv_index_max: pl.Float64 = column("Highest UV index.", unit="UV index", null=True, ge=0)
    snowfall_cm: pl.Float64 = column("Snowfall.", unit="cm", null=True, ge=0)
    temp_anomaly: pl.Float64 = column("Mean temperature minus its normal.", unit="degC", null=True)
    precip_anomaly: pl.Float64 = column("Precipitation minus its normal.", unit="mm", null=True)
    temp_roll7: pl.Float64 = column("Mean temperature of the 7 days before.", unit="degC", null=True)
    precip_roll7: pl.Float64 = column("Mean precipitation of the 7 days before.", unit="mm", null=True)
    temp_c_lag1: pl.Float64 = column("Mean temperature of the day before.", unit="degC", null=True)
    precip_mm_lag1: pl.Float64 = column("Precipitation of the day before.", unit="mm", null=True)
    uv_index_lag1: pl.Float64 = column("UV index of the day before.", unit="UV index", null=True)
    precip_probability_lag1: pl.Float64 = column(
        "Probability of precipitation, the day before.", unit="ratio 0-1", null=True
    )
    humidity_lag1: pl.Float64 = column("Mean humidity of the day before.", unit="%", null=True)
    freeze_flag: pl.Int8 = _flag("the lowest temperature is at or below 0 degC")
    heatwave_flag: pl.Int8 = _flag("it is the third or a later day of heat")
    snow_event_flag: pl.Int8 = _flag("snowfall is at least 1 cm")
    high_wind_flag: pl.Int8 = _flag("gusts reach 62 km/h")
    uv_alert_flag: pl.Int8 = _flag("the UV index reaches 8")
    high_precip_prob_flag: pl.Int8 = _flag("the probability of precipitation reaches 0.7")
    weather_known_at_utc: UtcInstant = column("When the weather of the row was learnt.", unit="UTC", null=True)
    observation_type: str = column("Kind of weather value.", null=True, isin=["observed", "forecast", STUB])
    join_mode: str = column("What the weather join may see.", isin=["observed", "as_of"])
    is_weather_missing: bool = column("Whether no weather was found for the cell and day.")
    source: str = column("Sources of the row, joined by +; stub where any of them is stub.")
    as_of_utc: UtcInstant = column("When this row was learnt.", unit="UTC")

    class Config(Table.Config):
        """Key: cell and day."""

        unique = ["date", "geohash"]


CONTRACTS: dict[str, type[Table]] = {
    "orders": Orders,
    "meta_ads": MetaAds,
    "google_ads": GoogleAds,
    "ads": Ads,
    "promos": Promos,
    "climatology": Climatology,
    "weather_daily": WeatherDaily,
    "weather_forecast": WeatherForecast,
    "features": Features,
}

WEATHER_VALUES = (
    "temp_c",
    "temp_max_c",
    "temp_min_c",
    "apparent_temp_c",
    "precip_mm",
    "precip_probability",
    "humidity_mean",
    "wind_gust_max_kmh",
    "wind_speed_max_kmh",
    "uv_index_max",
    "snowfall_cm",
)
"""The measured quantities, in the order of every table that has them."""


RESTATED = ("spend", "conversions")
"""What ad platforms change of days long past: invalid clicks are credited, conversions keep coming in."""


def polars_schema(contract: type[Table]) -> pl.Schema:
    """Return the table's columns and polars types, in order."""
    return pl.Schema({name: col.dtype.type for name, col in contract.to_schema().columns.items()})


def conform(frame: pl.DataFrame, contract: type[Table]) -> pl.DataFrame:
    """Select the table's columns in order and cast them; a column that is absent raises, a value that does not fit too."""
    return frame.select(pl.col(name).cast(dtype) for name, dtype in polars_schema(contract).items())


def key_columns(contract: type[Table]) -> list[str]:
    """Return the columns that identify a row within its day."""
    return [name for name in contract.to_schema().unique or [] if name != "date"]


def shape_of(contract: type[Table]) -> Shape:
    """Return what the lake needs to know of the table."""
    schema = polars_schema(contract)
    optional = frozenset(name for name, col in contract.to_schema().columns.items() if col.nullable)
    return Shape(schema, tuple(key_columns(contract)), tuple(name for name in RESTATED if name in schema), optional)
