"""The incident of a source that lost its credentials: it ends when the source counts as given up."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import polars as pl

from tests.checks.alerting import watchtower, webhook
from weathervane_checks.rules.sources import judge_live_source


def test_the_incident_of_a_lost_source_ends_by_itself_when_it_counts_as_given_up(tmp_path: Path) -> None:
    """Meta was given up: a reminder came each week for as long as nobody snoozed it. Its days are judged again for a month."""
    with webhook() as hook, watchtower(tmp_path, hook) as tower:
        tower.tick()
        last, nights = date(2026, 11, 18), range(1, 26)
        written = {last: "meta_api"} | {last + timedelta(days=n): "not_configured" for n in nights}
        for n in nights:
            until = list(written.items())[: n + 1]
            night = (pl.col("date").cast(pl.Datetime("us", "UTC")) + timedelta(days=1, hours=3)).alias("written_at_utc")
            known = pl.DataFrame(until, schema={"date": pl.Date, "source": pl.String}, orient="row").with_columns(night)
            for found in judge_live_source(known, known["date"].to_list()[1:]):
                facts = {"alerts": ", ".join(found.alerts), "note": found.note, "run_id": f"night {n}"}
                tower.judge("acme", "meta_ads", "live_source", found.severity, str(found.day), **facts)
            tower.tick(after=timedelta(days=1))
        assert [title.partition(" (")[0].partition(": ")[2] for title in hook.titles] == [
            "live_source", "live_source is still so", "live_source is still so", "live_source is over",
        ]  # fmt: skip
        told = ": the source was live until 2026-11-18 and has no credentials any more; the partition is empty. 15 days after"
        said = [text.partition(told)[0].rpartition("\n")[2] for _, _, text in hook.taken if told in text]
        assert said == ["what", "what", "what", "was"]
