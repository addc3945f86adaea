"""Bulk operations: long windows in one file, the same orders as the pages, and everything that can go wrong with it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from aiohttp import web

from tests.resources.clients.loopback import NEW_YORK, NOW, TOKYO, config
from tests.resources.clients.shops import days_of, every_order, facts, graphql, rest, using
from tests.resources.http.scripted import Naps, Script, calling, json_answer, serving
from weathervane_resources.clients import shopify_bulk, shopify_file
from weathervane_resources.clients.jobs import PATIENCE_S, MemoryJobs
from weathervane_resources.clients.shopify_bulk import BUSY_WAITS_S
from weathervane_resources.clients.shopify_graphql import ShopifyGraphql
from weathervane_resources.http.errors import Deferred, ForeignOrigin, Malformed, PermissionLost, Unavailable
from weathervane_resources.sandbox import RunningSandbox, truth

ZONES = {"acme": NEW_YORK, "tokyo": TOKYO}
FIRST, DAYS = date(2026, 9, 18), 60
FROM, TO = datetime(2026, 9, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)
PATHS = "/bulk-results/"
NEXT_TO_IT = {"orders": {"nodes": [], "pageInfo": {"hasNextPage": False}}}


@pytest.mark.parametrize("tenant", ZONES)
def test_rest_pages_and_bulk_hold_the_same_sixty_days_and_the_truth(
    tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refunds, edits, cancelled and test orders included, to the cent and the day."""
    edges = days_of(ZONES[tenant], FIRST, DAYS)
    with RunningSandbox(config()) as sandbox:
        bulk = using(sandbox, tenant, graphql, lambda client: every_order(client, edges))
        assert sum(PATHS in record.path for record in sandbox.log) == 1
        by_rest = using(sandbox, tenant, rest, lambda client: every_order(client, edges))
        monkeypatch.setattr("weathervane_resources.clients.shopify_graphql.LONGEST_IN_PAGES", timedelta(days=999))
        paged = using(sandbox, tenant, graphql, lambda client: every_order(client, edges))
        assert sum(PATHS in record.path for record in sandbox.log) == 1
    assert [facts(order) for order in bulk] == [facts(order) for order in by_rest]
    assert [facts(order) for order in bulk] == [facts(order) for order in paged]
    assert {order.financial_status for order in bulk} >= {"refunded", "partially_refunded", "voided", "partially_paid"}
    for day in range(DAYS):
        true = truth.order_day(config(), tenant, FIRST + timedelta(days=day), NOW)
        of_day = [o for o in bulk if edges[day] <= datetime.fromisoformat(o.created_at) < edges[day + 1]]
        net = sum(Decimal(order.amount("current_subtotal_price") or "NaN") for order in of_day)
        assert (len(of_day), net) == (true.orders, true.net_revenue)


