"""The demo: made-up shops through the sandbox, on the real instance and into the real lake.

Belongs here: choosing the demo's tenants and days, and saying what to do next. It reads no credential: whatever the
environment holds is left out, and a tenants.toml that is not the demo's is left alone.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from weathervane_assets.backfill import Outcome, plan_steps, run_backfill
from weathervane_assets.console import out, print_outcomes, progress
from weathervane_assets.graph import NODES
from weathervane_assets.instance import open_instance, sync_tenants
from weathervane_assets.overridable import OVERRIDABLE
from weathervane_resources.clock import system_now
from weathervane_resources.credentials import SOURCES
from weathervane_resources.lake import Lake
from weathervane_resources.settings import ConfigurationError, Settings
from weathervane_resources.tenants import Tenant, load_tenants

HEADER = "# Written by `weathervane demo`. Delete it, or write your own tenants into it.\n"
SHOPS = (
    ("acme", "Acme Outdoor", "America/New_York", "USD"),
    ("bergwelt", "Bergwelt", "Europe/Berlin", "EUR"),
    ("kiwi", "Kiwi & Co", "Pacific/Auckland", "NZD"),
    ("demo-4", "Demo Four", "America/Los_Angeles", "USD"),
    ("demo-5", "Demo Five", "Asia/Tokyo", "JPY"),
    ("demo-6", "Demo Six", "Europe/London", "GBP"),
    ("demo-7", "Demo Seven", "Australia/Sydney", "AUD"),
    ("demo-8", "Demo Eight", "America/Chicago", "USD"),
)


def run_demo(settings: Settings, days: int, count: int, *, as_json: bool = False) -> bool:
    """Bring in `days` up to yesterday for `count` made-up shops; return whether all went well.

    Raises: ConfigurationError: tenants.toml holds other tenants; LakeError: the lake cannot be written.
    """
    _forget_credentials()
    _refuse_a_start_to_come(settings, count)
    tenants = _demo_tenants(settings, count)
    Lake(settings.lake).check_usable()
    instance = open_instance(settings)
    sync_tenants(instance, [tenant.id for tenant in tenants])
    outcomes: list[Outcome] = []
    for tenant in tenants:
        first, last = _span(tenant, days, settings)
        steps = plan_steps(tenant.id, first, last, list(NODES))
        with progress(sum(step.size for step in steps), tenant.id) as on_partition:
            outcomes.append(run_backfill(instance, tenant.id, steps, on_partition))
    print_outcomes(outcomes, as_json=as_json, expected="live_source")
    if not as_json:
        _say_what_next(settings, outcomes)
    return all(outcome.is_good for outcome in outcomes)


def _span(tenant: Tenant, days: int, settings: Settings) -> tuple[date, date]:
    last = tenant.today(system_now()) - timedelta(days=1)
    return max(last - timedelta(days=days - 1), settings.start_date), last


def _refuse_a_start_to_come(settings: Settings, count: int) -> None:
    """Raise ConfigurationError where a shop has no day that is over: there would be no partition to make."""
    now = system_now()
    if any(now.astimezone(ZoneInfo(zone)).date() <= settings.start_date for _, _, zone, _ in SHOPS[:count]):
        raise ConfigurationError(
            f"WEATHERVANE_START_DATE is {settings.start_date}, and no day from then on is over; set an earlier one, or unset it"
        )


def _forget_credentials() -> None:
    """Take every vendor variable, a tenant's own included, out of this process's environment."""
    names = {name for source in SOURCES for name in (*source.own, *source.app, *source.overrides)}
    for variable in list(os.environ):
        if variable.rpartition("__")[2] in names or variable == "GEONAMES_BASE_URL":
            del os.environ[variable]
    os.environ["WEATHERVANE_STUBS"] = "auto"


def _demo_tenants(settings: Settings, count: int) -> list[Tenant]:
    file, shops = settings.tenants_file, SHOPS[:count]
    written = _shops_of(file) if file.exists() else ()
    if written is None:
        raise ConfigurationError(
            f"{file} holds your own tenants, and the demo does not touch them; run it in a folder of its own: "
            "mkdir demo && cd demo && weathervane demo, where WEATHERVANE_* and DAGSTER_HOME are not set"
        )
    _write_whole(file, HEADER + "".join(_table(shop, settings.start_date) for shop in max(shops, written, key=len)))
    known = load_tenants(file, OVERRIDABLE, settings.start_date)
    return [known[tenant_id] for tenant_id, *_ in shops]


def _shops_of(file: Path) -> Sequence[tuple[str, str, str, str]] | None:
    """Return the shops of a file as an earlier demo left it, whatever their first day; None where anything else stands in it."""
    said = _without_starts(file.read_text(encoding="utf-8"))
    for count in range(1, len(SHOPS) + 1):
        shops = SHOPS[:count]
        if said == _without_starts(HEADER + "".join(_table(shop, date.min) for shop in shops)):
            return shops
    return None


def _without_starts(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("start_date = ")]


def _table(shop: tuple[str, str, str, str], start_date: date) -> str:
    tenant_id, name, timezone, currency = shop
    return (
        f'\n[tenants.{tenant_id}]\nname = "{name}"\ntimezone = "{timezone}"\ncurrency = "{currency}"\n'
        f'start_date = {start_date.isoformat()}\nshopify_protocol = "rest"\n'
    )


def _write_whole(file: Path, text: str) -> None:
    """Write so that a reader sees the old file or the new one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(f".{file.name}.part")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(file)


def _say_what_next(settings: Settings, outcomes: Sequence[Outcome]) -> None:
    counts = dict.fromkeys(("ok", "warning", "critical"), 0)
    for outcome in outcomes:
        for by_severity in outcome.checks.values():
            for severity, count in by_severity.items():
                counts[severity] += count
    summary = ", ".join(f"{count} {severity}" for severity, count in counts.items())
    seconds = sum(outcome.seconds for outcome in outcomes)
    out.print(f"checks: {summary}; {seconds:.1f} s", highlight=False)
    out.print(f"lake:   {settings.lake} (Delta tables, <lake>/<tenant>/<asset>)", highlight=False)
    out.print("next:   `make dev` opens the Dagster UI at http://127.0.0.1:3000", highlight=False)
