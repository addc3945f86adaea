"""The check live_source of a real shop's orders: what it says of the credential they were read with."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.assets.test_cli import GOOD
from tests.assets.test_doctor import findings, live
from tests.checks.alerting import Webhook, watchtower
from tests.commands import run
from weathervane_assets.doctor_sources import source_lines
from weathervane_checks.alert_text import CAUSES
from weathervane_checks.catalog import live_source
from weathervane_checks.dq_report import examine_quality
from weathervane_checks.evidence import open_evidence
from weathervane_checks.findings import Finding
from weathervane_resources.platform import Platform
from weathervane_resources.sandbox import RunningSandbox
from weathervane_resources.state import open_state
from weathervane_resources.state_tables import tokens

DAY = date(2026, 11, 2)


class At:
    """A clock that stands."""

    def __init__(self, now: datetime) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now


def here(folder: Path, url: str) -> dict[str, str]:
    (folder / "tenants.toml").write_text(GOOD)
    mine = {name: value for name, value in live(url).items() if name.startswith("SHOPIFY")}
    app = {"SHOPIFY_CLIENT_ID": "app", "SHOPIFY_CLIENT_SECRET": "PLANTED", "SHOPIFY_REFRESH_TOKEN": "shprt_PLANTED"}
    places = {"WEATHERVANE_LAKE": str(folder / "lake"), "WEATHERVANE_STATE_URL": f"sqlite:///{folder}/state/w.db"}
    tenants = {"WEATHERVANE_TENANTS": str(folder / "tenants.toml"), "GEONAMES_BASE_URL": url}
    return mine | app | places | tenants | {"SHOPIFY_ACCESS_TOKEN": "expired_PLANTED"}


def end(env: dict[str, str], ends: datetime) -> None:
    """Let the stored refresh token end then, its access token being good for a day: it is not renewed meanwhile."""
    with open_state(env["WEATHERVANE_STATE_URL"]).begin() as connection:
        good = datetime.now(UTC) + timedelta(days=1)
        connection.execute(sa.update(tokens).values(refresh_expires_at=ends, expires_at=good))


def test_a_refresh_token_that_ends_is_warned_of_by_the_night_and_found_by_the_doctor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody was warned: the first word was the night that failed, and the person who may connect the shop was on leave."""
    with RunningSandbox() as sandbox:
        env = here(tmp_path, sandbox.url)
        days = ["--from", f"{DAY}", "--to", f"{DAY}", "--asset", "orders"]
        assert run(tmp_path, "backfill", "--tenant", "acme", *days, **env).returncode == 0
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        now = datetime.now(UTC)
        ends = now + timedelta(days=10)

        def judged() -> Finding:
            evidence = open_evidence("orders", [f"{DAY}|acme"], Platform(threshold_names=[]), At(now))
            (finding,) = live_source(evidence)
            return finding

        assert judged().is_ok, "Shopify gave it thirty days"
        assert findings(tmp_path, **env)[0] == 0
        end(env, ends)
        assert (judged().severity, judged().alerts) == ("warning", ("credential_ends",))
        assert judged().note.startswith(f"the credential ends on {ends:%Y-%m-%d}: someone who manages the shop")
        assert judged().note.endswith("SHOPIFY_REFRESH_TOKEN")
        code, found = findings(tmp_path, **env)
        assert (code, found) == (1, {"shopify acme": judged().note})
        listed = run(tmp_path, "tokens", "list", **env).stdout
        assert f"{ends:%Y-%m-%d}" in "".join(listed.split("\n"))
        assert "PLANTED" not in listed
        platform, soon = Platform(threshold_names=[]), datetime(2026, 11, 3, 15, tzinfo=UTC)
        end(env, soon + timedelta(days=10))
        reported = examine_quality(platform.tenants()["acme"], platform.lake(), soon, platform).run["datasets"][
            "orders"
        ]
        assert "credential_ends" in reported["alerts"], "the report asks what the check asks"
        monkeypatch.setenv("WEATHERVANE_STATE_URL", "sqlite:////proc/none/w.db")
        assert judged().is_ok, "what cannot be known is no verdict on the rows"


@pytest.mark.parametrize(("today", "is_noted"), [(date(2026, 12, 31), True), (date(2027, 1, 1), False)])
def test_a_fixed_token_is_noted_until_shopify_stops_those_of_public_apps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, today: date, is_noted: bool
) -> None:
    """The app of an agency was public, its permanent token years old, and the date stood in a changelog."""
    with RunningSandbox() as sandbox:
        env = here(tmp_path, sandbox.url) | {"SHOPIFY_ACCESS_TOKEN": "shpat_PLANTED"}
        fixed = {"SHOPIFY_REFRESH_TOKEN": "", "SHOPIFY_CLIENT_SECRET": "", "SHOPIFY_CLIENT_ID": ""}
        for change, noted in (
            (fixed, is_noted),
            (fixed | {"SHOPIFY_CLIENT_ID": "app", "SHOPIFY_CLIENT_SECRET": "s"}, False),
        ):
            for name, value in (env | change).items():
                monkeypatch.setenv(name, value)
            now = datetime(today.year, today.month, today.day, 12, tzinfo=UTC)
            lines = [line for line in source_lines(Platform(threshold_names=[]), now) if line.subject == "shopify acme"]
            texts = [line.text for line in lines if line.level == "note"]
            assert any("permanent token stops on 2027-01-01" in text for text in texts) is noted


def test_a_credential_that_ends_is_told_with_what_to_do(tmp_path: Path, hook: Webhook) -> None:
    """Two weeks were there to find whoever may connect the account again; the first message was the failed night."""
    with watchtower(tmp_path, hook) as tower:
        tower.tick()
        tower.judge("acme", "orders", "live_source", "warning", f"{DAY}", alerts="credential_ends")
        tower.tick()
    ((_, title, text),) = hook.taken
    assert title.startswith("[warning] acme orders: live_source")
    assert f"likely cause: {CAUSES['credential_ends']}" in text


def test_a_credential_that_ends_is_in_the_reminder_of_a_version_that_does(tmp_path: Path, hook: Webhook) -> None:
    """The incident of the version is open for sixty days, and reminders said again what was told first."""
    with watchtower(tmp_path, hook) as tower:
        tower.tick()
        tower.judge("acme", "orders", "live_source", "warning", f"{DAY}", alerts="version_sunset")
        tower.tick()
        both, next_day = "credential_ends, version_sunset", f"{DAY + timedelta(days=1)}"
        tower.judge("acme", "orders", "live_source", "warning", next_day, alerts=both, run_id="next")
        tower.tick(after=timedelta(days=1))
    assert CAUSES["credential_ends"] in hook.taken[-1][2]
    assert CAUSES["credential_ends"] not in hook.taken[0][2]