def test_a_result_that_is_too_large_is_asked_for_in_halves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory has an end; the query stays the same but for its bounds, and no order is lost at the seam."""
    edges = days_of(NEW_YORK, FIRST, DAYS + 70)[: DAYS + 64]
    with RunningSandbox(config()) as sandbox:
        whole = using(sandbox, "acme", graphql, lambda client: every_order(client, edges))
        monkeypatch.setattr(shopify_bulk, "MAX_FILE_BYTES", 900_000)
        halves = using(sandbox, "acme", graphql, lambda client: every_order(client, edges))
    assert [facts(order) for order in halves] == [facts(order) for order in whole]


def test_faults_change_no_order() -> None:
    """A file cut without Content-Length looks whole to HTTP; its lines are counted."""
    edges = days_of(NEW_YORK, FIRST, DAYS)
    with RunningSandbox(config()) as calm:
        true = using(calm, "acme", graphql, lambda client: every_order(client, edges))
    for seed in range(4):
        spoiled = config(faults="throttle,flaky", fault_share=0.6, fault_wait_s=0.0, fault_seed=seed)
        with RunningSandbox(spoiled) as flaky:
            found = using(flaky, "acme", graphql, lambda client: every_order(client, edges))
        assert [facts(order) for order in found] == [facts(order) for order in true]


def data(**body: Any) -> web.Response:
    return json_answer({"data": body})


def started(number: int = 1) -> web.Response:
    return data(bulkOperationRunQuery={"bulkOperation": {"id": f"op{number}"}, "userErrors": []})


def refused(text: str) -> web.Response:
    return data(bulkOperationRunQuery={"bulkOperation": None, "userErrors": [{"field": None, "message": text}]})


def looked(status: str = "COMPLETED", url: str | None = None, objects: int = 0, roots: int = 0, **more: Any) -> Any:
    counts = {"objectCount": str(objects), "rootObjectCount": str(roots)}
    asked = {"id": "op1", "status": status, "createdAt": "2026-11-20T15:00:00Z", "errorCode": None, "fileSize": None}
    return data(node={**asked, "url": url, **counts, **more})


def order(number: int) -> dict[str, Any]:
    gid = f"gid://shopify/Order/{number}"
    return {"id": gid, "legacyResourceId": str(number), "createdAt": "2026-10-01T08:00:00Z"}


def lines_of(number: int, count: int) -> list[dict[str, Any]]:
    return [{"id": f"l{n}", "quantity": 1, "__parentId": f"gid://shopify/Order/{number}"} for n in range(count)]


def jsonl(*rows: Any) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


COUNTS = data(**{f"n{n}": {"count": 0, "precision": "EXACT"} for n in range(32)})
SCOPES = data(currentAppInstallation={"accessScopes": [{"handle": "read_all_orders"}]})


class OneJob(MemoryJobs):
    """Each run of a test has another port, and so would ask something else."""

    async def find(self, mark: str) -> str | None:
        return next(iter(self.ids.values()), None)

    async def drop(self, mark: str) -> None:
        self.ids.clear()


@dataclass
class Shop:
    """A scripted shop; its file is at another address, as in production."""

    answers: list[Any]
    files: list[Any] = field(default_factory=lambda: [jsonl()])
    jobs: OneJob = field(default_factory=OneJob)
    api: Script = field(default_factory=lambda: Script([]))
    storage: Script = field(default_factory=lambda: Script([]))
    naps: Naps = field(default_factory=Naps)
    now: datetime = NOW

    def read(self) -> list[Any]:
        async def main() -> list[Any]:
            self.storage = Script(list(self.files))
            async with serving(self.storage):
                told = [answer(self.storage.origin) if callable(answer) else answer for answer in self.answers]
                self.api = Script([SCOPES, COUNTS, *told])
                async with calling(self.api, "shopify", naps=self.naps) as session:
                    options = {"jobs": self.jobs, "clock": lambda: self.now, "sleep": self.naps}
                    client = ShopifyGraphql(session, session.origin, "2026-10", **options)
                    return [page async for page in client.orders(FROM, TO)]

        return asyncio.run(main())

    def asked(self) -> list[str]:
        return [json.loads(body)["query"].split()[1].split("(")[0].split("{")[0] for body in self.api.bodies[2:]]


@pytest.fixture
def by_http(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the file be at a loopback address that is not the shop's."""
    monkeypatch.setattr(shopify_file, "same_origin", lambda url, origin: True)


def file_at(objects: int, roots: int) -> Any:
    return lambda origin: looked(url=f"{origin}/f?Signature=s%2Bs", objects=objects, roots=roots)


def test_lines_find_their_order_and_a_bad_row_costs_one_row(by_http: None) -> None:
    """There is no order to the lines; `__parentId` inside a text is text."""
    odd = {**order(3), "test": "maybe"}
    named = {**order(2), "name": '"__parentId":', "shippingAddress": {"city": '"error'}}
    body = jsonl(*lines_of(2, 2), order(1), named, *lines_of(3, 1), odd, *lines_of(1, 3))
    shop = Shop([started(), file_at(9, 3)], [body])
    (page,) = shop.read()
    assert [(row.id, len(row.line_items)) for row in page.rows] == [(1, 3), (2, 2)]
    assert [bad.key for bad in page.bad] == ["gid://shopify/Order/3"]


def test_the_file_is_fetched_without_the_shops_token(by_http: None) -> None:
    """It is at another company's host; the signed address is all it needs."""
    shop = Shop([started(), file_at(1, 1)], [jsonl(order(1))])
    assert [row.id for page in shop.read() for row in page.rows] == [1]
    (request,) = shop.storage.seen
    assert "X-Shopify-Access-Token" not in request.headers
    assert request.query["Signature"] == "s+s"
    assert all("X-Shopify-Access-Token" in asked.headers for asked in shop.api.seen)


def test_a_file_that_is_not_at_https_is_not_fetched() -> None:
    """The address is from the API's own answer, and still goes nowhere unencrypted."""
    shop = Shop([started(), file_at(1, 1)], [jsonl(order(1))])
    with pytest.raises(ForeignOrigin):
        shop.read()
    assert shop.storage.seen == []


def test_a_redirect_of_the_file_goes_nowhere(by_http: None) -> None:
    """Only the host that the API named."""
    moved = web.Response(status=302, headers={"Location": "http://foreign.invalid/f"})
    with pytest.raises(ForeignOrigin):
        Shop([started(), file_at(1, 1)], [moved]).read()


