"""What someone types into the launchpad of a run."""

from __future__ import annotations

import os

import dagster as dg
import pytest

from tests.assets.conftest import Installation
from weathervane_assets.definitions import build_defs

RESOURCES = ("shopify", "meta", "google", "klaviyo", "open_meteo")


@pytest.mark.parametrize(
    "config", [{"rate_limit_per_second": 0.0}, {"rate_limit_per_second": -1.0}, {"rate_limit_capacity": 0.5}]
)
def test_a_rate_at_which_nothing_is_sent_is_refused_once(installation: Installation, config: dict[str, float]) -> None:
    """0 was three red runs with a traceback on live orders, and a green one on stub rows."""
    job = (
        build_defs(os.environ)
        .resolve_implicit_global_asset_job_def()
        .get_subset(asset_selection={dg.AssetKey("orders")})
    )
    done = job.execute_in_process(
        instance=installation.instance, partition_key="2026-11-18|acme", raise_on_error=False,
        run_config={"resources": {"shopify": {"config": config}}},
    )  # fmt: skip
    run = installation.instance.get_run_by_id(done.run_id)
    assert run is not None
    assert run.tags["dagster/max_retries"] == "0"
    [failed] = [event.step_failure_data for event in done.all_events if event.is_step_failure]
    assert failed.user_failure_data.description.startswith(
        "shopify: rate_limit_per_second and rate_limit_capacity are "
    )
    assert installation.rows("acme", "orders").is_empty()


@pytest.mark.parametrize("name", RESOURCES)
def test_the_launchpad_says_what_each_field_of_a_connector_is(name: str) -> None:
    """`rate_limit_capacity` beside an empty box: nobody knew of what."""
    resource = build_defs({}).resources[name]
    fields = type(resource).to_config_schema().as_field().config_type.fields
    assert {"rate_limit_per_second", "rate_limit_capacity", "outage_s"} <= set(fields)
    assert all(len(field.description or "") > 25 for field in fields.values())
