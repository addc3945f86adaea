"""Which credentials a tenant has: one tenant's token never reaches another's shop."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weathervane_resources.credentials import (
    CREDENTIAL_NAMES,
    GOOGLE_ADS,
    KLAVIYO,
    META,
    OPEN_METEO,
    SHOPIFY,
    SOURCES,
    SourceNames,
    digits,
    find_access,
    statuses,
)
from weathervane_resources.settings import ConfigurationError

ONE = frozenset({"acme"})
TWO = frozenset({"acme", "north-wind"})


def test_a_source_of_which_nothing_is_set_serves_stub_rows_or_none() -> None:
    """With `never`, a missing credential must be an empty partition, not a sample order in the real lake."""
    for source in SOURCES:
        assert find_access(source, {}, "acme", ONE, "auto").source == "stub"
        access = find_access(source, {}, "acme", ONE, "never")
        assert access.source == "not_configured"
        assert not access.is_configured
        assert not access.is_stub


@pytest.mark.parametrize("source", SOURCES, ids=lambda s: s.vendor)
def test_each_complete_set_makes_a_source_live(source: SourceNames) -> None:
    """The OAuth set was documented and never tried: only the plain token worked."""
    for wanted in source.complete:
        env = dict.fromkeys(wanted, "true")
        access = find_access(source, env, "acme", ONE, "never")
        assert access.source == source.live
        assert set(wanted) <= set(access.values)


@pytest.mark.parametrize("source", SOURCES, ids=lambda s: s.vendor)
def test_a_source_half_set_fails_and_names_what_is_missing(source: SourceNames) -> None:
    """Half configured, the source fell back to sample rows without a word."""
    for wanted in source.complete:
        for name in wanted if len(wanted) > 1 else ():
            env = {other: "secret-value" for other in wanted if other != name}
            with pytest.raises(ConfigurationError) as caught:
                find_access(source, env, "acme", ONE, "auto")
            message = str(caught.value)
            assert f"{source.vendor} of tenant acme" in message
            assert name in message.partition("missing")[2]
            assert all(other in message.partition("missing")[0] for other in env)
            assert "secret-value" not in message
            assert "\n" not in message


OWN = [(source, name) for source in SOURCES for name in source.own]


@pytest.mark.parametrize("source", [s for s in SOURCES if s.own], ids=lambda s: s.vendor)
def test_a_token_without_a_tenants_name_serves_nobody_once_there_are_two(source: SourceNames) -> None:
    """The second tenant was added, and its partitions filled with the first one's orders."""
    env = dict.fromkeys((*source.own, *source.app), "token")
    assert find_access(source, env, "acme", ONE, "auto").source == source.live
    for tenant in TWO:
        access = find_access(source, env, tenant, TWO, "auto")
        assert access.source == "stub"
        assert not set(access.values) & set(source.own)


@settings(max_examples=150, deadline=None)
@given(
    st.sets(st.tuples(st.sampled_from(["", "ACME__", "NORTH_WIND__"]), st.sampled_from(CREDENTIAL_NAMES))),
    st.sampled_from(SOURCES),
)
def test_whatever_is_set_a_tenant_never_sees_anothers_value(names: set[tuple[str, str]], source: SourceNames) -> None:
    """No combination of half-set, shared and own variables may leak."""
    env = {f"{prefix}{name}": f"{prefix}true" for prefix, name in names}
    try:
        access = find_access(source, env, "acme", TWO, "auto")
    except ConfigurationError:
        return
    for name, value in access.values.items():
        assert value == ("ACME__true" if f"ACME__{name}" in env else "true")
        if name in source.own:
            assert f"ACME__{name}" in env


def test_a_tenants_own_value_wins_over_the_shared_one() -> None:
    """Two apps, one for each brand: the shared client id signed the other brand's requests."""
    env = {
        "SHOPIFY_CLIENT_ID": "shared", "SHOPIFY_CLIENT_SECRET": "shared-secret",
        "ACME__SHOPIFY_SHOP_DOMAIN": "acme.myshopify.com", "ACME__SHOPIFY_CLIENT_ID": "own",
    }  # fmt: skip
    access = find_access(SHOPIFY, env, "acme", TWO, "auto")
    assert access.source == "shopify_api"
    assert access.values["SHOPIFY_CLIENT_ID"] == "own"
    assert access.values["SHOPIFY_CLIENT_SECRET"] == "shared-secret"


