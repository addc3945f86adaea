"""Words that are no tenant's id, since Weathervane and Dagster go by them.

Belongs here: the words. Does not belong here: what else an id must be (`tenants.py`).

A purge takes an id out of documents that concern other tenants too (ticks, cursors, backfills, quotas), where it stands as a
word of its own. One called `orders` would take the asset out of every cursor, one called `shopify` the quota of every shop.
"""

from __future__ import annotations

from weathervane_resources.credentials import SOURCES

_ASSETS = frozenset({
    "orders", "meta_ads", "google_ads", "ads", "promos", "climatology", "weather_daily", "weather_forecast",
    "features", "dq_report", "tenant_report", "commerce", "weather", "quality",
})  # fmt: skip
_RUN_BY = frozenset({
    "alerts", "changed_orders", "changed_campaigns", "deferred_runs", "tenant_sync", "compaction", "freshness",
    "nightly", "normals", "new_cells", "issue_forecasts", "restate_ads", "restate_promos", "restate_weather",
})  # fmt: skip
_CHECKS = frozenset({
    "completeness", "conservation", "contract", "coverage", "geocoding_coverage", "kept", "live_source",
    "row_count_drop", "stands_alone", "weather_join_coverage", "weather_join_leakage",
})  # fmt: skip
_DAGSTER = frozenset({
    "dagster", "weathervane", "tenants", "backfill", "partition", "priority", "run_key", "sensor_name",
    "schedule_name", "max_retries", "asset_partition_range_start", "asset_partition_range_end",
})  # fmt: skip
_VENDORS = frozenset(source.vendor for source in SOURCES)
_QUOTAS = frozenset({
    "geonames", "account", "app", "customer", "developer", "free", "key", "throttled",
})  # fmt: skip
_SUFFIXES = ("", "_job", "_schedule")

RESERVED = (
    _CHECKS | _DAGSTER | _VENDORS | _QUOTAS | {name + suffix for name in _ASSETS | _RUN_BY for suffix in _SUFFIXES}
)
"""A test holds them against what the definitions are called, which this layer does not know."""
