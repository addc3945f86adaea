"""The graph on one screen: name, group, where it reads from, kinds, contract, cadence.

Belongs here: what there is and what hangs on what. Does not belong here: how anything is computed.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

import dagster as dg

from weathervane_assets import ads, features, orders, partitions, promos, weather
from weathervane_assets.tables import CONTRACTS, Table

OWNER = "team:data"


@dataclass(frozen=True)
class Node:
    """One asset. `reads` are loaded as its inputs; `follows` only precede it (it reads the lake or the cache itself)."""

    compute: Callable[..., Any]
    group: str
    layer: str
    kinds: frozenset[str]
    reads: tuple[str, ...] = ()
    follows: tuple[str, ...] = ()
    has_personal_places: bool = False

    @property
    def name(self) -> str:
        """The asset's, table's and contract's name."""
        return self.compute.__name__

    @property
    def contract(self) -> type[Table]:
        """What its rows look like."""
        return CONTRACTS[self.name]


GRAPH = (
    Node(orders.orders, "commerce", "raw", frozenset({"shopify", "polars", "deltalake"}), has_personal_places=True),
    Node(ads.meta_ads, "ads", "raw", frozenset({"meta", "polars", "deltalake"})),
    Node(ads.google_ads, "ads", "raw", frozenset({"googleads", "polars", "deltalake"})),
    Node(ads.ads, "ads", "joined", frozenset({"polars", "deltalake"}), reads=("meta_ads", "google_ads")),
    Node(promos.promos, "commerce", "raw", frozenset({"klaviyo", "polars", "deltalake"})),
    Node(weather.climatology, "weather", "raw", frozenset({"openmeteo", "numpy", "deltalake"}), follows=("orders",)),
    Node(
        weather.weather_daily,
        "weather",
        "raw",
        frozenset({"openmeteo", "polars", "deltalake"}),
        reads=("climatology",),
        follows=("orders",),
    ),
    Node(
        weather.weather_forecast, "weather", "raw", frozenset({"openmeteo", "polars", "deltalake"}), follows=("orders",)
    ),
    Node(
        features.features,
        "features",
        "matrix",
        frozenset({"polars", "deltalake"}),
        reads=("orders", "ads", "promos", "weather_daily"),
        follows=("weather_forecast",),
    ),
)
NODES = {node.name: node for node in GRAPH}
YEARLY = frozenset({"climatology"})
DAILY = tuple(node.name for node in GRAPH if node.name not in YEARLY)


def build_assets(start: date) -> list[dg.AssetsDefinition]:
    """Return the nine assets, partitioned from `start` on."""
    return [_asset(node, start) for node in GRAPH]


def _asset(node: Node, start: date) -> dg.AssetsDefinition:
    by_year = node.name in YEARLY
    decorate = dg.asset(
        name=node.name,
        group_name=node.group,
        owners=[OWNER],
        kinds=set(node.kinds),
        tags={"layer": node.layer, "pii": "coarse_place" if node.has_personal_places else "none"},
        description=inspect.getdoc(node.compute),
        partitions_def=partitions.tenant_year(start) if by_year else partitions.tenant_day(start),
        backfill_policy=partitions.BACKFILL_POLICY,
        ins={name: dg.AssetIn(partition_mapping=partition_mapping(name, node.name)) for name in node.reads},
        deps=[dg.AssetDep(name, partition_mapping=partition_mapping(name, node.name)) for name in node.follows],
        metadata={
            "dagster/column_schema": column_schema(node.contract),
            "key": ", ".join(node.contract.to_schema().unique or []),
        },
    )
    return decorate(node.compute)


def partition_mapping(upstream: str, downstream: str) -> dg.PartitionMapping | None:
    """Return how partitions upstream meet those downstream; None where they are the same."""
    if upstream in YEARLY:
        return partitions.year_of_day()
    return partitions.days_of_year() if downstream in YEARLY else None


def column_schema(contract: type[Table]) -> dg.TableSchema:
    """Return the table's columns with units, descriptions and constraints, for the UI."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name,
                type=str(column.dtype),
                description=_with_unit(column.description or "", (column.metadata or {}).get("unit")),
                constraints=dg.TableColumnConstraints(nullable=column.nullable),
            )
            for name, column in contract.to_schema().columns.items()
        ]
    )


def _with_unit(description: str, unit: str | None) -> str:
    return f"{description} [{unit}]" if unit else description
