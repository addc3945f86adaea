"""Days that Meta and Google keep no numbers of any more: never asked for, unknown, and nobody's alarm."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import polars as pl
import pytest
from deltalake import DeltaTable

from tests.assets.conftest import Installation
from weathervane_resources.clients import google_ads, meta_ads
from weathervane_resources.lake_ledger import LEDGER, own_days

AT = "2027-06-01T15:00:00+00:00"
"""When the days of 2024, with which an installation begins, have become too old."""
OLDEST = datetime.fromisoformat(AT).date() - meta_ads.KEEPS
FIRST, LAST = OLDEST - timedelta(days=2), OLDEST + timedelta(days=1)
OLD, KEPT = [FIRST, OLDEST - timedelta(days=1)], [OLDEST, LAST]
ADS = ("meta_ads", "google_ads", "ads")
GOOGLE = ("ACME__GOOGLE_ADS_CUSTOMER_ID", "ACME__GOOGLE_ADS_REFRESH_TOKEN", "GOOGLE_ADS_DEVELOPER_TOKEN",
          "GOOGLE_ADS_CLIENT_ID", "GOOGLE_ADS_CLIENT_SECRET")  # fmt: skip
SPEND = ("tenant_meta_spend", "tenant_google_spend", "tenant_ad_spend", "tenant_ad_clicks")


@pytest.fixture(autouse=True)
def live(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials, for the sandbox."""
    base = f"{installation.sandbox.url}/t/acme"
    values = {
        "ACME__META_ACCESS_TOKEN": "EAAlive",
        "ACME__META_AD_ACCOUNT_ID": "1",
        "META_BASE_URL": base,
        "GOOGLE_ADS_DEVELOPER_TOKEN": "d",
        "GOOGLE_ADS_CLIENT_ID": "c",
        "GOOGLE_ADS_CLIENT_SECRET": "s",
        "ACME__GOOGLE_ADS_CUSTOMER_ID": "2",
        "ACME__GOOGLE_ADS_REFRESH_TOKEN": "1//live",
        "GOOGLE_ADS_BASE_URL": base,
        "GOOGLE_OAUTH_URL": f"{base}/token",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)


def noted(here: Installation, dataset: str) -> dict[date, str]:
    return dict(here.lake.ledger("acme", dataset).sort("date").select("date", "source").iter_rows())


def test_old_days_are_noted_and_the_others_of_the_window_are_read(installation: Installation) -> None:
    """Meta refused the whole window for its first day (3018), and the spend of three years was missing."""
    outcome = installation.backfill("acme", FIRST, LAST, *ADS, now=AT)
    assert outcome.failures == []
    assert noted(installation, "meta_ads") == dict.fromkeys(OLD, "not_kept") | dict.fromkeys(KEPT, "meta_api")
    assert noted(installation, "google_ads") == dict.fromkeys(OLD, "not_kept") | dict.fromkeys(KEPT, "google_ads_api")
    assert set(noted(installation, "ads").values()) == {"not_kept", "google_ads_api+meta_api"}
    assert set(installation.rows("acme", "ads")["date"]) == set(KEPT)
    assert own_days(installation.lake.ledger("acme", "meta_ads")) == KEPT


def test_their_spend_is_unknown_in_the_matrix_and_not_zero(installation: Installation) -> None:
    """Zero would teach a model that the brand sold without ads in 2024."""
    installation.backfill("acme", FIRST, LAST, "orders", *ADS, "features", now=AT)
    matrix = installation.rows("acme", "features").select("date", *SPEND).unique()
    for row in matrix.iter_rows(named=True):
        assert [row[name] is None for name in SPEND] == [row["date"] in OLD] * len(SPEND)
    assert matrix.height == len(OLD + KEPT)


