"""What the report is made from: a tenant's tables, ledger and quality, each read at most once.

Belongs here: reading, and why there is nothing to read. Does not belong here: what a section says.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property

import polars as pl

from weathervane_assets.features import weather_of_tenant
from weathervane_assets.tables import CONTRACTS, shape_of
from weathervane_assets.tenant_report.wording import day
from weathervane_assets.transforms.calendar import history_start
from weathervane_assets.window import Window
from weathervane_checks.dq_report import Quality, examine_quality
from weathervane_checks.rules.freshness import YEARLY, Freshness, judge_freshness
from weathervane_checks.thresholds import Thresholds
from weathervane_resources.credentials import NOT_CONFIGURED, UNREAD
from weathervane_resources.lake import Lake, whole
from weathervane_resources.lake_ledger import left_over_days
from weathervane_resources.spelling import backfill_command
from weathervane_resources.tenants import Tenant

PERIOD_DAYS = 90
ORDER_COLUMNS = (
    "date", "ship_geohash", "geo_source", "shipping_country", "is_test", "cancelled_at", "net_revenue", "currency", "source"
)  # fmt: skip


@dataclass(frozen=True)
class Missing:
    """Why a section has nothing to show, and what to do next."""

    why: str
    next_step: str


@dataclass(frozen=True)
class Source:
    """One tenant as of an instant."""

    tenant: Tenant
    lake: Lake
    now: datetime

    @cached_property
    def limits(self) -> Thresholds:
        """The tenant's thresholds."""
        return Thresholds().for_tenant(self.tenant.thresholds)

    @cached_property
    def quality(self) -> Quality:
        """How the datasets stand, by the rules of the checks."""
        return examine_quality(self.tenant, self.lake, self.now)

    @cached_property
    def ledger(self) -> pl.DataFrame:
        """What was last written for each dataset and day."""
        return self.lake.ledger(self.tenant.id)

    def freshness(self, dataset: str) -> Freshness | None:
        """Return how fresh a dataset is; None where nothing is due yet."""
        mine = self.ledger.filter(pl.col("dataset") == dataset)
        return judge_freshness(dataset, self.tenant, mine, self.limits, self.now)

    def newest(self, dataset: str) -> date | None:
        """Return the newest day of a dataset that was written after it was over."""
        fresh = self.freshness(dataset)
        return fresh.newest if fresh else None

    def staleness(self, dataset: str) -> str:
        """Say by how much a dataset is late, and the command that brings in what is missing."""
        if dataset in YEARLY:
            command = backfill_command(self.tenant.id, "yesterday", "yesterday", dataset)
            return f"the year's normals are missing; `{command}`"
        fresh = self.freshness(dataset)
        if fresh is None or fresh.newest is None:
            return self.backfill()
        first = max(fresh.newest + timedelta(days=1), self.tenant.start_date)
        days = f"the newest day is {day(fresh.newest)}, {day(fresh.due)} is due"
        return f"{days}; `{backfill_command(self.tenant.id, first, 'yesterday')}` brings in what is missing"

    @cached_property
    def days(self) -> tuple[date, ...]:
        """The period: the last 90 days up to the newest complete one of the matrix; without any, up to yesterday.

        It begins where the matrix does: what was never brought in is no gap.
        """
        last = self.newest("features") or self.tenant.today(self.now) - timedelta(days=1)
        days = (last - timedelta(days=n) for n in range(PERIOD_DAYS - 1, -1, -1))
        written = self.ledger.filter(pl.col("dataset") == "features")["date"].to_list()
        first = max(self.tenant.start_date, min([day for day in written if day <= last], default=date.min))
        return tuple(day for day in days if day >= first) or (last,)

    def table(self, dataset: str) -> pl.DataFrame:
        """Return a dataset's rows of the period."""
        rows = self.lake.scan(self.tenant.id, dataset, shape_of(CONTRACTS[dataset]))
        mine = rows.filter(pl.col("date").is_between(self.days[0], self.days[-1]))
        return whole(mine, self.lake.uri(self.tenant.id, dataset))

    @cached_property
    def features(self) -> pl.DataFrame:
        """The matrix of the period."""
        return self.table("features")

    @cached_property
    def orders(self) -> pl.DataFrame:
        """`ORDER_COLUMNS` of the period's orders and of the year before it, which the weights of the cells need."""
        rows = self.lake.scan_own(self.tenant.id, "orders", shape_of(CONTRACTS["orders"]))
        since = history_start(self.days[0])
        mine = rows.filter(pl.col("date").is_between(since, self.days[-1])).select(ORDER_COLUMNS)
        return whole(mine, self.lake.uri(self.tenant.id, "orders"))

    @property
    def orders_of_period(self) -> pl.DataFrame:
        """The period's orders alone."""
        return self.orders.filter(pl.col("date") >= self.days[0])

    @cached_property
    def weather(self) -> pl.DataFrame:
        """`date`, `temp_c`, `temp_anomaly` (null without normal), `precip_mm` of the tenant, one row for each day of the period.

        Means over cells, weighted by where orders went before; temperature and anomaly of the same cells, where any has both.
        """
        window = Window(self.tenant, self.days, self.now, self.lake)
        spine = pl.DataFrame({"date": self.days}, schema={"date": pl.Date})
        judged = weather_of_tenant(self.features.filter(pl.col("temp_anomaly").is_not_null()), window, self.orders)
        everywhere = weather_of_tenant(self.features, window, self.orders)
        both = spine.join(
            judged.select("date", "temp_anomaly", pl.col("temp_c").alias("_judged")),
            on="date",
            how="left",
            validate="1:1",
        ).join(everywhere.select("date", "temp_c", "precip_mm"), on="date", how="left", validate="1:1")
        return both.select("date", pl.coalesce("_judged", "temp_c").alias("temp_c"), "temp_anomaly", "precip_mm")

    def days_read(self, dataset: str) -> list[date]:
        """Return the days of the period that a configured source was read for."""
        mine = self.ledger.filter(pl.col("dataset") == dataset, ~pl.col("source").is_in(sorted(UNREAD)))
        left_over = left_over_days(mine) if dataset == "orders" else []
        read = set(mine["date"]) - set(left_over)
        return sorted(day for day in read if self.days[0] <= day <= self.days[-1])

    def is_unconfigured(self, dataset: str) -> bool:
        """Return whether all that was written of a dataset says that nobody configured its source."""
        sources = set(self.ledger.filter(pl.col("dataset") == dataset)["source"])
        return sources == {NOT_CONFIGURED}

    @cached_property
    def no_matrix(self) -> Missing | None:
        """Why the period's matrix has no rows; None where it has."""
        if self.features.height:
            return None
        if self.ledger.is_empty():
            return Missing("Nothing has been brought in for this tenant yet.", self.backfill())
        if self.is_unconfigured("orders"):
            return Missing(
                "No source of orders is configured, so there is no place to have weather for.",
                "Set the shop's credentials (docs/sources), then " + _lower(self.backfill()),
            )
        if self.newest("features") is None:
            return Missing("The modelling matrix was not made for any day that is over.", self.backfill())
        return Missing(
            "The modelling matrix has no rows: no order of the last year has a place.",
            f"Run `weathervane coverage geocoding --tenant {self.tenant.id}`; it says what is missing.",
        )

    def backfill(self, *assets: str) -> str:
        """Return the command that brings in the period."""
        return f"Run `{backfill_command(self.tenant.id, self.days[0], self.days[-1], *assets)}`."


def _lower(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:]
