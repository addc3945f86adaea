"""The words of a message: what, where, since when, how bad, why probably, and where to look.

Belongs here: text, bounded and harmless. Campaign and ad names come from outside: they must not ring a channel's bell, be
a link or be HTML. Does not belong here: whether anything is said.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from urllib.parse import quote

from weathervane_resources.alert_records import (
    SEVERITY_RANK,
    AlertSeverity,
    Facts,
    Incident,
    Notice,
    NoticeKind,
    Subject,
    short_id,
)
from weathervane_resources.http.errors import scrub
from weathervane_resources.spelling import counted

from weathervane_checks.alerts import BACKFILL, FAILED_RUN, GIVEN_UP, NOT_RUN, STUCK_RUN, Due

MOST_LINES = 20
GROUP_OVER = 5
"""More messages of one kind for one tenant at once are one message."""
PART_MOST = 300
NOTE_MOST, CURE_MOST = 600, 400
"""Of what happened, which quotes a vendor (at most 300 of it), and of what to do, which must not be what is cut off."""
_HARMLESS = str.maketrans({"@": "＠", "<": "‹", ">": "›", "`": "'", "&": "+", "#": "＃"})
_LINKS, _ROUND = re.compile(r"\]\s*[(\[:]"), str.maketrans("[]", "()")
"""Brackets make a link only with an address, a name or a definition behind them; an error's own, `Expected ']'`, must stay what they are."""
_UI_BACKFILL = re.compile(r"[a-z]{8}")
"""How Dagster calls a backfill; `weathervane backfill` and a run of old days have no page of their own there."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u200b-\u200f\u202a-\u202e\u2066-\u2069]+")
HEADINGS = {"alert": "", "worse": " got worse", "reminder": " is still so", "recovery": " is over", "digest": ""}
CAUSES: Mapping[str, str] = {
    "dataset_missing": "the run did not write the day; look at the run, then start it again for the day",
    "not_backfilled": "the tenant is new: its first backfill is not over, or is still to be started (`weathervane backfill`)",
    "forecast_not_issued": "nobody asked for the forecast on its day, and it cannot be had any more; let issue_forecasts_schedule run",
    "table_unreadable": "a power cut or a full disk, or a table of another version; bring it back as docs/reliability.md says",
    "dataset_empty": "the source answered with nothing; look at the vendor's own figures for the day",
    "row_count_zero": "the source answered with nothing: a dead token, a closed shop or an outage at the vendor",
    "row_count_drop_warning": "a fetch that ended early, or fewer sales; compare with the vendor's own count",
    "row_count_drop_critical": "a fetch that ended early, a lost permission, or an outage at the vendor",
    "new_rows_drop_warning": "fewer rows than on such a day: a partial outage, or a day that belongs into the quiet days",
    "new_rows_low": "fewer rows than chance explains: a partial outage, or a quiet day; compare with the vendor's own count",
    "new_rows_drop_critical": "hardly any rows: an outage, a lost permission or a changed account",
    "new_rows_zero_streak_warning": "an outage at the source, or days that belong into the quiet days of tenants.toml",
    "new_rows_zero_streak_critical": "an outage at the source, a dead token or a closed shop",
    "geocoded_ratio_drop": "fewer orders find a place than usual: a changed checkout, or a country without postal table",
    "geocoded_ratio_warning": "addresses without postal code, or a country without postal table (weathervane places fetch)",
    "geocoded_ratio_critical": "addresses or postal tables are gone; see `weathervane coverage geocoding`",
    "weather_coverage_warning": "Open-Meteo had no weather for some places; materialise the day again, a forecast before midnight",
    "weather_coverage_critical": "Open-Meteo gave no weather at all; see `weathervane doctor`, and materialise the day again, a forecast before midnight",
    "weather_values_missing": "Open-Meteo answered with null for the named values: its model has a gap or lost them; see the same place on open-meteo.com",
    "weather_join_coverage_low": "weather is missing for many places of the matrix; materialise `weather_daily`, then `features`; in join mode as_of, what was decided on a day without a forecast stays so",
    "weather_stale": "no forecast was fetched for two days before the decision; is issue_forecasts_schedule on?",
    "conservation_broken": "orders were lost or doubled by the join; materialise `orders`, then `features`, and report it if it stays",
    "revenue_unknown": "the shop gave no revenue for some sales; look at these orders in the shop",
    "revenue_currency": "sales in another currency than tenants.toml says; `weathervane doctor` names the shop's",
    "rows_missing": "a fetch that ended early; materialise the day again",
    "contract_broken": "the vendor sends something new, or the rows are of an older release; look at the newest rows",
    "stub_source": "the source has no credentials, so its rows are made up; set them, or leave it if that is meant",
    "not_permitted": "a scope or role was taken away; connect the account again with it",
    "source_lost": "the source's variables are gone from where the runs run; set them again, then backfill the days since",
    "credential_ends": "the vendor ends it on that day, and it could not be renewed; a person must connect the account again before",
    "version_sunset": "the API version in use ends; set the newer one and watch the next night",
    "vendor_count_missing": "the vendor did not answer with its own count; nothing is known to be missing",
    FAILED_RUN: "a wrong setting, a full disk, a process that was killed or a bug; the run's page has the whole error",
    GIVEN_UP: "the runs that were to read the changed days again failed; see the last one's error, mend it, then `weathervane backfill`",
    NOT_RUN: "the check was planned and gave no verdict: it crashed, or a step before it did",
    STUCK_RUN: "the run's process is gone or hangs; end it in the UI and start it again",
    "target_unreachable": "the receiver refuses or is gone; see `weathervane alerts test`",
    "configuration_wrong": "a slip in the file; until it is mended no run of any tenant starts (`weathervane doctor` says when it is)",
    "event_unreadable": "the event is damaged, or of a newer Dagster; see the sensor `alerts` in the UI for all of them: what they said was passed over",
    "alerter_behind": "more events than the alerter reads; see the sensor `alerts` in the UI",
}


def clean(text: str, most: int = PART_MOST) -> str:
    """Return text from outside, without credentials, control characters and what a chat or a browser would act on."""
    flat = " ".join(_CONTROL.sub(" ", scrub(text)).translate(_HARMLESS).split()).rstrip(".")
    flat = flat.translate(_ROUND) if _LINKS.search(flat) else flat
    return flat if len(flat) <= most else flat[: most - 1] + "…"


def compose(found: Sequence[Due], names: Mapping[str, str], ui_url: str) -> list[Notice]:
    """Return the messages: one for each, or one for all of a tenant and kind where there are many."""
    notices: list[Notice] = []
    ordered = sorted(found, key=_together_with)
    for (tenant, *_), group in groupby(ordered, key=_together_with):
        items = list(group)
        name = clean(names.get(tenant, ""), 60)
        if len(items) > GROUP_OVER:
            notices.append(
                replace(_together(items, name, ui_url), parts=tuple(_one(item, name, ui_url) for item in items))
            )
        else:
            notices += [_one(item, name, ui_url) for item in items]
    order = {item.incident.id: n for n, item in enumerate(found)}
    return sorted(notices, key=lambda n: (n.kind == "recovery", order.get(n.key.partition("-")[0], -1)))


def _together_with(item: Due) -> tuple[str, NoticeKind, bool]:
    return item.incident.subject.tenant, item.kind, item.is_quiet


def _one(item: Due, name: str, ui_url: str) -> Notice:
    incident, kind = item.incident, item.kind
    severity = "ok" if kind == "recovery" else incident.severity
    if incident.subject.dataset == BACKFILL:
        title = f"backfill of {_whose(incident.subject.tenant)}"
        return _notice(item.key, item, severity, title, _digest_lines(item, name, ui_url))
    where = f"{_whose(incident.subject.tenant)} {incident.subject.dataset}: {incident.subject.cause}"
    days = days_said([day for _, day, _ in item.lines if day])
    title = f"{where}{HEADINGS[kind]}{f' ({days})' if days else ''}"
    return _notice(item.key, item, severity, title, _body(item, name, days, ui_url))


def _notice(key: str, item: Due, severity: AlertSeverity, title: str, lines: Sequence[str]) -> Notice:
    subject = item.incident.subject
    target = subject.dataset if subject.cause == "target_unreachable" else ""
    routed = item.incident.told_severity or item.incident.severity
    told = f"[{severity}] {title}"[:120], "\n".join(lines)
    return Notice(key, item.kind, subject.tenant, routed, *told, target, is_quiet=item.is_quiet)


def _body(item: Due, name: str, days: str, ui_url: str) -> list[str]:
    incident, subject = item.incident, item.incident.subject
    lines = [
        f"tenant: {_whose(subject.tenant)}{f' ({name})' if name and name != subject.tenant else ''}",
        f"dataset: {subject.dataset}",
        *([f"days: {days}"] if days else []),
        *(_past(item) if item.kind == "recovery" else _present(incident)),
        *_links(incident, ui_url, is_over=item.kind == "recovery"),
    ]
    return [*lines, f"incident: {incident.id} (since {incident.opened_at:%Y-%m-%d %H:%M} UTC)"]


def _present(incident: Incident) -> list[str]:
    facts = incident.facts
    observed = [f"observed: {clean(facts.observed)}"] if facts.observed else []
    expected = [f"expected: {clean(facts.threshold)}"] if facts.threshold else []
    return [*observed, *expected, *_what(facts), *_advice(incident)]


def _past(item: Due) -> list[str]:
    """Return what it was, never as if it were so now: under an "ok", the failure's figures read as today's."""
    facts = item.incident.facts
    was = facts.note or ", expected ".join(filter(None, (facts.observed, facts.threshold)))
    still = days_said([day for _, day, severity in item.lines if day and severity != "ok"])
    ended = f"ended after {_span(item.incident)}" + (f"; stored as they were: {still}" if still else "")
    return [*([f"was: {clean(was, NOTE_MOST)}"] if was else []), ended]


def _what(facts: Facts) -> list[str]:
    return [f"what: {clean(facts.note, NOTE_MOST)}"] if facts.note else []


def _advice(incident: Incident) -> list[str]:
    """Return what to do, where the failure itself says it, else what is mostly behind such a thing."""
    if incident.facts.cure:
        return [f"what to do: {clean(incident.facts.cure, CURE_MOST)}"]
    cause = next((CAUSES[code] for code in (*incident.facts.codes, incident.subject.cause) if code in CAUSES), "")
    return [f"likely cause: {cause}"] if cause else []


def _links(incident: Incident, ui_url: str, *, is_over: bool = False) -> list[str]:
    """Return where to look: at the run, of what is over at the one that ended it, and at the check or the backfill."""
    base, subject = ui_url.rstrip("/"), incident.subject
    how, run_id = "run", incident.facts.run_id
    if is_over:
        how, run_id = ("ended by", incident.ended_by) if incident.ended_by else ("was in run", run_id)
    lines = [f"{how}: {base}/runs/{quote(run_id)}"] if run_id else []
    if subject.dataset == BACKFILL:
        return (
            [*lines, f"backfill: {base}/runs/b/{quote(subject.cause)}"]
            if _UI_BACKFILL.fullmatch(subject.cause)
            else lines
        )
    if subject.tenant and subject.cause not in (FAILED_RUN, GIVEN_UP, STUCK_RUN, NOT_RUN):
        lines.append(f"check: {base}/assets/{quote(subject.dataset)}?view=checks&checkDetail={quote(subject.cause)}")
    return lines


def _digest_lines(item: Due, name: str, ui_url: str) -> list[str]:
    """Return a line for each check that is not ok in a backfill, and what is wrong with the first of the worst.

    No incident's id: whoever looks for it finds none, since a digest ends what it tells of.
    """
    bad = [line for line in item.lines if line[2] != "ok"]
    lines = [
        f"tenant: {_whose(item.incident.subject.tenant)}{f' ({name})' if name else ''}",
        "days in the past, nobody was paged; not ok:",
    ]
    for subject, rows in groupby(bad, key=lambda line: line[0]):
        lines.append(_digest_line(subject, list(rows)))
    lines[MOST_LINES + 2 :] = [f"and {len(lines) - MOST_LINES - 2} more"] if len(lines) > MOST_LINES + 2 else []
    return [
        *lines,
        *_what(item.incident.facts),
        *_advice(item.incident),
        *_links(item.incident, ui_url),
    ]


def _digest_line(subject: Subject, rows: Sequence[tuple[Subject, str, AlertSeverity]]) -> str:
    worst = max((severity for _, _, severity in rows), key=SEVERITY_RANK.__getitem__)
    return f"- {subject.dataset} {subject.cause}: {worst}, {days_said([day for _, day, _ in rows])}"


def _together(items: Sequence[Due], name: str, ui_url: str) -> Notice:
    """Return one message for many incidents of a tenant, the worst first, and what is wrong with that one."""
    ranked = sorted(items, key=lambda d: (-SEVERITY_RANK[d.incident.severity], d.incident.subject))
    first = ranked[0].incident
    severity = "ok" if ranked[0].kind == "recovery" else first.severity
    was = "was " if items[0].kind == "recovery" else ""
    shown = [
        f"- {was}{i.severity} {i.subject.dataset} {i.subject.cause} {days_said([day for _, day, _ in d.lines if day])} ({i.id})"
        for d in ranked[:MOST_LINES] for i in [d.incident]
    ]  # fmt: skip
    more = [f"and {len(ranked) - MOST_LINES} more: weathervane alerts list"] if len(ranked) > MOST_LINES else []
    key = f"{short_id(*(d.key for d in ranked))}-many"
    title = f"{_whose(first.subject.tenant)}: {len(items)} incidents{HEADINGS[items[0].kind].replace(' is ', ' are ')}"
    lines = [
        f"tenant: {_whose(first.subject.tenant)}{f' ({name})' if name else ''}",
        *shown,
        *more,
        *_of_worst(items[0].kind, first, ui_url),
    ]
    told = f"[{severity}] {title}", "\n".join(lines)
    return Notice(key, items[0].kind, first.subject.tenant, first.severity, *told, is_quiet=items[0].is_quiet)


def _of_worst(kind: NoticeKind, worst: Incident, ui_url: str) -> list[str]:
    if kind == "recovery":
        return []
    subject = worst.subject
    return [
        f"the first, {subject.dataset} {subject.cause}:",
        *_what(worst.facts),
        *_advice(worst),
        *_links(worst, ui_url),
    ]


def days_said(days: Sequence[str]) -> str:
    """Return days as text: one, a span, or their number with the first and the last."""
    known = sorted(set(days))
    if len(known) <= 3:
        return ", ".join(known)
    return f"{len(known)} days, {known[0]} to {known[-1]}"


def _whose(tenant: str) -> str:
    return tenant or "this installation"


def _span(incident: Incident) -> str:
    seconds = int(((incident.closed_at or incident.last_at) - incident.opened_at).total_seconds())
    return (
        f"{counted(seconds // 86400, 'day')} {seconds % 86400 // 3600} h"
        if seconds >= 86400
        else f"{seconds // 3600} h {seconds % 3600 // 60} min"
    )
