"""Whether stored rows keep their contract."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from typing import Any

import pandera.polars as pa
import polars as pl
import pytest
from pandera.errors import SchemaErrors

from weathervane_assets.tables import CONTRACTS, Ads, Promos, polars_schema
from weathervane_checks.findings import Finding
from weathervane_checks.rules.contract import is_kept, judge_contract

DAY, NEXT = date(2025, 6, 20), date(2025, 6, 21)
THEN = datetime(2025, 6, 19, tzinfo=UTC)
SECRET = "jane.doe@example.com"


def promos() -> pl.DataFrame:
    rows = [
        {
            "tenant_id": "acme", "date": day, "campaign_id": f"{day:%d}-{n}", "name": SECRET, "channel": "email", "status": "Sent",
            "is_archived": False, "created_at": THEN, "updated_at": THEN, "source": "klaviyo_api", "as_of_utc": THEN,
        }
        for day in (DAY, NEXT)
        for n in range(3)
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=polars_schema(Promos))


def judge(frame: pl.DataFrame) -> tuple[Finding, Finding]:
    first, second = judge_contract(frame, Promos, [NEXT, DAY])
    assert (first.day, second.day) == (DAY, NEXT)
    return first, second


def on_next(column: str, value: object) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """Return a change to the first row of the second day."""
    return lambda frame: frame.with_columns(
        pl.when(pl.col("campaign_id") == "21-0")
        .then(pl.lit(value))
        .otherwise(column)
        .cast(frame.schema[column])
        .alias(column)
    )


@pytest.mark.parametrize("row", [0, 100, 4_999])
def test_trap_13_every_row_is_checked_and_not_the_first_hundred(row: int) -> None:
    """trap 13: 100 rows were checked: the violation in row 101 was believed."""
    many = promos().head(1).select(pl.all().repeat_by(5_000).explode()).with_columns(
        campaign_id=pl.int_range(5_000).cast(pl.String)
    )  # fmt: skip
    assert judge_contract(many, Promos, [DAY])[0].is_ok
    spoilt = many.with_columns(channel=pl.when(pl.int_range(5_000) == row).then(pl.lit("fax")).otherwise("channel"))
    (finding,) = judge_contract(spoilt, Promos, [DAY])
    assert (finding.severity, finding.observed) == ("critical", 1)


@pytest.mark.parametrize("name", CONTRACTS)
def test_an_empty_table_with_its_schema_keeps_every_contract(name: str) -> None:
    """A quiet day failed the contract, because an empty column has no type to a checker of values."""
    (finding,) = judge_contract(pl.DataFrame(schema=polars_schema(CONTRACTS[name])), CONTRACTS[name], [DAY])
    assert (finding.severity, finding.extra) == ("ok", {"rows": 0})


def test_rows_that_keep_it_are_counted_for_each_day() -> None:
    """'Passed' over nothing at all looks the same as passed over a thousand rows."""
    first, second = judge(promos())
    assert (first.severity, first.extra, second.extra) == ("ok", {"rows": 3}, {"rows": 3})


VIOLATIONS = {
    "a null in a required column": (on_next("status", None), "status: not_nullable"),
    "a value outside the list": (on_next("channel", "pigeon"), "channel: isin"),
    "a key twice": (on_next("campaign_id", "21-1"), "Table: multiple_fields_uniqueness"),
}


@pytest.mark.parametrize(("spoil", "says"), VIOLATIONS.values(), ids=VIOLATIONS)
def test_a_violation_is_critical_on_its_day_and_the_other_day_is_ok(
    spoil: Callable[[pl.DataFrame], pl.DataFrame], says: str
) -> None:
    """Only the first 100 rows were checked; and one bad day blocked the whole window without saying which."""
    first, second = judge(spoil(promos()))
    assert (first.severity, first.observed) == ("ok", 0)
    assert (second.severity, second.alerts) == ("critical", ("contract_broken",))
    assert says in second.note


def test_an_ad_day_twice_under_two_names_is_the_same_day_twice() -> None:
    """A restated day was keyed by its campaign's name: the campaign was renamed, and the day was spent twice."""
    row = plausible("ads") | {"campaign_name": "Spring"}
    once = pl.DataFrame([row, row | {"campaign_id": "y"}], schema=polars_schema(Ads))
    assert judge_contract(once, Ads, [DAY])[0].is_ok
    twice = pl.DataFrame([row, row | {"campaign_name": "Summer"}], schema=polars_schema(Ads))
    (found,) = judge_contract(twice, Ads, [DAY])
    assert (found.severity, found.alerts) == ("critical", ("contract_broken",))
    assert "multiple_fields_uniqueness" in found.note


