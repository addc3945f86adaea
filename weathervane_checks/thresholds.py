"""Every number that a check judges by, with its unit and its reason. A tenant may override each in tenants.toml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace


def limit(default: float, unit: str, reason: str, least: float = 0) -> float:
    """Describe one threshold; a smaller value than `least` means the same as that one."""
    return field(default=default, metadata={"unit": unit, "reason": reason, "least": least})


@dataclass(frozen=True)
class Thresholds:
    """The limits of all checks."""

    row_count_ratio_warning: float = limit(
        0.8, "ratio to the version replaced", "a day read again rarely loses rows; a fifth is more than late deletions"
    )
    row_count_ratio_critical: float = limit(
        0.6, "ratio to the version replaced", "two fifths gone is a broken fetch, not a correction"
    )
    new_rows_ratio_warning: float = limit(
        0.5, "ratio to what is usual", "half of a usual day is outside a normal week's swing"
    )
    new_rows_ratio_critical: float = limit(
        0.1, "ratio to what is usual", "a tenth of a usual day is an outage at the source"
    )
    unusual_drop_min: float = limit(
        0.3,
        "ratio below what is usual",
        "a smaller dip alone is weather, the end of a promotion or a holiday elsewhere",
    )
    unusual_spreads: float = limit(
        1.6, "standard deviations", "of this and unusual_drop_min the looser counts; measured in docs/alerting.md"
    )
    unusual_widening: float = limit(
        0.15,
        "ratio of unusual_spreads for each low day",
        "a shop whose days were low in the last history_runs days, and stayed so, scatters more than was thought",
    )
    holiday_drop_min: float = limit(
        0.4,
        "ratio below what is usual",
        "before and after two quiet days in a row (Christmas) trade falls by itself",
    )
    holiday_days: float = limit(5, "days before and after", "the last day for deliveries, and what is open after it")
    new_rows_median_min: float = limit(
        20, "rows a day that are usual", "below this a ratio says nothing: 3 of 6 is chance", least=1
    )
    zero_rows_streak_warning: float = limit(2, "days in a row", "one empty day may be a holiday, two are noticed")
    zero_rows_streak_critical: float = limit(4, "days in a row", "longer than a long weekend")
    geocoded_ratio_warning: float = limit(
        0.88, "ratio of orders", "shops with complete addresses reach 0.95; below this the matrix loses sales"
    )
    geocoded_ratio_critical: float = limit(0.75, "ratio of orders", "a quarter of the sales would be without weather")
    geocoded_ratio_floor: float = limit(0.8, "ratio of orders", "what `coverage geocoding --fail-on-warning` accepts")
    geocoded_ratio_broken: float = limit(
        0.2,
        "ratio of orders",
        "over all orders: addresses or postal tables are gone; `coverage geocoding` says critical",
    )
    geocoded_orders_min: float = limit(
        20,
        "orders",
        "on fewer orders a day one bad address moves the ratio by 5 points; they are judged by geocoded_ratio_chance",
    )
    geocoded_ratio_chance: float = limit(
        0.01,
        "probability",
        "a ratio below the warning that chance brings more often, of what the shop usually has, is ok; of fewer than "
        "geocoded_orders_min orders also one below a limit that chance brings more often of a shop at that limit",
    )
    geocoded_drop_warning: float = limit(
        0.03, "ratio below the shop's own", "0.02 is within the day-to-day swing of mid-sized shops"
    )
    geocoded_drop_chance: float = limit(
        0.001, "probability", "a fall that chance brings once in three years; keeps small shops from flapping"
    )
    geocoded_baseline_days: float = limit(28, "days", "four weeks hold each weekday four times", least=1)
    freshness_grace_hours: float = limit(
        8, "hours after the tenant's midnight", "the night starts at 3 and may wait for a vendor's quota"
    )
    freshness_critical_days: float = limit(3, "days late", "one missed night is caught up by the next; three are not")
    weather_coverage_warning: float = limit(
        0.85, "ratio of cells, of a value of rows", "below this the joined weather is no longer the tenant's weather"
    )
    other_local_day_ratio_warning: float = limit(
        0.25,
        "ratio of sales",
        "late evenings of a shop that sells over three time zones are less; above it the weather often is of another day than the customer's",
    )
    weekday_weeks: float = limit(
        10, "weeks", "the same weekdays that a day is held against; older ones are another season"
    )
    weekday_points_min: float = limit(
        3, "days", "fewer of the same weekday have no middle; until then the last week alone", least=1
    )
    relearn_weeks: float = limit(
        2, "weeks in a row", "an incident is mended within two weeks; what lasts longer is the new level"
    )
    orders_restatement_days: float = limit(
        60, "days", "Shopify's own window of ordinary access, and longer than most shops take returns"
    )
    ads_restatement_days: float = limit(
        33, "days", "what is read again every night, unless `restate_ads_days` says otherwise: Meta restates 28 days"
    )
    weather_restatement_days: float = limit(
        10, "days", "what is read again every night: the archive has a day within 7 or 8"
    )
    baseline_days: float = limit(7, "days", "a week holds each weekday once", least=1)
    history_runs: float = limit(90, "runs", "a quarter of nightly runs")

    def for_tenant(self, overrides: Mapping[str, float]) -> Thresholds:
        """Return the thresholds with those of a tenant's overrides that are thresholds."""
        taken = {name: max(value, LEAST[name]) for name, value in overrides.items() if name in THRESHOLD_NAMES}
        return replace(self, **taken)


THRESHOLD_NAMES = frozenset(f.name for f in fields(Thresholds))
LEAST: Mapping[str, float] = {f.name: f.metadata["least"] for f in fields(Thresholds)}
