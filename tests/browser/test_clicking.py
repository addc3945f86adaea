"""The UI as a person uses it: look at the graph, make a week of a shop, watch, judge, bring in two shops, meet an alert.

The tests stand in the order of such a visit, on one installation: to start it is most of what they cost.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import FIRST, Ui, clean_environment, running_ui

TENANTS = """
[tenants.acme]
timezone = "America/New_York"
currency = "USD"

[tenants.kiwi]
timezone = "Pacific/Auckland"
currency = "NZD"
geocoded_ratio_warning = 0.9999
geocoded_ratio_critical = 0.9998
"""
"""kiwi asks for what the sandbox does not give (a place for each order): the planted alert."""
WEEK = [FIRST + timedelta(days=n) for n in range(50, 57)]
AFTER = WEEK[-1] + timedelta(days=1)
GROUPS = ("ads", "commerce", "weather", "features", "quality")
pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def ui(browser_page: Page, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    folder = tmp_path_factory.mktemp("clicking")
    with running_ui(browser_page, folder, TENANTS, clean_environment(folder)) as running:
        yield running


def test_the_graph_is_one_picture_of_five_groups(ui: Ui) -> None:
    """A graph that does not load is a blank page: what is served is more than the HTML that tests over HTTP see."""
    ui.open("/asset-groups")
    for group in GROUPS:
        ui.shows(group)
    ui.shoot("graph")


def test_a_week_of_a_shop_is_made_by_clicking(ui: Ui) -> None:
    """One selects days and a tenant, starts, and sees the seven days turn green."""
    ui.materialise("orders", f"[{WEEK[0]}...{WEEK[-1]}]", "acme")
    ui.shows("7 partitions")
    ui.shoot("materialise")
    ui.launch()
    ui.shows_at_last("/assets/orders?view=partitions", f"Materialized ({len(WEEK)})")
    ui.open("/runs")
    ui.shows("7 partitions")
    ui.shoot("runs")


def test_the_newest_day_has_its_figures_and_its_picture(ui: Ui) -> None:
    """A picture that the UI does not draw is a long line of letters in its metadata."""
    ui.open(f"/assets/orders?view=partitions&partition={WEEK[-1]}%7Cacme")
    ui.shows("geocoded_ratio")
    ui.shoot("partition")
    ui.page.get_by_text("[Show Markdown]").first.click()
    picture = ui.page.get_by_role("dialog").get_by_role("img").last
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.naturalWidth") > 500
    ui.shoot("picture-orders")


def test_the_checks_say_what_they_looked_at(ui: Ui) -> None:
    """A green mark that does not say of what is not believed."""
    ui.open("/assets/orders?view=checks&checkDetail=geocoding_coverage")
    ui.shows("If it is not content.")
    ui.shows(f"{WEEK[-1]}|acme", is_exact=False)
    ui.shows("Passed")
    ui.shoot("checks")


def test_the_view_of_a_shop_leads_to_its_newest_day(ui: Ui) -> None:
    """The links of the view are addresses of a UI that is not ours: a new version of it may have moved its pages."""
    ui.open("/assets/orders")
    ui.page.get_by_role("link", name="Everything of one tenant").click()
    expect(ui.page).to_have_url(re.compile(r"/assets/tenant_report\?view=partitions"))
    ui.materialise("tenant_report", None, "acme")
    ui.launch()
    ui.shows_at_last("/assets/tenant_report?view=partitions&partition=acme", "[Show Markdown]")
    ui.page.get_by_text("[Show Markdown]").first.click()
    view = ui.page.get_by_role("dialog")
    expect(view.get_by_role("link", name="orders", exact=True)).to_be_visible()
    ui.shoot("tenant")
    runs = view.get_by_role("link", name="all runs of acme").get_attribute("href") or ""
    view.get_by_role("link", name="orders", exact=True).click()
    ui.shows(f"{WEEK[-1]}|acme")
    ui.shows("geocoded_ratio")
    ui.open(runs)
    found = ui.page.get_by_role("link", name="View", exact=True)
    expect(found).to_have_count(2)  # the week, which is within a backfill, and the report


@pytest.mark.slow
def test_two_shops_are_brought_in_by_one_click_and_the_planted_alert_is_on_the_checks_page(ui: Ui) -> None:
    """A run for each shop; one is fine, and the other's alert is found by whoever looks at the check."""
    ui.materialise("orders", str(AFTER), None)
    ui.shows("2 partitions")
    ui.shoot("backfill")
    ui.launch()
    for tenant in ("acme", "kiwi"):
        ui.shows_at_last(f"/assets/orders?view=partitions&partition={AFTER}%7C{tenant}", "Materialized")
    ui.open("/assets/orders?view=checks&checkDetail=geocoding_coverage")
    ui.page.get_by_text("Execution history").click()
    ui.shows(f"kiwi: 1 of 1 day not ok; {AFTER}:", is_exact=False)
    ui.shoot("alert")