@pytest.mark.parametrize(
    "spoil",
    [
        lambda f: f.with_columns(pl.col("created_at").dt.replace_time_zone(None)),
        lambda f: f.drop("status"),
        lambda f: f.with_columns(email=pl.lit(SECRET)),
        lambda f: f.select(sorted(f.columns)),
    ],
    ids=["another type", "a column less", "a column more", "another order"],
)
def test_another_shape_speaks_against_every_day(spoil: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    """A naive timestamp is an hour off twice a year, and fits into every column."""
    assert [f.severity for f in judge(spoil(promos()))] == ["critical", "critical"]


@pytest.mark.parametrize(
    ("name", "column", "value"),
    [
        ("weather_daily", "precip_mm", -0.1), ("weather_daily", "temp_c", 150.0), ("weather_daily", "precip_probability", 40.0),
        ("weather_daily", "humidity_mean", 101.0), ("weather_daily", "freeze_flag", 2), ("weather_daily", "day_of_year", 367),
        ("orders", "ship_latitude", 91.0), ("orders", "ship_geohash", "u33da"), ("orders", "geo_source", "guess"),
        ("orders", "currency", "usd"), ("ads", "impressions", -1), ("ads", "platform", "tiktok"), ("features", "join_mode", "exact"),
        ("weather_forecast", "lead_days", -1), ("climatology", "temp_sd_c", -1.0),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(name: str, column: str, value: object) -> None:
    """Percent where a ratio belongs, kelvin where Celsius does: in range for a float."""
    contract = CONTRACTS[name]
    good = pl.DataFrame([plausible(name)], schema=polars_schema(contract))
    (before,) = judge_contract(good, contract, [DAY])
    assert before.severity == "ok", before.note
    bad = good.with_columns(pl.lit(value, good.schema[column]).alias(column))
    (after,) = judge_contract(bad, contract, [DAY])
    assert (after.severity, after.observed) == ("critical", 1)
    assert after.note.startswith(f"{column}: ")


def plausible(name: str) -> dict[str, Any]:
    """Return a row that keeps the contract: the first value allowed, the least possible, null where that may be."""
    known = {"currency": "USD", "geohash": "u33d8", "date": DAY, "local_date": DAY}
    row: dict[str, Any] = {}
    for field, column in CONTRACTS[name].to_schema().columns.items():
        rules = {key: value for check in column.checks for key, value in (check.statistics or {}).items()}
        kind = column.dtype.type
        if field in known:
            row[field] = known[field]
        elif "allowed_values" in rules:
            row[field] = rules["allowed_values"][0]
        elif column.nullable:
            row[field] = None
        elif kind.is_numeric():
            row[field] = max(0, rules.get("min_value", 0))
        else:
            row[field] = {pl.Date: DAY, pl.Boolean: False, pl.String: "x"}.get(
                kind.base_type(), THEN.replace(tzinfo=None)
            )
    return row


def test_the_finding_names_columns_and_rules_and_never_a_value() -> None:
    """The validator's message quotes the failing rows: they went into the event log and from there into chat."""
    frame = pl.concat([on_next("channel", SECRET)(promos()), on_next("campaign_id", SECRET)(promos())])
    for finding in judge(frame):
        assert SECRET not in f"{finding}"


def test_a_bug_in_the_check_is_no_bad_data() -> None:
    """`except Exception` in a check: its own failure read as a violation, or as none."""
    with pytest.raises(AttributeError, match="columns"):
        judge_contract(None, Promos, [DAY])  # type: ignore[arg-type]


@pytest.mark.parametrize("name", CONTRACTS)
def test_the_look_in_one_pass_agrees_with_pandera_on_rows_spoilt_in_every_column(name: str) -> None:
    """A second way to the same verdict is worth nothing where it believes what the first one would refuse."""
    contract = CONTRACTS[name]
    good = pl.DataFrame([plausible(name)], schema=polars_schema(contract))
    rows = pl.concat([good, *_spoilt(good, contract)])
    refused = _refused(contract, rows)
    assert 0 < len(refused) < rows.height - 1, "of both kinds, or nothing is compared"
    assert refused == {n for n in range(rows.height) if not is_kept(rows[n], contract)}
    for frame in (
        pl.concat([good, good]),
        good.select(reversed(good.columns)),
        good.drop("tenant_id"),
        good.cast({"date": pl.Datetime}),
    ):
        assert not is_kept(frame, contract)


def _spoilt(good: pl.DataFrame, contract: type[pa.DataFrameModel]) -> Iterator[pl.DataFrame]:
    """Yield the row with each column null, NaN, at and beyond each of its limits, and of another list or pattern."""
    for field, column in contract.to_schema().columns.items():
        values: list[object] = [None, float("nan")] if good.schema[field].is_float() else [None]
        for rule in column.checks:
            for limit in rule.statistics.values():
                values += [limit, limit - 1, limit + 1] if isinstance(limit, int | float) else []
                values += [*limit, 7 if good.schema[field].is_integer() else "other"] if isinstance(limit, list) else []
                values += ["", "usd", "USD", "USDX", "u33da", "u33d8x"] if isinstance(limit, str) else []
        for value in values:
            yield good.with_columns(pl.lit(value, good.schema[field]).alias(field))


def _refused(contract: type[pa.DataFrameModel], rows: pl.DataFrame) -> set[int]:
    """Return the numbers of the rows that pandera refuses by themselves; the same key twice is not asked about."""
    with pytest.raises(SchemaErrors) as refused:
        contract.validate(rows, lazy=True)
    return set(refused.value.failure_cases.filter(pl.col("check") != "multiple_fields_uniqueness")["index"])
