"""The shape of the graph: what there is, what hangs on what, and that nothing lacks a description or a check."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from weathervane_assets.definitions import build_defs
from weathervane_assets.graph import NODES, column_schema
from weathervane_assets.schedules import REPORTS
from weathervane_assets.tables import CONTRACTS
from weathervane_resources.credentials import SOURCES
from weathervane_resources.reserved_names import RESERVED

ROOT = Path(__file__).parents[2]
SNAPSHOT = Path(__file__).with_name("graph.txt")


@pytest.fixture(scope="module")
def graph() -> dg.AssetGraph:
    return build_defs({}).resolve_asset_graph()


def describe(graph: dg.AssetGraph) -> str:
    lines = []
    for key in sorted(graph.get_all_asset_keys(), key=lambda k: k.path):
        node = graph.get(key)
        names = getattr(node.partitions_def, "partition_dimension_names", ["tenant"]) if node.partitions_def else []
        lines.append(f"{key.path[-1]}  [{node.group_name}]  {' x '.join(names)}")
        lines.append(f"  kinds: {', '.join(sorted(node.kinds))}")
        lines.append(f"  from: {', '.join(sorted(k.path[-1] for k in node.parent_keys)) or '-'}")
        for check in sorted(graph.get_check_keys_for_assets({key}), key=lambda k: k.name):
            blocking = " (blocking)" if graph.get(check).blocking else ""
            lines.append(f"  check: {check.name}{blocking}")
    return "\n".join(lines) + "\n"


def test_the_graph_is_the_one_in_the_snapshot(graph: dg.AssetGraph) -> None:
    """A dependency once vanished in a refactoring and nobody saw it: the whole graph stands in a file and in the diff.

    To accept a change: `UPDATE_SNAPSHOT=1 make test`.
    """
    found = describe(graph)
    if os.environ.get("UPDATE_SNAPSHOT"):
        SNAPSHOT.write_text(found)
    assert found == SNAPSHOT.read_text()


def test_the_code_location_loads_as_a_whole() -> None:
    """A job named like an asset took the whole location out of the UI, while the asset graph alone resolved well."""
    repository = build_defs({}).get_repository_def()
    assert {job.name for job in repository.get_all_jobs()} >= {"nightly", "dq_report_job"}


def test_no_tenant_may_be_called_like_a_part_of_the_graph(graph: dg.AssetGraph) -> None:
    """The purge of a brand `alerts` would have taken the name of the sensor out of Dagster's own documents."""
    repository = build_defs({}).get_repository_def()
    jobs = [job for job in repository.get_all_jobs() if not job.name.startswith("__")]
    named = [one.name for one in (*jobs, *repository.sensor_defs, *repository.schedule_defs)]
    named += [check.name for check in graph.asset_check_keys]
    named += [word for job in jobs for tag in job.tags for word in tag.split("/")]
    for key in graph.get_all_asset_keys():
        named += [key.path[-1], graph.get(key).group_name or ""]
    assert set(named) - RESERVED == set()
    assert {*CONTRACTS, *(source.vendor for source in SOURCES)} - RESERVED == set()


def test_every_asset_says_who_it_is_and_is_checked(graph: dg.AssetGraph) -> None:
    """An asset without an owner alerts nobody; one without a check is believed without reason."""
    names = {key.path[-1] for key in graph.get_all_asset_keys()}
    reports = {dg.AssetKey(name) for name in REPORTS}
    assert names - set(REPORTS) == set(NODES) == set(CONTRACTS)
    for report in map(graph.get, reports):
        assert (report.group_name, report.tags["layer"]) == ("quality", "report")
        assert report.owners
        assert report.description
        assert graph.get_check_keys_for_assets({report.key})
    for key in graph.get_all_asset_keys() - reports:
        node = graph.get(key)
        assert node.group_name in {"commerce", "ads", "weather", "features"}
        assert node.owners
        assert node.kinds
        assert node.tags["layer"]
        assert node.description
        assert len(node.description) > 60
        schema = node.metadata["dagster/column_schema"]
        assert [column.name for column in schema.columns] == list(CONTRACTS[key.path[-1]].to_schema().columns)
        assert {check.name for check in graph.get_check_keys_for_assets({key})} >= {"contract", "freshness"}


@pytest.mark.parametrize("name", list(CONTRACTS))
def test_every_column_has_a_description_and_every_quantity_a_unit(name: str) -> None:
    """`snowfall` was stored as millimetres for a year because no one had written down what it is."""
    for column in column_schema(CONTRACTS[name]).columns:
        assert column.description
        unit = {"_c": "degC", "_mm": "mm", "_cm": "cm", "_kmh": "km/h"}
        suffix = "_" + column.name.rpartition("_")[2]
        if suffix in unit:
            assert column.description.endswith(f"[{unit[suffix]}]"), column.name


@pytest.mark.parametrize(
    ("folder", "banned"),
    [
        ("weathervane_resources/http", ("dagster", "polars", "weathervane_assets", "weathervane_checks")),
        ("weathervane_resources/clients", ("dagster", "polars", "weathervane_assets", "weathervane_checks")),
        ("weathervane_resources", ("weathervane_assets", "weathervane_checks")),
        ("weathervane_assets/transforms", ("dagster", "weathervane_checks")),
        ("weathervane_checks/rules", ("weathervane_assets.graph", "weathervane_assets.definitions")),
        ("weathervane_checks", ("weathervane_assets.graph", "weathervane_assets.transforms")),
    ],
)
def test_imports_run_one_way(folder: str, banned: tuple[str, ...]) -> None:
    """Layers that import upwards end as one layer."""
    for file in (ROOT / folder).rglob("*.py"):
        for name in _imported(file):
            assert not any(name == b or name.startswith(f"{b}.") for b in banned), f"{file} imports {name}"


def _imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
