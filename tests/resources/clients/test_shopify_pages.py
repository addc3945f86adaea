"""GraphQL pages against scripted answers: cost, cursors, line items, rows that are not what was promised."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from tests.resources.clients.loopback import NOW
from tests.resources.http.scripted import Naps, Script, calling, json_answer
from weathervane_resources.clients.shopify_graphql import COUNTS_AT_ONCE, ShopifyGraphql
from weathervane_resources.clients.shopify_nodes import FIELDS, LINES
from weathervane_resources.http.errors import Malformed, PagingLoop, PermissionLost, TooBig

FROM, TO = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 2, tzinfo=UTC)
TOO_DEAR = {"errors": [{"message": "too dear", "extensions": {"code": "MAX_COST_EXCEEDED", "cost": 1500}}]}


def read(script: Script, naps: Naps | None = None) -> list[Any]:
    async def main() -> list[Any]:
        async with calling(script, "shopify", naps=naps) as session:
            client = ShopifyGraphql(session, session.origin, "2026-10", clock=lambda: NOW)
            return [page async for page in client.orders(FROM, TO)]

    return asyncio.run(main())


def lines(count: int, cursor: str | None = None) -> dict[str, Any]:
    nodes = [{"quantity": 1, "currentQuantity": 1}] * count
    return {"nodes": nodes, "pageInfo": {"hasNextPage": cursor is not None, "endCursor": cursor}}


def node(number: int, **more: Any) -> dict[str, Any]:
    at = "2026-11-01T08:00:00Z"
    gid = {"id": f"gid://shopify/Order/{number}", "legacyResourceId": str(number)}
    return {**gid, "createdAt": at, "updatedAt": at, "lineItems": lines(1), **more}


def page(*nodes: Any, cursor: str | None = None, **info: Any) -> dict[str, Any]:
    page_info = {"hasNextPage": cursor is not None, "endCursor": cursor, **info}
    return {"data": {"orders": {"nodes": list(nodes), "pageInfo": page_info}}}


def variables(script: Script) -> list[dict[str, Any]]:
    return [json.loads(body)["variables"] for body in script.bodies]


def test_the_search_is_half_open_of_any_status_and_goes_on_after_the_cursor() -> None:
    """Without `status:any` archived orders drop out with no error."""
    script = Script([page(node(1), cursor="c1"), page(cursor="c2"), page(node(2))])
    assert [[row.id for row in one.rows] for one in read(script)] == [[1], [], [2]]
    asked = variables(script)
    assert asked[0] == {
        "first": 250,
        "after": None,
        "query": "status:any AND created_at:>='2026-11-01T00:00:00Z' AND created_at:<'2026-11-02T00:00:00Z'",
        "sort": "CREATED_AT",
    }
    assert [one["after"] for one in asked] == [None, "c1", "c2"]


def test_a_query_that_is_too_dear_asks_for_half_as_many_and_nothing_else_changes() -> None:
    """What a page may cost grows with what is nested in it; the limit is the vendor's to know."""
    script = Script([TOO_DEAR, TOO_DEAR, page(node(1), cursor="c1"), TOO_DEAR, page(node(2))])
    assert [row.id for one in read(script) for row in one.rows] == [1, 2]
    asked = variables(script)
    assert [one["first"] for one in asked] == [250, 125, 62, 62, 31]
    assert len({one["query"] for one in asked}) == 1
    with pytest.raises(TooBig):
        read(Script([TOO_DEAR]))


def throttled(available: int) -> dict[str, Any]:
    status = {"maximumAvailable": 2000, "currentlyAvailable": available, "restoreRate": 100}
    cost = {"requestedQueryCost": 700, "actualQueryCost": None, "throttleStatus": status}
    return {"errors": [{"message": "Throttled", "extensions": {"code": "THROTTLED"}}], "extensions": {"cost": cost}}


def test_a_throttle_is_waited_for_to_the_point() -> None:
    """(700 - 100) / 100 a second, and at most a tenth on top so that waiters do not wake together."""
    naps = Naps()
    assert len(read(Script([throttled(100), page(node(1))]), naps)) == 1
    assert 6.0 <= naps.taken[0] <= 6.6


