"""The digest of a backfill: why, what to do, and where to look."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from tests.checks.alerting import Watchtower, Webhook, run_named
from weathervane_resources.failures import as_failure
from weathervane_resources.http.errors import AuthDead


@dg.op
def orders() -> None:
    with as_failure("open the app once more"):
        raise AuthDead("Invalid API key", vendor="shopify", tenant="acme", status=401)


@dg.job
def failing() -> None:
    orders()


@pytest.mark.parametrize(
    ("backfill", "links"),
    [("dyktwplr", ["run: http://ui/runs/{run}", "backfill: http://ui/runs/b/dyktwplr"]), ("true", ["run: http://ui/runs/{run}"])],
)  # fmt: skip
def test_a_digest_says_why_what_to_do_and_where_to_look(
    tower: Watchtower, hook: Webhook, backfill: str, links: list[str]
) -> None:
    """ "orders failed_run: critical, 2026-11-22" of type "info", with the id of an incident that `alerts list` did not know."""
    tag = "dagster/backfill" if backfill != "true" else "weathervane/backfill"
    tags = {tag: backfill, "dagster/partition": "2026-11-18|acme", "weathervane/tenant": "acme"}
    run = failing.execute_in_process(instance=tower.instance, tags=tags, raise_on_error=False)
    tower.judge("acme", "orders", "row_count_drop", "warning", "2026-11-17", run_id="other", tags=tags)
    tower.instance.report_run_canceled(tower.instance.get_run_by_id(run_named("other")))
    tower.now = datetime.now(UTC) + timedelta(minutes=1)
    tower.tick()
    tower.tick(after=timedelta(minutes=5))
    ((_, title, body),) = hook.taken
    assert title == "[critical] backfill of acme"
    what = "what: orders failed_run: shopify for tenant acme: Invalid API key (HTTP 401)"
    expected = [what, "what to do: open the app once more", *(link.format(run=run.run_id) for link in links)]
    assert body.splitlines()[-len(expected) :] == expected
    assert hook.bodies[-1]["type"] == "failure"
