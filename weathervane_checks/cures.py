"""What to do when a check is not content, in the words of someone who did not write it.

Belongs here: one cure for each check, shown on its page in the UI and in docs/checks.md; its first sentence is what to do
first, and stands alone below a backfill. Does not belong here: what the
check looks at, which its rule says (`catalog.py`).
"""

from __future__ import annotations

CURES = {
    "contract": (
        "After an upgrade, backfill the days again; otherwise the vendor sends something new: look at the newest rows. Nothing "
        "downstream was made. The offending columns and days are in the metadata."
    ),
    "live_source": (
        "Set the source's credentials, or leave it if made-up rows are meant, or if the source was given up; of a source that "
        "lost them, backfill the days since. For a version that ends, set a newer one; for a credential "
        "that ends, connect the account again before that day, as the note says. `weathervane doctor` names them."
    ),
    "row_count_drop": (
        "Look whether the shop or the ads really paused that day. If not, materialise the day again; if it stays low, look at "
        "the vendor's side and at the credentials."
    ),
    "geocoding_coverage": (
        "Fetch the postal tables of the countries named in the metadata (`weathervane places fetch`), then materialise the "
        "days again. Orders without an address, such as downloads, cannot be placed."
    ),
    "completeness": (
        "Materialise the day again. A day that is refused needs the scope `read_all_orders`; a day never fetched needs a backfill."
    ),
    "coverage": (
        "Materialise the day again: the vendor may have had a gap. If all cells lack it, `weathervane doctor` says whether "
        "Open-Meteo answers. Of `weather_forecast` do it today: tomorrow its forecast cannot be had. Where `missing_values` names "
        "columns, Open-Meteo answers with null for them: they, and the flags and lags made of them, stay null until it has them "
        "again; do not train on them, and snooze the alert if its model has none where you sell."
    ),
    "freshness": (
        "Look whether the schedules are on and the daemon runs, then whether the newest run failed and why; materialise the "
        "days that are missing. A forecast that was missed stays missing: let `issue_forecasts_schedule` run."
    ),
    "kept": "Another run wrote the report at the same time: run `dq_report` again.",
    "stands_alone": (
        "Run `tenant_report` again: another run may have written the page at the same time. If it stays, it is an error of "
        "the program: report it, and do not mail the page."
    ),
    "weather_join_coverage": (
        "Materialise `weather_daily` of the days in the metadata, then `features`. In join mode as_of, what was decided while no "
        "forecast came stays without weather: nobody can fetch yesterday's forecast."
    ),
    "weather_join_leakage": (
        "Do not train on these days: the rule's number (W01 to W18, docs/weather.md) says what leaked. Materialise "
        "`weather_daily` and `features` again; if it stays, it is an error of the program: report it."
    ),
    "conservation": (
        "Of a warning, see whether `currency` of tenants.toml is the shop's (`weathervane doctor` names it); if it is critical, do "
        "not use these days: orders were lost or doubled by the join. Sales in another currency, or for which the shop gave no "
        "revenue, only warn. Of a critical day materialise `orders`, then `features` again; if it stays, it is an error of the "
        "program: report it."
    ),
}


def described(check: str, says: str) -> str:
    """Return what a check looks at, and what to do when it is not content, as Markdown."""
    return f"{says}\n\n**If it is not content.** {CURES[check]}"


def next_step(check: str) -> str:
    """Return what to do first: the first sentence."""
    return CURES[check].partition(". ")[0].removesuffix(".")