@pytest.mark.parametrize("body", [jsonl(order(1), order(2)), jsonl(order(1), *lines_of(1, 2)), jsonl(order(1))[:-9]])
def test_lines_that_are_missing_are_never_missing_orders(by_http: None, body: bytes) -> None:
    """Three of eight runs of a popular loader lost what was cut off."""
    shop = Shop([started(), file_at(3, 2)], [body, body, jsonl(order(1), *lines_of(1, 1), order(2))])
    (page,) = shop.read()
    assert [row.id for row in page.rows] == [1, 2]
    lost = Shop([started(), file_at(3, 2)], [body])
    with pytest.raises(Malformed):
        lost.read()
    assert lost.jobs.ids == {}


def test_lines_of_an_order_that_did_not_come_are_refused(by_http: None) -> None:
    """The counts agree, and still an order is missing."""
    body = jsonl(order(1), *lines_of(2, 1))
    with pytest.raises(Malformed, match="did not come"):
        Shop([started(), file_at(2, 1)], [body]).read()


def test_no_rows_have_no_file() -> None:
    """`url` is null then; null with objects written is not empty."""
    shop = Shop([started(), looked("CREATED"), looked("RUNNING"), looked()])
    (page,) = shop.read()
    assert (page.rows, shop.asked()) == ([], ["Run", "Look", "Look", "Look"])
    assert len(shop.naps.taken) == 2
    with pytest.raises(Malformed):
        Shop([started(), looked(objects=4, roots=2)]).read()


@pytest.mark.parametrize("ending", ["FAILED", "CANCELED", "EXPIRED", "CANCELING"])
def test_an_operation_that_ends_badly_leaves_the_pages(ending: str) -> None:
    """Cancelled and retried without end on dense periods (airbyte #39499)."""
    shop = Shop([started(), looked(ending, errorCode="TIMEOUT"), data(**NEXT_TO_IT)])
    shop.read()
    assert (shop.asked(), shop.jobs.ids) == (["Run", "Look", "Orders"], {})


@pytest.mark.parametrize(
    ("ending", "code", "kept"),
    [
        ("FAILED", "TIMEOUT", ["op1"]),
        ("FAILED", "ACCESS_DENIED", []),
        ("FAILED", "INTERNAL_SERVER_ERROR", []),
        ("FAILED", None, []),
        ("CANCELED", None, []),
        ("CANCELING", None, []),
        ("EXPIRED", None, []),
    ],
)
def test_only_a_failure_that_tells_of_size_is_remembered(ending: str, code: str | None, kept: list[str]) -> None:
    """One that someone cancelled was renewed by each run, and its part read in pages each time."""
    denied = json_answer({"errors": [{"message": "no", "extensions": {"code": "ACCESS_DENIED"}}], "data": None})
    shop = Shop([started(), looked(ending, errorCode=code), denied])
    with pytest.raises(PermissionLost):
        shop.read()
    assert list(shop.jobs.ids.values()) == kept


def test_a_busy_shop_is_waited_for_and_then_read_in_pages() -> None:
    """One operation a shop before 2026-01, five since, over all of its processes (estuary #3633)."""
    busy = refused("A bulk query operation for this app and shop is already in progress: gid://x.")
    waited = Shop([busy, busy, started(), looked()])
    waited.read()
    assert (waited.asked(), waited.naps.taken) == (["Run", "Run", "Run", "Look"], list(BUSY_WAITS_S[:2]))
    gave_up = Shop([*[busy] * (len(BUSY_WAITS_S) + 1), data(**NEXT_TO_IT)])
    gave_up.read()
    assert gave_up.asked() == ["Run"] * (len(BUSY_WAITS_S) + 1) + ["Orders"]
    other = Shop([refused("Invalid bulk query"), data(**NEXT_TO_IT)])
    other.read()
    assert other.asked() == ["Run", "Orders"]


def test_an_operation_outlives_the_run_that_started_it(by_http: None) -> None:
    """The first run dies while it waits, the second asks for nothing new, the third starts afresh."""
    first = Shop([started(), looked("RUNNING"), web.Response(status=500)])
    with pytest.raises(Unavailable):
        first.read()
    assert list(first.jobs.ids.values()) == ["op1"]
    second = Shop([file_at(1, 1)], [web.Response(status=503)], first.jobs)
    with pytest.raises(Unavailable):
        second.read()
    third = Shop([file_at(1, 1), data(**NEXT_TO_IT)], [jsonl(order(1))], first.jobs, now=NOW + timedelta(minutes=2))
    assert [row.id for page in third.read() for row in page.rows] == [1]
    assert (second.asked(), third.asked(), first.jobs.ids) == (["Look"], ["Look", "Orders"], {})