def test_what_one_platform_does_not_know_any_more_makes_the_total_unknown(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Meta's spend alone was the day's total."""
    monkeypatch.setattr("weathervane_assets.ads.META_KEEPS", meta_ads.KEEPS + timedelta(days=10))
    installation.backfill("acme", FIRST, FIRST, "orders", *ADS, "features", now=AT)
    (row,) = installation.rows("acme", "features").select(SPEND).unique().iter_rows(named=True)
    assert row.pop("tenant_meta_spend") > 0
    assert set(row.values()) == {None}


def test_nobody_is_woken_for_them(installation: Installation) -> None:
    """They will never come: a warning about them would stand for ever."""
    outcome = installation.backfill("acme", FIRST, OLD[-1], *ADS, now=AT)
    assert outcome.failures == []
    said = {name: found for name, found in outcome.checks.items() if name.split(".")[0] in ADS}
    assert said
    assert {severity for found in said.values() for severity in found} == {"ok"}


def test_nobody_is_woken_for_them_where_there_is_but_one_platform(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`not_configured+not_kept` was taken for days that were read and had no ads: a streak of zeros, critical from the fourth on."""
    monkeypatch.setenv("WEATHERVANE_STUBS", "never")
    for name in GOOGLE:
        monkeypatch.delenv(name)
    outcome = installation.backfill("acme", FIRST - timedelta(days=5), OLD[-1], *ADS, now=AT)
    assert outcome.failures == []
    assert set(noted(installation, "ads").values()) == {"not_kept"}
    assert set(outcome.checks["ads.row_count_drop"]) == {"ok"}


def test_they_are_not_kept_also_after_the_platform_was_given_up(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Written as not configured, the tenant seemed to have had no such platform, and the other's spend was the total."""
    installation.backfill("acme", FIRST, OLD[-1], "google_ads", now=AT)
    monkeypatch.setenv("WEATHERVANE_STUBS", "never")
    for name in GOOGLE:
        monkeypatch.delenv(name)
    assert installation.backfill("acme", FIRST, OLD[-1], "google_ads", now=AT).failures == []
    assert noted(installation, "google_ads") == dict.fromkeys(OLD, "not_kept")


def test_a_day_that_was_read_and_not_noted_stays(installation: Installation) -> None:
    """A run was killed between table and ledger, and the day became too old before the next: its rows failed every later run."""
    before = (datetime.fromisoformat(AT) - timedelta(days=9)).isoformat()
    installation.backfill("acme", OLD[0], OLD[-1], "meta_ads", now=before)
    known = installation.rows("acme", "meta_ads")
    DeltaTable(installation.lake.uri("acme", LEDGER)).delete("dataset = 'meta_ads'")
    assert noted(installation, "meta_ads") == {}
    assert installation.backfill("acme", OLD[0], OLD[-1], "meta_ads", now=AT).failures == []
    assert installation.rows("acme", "meta_ads").sort("date", "adset_id").equals(known.sort("date", "adset_id"))


def test_a_window_of_old_days_only_asks_nobody(installation: Installation) -> None:
    """Not even for the account: it may be closed by now."""
    asked = len(installation.sandbox.log)
    outcome = installation.backfill("acme", FIRST, OLD[-1], *ADS, now=AT)
    assert outcome.failures == []
    assert installation.sandbox.log[asked:] == []


def test_what_was_read_in_its_time_stays(installation: Installation) -> None:
    """A backfill of everything, three years on, replaced the oldest spend with nothing."""
    before = (datetime.fromisoformat(AT) - timedelta(days=9)).isoformat()
    assert installation.backfill("acme", OLD[0], KEPT[-1], *ADS, now=before).failures == []
    known = installation.rows("acme", "meta_ads").sort("date", "adset_id")
    assert set(known["date"]) >= set(OLD)
    outcome = installation.backfill("acme", OLD[0] - timedelta(days=5), KEPT[-1], *ADS, now=AT)
    assert outcome.failures == []
    after = installation.rows("acme", "meta_ads").sort("date", "adset_id")
    assert after.filter(pl.col("date").is_in(OLD)).equals(known.filter(pl.col("date").is_in(OLD)))
    assert {noted(installation, "meta_ads")[day] for day in OLD} == {"meta_api"}


def test_the_margin_is_a_month() -> None:
    """At 37 months to the day, the clocks of two continents decide whether a window fails."""
    assert meta_ads.KEEPS == google_ads.KEEPS
    assert timedelta(days=1_126) - meta_ads.KEEPS >= timedelta(days=30)
