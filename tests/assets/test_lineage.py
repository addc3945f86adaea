"""Column lineage: only columns that exist, only where it is true, and on the newest partition."""

from __future__ import annotations

import dagster as dg
import pytest

from tests.assets.conftest import Installation
from weathervane_assets.backfill import Outcome
from weathervane_assets.graph import NODES
from weathervane_assets.lineage import LINEAGE, OF_ADS, OF_WEATHER, of_features
from weathervane_assets.tables import CONTRACTS, polars_schema

OF_THE_RUN = {"tenant_id", "source", "join_mode", "as_of_utc"}
TABLES = {
    "ads": OF_ADS,
    "weather_daily": OF_WEATHER,
    "features": of_features(is_as_of=False),
    "features as of": of_features(is_as_of=True),
}


@pytest.mark.parametrize("name", TABLES)
def test_every_column_named_is_there_and_its_asset_is_read(name: str) -> None:
    """A lineage drawn to a column that was renamed leads nowhere, and nobody notices."""
    asset = name.split(maxsplit=1)[0]
    node = NODES[asset]
    assert set(TABLES[name]) <= set(polars_schema(CONTRACTS[asset]))
    for sources in TABLES[name].values():
        assert sources
        for source, column in sources:
            assert source in (*node.reads, *node.follows)
            assert column in polars_schema(CONTRACTS[source])


def test_the_matrix_has_an_origin_for_all_but_what_the_run_itself_knows() -> None:
    """A column that is added without one is found here."""
    assert set(polars_schema(CONTRACTS["features"])) - set(TABLES["features"]) == OF_THE_RUN


def test_as_of_its_decision_no_weather_or_spend_is_said_to_come_from_a_table() -> None:
    """There the weather is that of versions, and what ads cost is not known yet."""
    assert {asset for sources in TABLES["features as of"].values() for asset, _ in sources} == {"orders", "promos"}


def test_the_newest_partition_shows_it(filled: tuple[Installation, Outcome]) -> None:
    """On each of 365 partitions it would be half of the event log."""
    here, _ = filled
    for asset in ("ads", "weather_daily", "features"):
        records = here.instance.fetch_materializations(dg.AssetKey(asset), limit=500).records
        shown = {str(one.partition_key) for one in records if LINEAGE in one.asset_materialization.metadata}
        assert len(records) > len(shown)
        assert shown == {max(str(one.partition_key) for one in records)}
