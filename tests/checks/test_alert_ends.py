"""How an incident ends, and what of a run that judges all tenants is told."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.checks.alerting import DAY, Watchtower, Webhook, drop, run_named
from weathervane_assets.graph import NODES


def test_the_end_says_what_was_and_not_as_if_it_were_so_now(tower: Watchtower, hook: Webhook) -> None:
    """ "[ok] ... is over, observed: 0.2143, expected: 0.6", and the link led to the bad run: whoever read it on a phone ran to a computer."""
    said = {"observed": 0.2143, "threshold": 0.6, "alerts": "row_count_drop_critical", "note": "12 rows replace 56"}
    drop(tower, "critical", **said)
    tower.judge("acme", "promos", "row_count_drop", "warning", DAY)
    tower.tick()
    drop(tower, "ok", run_id="mended", observed=1.0, threshold=0.6)
    tower.judge("acme", "promos", "row_count_drop", "ok", DAY, run_id="mended")
    tower.tick(after=timedelta(minutes=8))
    assert f"run: http://ui/runs/{run_named('run')}" in hook.taken[0][2].splitlines()
    orders, promos = (body.splitlines() for _, title, body in hook.taken if title.startswith("[ok]"))
    assert orders[2:-2] == [
        f"days: {DAY}",
        "was: 12 rows replace 56",
        "ended after 0 h 8 min",
        f"ended by: http://ui/runs/{run_named('mended')}",
    ]
    assert promos[3] == "was: 1, expected 2", "a check that only has figures"


def test_what_began_and_ended_between_two_ticks_is_told_with_the_run_of_each(tower: Watchtower, hook: Webhook) -> None:
    """The alert is made when the incident is over already: it is about the bad run all the same."""
    drop(tower, "critical")
    drop(tower, "ok", run_id="mended")
    tower.tick()
    (alert, recovery) = (body.splitlines() for _, _, body in hook.taken)
    assert f"run: http://ui/runs/{run_named('run')}" in alert
    assert f"ended by: http://ui/runs/{run_named('mended')}" in recovery


def look(tower: Watchtower, job: str, severity: str, **tags: str) -> None:
    """Let `freshness` judge all tenants: kiwi's datasets are as said, acme's are fresh."""
    for dataset in NODES:
        kiwi = {"severity": severity, "newest": None, "due": DAY, "days_late": 9, "alerts": ["not_backfilled"]}
        acme = {"severity": "ok", "newest": DAY, "due": DAY, "days_late": 0, "alerts": []}
        said = {"by_tenant": {"kiwi": kiwi, "acme": acme}}
        run_id = f"{job} {severity} {tags}"
        tower.judge("kiwi", dataset, "freshness", severity, None, run_id=run_id, tags=tags, job=job, **said)


@pytest.mark.parametrize("tags", [{}, {"dagster/backfill": "bf-1"}], ids=["a click", "a backfill"])
def test_freshness_is_told_by_its_own_job_alone(tower: Watchtower, hook: Webhook, tags: dict[str, str]) -> None:
    """Whoever made one tenant's orders in the UI paged fifteen times that another tenant's were late, and a backfill did too."""
    look(tower, "__ASSET_JOB", "warning", **tags)
    tower.tick()
    assert hook.titles == []
    look(tower, "freshness", "warning")
    look(tower, "__ASSET_JOB", "critical", **tags)
    tower.tick(after=timedelta(minutes=5))
    assert hook.titles == [f"[warning] kiwi: {len(NODES)} incidents"]
    look(tower, "__ASSET_JOB", "ok", **tags)
    tower.tick(after=timedelta(minutes=5))
    assert hook.titles[1:] == [f"[ok] kiwi: {len(NODES)} incidents are over"], "what is well is well"