def test_an_order_with_many_lines_is_read_to_the_last_one() -> None:
    """REST sends them all; ten come with the order."""
    many = node(1, lineItems=lines(10, "l1"))
    rest = [lines(250, "l2"), lines(3)]
    script = Script([page(many, node(2)), *[{"data": {"order": {"lineItems": one}}} for one in rest]])
    assert [len(row.line_items) for one in read(script) for row in one.rows] == [263, 1]
    assert variables(script)[1:] == [{"id": many["id"], "after": "l1"}, {"id": many["id"], "after": "l2"}]


def test_the_edge_duplicates_and_bad_rows_are_counted() -> None:
    """One bad row costs one row; the reason never quotes it."""
    late = node(3, createdAt="2026-11-02T00:00:00Z")
    script = Script([page(node(1), cursor="c"), page(node(1), late, node(4, test="maybe"), node(5, createdAt="x"), 6)])
    first, second = read(script)
    assert [row.id for row in first.rows + second.rows] == [1]
    assert (second.duplicates, second.outside) == (1, 1)
    assert [bad.key for bad in second.bad] == ["4", None, "5"]


@pytest.mark.parametrize("body", [{"data": None}, {"data": {"orders": None}}, {}, {"data": {"orders": {"nodes": []}}}])
def test_an_answer_without_its_orders_fails_the_window(body: Any) -> None:
    """Never read as an empty day."""
    with pytest.raises(Malformed):
        read(Script([page(node(1), cursor="c"), json_answer(body)]))


def test_cursors_that_lead_nowhere_end_the_read() -> None:
    """Endless pages, and a page that promises more without saying where."""
    with pytest.raises(PagingLoop):
        read(Script([page(node(1), cursor="c")]))
    with pytest.raises(Malformed):
        read(Script([page(node(1), hasNextPage=True)]))


def test_a_denied_field_is_a_lost_permission() -> None:
    """GraphQL says so with HTTP 200 and null data."""
    denied = {"data": None, "errors": [{"message": "Access denied", "extensions": {"code": "ACCESS_DENIED"}}]}
    with pytest.raises(PermissionLost):
        read(Script([denied]))


def test_no_personal_data_is_asked_for_or_built() -> None:
    """What is never sent can never be logged or written."""
    asked = f"{FIELDS} {LINES}".lower()
    assert not any(
        word in asked for word in ("email", "phone", "address1", "firstname", "lastname", "customer", "clientip")
    )
    sent = node(1, email="bob@example.com", shippingAddress={"zip": "40202", "name": "Bob", "address1": "Elm 9"})
    (one,) = read(Script([page(sent)]))
    text = json.dumps(msgspec.to_builtins(one.rows[0]))
    assert "40202" in text
    assert not any(word in text for word in ("bob", "Bob", "Elm"))


def counted(script: Script, days: int) -> list[int]:
    async def main() -> list[int]:
        async with calling(script, "shopify") as session:
            client = ShopifyGraphql(session, session.origin, "2026-10", clock=lambda: NOW)
            start = NOW - timedelta(days=days)
            return await client.order_counts([start + timedelta(days=n) for n in range(days + 1)])

    return asyncio.run(main())


def test_many_days_are_counted_in_few_questions_and_only_exactly() -> None:
    """A count is capped at 10,000 unless it is asked not to be, and says so."""
    exact = [{f"n{n}": {"count": n, "precision": "EXACT"} for n in range(size)} for size in (COUNTS_AT_ONCE, 5)]
    script = Script([{"data": one} for one in exact])
    assert counted(script, COUNTS_AT_ONCE + 5) == [*range(COUNTS_AT_ONCE), *range(5)]
    assert all("limit: null" in body for body in script.bodies)
    with pytest.raises(Malformed):
        counted(Script([{"data": {"n0": {"count": 10_000, "precision": "AT_LEAST"}}}]), 1)
    assert counted(Script([{}]), 0) == []
