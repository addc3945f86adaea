"""Bulk operations over HTTP, and refunds that a test adds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from weathervane_resources.sandbox import RunningSandbox, SandboxConfig, truth
from weathervane_resources.sandbox.late_events import LateEvents
from weathervane_resources.sandbox.shopify_bulk import Operation

HEADERS = {"X-Shopify-Access-Token": "any"}
NOW = datetime(2025, 6, 30, 12, tzinfo=UTC)
Get = Callable[..., Any]
RUN = """mutation Run($query: String!) { bulkOperationRunQuery(query: $query) {
  bulkOperation { id status url } userErrors { field message } } }"""
POLL = """query Poll($id: ID!) { node(id: $id) { ... on BulkOperation {
  id status errorCode objectCount rootObjectCount fileSize url partialDataUrl } } }"""
ORDERS = """{ orders(query: "created_at:>='%s' AND created_at:<'%s'") { edges { node {
  id legacyResourceId currentSubtotalPriceSet { shopMoney { amount } } lineItems { edges { node { id quantity } } } } } } }"""


def _post(get: Get, sandbox: RunningSandbox, text: str, version: str = "2026-07", **variables: Any) -> Any:
    url = f"{sandbox.url}/t/acme/admin/api/{version}/graphql.json"
    return get(url, "POST", headers=HEADERS, json={"query": text, "variables": variables}).data["data"]


def _run(get: Get, sandbox: RunningSandbox, query: str, version: str = "2026-07") -> Any:
    return _post(get, sandbox, RUN, version, query=query)["bulkOperationRunQuery"]


def _finished(get: Get, sandbox: RunningSandbox, query: str) -> Any:
    operation = _run(get, sandbox, query)["bulkOperation"]
    assert (operation["status"], operation["url"]) == ("CREATED", None)
    polls = [_post(get, sandbox, POLL, id=operation["id"])["node"] for _ in range(2)]
    assert [poll["status"] for poll in polls] == ["RUNNING", "COMPLETED"]
    return polls[1]


def test_a_bulk_operation_gives_every_order_and_its_lines(config: SandboxConfig, get: Get) -> None:
    with RunningSandbox(config) as running:
        done = _finished(get, running, ORDERS % ("2025-05-01T00:00:00-04:00", "2025-05-31T00:00:00-04:00"))
        answer = get(done["url"])
    rows = [msgspec.json.decode(line) for line in answer.body.splitlines()]
    orders = [row for row in rows if "__parentId" not in row]
    assert (int(done["objectCount"]), int(done["rootObjectCount"])) == (len(rows), len(orders))
    assert int(done["fileSize"]) == len(answer.body)
    expected = [truth.order_day(config, "acme", date(2025, 5, 1) + timedelta(days=d), NOW) for d in range(30)]
    assert len(orders) == sum(day.orders for day in expected)
    net = sum(Decimal(row["currentSubtotalPriceSet"]["shopMoney"]["amount"]) for row in orders)
    assert net == sum(day.net_revenue for day in expected)
    assert {row["__parentId"] for row in rows if "__parentId" in row} == {row["id"] for row in orders}


def test_no_rows_have_no_url_and_a_guessed_url_is_forbidden(config: SandboxConfig, get: Get) -> None:
    with RunningSandbox(config) as running:
        done = _finished(get, running, ORDERS % ("2031-01-01", "2031-02-01"))
        assert (done["url"], done["objectCount"]) == (None, "0")
        assert get(f"{running.url}/t/acme/bulk-results/1000001-0123456789abcdef.jsonl").status == 403


@pytest.mark.parametrize(("version", "at_once"), [("2025-10", 1), ("2026-07", 5)])
def test_only_so_many_operations_run_at_once(config: SandboxConfig, get: Get, version: str, at_once: int) -> None:
    query = ORDERS % ("2025-06-01", "2025-06-02")
    with RunningSandbox(config) as running:
        started = [_run(get, running, query, version) for _ in range(at_once + 1)]
        assert [bool(one["userErrors"]) for one in started] == [False] * at_once + [True]
        assert "for this app and shop is already in progress" in started[-1]["userErrors"][0]["message"]
        for _ in range(2):
            _post(get, running, POLL, version, id=started[0]["bulkOperation"]["id"])
        assert _run(get, running, query, version)["bulkOperation"]
        assert _run(get, running, "{ shop { name } }")["userErrors"]


def test_an_operation_is_written_between_other_answers_until_it_is_cancelled() -> None:
    """A year's file was written in one go when it was asked for, and every other answer waited for it."""

    def rows() -> Iterator[dict[str, Any]]:
        for number in range(1_000):
            yield {"id": number}

    async def turns() -> list[int]:
        operation = Operation(1, "acme", "", NOW, "", rows)
        work, written = asyncio.create_task(operation.write()), []
        for turn in range(5):
            operation.is_cancelled = turn == 3
            await asyncio.sleep(0)
            written.append(len(operation.lines))
        await work
        assert operation.result() == [msgspec.json.encode(row) for row in rows()]
        return written

    assert asyncio.run(turns()) == [200, 400, 600, 600, 600]