@pytest.mark.parametrize(
    ("said", "meant"), [("active, deleted", ("ACTIVE", "DELETED")), ("none", ()), ("None", ()), ("ACTIVE", ("ACTIVE",))]
)
def test_statuses_are_words_separated_by_commas(said: str, meant: tuple[str, ...]) -> None:
    """An empty variable is an unset one, so that no filter is wanted needs a word of its own."""
    assert statuses(said) == meant


@pytest.mark.parametrize("said", ["ACTIVE,", '["ACTIVE"]', "ACTIVE DELETED", "7"])
def test_statuses_that_are_no_words_are_refused(said: str) -> None:
    """Meta's own error 100 comes at night, and names no variable."""
    with pytest.raises(ConfigurationError, match="META_EFFECTIVE_STATUSES"):
        statuses(said)


def test_app_level_names_alone_do_not_half_configure_every_tenant() -> None:
    """One developer token for the agency: tenants without Google Ads failed, naming variables they never wanted."""
    env = {
        "GOOGLE_ADS_DEVELOPER_TOKEN": "d", "GOOGLE_ADS_CLIENT_ID": "c", "GOOGLE_ADS_CLIENT_SECRET": "s",
        "ACME__GOOGLE_ADS_CUSTOMER_ID": "123", "ACME__GOOGLE_ADS_REFRESH_TOKEN": "r",
    }  # fmt: skip
    assert find_access(GOOGLE_ADS, env, "acme", TWO, "auto").source == "google_ads_api"
    assert find_access(GOOGLE_ADS, env, "north-wind", TWO, "auto").source == "stub"


def test_an_app_level_name_of_a_tenants_own_does_half_configure_it() -> None:
    """ACME__META_APP_ID says that somebody is setting up Meta for acme: sample rows would hide the missing token."""
    with pytest.raises(ConfigurationError, match="META_APP_ID is set, but missing: META_ACCESS_TOKEN"):
        find_access(META, {"ACME__META_APP_ID": "1"}, "acme", TWO, "auto")


SHOP = {"ACME__SHOPIFY_SHOP_DOMAIN": "acme", "ACME__SHOPIFY_ACCESS_TOKEN": "secret-value"}
CUSTOMER = {
    "ACME__GOOGLE_ADS_CUSTOMER_ID": "1", "GOOGLE_ADS_DEVELOPER_TOKEN": "d", "ACME__GOOGLE_ADS_ACCESS_TOKEN": "secret-value",
}  # fmt: skip
ACCOUNT = {"ACME__META_ACCESS_TOKEN": "secret-value", "ACME__META_AD_ACCOUNT_ID": "1"}


@pytest.mark.parametrize(
    ("source", "env", "said", "missing"),
    [
        (SHOPIFY, SHOP, ["ACME__SHOPIFY_REFRESH_TOKEN"], "SHOPIFY_CLIENT_ID and SHOPIFY_CLIENT_SECRET"),
        (SHOPIFY, SHOP, ["ACME__SHOPIFY_REFRESH_TOKEN", "SHOPIFY_CLIENT_ID"], "SHOPIFY_CLIENT_SECRET"),
        (SHOPIFY, SHOP, ["ACME__SHOPIFY_CLIENT_ID"], "SHOPIFY_CLIENT_SECRET"),
        (SHOPIFY, SHOP, ["ACME__SHOPIFY_CLIENT_SECRET"], "SHOPIFY_CLIENT_ID"),
        (GOOGLE_ADS, CUSTOMER, ["ACME__GOOGLE_ADS_REFRESH_TOKEN", "GOOGLE_ADS_CLIENT_ID"], "GOOGLE_ADS_CLIENT_SECRET"),
        (
            GOOGLE_ADS,
            CUSTOMER,
            ["ACME__GOOGLE_ADS_CLIENT_ID", "GOOGLE_ADS_CLIENT_SECRET"],
            "ACME__GOOGLE_ADS_REFRESH_TOKEN",
        ),
        (META, ACCOUNT, ["ACME__META_APP_ID"], "META_APP_SECRET"),
        (META, ACCOUNT, ["ACME__META_APP_SECRET"], "META_APP_ID"),
    ],
)
def test_half_of_what_renews_a_token_is_refused_and_names_the_other_half(
    source: SourceNames, env: dict[str, str], said: list[str], missing: str
) -> None:
    """The token beside it lived for an hour, and then its 401 said to set the refresh token, which was set."""
    with pytest.raises(ConfigurationError) as caught:
        find_access(source, env | dict.fromkeys(said, "secret-value"), "acme", TWO, "auto")
    message = str(caught.value)
    assert message.startswith(f"{source.vendor} of tenant acme: {' and '.join(said)} cannot renew its token")
    assert f"without {missing};" in message
    assert "secret-value" not in message


