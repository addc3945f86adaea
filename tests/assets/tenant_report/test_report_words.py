"""How values become text: nothing is rounded into a lie, and no name from outside commands the page."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from weathervane_assets.tenant_report import wording
from weathervane_assets.tenant_report.svg import Plot, day_axis, line, runs, steps_between


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "–"), (0.0, "0 %"), (1.0, "100 %"), (0.9999, "99.9 %"), (0.00001, "0.1 %"), (0.5, "50 %"), (0.972, "97.2 %"),
    ],
)  # fmt: skip
def test_a_share_that_is_not_all_is_not_a_hundred_per_cent(value: float | None, said: str) -> None:
    """Two orders of ten thousand had no place, and the report said all had."""
    assert wording.share(value) == said


@pytest.mark.parametrize(
    ("amount", "currency", "said"),
    [
        ("1234.5", "USD", "USD 1,234.50"), ("1234.5", "JPY", "JPY 1,234"), ("-3.1416", "KWD", "KWD −3.142"),
        ("99999999999999.9999", "EUR", "EUR 100,000,000,000,000.00"), ("0.005", "USD", "USD 0.00"),
    ],
)  # fmt: skip
def test_money_has_the_minor_unit_of_its_currency(amount: str, currency: str, said: str) -> None:
    """A yen has no hundredths; a float of fourteen digits has none either."""
    assert wording.money(Decimal(amount), currency) == said


def test_unknown_is_a_dash_and_zero_is_zero() -> None:
    """Null is never zero, on paper neither."""
    unknown = (
        wording.money(None, "USD"),
        wording.whole(None),
        wording.celsius(None),
        wording.apart(None),
        wording.day(None),
    )
    assert set(unknown) == {"–"}
    assert (wording.whole(0), wording.celsius(-0.04), wording.apart(-0.04)) == ("0", "0.0 °C", "±0.0 °C")
    assert wording.apart(-1.25) == "−1.2 °C"


def test_instants_are_told_by_the_zones_clock() -> None:
    """22:30 UTC was yesterday for half of the readers."""
    at = datetime(2026, 11, 19, 22, 30, tzinfo=UTC)
    assert wording.instant(at, ZoneInfo("Pacific/Auckland")) == "20 Nov 2026, 11:30 NZDT"
    assert wording.span(timedelta(days=1, hours=2, minutes=3)) == "1 d 2 h"
    assert wording.span(timedelta(minutes=125)) == "2 h 5 min"
    assert wording.days_said(["2026-11-02", "2026-11-01"]) == "1 Nov 2026, 2 Nov 2026"
    assert wording.days_said(["2026"]) == "2026"
    assert wording.days_said([f"2026-11-0{n}" for n in range(1, 6)]) == "5 days, 1 Nov 2026 to 5 Nov 2026"


def test_a_name_from_outside_is_text_and_nothing_else() -> None:
    """A campaign named in Hebrew turned the row around; one with U+202E wrote its neighbour backwards."""
    said = wording.outside("<b onload=x>\u202eevil\u0000\u2066 &amp;'\"")
    assert said == "<bdi>&lt;b onload=x&gt; evil &amp;amp;&#39;&#34;</bdi>"
    assert len(wording.outside("x" * 1000)) == wording.LONGEST_NAME + len("<bdi></bdi>")
    assert wording.steps("run `a <b>` & c") == "run <code>a &lt;b&gt;</code> &amp; c"


def test_a_day_without_a_value_is_a_gap_in_the_line() -> None:
    """A straight line over three missing days looks like three measured ones."""
    plot = Plot(0, 4, 0, 10, height=100, left=0)
    points = [(0, 0.0), (1, 10.0), (2, None), (3, 5.0), (4, None)]
    assert [len(run) for run in runs(points)] == [2, 1]
    assert line(plot, points) == "M0.0 108.0L187.5 8.0M562.5 58.0h0"
    assert line(plot, [(0, None)]) == ""


def test_axes_have_round_values_within_the_picture_and_survive_one_day() -> None:
    """A period of one day divided by zero."""
    assert steps_between(-3, 27, 5) == [0, 10, 20]
    assert steps_between(0, 0) == [0]
    one = date(2026, 11, 18).toordinal()
    assert "18 Nov" in day_axis(Plot(one, one, 0, 1))
    assert Plot(one, one, 5, 5).y(5) == 208
    year = day_axis(Plot(one, one + 365, 0, 1))
    assert 4 <= year.count("<text") <= 9