def test_a_result_that_cannot_be_written_is_no_shorter_one() -> None:
    """The rows of before the failure passed for all there are."""

    def rows() -> Iterator[dict[str, Any]]:
        yield from ({"id": number} for number in range(230))
        raise RuntimeError("spoiled")

    async def main() -> None:
        operation = Operation(1, "acme", "", NOW, "", rows)
        await operation.write()
        for _ in range(2):
            with pytest.raises(RuntimeError, match="spoiled"):
                operation.result()

    asyncio.run(main())


def test_a_refund_of_an_old_order_shows_everywhere_from_its_moment_on(config: SandboxConfig, get: Get) -> None:
    """Refunds and edits to older orders never arrived: the window filtered by creation."""
    config = replace(config, late_events=LateEvents())
    day, at = date(2025, 5, 1), datetime(2025, 6, 30, 9, tzinfo=UTC)
    before = truth.order_day(config, "acme", day, NOW)
    order = next(o for o in truth.orders(config, "acme", day, NOW) if o["net_revenue"] > 20 and not o["is_cancelled"])
    with RunningSandbox(config) as running:
        url = f"{running.url}/sandbox/t/acme/orders/{order['order_id']}/refund"
        assert get(url, "POST", json={"amount": "12.34", "at": at.isoformat()}).status == 200
        params = {"status": "any", "updated_at_min": at.isoformat(), "updated_at_max": at.isoformat()}
        rest = get(f"{running.url}/t/acme/admin/api/2026-07/orders.json", headers=HEADERS, params=params).data["orders"]
        text = "query($id: ID!) { order(id: $id) { updatedAt currentSubtotalPriceSet { shopMoney { amount } } } }"
        node = _post(get, running, text, id=f"gid://shopify/Order/{order['order_id']}")["order"]
        assert get(url, "POST", json={"amount": "-1"}).status == 422
        assert get(url.replace(str(order["order_id"]), "17"), "POST", json={"amount": "1"}).status == 422
    left = order["net_revenue"] - Decimal("12.34")
    assert [(o["id"], Decimal(o["current_subtotal_price"])) for o in rest] == [(order["order_id"], left)]
    assert rest[0]["financial_status"] == "partially_refunded"
    assert node["updatedAt"] == "2025-06-30T09:00:00Z"
    assert Decimal(node["currentSubtotalPriceSet"]["shopMoney"]["amount"]) == left
    after = truth.order_day(config, "acme", day, NOW)
    assert (before.orders, before.net_revenue - Decimal("12.34")) == (after.orders, after.net_revenue)
    assert truth.order_day(config, "acme", day, at - timedelta(seconds=1)) == truth.order_day(
        replace(config, late_events=LateEvents()), "acme", day, at - timedelta(seconds=1)
    )
    assert truth.updated_orders(config, "acme", at, at) == [order["order_id"]]
