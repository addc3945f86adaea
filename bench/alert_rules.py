"""Row-count rules on 200 synthetic shops x 2 years: false alarms a shop and quarter, and what is found in one run.

A false alarm is a message: days in a row that are not ok and hold no planted incident are one incident and one message.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta

from bench._synthetic_counts import make_shop
from weathervane_checks.rules.row_counts import judge_row_counts
from weathervane_checks.thresholds import Thresholds

SHOPS, DAYS, SEED = 200, 730, 20261124
QUARTER_DAYS = 365.25 / 4
MOST_FALSE_ALARMS, LEAST_FOUND = 1.0, 0.95
BANDS = ((0, 60), (60, 200), (200, 1_000), (1_000, 1_000_000))


@dataclass
class Score:
    """What came of it: incident days planted and found by kind and by (band, kind), false alarms by shop."""

    planted: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    false_by_shop: list[float] = field(default_factory=list)
    false_days: int = 0
    false_codes: Counter[str] = field(default_factory=Counter)
    false_by_band: dict[tuple[int, int], list[float]] = field(default_factory=dict)

    def rate(self, kind: str) -> float:
        """Return the share of a kind's days that were found on the very day; kinds of a band are `kind low-high`."""
        return self.found[kind] / self.planted[kind] if self.planted[kind] else float("nan")

    @property
    def false_alarms(self) -> float:
        """False alarms a shop and quarter, on average."""
        return sum(self.false_by_shop) / len(self.false_by_shop)


def replay(shops: int, days: int, seed: int) -> Score:
    """Judge each day of each shop by the days before it, as its night did."""
    score, limits = Score(), Thresholds()
    for n in range(shops):
        shop = make_shop(seed + n, days)
        today = shop.days[-1] + timedelta(days=1)
        findings = judge_row_counts(shop.ledger(), shop.days, limits, today, shop.quiet)
        wrong = {f.day: f for f in findings if not f.is_ok}
        band = next(b for b in BANDS if b[0] <= shop.size < b[1])
        for day, kind in shop.planted.items():
            for name in (kind, f"{kind} {band[0]}-{band[1]}"):
                score.planted[name] += 1
                score.found[name] += day in wrong
        false = [f for day, f in wrong.items() if day not in shop.planted]
        score.false_codes.update(code for f in false for code in f.alerts)
        score.false_days += len(false)
        alarms = sum(f.day - timedelta(days=1) not in wrong for f in false)
        rate = alarms / (days / QUARTER_DAYS)
        score.false_by_shop.append(rate)
        score.false_by_band.setdefault(band, []).append(rate)
    return score


def main() -> int:
    """Run it and print the figures; 1 where an aim is missed."""
    begun = time.perf_counter()
    score = replay(SHOPS, DAYS, SEED)
    print(f"{SHOPS} shops x {DAYS} days, seed {SEED}, {time.perf_counter() - begun:.1f} s")
    worst = sorted(score.false_by_shop, reverse=True)
    above = sum(rate > MOST_FALSE_ALARMS for rate in worst)
    print(f"false alarms a shop and quarter: {score.false_alarms:.3f} on average, {worst[0]:.2f} at worst")
    print(f"shops above {MOST_FALSE_ALARMS:g} a quarter: {above}; {score.false_days} days; {dict(score.false_codes)}")
    for band in BANDS:
        rates = score.false_by_band.get(band, [0.0])
        kinds = ", ".join(
            f"{kind} {score.rate(f'{kind} {band[0]}-{band[1]}'):.3f}" for kind in ("30%", "50%", "100%", "flat")
        )
        print(
            f"  {band[0]}-{band[1]} a day, {len(rates)} shops: {sum(rates) / len(rates):.3f} false, {max(rates):.2f} at worst; found {kinds}"
        )
    for kind in ("30%", "50%", "100%", "flat"):
        print(f"found in one run, {kind}: {score.found[kind]} of {score.planted[kind]} ({score.rate(kind):.4f})")
    is_good = score.false_alarms <= MOST_FALSE_ALARMS and score.rate("50%") >= LEAST_FOUND
    return 0 if is_good and score.rate("100%") == score.rate("flat") == 1 else 1


if __name__ == "__main__":
    sys.exit(main())
