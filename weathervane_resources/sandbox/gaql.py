"""The part of GAQL that the sandbox speaks, and Google Ads' errors. No HTTP and no rows: those are `google_ads.py`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import Any

_QUERY = re.compile(r"^\s*SELECT\s+(?P<fields>.+?)\s+FROM\s+(?P<source>\w+)(?:\s+WHERE\s+(?P<where>.+?))?"
                    r"(?:\s+ORDER\s+BY\s+.+?)?(?:\s+LIMIT\s+(?P<limit>\d+))?(?:\s+PARAMETERS\s+.+)?\s*;?\s*$",
                    re.IGNORECASE | re.DOTALL)  # fmt: skip
_BETWEEN = re.compile(r"segments\.date\s+BETWEEN\s+['\"]([\d-]+)['\"]\s+AND\s+['\"]([\d-]+)['\"]", re.IGNORECASE)
_CAMPAIGN_FIELDS = {"campaign.id", "campaign.name", "campaign.status", "campaign.resource_name"}
_CUSTOMER_FIELDS = {"customer.id", "customer.currency_code", "customer.time_zone", "customer.descriptive_name"}
METRICS = {
    "metrics.cost_micros",
    "metrics.impressions",
    "metrics.clicks",
    "metrics.conversions",
    "metrics.conversions_value",
}


class AdsError(Exception):
    """An error as the Google Ads API words it."""

    def __init__(self, status: int, name: str, message: str, code: dict[str, str]) -> None:
        super().__init__(message)
        self.status, self.name, self.message, self.code = status, name, message, code

    def body(self, version: str) -> dict[str, Any]:
        """Return the error's JSON."""
        failure = {
            "@type": f"type.googleapis.com/google.ads.googleads.{version}.errors.GoogleAdsFailure",
            "errors": [{"errorCode": self.code, "message": self.message}],
            "requestId": "sandbox-request",
        }
        error = {"code": self.status, "message": self.message, "status": self.name, "details": [failure]}
        return {"error": error}


@dataclass(frozen=True)
class Query:
    """A parsed GAQL query."""

    fields: tuple[str, ...]
    source: str
    days: tuple[date, date] | None
    limit: int | None


def _bad_query(message: str, code: str) -> AdsError:
    return AdsError(400, "INVALID_ARGUMENT", message, {"queryError": code})


def parse(text: str) -> Query:
    """Parse the part of GAQL that the sandbox speaks. Raises: AdsError."""
    found = _QUERY.match(text)
    if found is None:
        raise _bad_query("Error in query: unexpected input.", "UNEXPECTED_INPUT")
    source = found["source"].lower()
    if source not in ("campaign", "customer"):
        raise _bad_query(f"Invalid resource '{source}' in FROM clause.", "BAD_RESOURCE_TYPE_IN_FROM_CLAUSE")
    fields = tuple(field.strip() for field in found["fields"].split(","))
    allowed = _CUSTOMER_FIELDS | METRICS | {"segments.date"} | (_CAMPAIGN_FIELDS if source == "campaign" else set())
    for field in fields:
        if field not in allowed:
            raise _bad_query(f"Unrecognized field in the query: '{field}'.", "UNRECOGNIZED_FIELD")
    days = _days(found["where"] or "")
    if days is None and "segments.date" in fields:
        raise _bad_query("Segmenting by date needs a finite date range.", "INVALID_VALUE_WITH_BETWEEN_OPERATOR")
    return Query(fields, source, days, int(found["limit"]) if found["limit"] else None)


def _days(where: str) -> tuple[date, date] | None:
    found = _BETWEEN.search(where)
    if found is None:
        if "segments.date" in where.lower():
            raise _bad_query("The sandbox reads dates as BETWEEN 'a' AND 'b' only.", "UNEXPECTED_INPUT")
        return None
    try:
        return date.fromisoformat(found[1]), date.fromisoformat(found[2])
    except ValueError as error:
        raise _bad_query(f"Invalid date in {found[0]}.", "BAD_VALUE") from error