@pytest.mark.parametrize(
    ("source", "env"),
    [
        (SHOPIFY, SHOP),
        (SHOPIFY, SHOP | {"SHOPIFY_CLIENT_ID": "c"}),
        (SHOPIFY, SHOP | {"SHOPIFY_CLIENT_SECRET": "s"}),
        (SHOPIFY, SHOP | {"SHOPIFY_CLIENT_ID": "c", "SHOPIFY_CLIENT_SECRET": "s"}),
        (SHOPIFY, SHOP | {"SHOPIFY_CLIENT_ID": "c", "ACME__SHOPIFY_REFRESH_TOKEN": "r", "ACME__SHOPIFY_CLIENT_SECRET": "s"}),
        (GOOGLE_ADS, CUSTOMER),
        (GOOGLE_ADS, CUSTOMER | {"GOOGLE_ADS_CLIENT_ID": "c"}),
        (GOOGLE_ADS, CUSTOMER | {"GOOGLE_ADS_CLIENT_ID": "c", "GOOGLE_ADS_CLIENT_SECRET": "s"}),
        (META, ACCOUNT),
        (META, ACCOUNT | {"META_APP_ID": "1"}),
        (META, ACCOUNT | {"META_APP_SECRET": "s"}),
        (META, ACCOUNT | {"META_APP_ID": "1", "ACME__META_APP_SECRET": "s"}),
    ],
)  # fmt: skip
def test_a_fixed_token_stays_one_beside_whatever_all_tenants_share(source: SourceNames, env: dict[str, str]) -> None:
    """The app's names may be there for another tenant, and say nothing of this one's token."""
    assert find_access(source, env, "acme", TWO, "never").source == source.live


def test_a_sole_tenants_app_is_its_own_where_a_token_is_always_the_apps() -> None:
    """With one tenant nobody writes a prefix. A fixed token of Shopify may be another app's, and needs no id at all."""
    plain = {name.removeprefix("ACME__"): value for name, value in (SHOP | CUSTOMER | ACCOUNT).items()}
    for source, name in ((META, "META_APP_ID"), (META, "META_APP_SECRET"), (GOOGLE_ADS, "GOOGLE_ADS_CLIENT_ID")):
        with pytest.raises(ConfigurationError, match=f"{name} cannot renew its token without"):
            find_access(source, plain | {name: "x"}, "acme", ONE, "auto")
    with pytest.raises(ConfigurationError, match=r"without GOOGLE_ADS_REFRESH_TOKEN;"):
        app = {"GOOGLE_ADS_CLIENT_ID": "c", "GOOGLE_ADS_CLIENT_SECRET": "s"}
        find_access(GOOGLE_ADS, plain | app, "acme", ONE, "auto")
    with pytest.raises(ConfigurationError, match=r"SHOPIFY_REFRESH_TOKEN cannot renew its token without"):
        find_access(SHOPIFY, plain | {"SHOPIFY_REFRESH_TOKEN": "r"}, "acme", ONE, "auto")
    assert find_access(SHOPIFY, plain | {"SHOPIFY_CLIENT_ID": "c"}, "acme", ONE, "auto").source == "shopify_api"


def test_an_address_or_version_does_not_configure_a_source() -> None:
    """SHOPIFY_API_VERSION in a shared env file made every tenant 'half configured'."""
    for source in (SHOPIFY, META, GOOGLE_ADS, KLAVIYO):
        env = dict.fromkeys(source.overrides, "x")
        assert find_access(source, env, "acme", ONE, "auto").source == "stub"


