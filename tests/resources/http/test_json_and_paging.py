"""Strict JSON, and paging that ends."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.resources.http.scripted import DATA
from weathervane_resources.http.errors import ForeignOrigin, Malformed, PagingLoop, VendorError, redact
from weathervane_resources.http.origin import same_origin
from weathervane_resources.http.paging import LinkHeader, NextUrl, PageToken, Trail, next_link
from weathervane_resources.http.strict_json import decode, decode_any

WHERE = {"vendor": "shopify", "tenant": "acme", "window": "w"}
SUITE = DATA / "json" / "test_parsing"


@pytest.mark.skipif(not SUITE.exists(), reason="JSONTestSuite is not in this checkout")
def test_the_json_test_suite_is_accepted_and_refused_as_it_should_be() -> None:
    """72 orders with id NaN were once stored with exit 0."""
    for file in sorted(SUITE.iterdir()):
        try:
            decode_any(file.read_bytes())
            accepted = True
        except Malformed:
            accepted = False
        assert file.name[0] == "i" or accepted == (file.name[0] == "y"), file.name


@pytest.mark.parametrize(
    "body", [b"", b"{", b'{"a": 1} x', b'{"a": NaN}', b'{"a": Infinity}', b"[" * 100_000, b'{"a":' * 100_000, b"\xff"]
)
def test_broken_json_is_malformed_and_nothing_else(body: bytes) -> None:
    """100,000 nested arrays are a RecursionError in most parsers, and kill the run."""
    with pytest.raises(Malformed):
        decode_any(body)


@pytest.mark.parametrize("body", [b'{"orders": null}', b"{}", b"[]", b"null"])
def test_a_missing_or_null_collection_is_malformed(body: bytes) -> None:
    """`{"orders": null}` on page 2: exit 0 with 250 of 18,000 orders."""
    from weathervane_resources.clients.shopify_rest import _PAGE

    with pytest.raises(Malformed):
        _PAGE.decode(body, WHERE)
    with pytest.raises(Malformed):
        decode(b'{"a": "x"}', dict[str, int], WHERE)


@pytest.mark.skipif(not DATA.exists(), reason="recorded vendor payloads are not in this checkout")
def test_link_headers_are_read_as_the_vectors_say() -> None:
    """Commas inside the URL, previous before next, no quotes: all seen."""
    for case in json.loads((DATA / "shopify" / "link_headers.json").read_text()):
        links = LinkHeader("https://shop.example", Trail(WHERE))
        headers = {"link": case["header"]} if case["header"] else {}
        if case.get("error"):
            with pytest.raises(VendorError):
                links.next(headers)
        else:
            assert links.next(headers) == case["next"], case["why"]


@given(st.text(max_size=200))
def test_any_link_header_is_read_without_crashing(header: str) -> None:
    """A proxy may send anything."""
    next_link(header)


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/x",
        "http://shop.example/x",
        "https://shop.example:444/x",
        "https://shop.example@evil.example/",
        "https://shop.example.evil.example/",
        "//evil.example/x",
        "https://u:p@shop.example/",
        "",
        "javascript:x",
        "https://[",
    ],
)
def test_a_next_url_elsewhere_is_refused(url: str) -> None:
    """Ordinary clients sent the shop's token to another host and stored 250 of 18,000 orders."""
    assert not same_origin(url, "https://shop.example")
    with pytest.raises(ForeignOrigin):
        NextUrl("https://shop.example", Trail(WHERE)).next(url)


def test_our_own_origin_is_recognised_with_its_default_port() -> None:
    """Vendors may write the port out."""
    assert same_origin("https://shop.example:443/a?b", "https://SHOP.example/prefix")


@given(st.lists(st.text(min_size=1, max_size=3), min_size=1, max_size=6, unique=True), st.integers(0, 5))
def test_a_loop_of_any_length_ends(cycle: list[str], lead: int) -> None:
    """The same next page for ever: every ordinary client ran endlessly."""
    tokens = PageToken(Trail(WHERE))
    for n in range(lead):
        tokens.next(f"lead-{n}")
    with pytest.raises(PagingLoop):
        for _ in range(2):
            for cursor in cycle:
                tokens.next(cursor)
    assert tokens.trail.pages == lead + len(cycle) + 1


def test_pages_and_bytes_and_stale_pages_are_bounded() -> None:
    """A cursor with a timestamp in it never repeats."""
    for trail, size, stale in (
        (Trail(WHERE, max_pages=10), 0, False),
        (Trail(WHERE, max_bytes=1_000), 100, False),
        (Trail(WHERE, max_stale_pages=10), 0, True),
    ):
        with pytest.raises(PagingLoop):
            for n in range(100):
                trail.step(str(n), size, is_stale=stale)
        assert trail.pages == 10


def test_an_empty_token_is_the_last_page() -> None:
    """Google sends "" or nothing."""
    assert PageToken(Trail(WHERE)).next("") is None
    assert PageToken(Trail(WHERE)).next(None) is None


def test_messages_hold_no_credentials_or_query_strings() -> None:
    """`paging.next` carries the access token, and error messages reach logs, alerts and the UI."""
    text = redact(
        "GET https://graph.facebook.com/v26.0/x?access_token=EAAsecret1234567&limit=5 said shpat_abcdef0123 and "
        'client_secret=hunter2hunter2 and {"refresh_token": "1//abcdefghijkl"} Bearer ya29.abc-def'
    )
    for secret in ("EAAsecret", "abcdef0123", "hunter2", "abcdefghijkl", "abc-def", "limit=5"):
        assert secret not in text
    assert "graph.facebook.com/v26.0/x" in text
    refused = "POST https://acme.myshopify.com/admin/oauth/access_token: the token endpoint says invalid_grant"
    assert redact(refused) == refused
    for pair in (
        "/oauth/access_token=hunter2",
        "/oauth/access_token: hunter2",
        "name/password: hunter2 is wrong",
        "access_token: hunter2",
    ):
        assert "hunter2" not in redact(f"https://a.example{pair}")
    said = str(Malformed("cut off", status=200, hint="wait", vendor="shopify", tenant="acme", window="2026-11-01"))
    assert said == "shopify for tenant acme, window 2026-11-01: cut off (HTTP 200). What to do: wait"
