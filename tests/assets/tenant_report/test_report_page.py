"""The page of a tenant whose tables are filled: that its figures are the lake's, and that everyone can read it, offline."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from itertools import pairwise

import polars as pl
import pytest

from tests import engines
from tests.assets.conftest import NOW, Installation
from tests.assets.tenant_report.documents import Document, contrast, palettes
from weathervane_assets.backfill import Outcome
from weathervane_assets.tables import CONTRACTS
from weathervane_assets.tenant_report.asset import LARGEST_BYTES, foreign_references
from weathervane_assets.tenant_report.page import examine_tenant
from weathervane_resources.alert_store import AlertStore
from weathervane_resources.clock import Clock
from weathervane_resources.state import open_state
from weathervane_resources.tenants import load_tenants

ZONE = "America/New_York"
TEXT_ON = {
    "ink": ("page", "card", "warning-tint"), "soft": ("page", "card"), "link": ("page", "card"),
    "ok": ("ok-tint",), "warning": ("warning-tint",), "critical": ("critical-tint",),
}  # fmt: skip
DRAWN = ("temp", "normal", "place", "dot", "weekend", "ok-fill", "warning-fill", "critical-fill", "ink")
TINTS = {"warm", "cold", "near", "grid", "rule"}
"""Areas between lines that are drawn, and lines that only lead the eye: nothing is told by them alone."""


@pytest.fixture(scope="module")
def html(filled: tuple[Installation, Outcome]) -> str:
    here, _ = filled
    tenant = load_tenants(here.folder / "tenants.toml", frozenset(), date(2024, 1, 1))["acme"]
    store = AlertStore(open_state(engines.chosen().state_url(here.folder)))
    return examine_tenant(tenant, here.lake, store, Clock(fixed=NOW).now()).html()


@pytest.fixture(scope="module")
def page(html: str) -> Document:
    return Document(html)


@pytest.fixture(scope="module")
def css(page: Document) -> str:
    return page.one("style").text


def test_the_figures_of_the_head_are_those_of_the_tables(page: Document, filled: tuple[Installation, Outcome]) -> None:
    """A report that rounds its own sums is corrected by the client's bookkeeper."""
    here, _ = filled
    orders, ads, features = (here.rows("acme", name) for name in ("orders", "ads", "features"))
    sold = orders.filter(~pl.col("is_test") & pl.col("cancelled_at").is_null())
    revenue = sum(sold["net_revenue"].drop_nulls().to_list(), Decimal(0))
    assert page.card("Orders") == f"{sold.height:,}"
    assert page.card("Net revenue") == f"USD {revenue.quantize(Decimal('0.01')):,}"
    assert page.card("Ad spend") == f"USD {sum(ads['spend'].to_list(), Decimal(0)).quantize(Decimal('0.01')):,}"
    assert page.card("Newest complete day") == "19 Nov 2026"
    located = orders["ship_geohash"].is_not_null().mean()
    assert page.card("Orders with a place") == f"{100 * located:.1f} %".replace(".0 ", " ")
    assert page.card("Rows with weather") == "100 %"
    assert not features["is_weather_missing"].any()
    assert "16 Oct 2026 to 19 Nov 2026, 35 days." in page.one("header").text
    assert "read for" not in page.one("header").text


def test_every_column_of_the_matrix_is_explained_with_its_nulls(
    page: Document, filled: tuple[Installation, Outcome]
) -> None:
    """The modeller asked what `uv_index_lag1` is, and why a third of it is missing."""
    here, _ = filled
    features = here.rows("acme", "features")
    rows = {}
    for group in page.section("matrix").all("caption"):
        rows |= {row["Column"]: row for row in page.table(group.text)}
    columns = CONTRACTS["features"].to_schema().columns
    assert set(rows) == set(columns)
    for name, details in columns.items():
        assert rows[name]["What it is"] == " ".join(details.description.split())
        share = features[name].null_count() / features.height
        assert abs(float(rows[name]["Null"].removesuffix(" %")) - 100 * share) < 0.1
    assert rows["orders"]["Spans"] == f"{features['orders'].min()} to {features['orders'].max()}"
    assert rows["net_revenue"]["Spans"].startswith("USD ")
    assert rows["date"]["Spans"] == "16 Oct 2026 to 19 Nov 2026"


def test_sales_by_temperature_are_the_days_of_the_picture(page: Document) -> None:
    """The table said 60 days and the picture showed 35."""
    kinds = page.table("Sales of an average day")
    dots = [e for e in page.section("sales").all("title") if e.has_parent("svg")]
    assert sum(int(kind["Days"]) for kind in kinds) == len(dots) >= 30
    by_day = [row for row in page.table("Sales by day") if row["Departure from normal"] != "–"]
    total = sum(int(row["Orders"]) for row in by_day)
    told = sum(int(kind["Days"]) * float(kind["Orders a day"]) for kind in kinds if kind["Days"] != "0")
    assert abs(told - total) <= 0.05 * len(by_day)  # the means have one decimal
    assert sum(int(k["Days"]) for k in kinds if k["Temperature"].startswith("within")) in range(1, len(by_day))