def test_what_changed_since_an_earlier_runs_operation_began_is_not_written_over(by_http: None) -> None:
    """A refund came while the run was deferred, a change sensor's run stored it, and the file that was older undid it."""
    waits = Shop([started(), looked("RUNNING")])
    with pytest.raises(Deferred):
        waits.read()
    bag = {"shopMoney": {"amount": "20.00", "currencyCode": "USD"}}
    none = {"shopMoney": {"amount": "0.00", "currencyCode": "USD"}}
    lines = {"lineItems": {"nodes": [], "pageInfo": {"hasNextPage": False}}, "updatedAt": "2026-11-20T15:05:00Z"}
    late = [
        {**order(2), **lines, "currentSubtotalPriceSet": none},
        {**order(3), **lines, "createdAt": "2026-11-20T15:05:00Z"},
    ]
    changed = data(orders={"nodes": late, "pageInfo": {"hasNextPage": False}})
    body = jsonl(order(1), {**order(2), "currentSubtotalPriceSet": bag})
    shop = Shop([file_at(2, 2), changed], [body], waits.jobs, now=NOW + timedelta(minutes=40))
    (page,) = shop.read()
    assert {row.id: row.amount("current_subtotal_price") for row in page.rows} == {1: None, 2: "0.00"}
    (asked,) = [json.loads(text)["variables"]["query"] for text in shop.api.bodies if "query Orders" in text]
    assert "updated_at:>='2026-11-20T14:59:00Z'" in asked


def test_an_order_that_cannot_be_read_any_more_counts_once(by_http: None) -> None:
    """Its older version, and it by the number and by the GID: what is counted twice hides an order that was lost."""
    waits = Shop([started(), looked("RUNNING")])
    with pytest.raises(Deferred):
        waits.read()
    lines = {"lineItems": {"nodes": [], "pageInfo": {"hasNextPage": False}}, "updatedAt": "2026-11-20T15:05:00Z"}
    nodes = [{**order(number), **lines, "createdAt": 5} for number in (2, 4, 9)]
    changed = data(orders={"nodes": [*nodes, {**order(5), **lines}], "pageInfo": {"hasNextPage": False}})
    body = jsonl(order(1), order(2), *[{**order(number), "createdAt": 5} for number in (4, 5)])
    shop = Shop([file_at(4, 4), changed], [body], waits.jobs, now=NOW + timedelta(minutes=40))
    found = [([row.id for row in page.rows], [bad.key for bad in page.bad]) for page in shop.read()]
    assert found == [([5, 1], ["gid://shopify/Order/4", "2"]), ([], ["9"])]


def test_what_changed_while_a_fresh_operation_ran_is_not_written_over(by_http: None) -> None:
    """It took three minutes, and a change sensor's run had stored the refund before the file was here."""

    def three_minutes_later(origin: str) -> Any:
        async def answer(_: web.Request) -> web.Response:
            shop.now += timedelta(minutes=3)
            return looked(url=f"{origin}/f", objects=2, roots=2)

        return answer

    lines = {"lineItems": {"nodes": [], "pageInfo": {"hasNextPage": False}}, "updatedAt": "2026-11-20T15:02:00Z"}
    bags = [{"shopMoney": {"amount": amount, "currencyCode": "USD"}} for amount in ("20.00", "0.00")]
    changed = data(
        orders={
            "nodes": [{**order(2), **lines, "currentSubtotalPriceSet": bags[1]}],
            "pageInfo": {"hasNextPage": False},
        }
    )
    body = jsonl(order(1), {**order(2), "currentSubtotalPriceSet": bags[0]})
    shop = Shop([started(), looked("RUNNING"), three_minutes_later, changed], [body])
    (page,) = shop.read()
    assert {row.id: row.amount("current_subtotal_price") for row in page.rows} == {1: None, 2: "0.00"}
    assert shop.asked() == ["Run", "Look", "Look", "Orders"]


def test_an_operation_that_shopify_forgot_is_started_again(by_http: None) -> None:
    """Results are kept a week; another app's token sees none of ours."""
    lost = Shop([started(), looked("RUNNING"), web.Response(status=500)])
    with pytest.raises(Unavailable):
        lost.read()
    shop = Shop([data(node=None), started(2), file_at(1, 1)], [jsonl(order(1))], lost.jobs)
    assert len(shop.read()) == 1
    assert shop.asked() == ["Look", "Run", "Look"]


def test_a_file_that_is_denied_leaves_the_pages(by_http: None) -> None:
    """An expired signature is no lost permission of the shop."""
    shop = Shop([started(), file_at(1, 1), data(**NEXT_TO_IT)], [web.Response(status=403)])
    shop.read()
    assert shop.asked() == ["Run", "Look", "Orders"]


def test_an_operation_that_takes_too_long_frees_the_slot_and_stays() -> None:
    """The run comes back in ten minutes and goes on waiting for the same one."""
    shop = Shop([started(), looked("RUNNING")])
    with pytest.raises(Deferred) as raised:
        shop.read()
    assert raised.value.until == NOW + timedelta(minutes=10)
    assert sum(shop.naps.taken) >= PATIENCE_S
    assert list(shop.jobs.ids.values()) == ["op1"]
