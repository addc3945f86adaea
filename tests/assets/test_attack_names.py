"""What a vendor's user types as a name never reaches the UI."""

from __future__ import annotations

from tests.assets.conftest import Installation
from weathervane_assets.backfill import Outcome


def test_no_name_from_outside_is_in_any_event_of_a_run(filled: tuple[Installation, Outcome]) -> None:
    """The UI renders Markdown; what is never shown there can inject nothing, and leaks nothing."""
    here, done = filled
    ads, promos = here.rows("acme", "ads"), here.rows("acme", "promos")
    names = {*ads["campaign_name"].drop_nulls(), *ads["adset_name"].drop_nulls(), *promos["name"].drop_nulls()}
    assert len(names) >= 5
    said = "".join(repr(entry) for run in done.run_ids for entry in here.instance.all_logs(run))
    assert "meta_ads" in said
    assert sorted(name for name in names if name in said) == []