def test_a_blank_value_counts_as_unset() -> None:
    """Compose passes KLAVIYO_API_KEY= when it is not set on the host; a blank token is answered 401."""
    assert find_access(KLAVIYO, {"KLAVIYO_API_KEY": "  "}, "acme", ONE, "auto").source == "stub"
    env = {"ACME__KLAVIYO_API_KEY": "", "KLAVIYO_API_KEY": " key \n"}
    assert find_access(KLAVIYO, env, "acme", ONE, "auto").values["KLAVIYO_API_KEY"] == "key"


@pytest.mark.parametrize(
    ("value", "source"),
    [(yes, "open_meteo") for yes in ("true", "1", "yes", "on", "ON")]
    + [(no, "stub") for no in ("false", "0", "no", "Off")],
)
def test_the_free_weather_hosts_need_a_yes(value: str, source: str) -> None:
    """They are for non-commercial use only: `false` is a value, and it was taken for a yes."""
    assert find_access(OPEN_METEO, {"OPEN_METEO_NON_COMMERCIAL": value}, "acme", TWO, "auto").source == source


def test_neither_yes_nor_no_to_the_free_weather_hosts_is_refused() -> None:
    """`on` was taken for a no in silence: a shop that had said so had made-up weather, and nothing named the variable."""
    with pytest.raises(ConfigurationError, match=r"^OPEN_METEO_NON_COMMERCIAL is 'maybe'; it must be on or off$"):
        find_access(OPEN_METEO, {"OPEN_METEO_NON_COMMERCIAL": "maybe"}, "acme", TWO, "auto")
    with pytest.raises(ConfigurationError, match=r"^ACME__OPEN_METEO_NON_COMMERCIAL is"):
        find_access(OPEN_METEO, {"ACME__OPEN_METEO_NON_COMMERCIAL": "maybe"}, "acme", TWO, "auto")


def test_one_weather_address_of_two_is_half_set() -> None:
    """A proxy for the forecast only: the archive would still have gone to the public host."""
    env = {"OPEN_METEO_FORECAST_URL": "https://proxy/v1/forecast"}
    with pytest.raises(ConfigurationError, match="OPEN_METEO_ARCHIVE_URL"):
        find_access(OPEN_METEO, env, "acme", TWO, "auto")


def test_tenants_that_share_a_prefix_are_refused() -> None:
    """a-b and a_b both read A_B__SHOPIFY_ACCESS_TOKEN: one of them was sent the other's token."""
    twins = frozenset({"a-b", "a_b", "c"})
    for tenant, other in (("a-b", "a_b"), ("a_b", "a-b")):
        with pytest.raises(ConfigurationError, match=f"tenants {tenant} and {other} share the variable prefix A_B__"):
            find_access(SHOPIFY, {}, tenant, twins, "auto")
    assert find_access(SHOPIFY, {}, "c", twins, "auto").is_stub


def test_an_access_never_shows_its_values() -> None:
    """A repr in a log line published a token."""
    access = find_access(KLAVIYO, {"KLAVIYO_API_KEY": "pk_secret"}, "acme", ONE, "auto")
    assert "pk_secret" not in repr(access)
    assert "pk_secret" not in str(access)


@pytest.mark.parametrize(
    ("given_id", "plain"),
    [("act_123456", "123456"), ("123-456-7890", "1234567890"), (" 42 ", "42"), ("0012", "0012")],
)
def test_an_account_id_is_its_digits(given_id: str, plain: str) -> None:
    """Google rejects dashes, Meta wants act_ exactly once: we add it, so it is dropped here. Leading zeros stay."""
    assert digits(given_id) == plain


@pytest.mark.parametrize("wrong", ["", "act_", "-", "act_act_1", "12a", "12 34", "１２３", "../1"])
def test_an_account_id_of_anything_else_is_refused_without_quoting_it(wrong: str) -> None:
    """It goes into a URL; and a token pasted into the wrong variable must not be printed."""
    with pytest.raises(ConfigurationError, match="must be digits") as caught:
        digits(wrong)
    assert not wrong.strip("-") or wrong == "act_" or wrong not in str(caught.value)
