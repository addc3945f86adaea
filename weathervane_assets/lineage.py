"""Which columns a derived table's columns come from, as the UI's lineage shows it.

Belongs here: the columns of assets. Does not belong here: what has no asset, such as the weather's versions: a column that comes
from there alone has no lineage, and none is made up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import dagster as dg

from weathervane_assets.tables import CONTRACTS, polars_schema
from weathervane_assets.transforms.features import CARRIED

Column = tuple[str, str]
"""An asset and a column of it."""
LINEAGE = "dagster/column_lineage"
SOLD: tuple[Column, ...] = (("orders", "is_test"), ("orders", "cancelled_at"))
SPENT: tuple[Column, ...] = (("ads", "spend"), ("ads", "currency"), ("ads", "platform"))
SENT: tuple[Column, ...] = (("promos", "campaign_id"), ("promos", "status"))
BY_ORDERS: Mapping[str, tuple[Column, ...]] = {
    "date": (("orders", "date"),),
    "geohash": (("orders", "ship_geohash"),),
    "is_first_order_day": (("orders", "ship_geohash"), ("orders", "date")),
    "orders": (("orders", "ship_geohash"), *SOLD),
    "net_revenue": (("orders", "net_revenue"), ("orders", "ship_geohash"), *SOLD),
    "tenant_orders": (("orders", "order_id"), *SOLD),
}
BY_ADS: Mapping[str, tuple[Column, ...]] = {
    "tenant_ad_spend": SPENT,
    "tenant_meta_spend": SPENT,
    "tenant_google_spend": SPENT,
    "tenant_ad_impressions": (("ads", "impressions"),),
    "tenant_ad_clicks": (("ads", "clicks"),),
}
BY_PROMOS: Mapping[str, tuple[Column, ...]] = {
    "tenant_promos": SENT,
    **{f"tenant_promos_{channel}": (*SENT, ("promos", "channel")) for channel in ("email", "sms", "push")},
}
OF_WEATHER: Mapping[str, tuple[Column, ...]] = {
    "geohash": (("orders", "ship_geohash"),),
    "temp_anomaly": (("climatology", "temp_mean_c"),),
    "precip_anomaly": (("climatology", "precip_mean_mm"),),
    "heatwave_flag": (("climatology", "temp_p90_c"),),
}
OF_ADS: Mapping[str, tuple[Column, ...]] = {
    name: (("meta_ads", name), ("google_ads", name)) for name in polars_schema(CONTRACTS["ads"])
}


def of_features(*, is_as_of: bool) -> dict[str, tuple[Column, ...]]:
    """Return the matrix's columns with what they come from.

    In join mode as_of the weather comes from its versions and what ads cost is not known yet: neither has a column to point to.
    """
    known = {**BY_ORDERS, **BY_PROMOS}
    if is_as_of:
        return known
    weather = {name: (("weather_daily", name),) for name in CARRIED}
    learnt = (("weather_daily", "as_of_utc"),)
    return {**known, **BY_ADS, **weather, "is_weather_missing": learnt, "weather_known_at_utc": learnt}


def lineage(columns: Mapping[str, Iterable[Column]]) -> dict[str, dg.MetadataValue[dg.TableColumnLineage]]:
    """Return the metadata that shows it, for the newest partition of a run."""
    deps = {
        name: [dg.TableColumnDep(asset_key=dg.AssetKey(asset), column_name=source) for asset, source in of]
        for name, of in columns.items()
    }
    return {LINEAGE: dg.MetadataValue.column_lineage(dg.TableColumnLineage(deps_by_column=deps))}
