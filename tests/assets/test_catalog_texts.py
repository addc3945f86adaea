"""What the catalog says: someone who buys advertising reads it, not someone who wrote it."""

from __future__ import annotations

import re
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from weathervane_assets.definitions import build_defs
from weathervane_assets.graph import NODES
from weathervane_assets.tables import CONTRACTS
from weathervane_checks.catalog import CHECKS
from weathervane_checks.cures import CURES

ROOT = Path(__file__).parents[2]
JARGON = re.compile(r"\b(?:LazyFrame|DataFrame|idempotent|predicate|upsert|asyncio|cursor|struct|join key|m:1|1:1)\b")
LAYERS = {"raw", "joined", "matrix", "report"}
SOURCES = {"shopify", "meta", "googleads", "klaviyo", "openmeteo", "derived"}


@pytest.fixture(scope="module")
def graph() -> dg.AssetGraph:
    return build_defs({}).resolve_asset_graph()


def test_every_asset_begins_with_the_question_it_answers(graph: dg.AssetGraph) -> None:
    """'Materialised view of the orders stream' told an analyst nothing; a question tells whether to read on. The list of assets shows
    its first line as it is written, with the asterisks of one in bold type."""
    for name in NODES:
        description = graph.get(dg.AssetKey(name)).description or ""
        assert re.match(r"[A-Z][^*]{20,}\?\n\n[A-Z]", description), name
        assert not JARGON.search(description), name


def test_every_asset_is_tagged_with_layer_personal_data_and_source(graph: dg.AssetGraph) -> None:
    """'Which tables hold personal data?' is asked once a year, by someone in a hurry."""
    for key in graph.get_all_asset_keys():
        tags = graph.get(key).tags
        assert tags["layer"] in LAYERS
        assert tags["source"] in SOURCES
        assert tags["pii"] in {"none", "coarse_place"}
    assert graph.get(dg.AssetKey("orders")).tags["pii"] == "coarse_place"
    assert graph.get(dg.AssetKey("orders")).tags["source"] == "shopify"
    assert graph.get(dg.AssetKey("features")).tags["source"] == "derived"


def test_every_asset_links_to_docs_and_code_that_exist(graph: dg.AssetGraph) -> None:
    """A link that leads nowhere is worse than none."""
    for key in graph.get_all_asset_keys():
        docs = graph.get(key).metadata["docs"]
        page, _, heading = str(docs.value).partition("#")
        text = (ROOT / page).read_text()
        assert not heading or f"\n## {heading}\n" in text
    for name, node in NODES.items():
        [place] = graph.get(dg.AssetKey(name)).metadata["dagster/code_references"].code_references
        line = Path(place.file_path).read_text().splitlines()[place.line_number - 1]
        assert line.startswith(f"def {node.name}(")
        assert place.label == f"{Path(place.file_path).relative_to(ROOT)}:{place.line_number}"


@pytest.mark.parametrize("name", list(CONTRACTS))
def test_every_number_has_a_unit(name: str) -> None:
    """A number without a unit is guessed at; snow was once taken for millimetres."""
    for column, details in CONTRACTS[name].to_schema().columns.items():
        dtype = details.dtype.type
        assert details.description
        assert details.description[0].isupper() or details.description[0].isdigit()
        assert details.description.endswith(".")
        is_number = dtype.is_numeric() and not column.endswith("_flag")
        if is_number or (isinstance(dtype, pl.Datetime) and dtype.time_zone):
            assert (details.metadata or {}).get("unit"), column


def test_every_check_says_what_it_looks_at_and_what_to_do(graph: dg.AssetGraph) -> None:
    """A red mark whose page says only its name sends everyone to the one who wrote it."""
    keys = graph.asset_check_keys
    assert {check.name for check in CHECKS} <= {key.name for key in keys}
    assert {key.name for key in keys} == set(CURES), "a check without a cure, or a cure without a check"
    for key in keys:
        says, _, cure = (graph.get(key).description or "").partition("\n\n**If it is not content.** ")
        assert len(says) > 30, key
        assert len(cure) > 30, key
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", key.name)


def test_every_schedule_and_sensor_says_what_it_does() -> None:
    """The page Automation is a list of names; whoever switches one on must know what it starts."""
    location = build_defs({})
    for one in (*(location.schedules or []), *(location.sensors or []), *(location.jobs or [])):
        assert len(one.description or "") > 25, one.name
