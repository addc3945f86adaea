"""What the page of a failed run says: why, whose, which days, and what to do."""

from __future__ import annotations

from datetime import UTC, datetime

import dagster as dg
import pytest

from weathervane_assets.partitions import day_key, range_tags
from weathervane_resources.failures import as_failure
from weathervane_resources.http.errors import AuthDead, Deferred, VendorError
from weathervane_resources.settings import ConfigurationError

INSTANTS = "2026-11-22T05:00:00+00:00..2026-11-24T05:00:00+00:00"
UNTIL = datetime(2026, 11, 25, tzinfo=UTC)
CURE = "someone who manages the shop opens the app once more to allow it"
ABOUT = {"tenant": "acme", "days": "2026-11-22..2026-11-23"}
daily = dg.MultiPartitionsDefinition(
    {"date": dg.DailyPartitionsDefinition("2026-11-01"), "tenant": dg.StaticPartitionsDefinition(["acme"])}
)
raised: list[Exception] = []


@dg.asset(partitions_def=daily, backfill_policy=dg.BackfillPolicy.single_run())
def orders() -> None:
    with as_failure(CURE):
        raise raised[0]


def shown(error: Exception) -> tuple[str, dict[str, object]]:
    """Return the description and the metadata of a run over two days that fails so."""
    raised[:] = [error]
    days = (datetime(2026, 11, day, tzinfo=UTC).date() for day in (22, 23))
    tags = range_tags("acme", *(day_key("acme", day) for day in days))
    job = dg.Definitions([orders]).resolve_implicit_global_asset_job_def()
    with dg.DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(instance=instance, tags=tags, raise_on_error=False)
    (failed,) = [event for event in result.all_events if event.is_step_failure]
    said = failed.step_failure_data.user_failure_data
    assert said is not None
    return said.description or "", {name: value.value for name, value in said.metadata.items()}


def refused(window: str = INSTANTS) -> VendorError:
    return AuthDead("GET /orders: Invalid API key", vendor="shopify", tenant="acme", window=window, status=401)


def test_a_refused_credential_says_its_parts_and_its_days_as_the_tenant_has_them() -> None:
    """The page said `window 2026-11-22T05:00:00+00:00..2026-11-24T05:00:00+00:00`, all in one line below a traceback."""
    description, metadata = shown(refused())
    assert description.startswith(
        "shopify for tenant acme, window 2026-11-22..2026-11-23: GET /orders: Invalid API key"
    )
    cause = "AuthDead of shopify: GET /orders: Invalid API key (HTTP 401)"
    assert metadata == {**ABOUT, "cause": cause, "what_to_do": CURE}


def test_what_is_no_span_of_instants_stays_as_the_client_said_it() -> None:
    """A part of a long window, or a question about the account, is where one has to look."""
    for window in ("account", "2026-11-22..2026-11-22"):
        assert f"window {window}: " in shown(refused(window))[0]
    with pytest.raises(dg.Failure, match="window 2026-11-22T05"), as_failure():
        raise refused()


def test_a_wrong_configuration_and_a_run_that_was_put_off_say_whose_they_are() -> None:
    """Who looks at thirty red runs sorts them by tenant."""
    assert shown(ConfigurationError("half a credential; set the rest"))[1] == ABOUT
    error = Deferred("quota spent", until=UNTIL, vendor="shopify", tenant="acme", window=INSTANTS)
    metadata = shown(error)[1]
    assert metadata.items() >= {**ABOUT, "deferred_until": UNTIL.timestamp()}.items()
    assert metadata["cause"] == "Deferred of shopify: quota spent"
