"""The graph on one screen: name, group, where it reads from, kinds, contract, cadence.

Belongs here: what there is and what hangs on what. Does not belong here: how anything is computed.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg

from weathervane_assets import ads, features, orders, partitions, promos, weather
from weathervane_assets.tables import CONTRACTS, Table

OWNER = "team:data"
ONE_TENANT = "[Everything of one tenant](/assets/tenant_report?view=partitions)"
"""At the foot of each asset's description: the tenant view, from the UI's root."""
TOOLS = frozenset({"polars", "numpy", "deltalake"})
PACKAGE = Path(__file__).parent


@dataclass(frozen=True)
class Node:
    """One asset. `reads` are loaded as its inputs; `follows` only precede it (it reads the lake or the cache itself)."""

    compute: Callable[..., Any]
    answers: str
    """The question that a marketing analyst brings."""
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
    def source(self) -> str:
        """The vendor that it is read from, or `derived`."""
        return next(iter(self.kinds - TOOLS), "derived")

    @property
    def contract(self) -> type[Table]:
        """What its rows look like."""
        return CONTRACTS[self.name]


GRAPH = (
    Node(
        orders.orders,
        "What did we sell, what is left of it after refunds, and where did it go?",
        "commerce",
        "raw",
        frozenset({"shopify", "polars", "deltalake"}),
        has_personal_places=True,
    ),
    Node(
        ads.meta_ads,
        "What did each Meta ad set cost, and what did Meta credit it with?",
        "ads",
        "raw",
        frozenset({"meta", "polars", "deltalake"}),
    ),
    Node(
        ads.google_ads,
        "What did each Google campaign cost, and what did Google credit it with?",
        "ads",
        "raw",
        frozenset({"googleads", "polars", "deltalake"}),
    ),
    Node(
        ads.ads,
        "What did advertising cost, on all platforms together?",
        "ads",
        "joined",
        frozenset({"polars", "deltalake"}),
        reads=("meta_ads", "google_ads"),
    ),
    Node(
        promos.promos,
        "Which e-mail, SMS and push campaigns went out, or will, on which day?",
        "commerce",
        "raw",
        frozenset({"klaviyo", "polars", "deltalake"}),
    ),
    Node(
        weather.climatology,
        "What weather is usual here at this time of the year?",
        "weather",
        "raw",
        frozenset({"openmeteo", "numpy", "deltalake"}),
        follows=("orders",),
    ),
    Node(
        weather.weather_daily,
        "What was the weather where our customers live, and was it unusual?",
        "weather",
        "raw",
        frozenset({"openmeteo", "polars", "deltalake"}),
        follows=("orders", "climatology"),
    ),
    Node(
        weather.weather_forecast,
        "What weather was expected, and how long beforehand?",
        "weather",
        "raw",
        frozenset({"openmeteo", "polars", "deltalake"}),
        follows=("orders",),
    ),
    Node(
        features.features,
        "Do we sell more, or less, when the weather is unusual, ads and campaigns taken into account?",
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
        tags={
            "layer": node.layer,
            "pii": "coarse_place" if node.has_personal_places else "none",
            "source": node.source,
        },
        description=f"{node.answers}\n\n{inspect.getdoc(node.compute)}\n\n{ONE_TENANT}",
        partitions_def=partitions.tenant_year(start) if by_year else partitions.tenant_day(start),
        backfill_policy=partitions.BACKFILL_POLICY,
        ins={name: dg.AssetIn(partition_mapping=partition_mapping(name, node.name)) for name in node.reads},
        deps=[dg.AssetDep(name, partition_mapping=partition_mapping(name, node.name)) for name in node.follows],
        metadata={
            "dagster/column_schema": column_schema(node.contract),
            "docs": dg.MetadataValue.path(f"docs/tables.md#{node.name}"),
            "dagster/code_references": _code(node.compute),
            "key": ", ".join(node.contract.to_schema().unique or []),
        },
    )
    return decorate(node.compute)


def _code(compute: Callable[..., Any]) -> dg.CodeReferencesMetadataValue:
    """Return where an asset is computed: the UI of `weathervane dev` opens it in an editor."""
    code = compute.__code__
    label = f"{Path(code.co_filename).relative_to(PACKAGE.parent)}:{code.co_firstlineno}"
    place = dg.LocalFileCodeReference(file_path=code.co_filename, line_number=code.co_firstlineno, label=label)
    return dg.CodeReferencesMetadataValue(code_references=[place])


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


def downstream(asset: str) -> tuple[str, ...]:
    """Return an asset and the daily assets that are made from it, in the order of the graph."""
    found = {asset}
    for node in GRAPH:
        if found & {*node.reads, *node.follows}:
            found.add(node.name)
    return tuple(name for name in DAILY if name in found)
