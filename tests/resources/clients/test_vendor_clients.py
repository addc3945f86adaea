"""The four commerce clients against scripted answers on loopback."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeVar

import msgspec
import pytest
from aiohttp import web

from tests.resources.http.scripted import DATA, NOW, Script, calling, json_answer, serving
from weathervane_resources.clients.google_ads import GoogleAdsClient
from weathervane_resources.clients.klaviyo import KlaviyoClient
from weathervane_resources.clients.meta_ads import MetaAdsClient
from weathervane_resources.clients.shopify import Order
from weathervane_resources.clients.shopify_rest import FIELDS, ShopifyRest
from weathervane_resources.clients.shopify_window import kept_page
from weathervane_resources.http.errors import AuthExpired, ForeignOrigin, Malformed, PagingLoop, TooBig, VendorError
from weathervane_resources.http.session import VendorSession

P = TypeVar("P")
FROM, TO = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 2, tzinfo=UTC)
needs_data = pytest.mark.skipif(not DATA.exists(), reason="recorded vendor payloads are not in this checkout")


def pages(script: Script, vendor: str, ask: Callable[[VendorSession], AsyncIterator[P]]) -> list[P]:
    async def main() -> list[P]:
        async with calling(script, vendor) as session:
            return [page async for page in ask(session)]

    return asyncio.run(main())


def call(script: Script, vendor: str, ask: Callable[[VendorSession], Any]) -> Any:
    async def main() -> Any:
        async with calling(script, vendor) as session:
            return await ask(session)

    return asyncio.run(main())


def shopify(session: VendorSession) -> ShopifyRest:
    return ShopifyRest(session, session.origin, "2026-10", lambda: NOW)


def order(number: int, at: str = "2026-11-01T08:00:00Z", **more: Any) -> dict[str, Any]:
    return {"id": number, "created_at": at, "updated_at": at, **more}


def linked(body: Any, cursor: str, host: str = "") -> Callable[[web.Request], Any]:
    async def answer(request: web.Request) -> web.StreamResponse:
        origin = host or f"http://{request.host}"
        link = f'<{origin}/admin/api/2026-10/orders.json?page_info={cursor}&limit=250>; rel="next"'
        return web.json_response(body, headers={"Link": link})

    return answer


def orders(script: Script) -> Any:
    return pages(script, "shopify", lambda session: shopify(session).orders(FROM, TO))


def test_filters_go_with_page_one_only_and_every_page_asks_for_our_fields() -> None:
    """Trap 14: page 2 resent status and created_at_min with page_info and got a 400."""
    script = Script([linked({"orders": [order(1)]}, "p2"), {"orders": [order(2)]}])
    assert [row.id for page in orders(script) for row in page.rows] == [1, 2]
    first, second = (request.query for request in script.seen)
    assert (first["status"], first["limit"], first["created_at_max"]) == ("any", "250", "2026-11-02T00:00:00Z")
    assert dict(second) == {"page_info": "p2", "limit": "250", "fields": FIELDS}


def test_the_inclusive_edge_and_duplicates_are_left_out_and_counted() -> None:
    """Overlapping pages gave 710 duplicates; created_at_max is inclusive."""
    script = Script(
        [
            linked({"orders": [order(1), order(2)]}, "p2"),
            {"orders": [order(2), order(3, "2026-11-01T19:00:00-05:00"), order(4, "yesterday")]},
        ]
    )
    first, second = orders(script)
    assert [row.id for row in first.rows + second.rows] == [1, 2]
    assert (second.duplicates, second.outside, [bad.key for bad in second.bad]) == (1, 1, ["4"])


def test_an_empty_page_with_a_next_link_goes_on() -> None:
    """Stopping there loses the rest of the window."""
    script = Script([linked({"orders": []}, "p2"), {"orders": [order(2)]}])
    assert [len(page.rows) for page in orders(script)] == [0, 1]


def test_one_bad_row_costs_one_row() -> None:
    """A missing key failed the whole batch (tap-facebook #244); the reason never quotes the row."""
    script = Script([{"orders": [order(1), {"created_at": "x"}, order(3, total_price=7), "not an order", order(5)]}])
    (page,) = orders(script)
    assert [row.id for row in page.rows] == [1, 5]
    assert [bad.key for bad in page.bad] == [None, "3", None]


@pytest.mark.parametrize("body", [{"orders": None}, {}, {"orders": {"id": 1}}, []])
def test_a_page_without_its_collection_fails_the_window(body: Any) -> None:
    """`{"orders": null}` on page 2: exit 0 with 250 of 18,000 orders."""
    with pytest.raises(Malformed):
        orders(Script([linked({"orders": [order(1)]}, "p2"), json_answer(body)]))


def test_a_link_to_another_host_or_to_itself_ends_the_read() -> None:
    """The token went to the other host; the loop went on for ever."""

    async def main() -> list[web.Request]:
        async with serving(Script([{"orders": []}])) as foreign:
            async with calling(Script([linked({"orders": [order(1)]}, "p2", foreign.origin)])) as session:
                with pytest.raises(ForeignOrigin):
                    [page async for page in shopify(session).orders(FROM, TO)]
            return foreign.seen

    assert asyncio.run(main()) == []
    with pytest.raises(PagingLoop):
        orders(Script([linked({"orders": [order(1)]}, "p2")]))


def test_personal_data_is_dropped_while_decoding() -> None:
    """What is never built can never be logged or written."""
    address = {"zip": "40202", "name": "Bob Norman", "address1": "Chestnut 92", "phone": "+1502", "latitude": 45.4}
    (page,) = orders(Script([{"orders": [order(1, email="bob@example.com", shipping_address=address)]}]))
    text = json.dumps(msgspec.to_builtins(page.rows[0]))
    assert "40202" in text
    assert not any(word in text for word in ("bob", "Bob", "Chestnut", "+1502"))


def test_shop_money_comes_before_the_plain_field() -> None:
    """The plain field may be in another currency once a shop sells in several."""
    money = {"shop_money": {"amount": "9.50", "currency_code": "USD"}, "presentment_money": {"amount": "8"}}
    (page,) = orders(Script([{"orders": [order(1, total_price="8.00", total_price_set=money, total_tax="1.00")]}]))
    row = page.rows[0]
    assert (row.amount("total_price"), row.amount("total_tax"), row.amount("total_discounts")) == ("9.50", "1.00", None)
    assert row.shop_currency() == "USD"


@needs_data
def test_every_order_in_shopifys_own_documentation_is_read() -> None:
    """Refunds, edits, cancellations, null and missing addresses."""
    pairs = json.loads((DATA / "shopify" / "rest_order_pairs_2026-07.json").read_text())
    sent = [o for pair in pairs for o in pair["response"].get("orders", [])]
    full = [msgspec.convert(o, Order) for o in sent if "created_at" in o]
    assert len(full) > 5
    page = kept_page(full, [], set(), "created_at", datetime(2000, 1, 1, tzinfo=UTC), NOW)
    assert page.bad == []


def test_shop_scopes_and_count_are_read() -> None:
    """The count is half-open: to minus one second; the echoed version shows a silent fall-forward."""
    script = Script(
        [
            json_answer(
                {"shop": {"iana_timezone": "America/New_York", "currency": "USD"}},
                headers={"X-Shopify-API-Version": "2026-01"},
            ),
            {"access_scopes": [{"handle": "read_orders"}]},
            {"count": 7},
        ]
    )

    async def ask(session: VendorSession) -> Any:
        client = shopify(session)
        return await client.shop(), await client.access_scopes(), await client.order_count(FROM, TO)

    shop, scopes, count = call(script, "shopify", ask)
    assert (shop.iana_timezone, shop.served_version, scopes, count) == (
        "America/New_York",
        "2026-01",
        {"read_orders"},
        7,
    )
    assert script.seen[2].query["created_at_max"] == "2026-11-01T23:59:59Z"
    with pytest.raises(ValueError, match="aware"):
        call(
            Script([{}]),
            "shopify",
            lambda s: shopify(s).order_count(FROM.replace(tzinfo=None), TO.replace(tzinfo=None)),
        )


def meta(session: VendorSession, first: date = date(2026, 11, 1), last: date = date(2026, 11, 3)) -> Any:
    return MetaAdsClient(session, session.origin, "v26.0", "123").insights(first, last)


ROW = {"date_start": "2026-11-01", "account_id": "123", "campaign_id": "c", "adset_id": "a", "spend": "1.5"}


def meta_next(body: dict[str, Any], after: str) -> Callable[[web.Request], Any]:
    async def answer(request: web.Request) -> web.StreamResponse:
        limit = request.query["limit"]
        url = f"http://{request.host}/v26.0/act_123/insights?access_token=EAAsecret&limit={limit}&after={after}"
        return web.json_response({**body, "paging": {"cursors": {"after": after}, "next": url}})

    return answer


def test_meta_pages_end_only_where_next_is_absent_and_carry_no_token() -> None:
    """An empty page with next goes on; `cursors.after` exists on the last page; `paging.next` embeds the token."""
    last = {"data": [ROW], "paging": {"cursors": {"after": "z"}}}
    script = Script([meta_next({"data": [ROW]}, "1"), meta_next({"data": []}, "2"), last])
    assert [len(page.rows) for page in pages(script, "meta_ads", meta)] == [1, 0, 1]
    first = script.seen[0].query
    assert (first["level"], first["time_increment"], first["limit"]) == ("adset", "1", "500")
    assert json.loads(first["time_range"]) == {"since": "2026-11-01", "until": "2026-11-03"}
    assert all("access_token" not in request.query for request in script.seen)


def test_meta_halves_the_page_without_changing_the_query() -> None:
    """Splitting by date or filter gave other data (airbyte #36998)."""
    too_big = json_answer({"error": {"code": 1, "message": "Please reduce the amount of data you're asking for"}}, 500)
    script = Script([too_big, too_big, meta_next({"data": [ROW]}, "1"), too_big, {"data": [ROW]}])
    assert len(pages(script, "meta_ads", meta)) == 2
    assert [request.query["limit"] for request in script.seen] == ["500", "250", "125", "125", "62"]
    assert len({request.query["time_range"] for request in script.seen[:3]}) == 1
    with pytest.raises(TooBig):
        pages(Script([too_big]), "meta_ads", meta)


def test_meta_400_190_is_an_expired_token() -> None:
    """Dispatch on the status would call it a bad request."""
    answer = json_answer({"error": {"code": 190, "error_subcode": 463, "message": "expired"}}, 400)
    with pytest.raises(AuthExpired):
        pages(Script([answer]), "meta_ads", meta)


@needs_data
def test_a_recorded_meta_answer_keeps_its_actions() -> None:
    """`actions` is a list, and its numbers are strings."""
    body = json.loads((DATA / "meta" / "ads_insights_action_product_id.json").read_text())
    body.pop("paging", None)
    day = date.fromisoformat(body["data"][0]["date_start"])
    (page,) = pages(Script([body]), "meta_ads", lambda session: meta(session, day, day + timedelta(days=30)))
    assert not page.bad
    assert page.rows[0].actions[0].value == "10"


def test_the_meta_account_is_read() -> None:
    """Its days and money are the account's own."""
    script = Script([{"currency": "EUR", "timezone_name": "Europe/Berlin", "id": "act_123"}])
    account = call(script, "meta_ads", lambda s: MetaAdsClient(s, s.origin, "v26.0", "123").account())
    assert (account.currency, account.timezone_name) == ("EUR", "Europe/Berlin")


def google(session: VendorSession) -> AsyncIterator[Any]:
    client = GoogleAdsClient(session, session.origin, "v26", "99", use_stream=False)
    return client.campaign_days(date(2026, 11, 1), date(2026, 11, 3))


DAY = {
    "customer": {"id": "99", "currencyCode": "USD", "timeZone": "UTC"},
    "campaign": {"id": "5", "resourceName": "r"},
    "segments": {"date": "2026-11-01"},
    "metrics": {"costMicros": "1500000", "conversions": 2},
}


def test_google_pages_follow_the_token_with_the_same_query_and_no_page_size() -> None:
    """`pageSize` is an error since v17; absent optionals are null, not 0."""
    script = Script([{"results": [DAY], "nextPageToken": "t"}, {"fieldMask": "x"}])
    first, second = pages(script, "google_ads", google)
    assert (first.rows[0].metrics.cost_micros, first.rows[0].metrics.clicks, second.rows) == ("1500000", None, [])
    sent = [json.loads(body) for body in script.bodies]
    assert list(sent[0]) == ["query"]
    assert sent[1] == {"query": sent[0]["query"], "pageToken": "t"}
    assert "BETWEEN '2026-11-01' AND '2026-11-03'" in sent[0]["query"]
    assert script.seen[0].path == "/v26/customers/99/googleAds:search"


def test_google_refuses_a_repeated_token_an_empty_object_and_a_null_collection() -> None:
    """An answer without results and without fieldMask proves nothing."""
    with pytest.raises(PagingLoop):
        pages(Script([{"results": [DAY], "nextPageToken": "t"}]), "google_ads", google)
    for body in ({}, {"results": None}):
        with pytest.raises(Malformed):
            pages(Script([json_answer(body)]), "google_ads", google)


def test_a_google_count_that_is_not_an_integer_is_a_bad_row() -> None:
    """int64 arrive as strings; anything else must not become a number."""
    odd = {**DAY, "metrics": {"costMicros": "1e6"}}
    (page,) = pages(Script([{"results": [DAY, odd]}]), "google_ads", google)
    assert (len(page.rows), [bad.key for bad in page.bad]) == (1, ["5"])


def campaign(number: str) -> dict[str, Any]:
    return {"type": "campaign", "id": number, "attributes": {"name": "n", "status": "Brand New Status"}}


def klaviyo(session: VendorSession, revision: str = "2026-07-15") -> KlaviyoClient:
    return KlaviyoClient(session, session.origin, revision, lambda: NOW)


def last(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"data": list(rows), "links": {"self": "x", "next": None}}


def test_klaviyo_reads_three_channels_archived_or_not() -> None:
    """Trap 21: email only, no archived pass, one page."""
    script = Script([last(campaign("a")), last(campaign("b")), last(campaign("a")), last()])
    found = pages(script, "klaviyo", lambda s: klaviyo(s).all_campaigns(updated_from=FROM, updated_to=NOW))
    rows = [row for page in found for row in page.rows]
    assert [(row.id, row.channel, row.archived, row.status) for row in rows] == [
        ("a", "email", False, "Brand New Status"),
        ("b", "email", True, "Brand New Status"),
    ]
    assert sum(page.duplicates for page in found) == 1
    filters = [request.query["filter"] for request in script.seen]
    assert len(set(filters)) == 6
    assert filters[0] == (
        "equals(messages.channel,'email'),equals(archived,false),"
        "greater-or-equal(updated_at,2026-11-01T00:00:00Z),less-than(updated_at,2026-11-20T11:59:50Z)"
    )
    headers = script.seen[0].headers
    assert (headers["revision"], headers["X-Klaviyo-Revision-Fall-Forward-Opt-Out"]) == ("2026-07-15", "1")
    assert headers["accept"] == "application/vnd.api+json"


def test_klaviyo_page_size_is_sent_only_where_the_revision_knows_it() -> None:
    """A 400 before revision 2026-04-15."""
    for revision, sent in (("2026-07-15", "100"), ("2026-01-15", None)):
        script = Script([last()])
        pages(script, "klaviyo", lambda s, r=revision: klaviyo(s, r).campaigns(channel="sms", archived=False))
        assert script.seen[0].query.get("page[size]") == sent


def test_klaviyo_follows_next_and_demands_data_and_links() -> None:
    """A page without links says nothing about whether it is the last."""

    async def with_next(request: web.Request) -> web.StreamResponse:
        url = f"http://{request.host}/api/campaigns?page%5Bcursor%5D=bmV4dA"
        return web.json_response({"data": [campaign("a")], "links": {"next": url}})

    def ask(session: VendorSession) -> AsyncIterator[Any]:
        return klaviyo(session).campaigns(channel="email", archived=False)

    script = Script([with_next, last(campaign("b"))])
    assert [row.id for page in pages(script, "klaviyo", ask) for row in page.rows] == ["a", "b"]
    assert script.seen[1].query["page[cursor]"] == "bmV4dA"
    with pytest.raises(PagingLoop):
        pages(Script([with_next]), "klaviyo", ask)
    for body in ({"data": None, "links": {}}, {"links": {}}, {"data": []}):
        with pytest.raises(VendorError):
            pages(Script([json_answer(body)]), "klaviyo", ask)
