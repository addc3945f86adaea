"""Who gets a message: the installation's targets, and the tenant's own, each from its least severity on.

Belongs here: turning configuration into targets. A tenant's message never goes to another tenant's target, and what
concerns the installation goes to no tenant's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from weathervane_resources.alert_records import SEVERITY_RANK, Notice
from weathervane_resources.notifier import Target, open_target
from weathervane_resources.settings import ConfigurationError, Settings
from weathervane_resources.tenants import Tenant


def configured_targets(settings: Settings, tenants: Iterable[Tenant]) -> tuple[list[Target], list[str]]:
    """Return the targets, and one line for each URL that Apprise cannot read.

    A URL that several of them name is a target of each of them; its `id` says whose.
    """
    wanted = [("WEATHERVANE_ALERT_URLS", "", url, settings.alert_severity) for url in settings.alert_urls]
    wanted += [
        (f"{settings.tenants_file}: [tenants.{t.id}] alert_urls", t.id, url, t.alert_severity)
        for t in tenants
        for url in t.alert_urls
    ]
    targets: list[Target] = []
    complaints: list[str] = []
    for where, tenant, url, severity in wanted:
        try:
            target = open_target(url, min_severity=severity, tenant=tenant, where=where)
        except ConfigurationError as error:
            complaints.append(str(error))
        else:
            own_id = f"{target.id}{f'.{tenant}'[:16] if tenant else ''}"
            targets.append(replace(target, id=own_id, may_reach_inside=not tenant or settings.alert_inside))
    return targets, complaints


def address(notice: Notice, targets: Sequence[Target]) -> Iterator[tuple[Notice, list[Target]]]:
    """Yield what goes where. A message about many incidents would begin one at PagerDuty that nothing ends: it gets its parts.

    The end of an incident that a greater one took the place of is for PagerDuty only: a chat would take it for the end of both.
    """
    wanted = [target for target in targets if target.keeps_incidents or not notice.is_quiet]
    keepers = [target for target in wanted if notice.parts and target.keeps_incidents]
    yield notice, route(notice, [target for target in wanted if target not in keepers])
    for part in notice.parts:
        yield part, route(part, keepers)


def route(notice: Notice, targets: Iterable[Target]) -> list[Target]:
    """Return the targets of a notice, one for each URL. A digest of old days calls nobody."""
    chosen: Mapping[str, Target] = {
        target.url: target
        for target in targets
        if target.tenant in ("", notice.tenant)
        and target.id != notice.about_target
        and not (target.is_pager and notice.kind == "digest")
        and SEVERITY_RANK[notice.severity] >= SEVERITY_RANK[target.min_severity]
    }
    return list(chosen.values())
