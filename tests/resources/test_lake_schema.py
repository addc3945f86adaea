"""Columns of real tables over time: a new one that may be null comes in, and every other change is refused by name."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake

from weathervane_assets.tables import CONTRACTS, shape_of
from weathervane_resources.lake import Lake, LakeError, Shape
from weathervane_resources.lake_schema import required_of

MON, TUE = date(2025, 3, 31), date(2025, 4, 1)
NOW = datetime(2025, 6, 1, 8, tzinfo=UTC)
COLUMNS = {
    "date": pl.Date(),
    "row_key": pl.String(),
    "amount": pl.Decimal(18, 4),
    "note": pl.String(),
    "source": pl.String(),
    "as_of_utc": pl.Datetime("us", "UTC"),
}
VALUES = {"date": MON, "row_key": "a", "amount": 1, "note": None, "source": "shopify_api", "as_of_utc": NOW, "new": "x"}


def shape(*optional: str, without: str = "", **changed: pl.DataType) -> Shape:
    """Return a contract: that of `COLUMNS`, with columns changed or added, and which may be null."""
    schema = {name: dtype for name, dtype in (COLUMNS | changed).items() if name != without}
    return Shape(pl.Schema(schema), ("row_key",), optional=frozenset(optional))


FIRST = shape("note")


@pytest.fixture
def local(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


def put(lake: Lake, contract: Shape, day: date) -> int:
    row = {name: VALUES[name] for name in contract.schema} | {"date": day}
    rows = pl.DataFrame({name: pl.Series([row[name]]).cast(dtype) for name, dtype in contract.schema.items()})
    return lake.replace(
        "acme", "orders", rows, shape=contract, days=[day], source="shopify_api", run_id="r", now=NOW
    ).version  # fmt: skip


def test_a_new_column_that_may_be_null_comes_in_with_the_next_write(lake: Lake) -> None:
    """A contract got a column, and every table had to be deleted and read again."""
    put(lake, FIRST, MON)
    newer = shape("note", "new", new=pl.String())
    assert lake.scan("acme", "orders", newer).select("row_key", "new").collect().rows() == [("a", None)]
    assert put(lake, newer, TUE) == 1
    assert lake.scan("acme", "orders", newer).sort("date").select("date", "new").collect().rows() == [
        (MON, None), (TUE, "x")
    ]  # fmt: skip
    assert lake.scan("acme", "orders", FIRST).collect().width == len(COLUMNS)
    assert lake.version("acme", "orders") == 1


REFUSED = {
    "another type": (
        shape("note", amount=pl.Float64()),
        "has the column amount as Decimal(precision=18, scale=4), the contract as Float64; ",
    ),
    "a wider type": (
        shape("note", amount=pl.Decimal(20, 4)),
        "has the column amount as Decimal(precision=18, scale=4), the contract as Decimal(precision=20, scale=4); ",
    ),
    "a column removed": (shape(without="note"), "has the column note as String, the contract has none; "),
    "a column renamed": (shape("new", without="note", new=pl.String()), "has the column note as String, "),
    "a new one that is never null": (
        shape("note", new=pl.String()), "has no column new, the contract has it as String, never null; "
    ),
    "made required": (shape(), "has the column note as String, null or not, the contract as String, never null; "),
}  # fmt: skip


@pytest.mark.parametrize(("contract", "said"), REFUSED.values(), ids=REFUSED)
def test_any_other_change_is_refused_with_table_column_and_types(local: Lake, contract: Shape, said: str) -> None:
    """Merged by Delta, a float went into a money column after a silent cast, and a dropped column lived on as null."""
    put(local, FIRST, MON)
    before = pl.read_delta(local.uri("acme", "orders"))
    with pytest.raises(LakeError) as refused:
        put(local, contract, TUE)
    message = str(refused.value)
    assert "acme/orders " in message
    assert said in message
    assert message.endswith("(docs/decisions/0009-lake-care.md)")
    assert local.version("acme", "orders") == 0
    assert pl.read_delta(local.uri("acme", "orders")).equals(before)
    assert local.ledger("acme", "orders")["date"].to_list() == [MON]


def test_another_type_is_refused_when_read_too(local: Lake) -> None:
    """An upgrade is read before it is written: the join failed with a query plan in place of a message."""
    put(local, FIRST, MON)
    with pytest.raises(LakeError, match=r"^the table acme/orders has the column amount as Decimal.* as Int64; keep"):
        local.scan("acme", "orders", shape("note", amount=pl.Int64()))


def test_a_column_may_become_optional_and_then_not_required_again(local: Lake) -> None:
    """What was once allowed to be null is null in some row."""
    put(local, shape("note"), MON)
    put(local, shape("note", "row_key"), TUE)
    with pytest.raises(LakeError, match="column row_key as String, null or not"):
        put(local, shape("note"), TUE)


def test_a_table_that_does_not_say_what_is_required_learns_it(local: Lake) -> None:
    """Tables of before this rule have no word of it; the first write says it, and the next is held to it."""
    put(local, FIRST, MON)
    table = DeltaTable(local.uri("acme", "orders"))
    table.alter.set_table_description("")
    put(local, FIRST, TUE)
    assert required_of(DeltaTable(local.uri("acme", "orders"))) == FIRST.required
    with pytest.raises(LakeError, match="never null"):
        put(local, shape(), TUE)


def test_append_only_tables_take_a_new_column_as_well(local: Lake) -> None:
    """The weather's versions cannot be read again: past forecasts are not to be had any more."""
    old = pl.DataFrame({"point": ["1,1"], "year": [2025]})
    local.append("_weather", "versions", old, ["year"])
    local.append("_weather", "versions", old.with_columns(model=pl.lit("ecmwf")), ["year"])
    schema = pl.Schema({"point": pl.String(), "model": pl.String()})
    assert sorted(local.scan_shared("_weather", "versions", schema).collect()["model"], key=str) == [None, "ecmwf"]
    with pytest.raises(LakeError, match="has the column point as String, the contract as Int32"):
        local.append("_weather", "versions", old.with_columns(point=pl.lit(1), model=pl.lit("x")), ["year"])


@pytest.mark.parametrize("name", CONTRACTS)
def test_every_contract_comes_back_from_the_disk_as_it_went(local: Lake, name: str) -> None:
    """A type that Delta keeps as another would be refused by the second write of its own table."""
    contract = shape_of(CONTRACTS[name])
    empty = pl.DataFrame(schema=contract.schema)
    for version in range(2):
        written = local.replace("acme", name, empty, shape=contract, days=[MON], source="stub", run_id="r", now=NOW)
        assert written.version == version
    assert required_of(DeltaTable(written.uri)) == contract.required


def test_delta_alone_would_have_cast(local: Lake) -> None:
    """Why we look ourselves: Delta's merge of columns takes a text for a number where the text happens to be one."""
    address = f"{local.root}/plain"
    write_deltalake(address, pl.DataFrame({"n": [1]}))
    write_deltalake(address, pl.DataFrame({"n": ["5"]}), mode="append", schema_mode="merge")
    assert sorted(pl.read_delta(address)["n"]) == [1, 5]