def test_the_page_stands_alone(page: Document, html: str, css: str) -> None:
    """A client opened the page in a train; a font from elsewhere told a third party who reads what."""
    assert foreign_references(html) == []
    assert not page.all("script", "link", "iframe", "object", "form", "base", "img")
    for element in page.elements:
        for name, value in element.attrs.items():
            assert not name.startswith("on"), element
            assert "//" not in value, (element.tag, name, value)
            assert name not in ("src", "href") or value.startswith("#")
    assert "url(" not in css
    assert "@import" not in css
    policy = next(e for e in page.all("meta") if e.attrs.get("http-equiv") == "Content-Security-Policy")
    assert policy.attrs["content"].startswith("default-src 'none'")
    assert 50_000 < len(html.encode()) < LARGEST_BYTES


def test_headings_landmarks_and_links_lead_through_the_page(page: Document) -> None:
    """Who hears the page jumps from heading to heading; a level that is left out is a room without a door."""
    assert page.declaration == "doctype html"
    assert page.one("html").attrs["lang"] == "en"
    assert page.one("head").all("title")[0].text.startswith("acme: ")
    levels = [int(e.tag[1]) for e in page.elements if re.fullmatch(r"h[1-6]", e.tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert [len(page.all(tag)) for tag in ("header", "nav", "main", "footer")] == [1, 1, 1, 1]
    ids = [e.attrs["id"] for e in page.elements if "id" in e.attrs]
    assert len(ids) == len(set(ids))
    assert {e.attrs["href"].removeprefix("#") for e in page.all("a")} <= set(ids)
    assert {e.attrs["aria-labelledby"] for e in page.all("section")} <= set(ids)
    first = next(e for e in page.elements if e.has_parent("body"))
    assert (first.tag, first.attrs["href"], page.one("main").attrs["id"]) == ("a", "#report", "report")


def test_pictures_tables_and_details_say_what_they_are(page: Document) -> None:
    """A picture without words is a hole; a table without heads is a row of numbers read aloud."""
    pictures = [e for e in page.all("svg") if e.attrs.get("role") == "img"]
    assert len(pictures) == len(page.all("figure")) == 4
    for picture in pictures:
        assert len(picture.attrs["aria-label"]) > 60
        figure = next(p for p in reversed(picture.parents) if p.tag == "figure")
        assert len(figure.all("figcaption")[0].text) > 40
    assert all(e.attrs.get("aria-hidden") == "true" for e in page.all("svg") if e not in pictures)
    assert len(page.all("table")) >= 15
    for table in page.all("table"):
        assert table.children[0].tag == "caption"
        assert all(th.attrs["scope"] == "col" for th in table.all("thead")[0].all("th"))
        assert [row.children[0].attrs.get("scope") for row in table.all("tbody")[0].all("tr")] == ["row"] * len(
            table.all("tbody")[0].all("tr")
        )
    assert all(e.children[0].tag == "summary" and e.children[0].text for e in page.all("details"))
    scrolled = [e for e in page.all("div") if e.attrs.get("class") == "scroll"]
    assert all(e.attrs["tabindex"] == "0" and e.attrs["aria-label"] for e in scrolled)


def test_every_day_says_whose(page: Document) -> None:
    """`19 Nov` was Auckland's in one table and UTC's in the next."""
    whose = re.compile(rf"{ZONE}|local days? of (each|the) place|ad account")
    said = page.all("caption", "figcaption")
    assert len(said) > 15
    assert [e.text for e in said if not whose.search(e.text)] == []
    assert f"Days are those of the shop's clock, {ZONE}" in page.one("header").text
    assert "Written 20 Nov 2026, 10:00 EST." in page.one("header").text


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_and_lines_have_contrast_in_light_and_dark(css: str, scheme: int) -> None:
    """Grey on grey looked fine on the designer's screen (WCAG 2.2: 4.5 for text, 3 for what is drawn)."""
    colours = palettes(css)[scheme]
    for text, grounds in TEXT_ON.items():
        for ground in grounds:
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    for name in DRAWN:
        assert contrast(colours[name], colours["card"]) >= 3, name


def test_no_colour_escapes_the_test_of_contrast(css: str) -> None:
    """The next colour is added in a hurry."""
    rules = re.sub(r":root \{.*?\}", "", css, flags=re.DOTALL)
    assert not re.findall(r"#[0-9a-f]{3,8}\b(?=[;\s])", rules)
    assert set(re.findall(r"(?<![-\w])color: var\(--([\w-]+)\)", rules)) <= set(TEXT_ON)
    assert set(re.findall(r"(?:fill|stroke): var\(--([\w-]+)\)", rules)) <= {*DRAWN, *TINTS, "soft", "card"}
    assert "@media screen and (prefers-color-scheme: dark)" in css
    assert "@media print" in css
