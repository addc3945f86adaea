"""Every environment variable that we read, with its default and what it is for.

Belongs here: the table behind docs/environment.md; a test holds it against the code that reads. Does not belong here:
reading (`settings.py`, `credentials.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from weathervane_resources.credentials import SOURCES
from weathervane_resources.versions import DEFAULT_VERSIONS


@dataclass(frozen=True)
class Variable:
    """One variable: its name, what stands in for it when it is unset, and what it is for."""

    name: str
    default: str
    meaning: str


INSTALLATION = (
    Variable("WEATHERVANE_TENANTS", "`tenants.toml`", "the tenants file"),
    Variable("WEATHERVANE_LAKE", "`storage/lake`", "folder or `s3://`, `gs://`, `az://` URL of the Delta tables"),
    Variable(
        "WEATHERVANE_STATE_URL",
        "`sqlite:///storage/state/weathervane.db`",
        "state database (tokens, quotas), a SQLAlchemy URL: SQLite or PostgreSQL",
    ),
    Variable(
        "WEATHERVANE_TOKEN_KEY",
        "made beside a local state file",
        "Fernet key of stored tokens; several, separated by commas, while one is being replaced",
    ),
    Variable(
        "WEATHERVANE_STUBS",
        "`auto`",
        "`auto`: a source without credentials serves stub rows; `never`: its partitions stay empty",
    ),
    Variable("WEATHERVANE_STUB_CHANGES", "`off`", "`on`: the change sensors also watch sources with stub rows"),
    Variable("WEATHERVANE_START_DATE", "`2024-01-01`", "first partition"),
    Variable("WEATHERVANE_ALERT_URLS", "", "Apprise URLs, separated by spaces"),
    Variable("WEATHERVANE_ALERT_INSIDE", "`off`", "`on`: tenants' alert URLs may lead to this machine or its network"),
    Variable("WEATHERVANE_ALERT_SEVERITY", "`warning`", "least severity that goes to them: `warning` or `critical`"),
    Variable("WEATHERVANE_UI_URL", "`http://127.0.0.1:3000`", "where people reach the UI, for the links in messages"),
    Variable(
        "WEATHERVANE_UI_HOSTS",
        "",
        "hosts that the UI may be asked for as, beside loopback and the host of `WEATHERVANE_UI_URL`, separated by commas",
    ),
    Variable(
        "WEATHERVANE_AUTOMATION",
        "`off` (`on` in `weathervane dev`)",
        "`on`: schedules and sensors run without being switched on in the UI",
    ),
    Variable(
        "WEATHERVANE_SHARD",
        "all tenants",
        "`2/4`: this code location starts runs for the second quarter of the tenants",
    ),
    Variable("WEATHERVANE_LOG_FORMAT", "`text`", "`json`: every log line on standard error is one JSON object"),
    Variable("WEATHERVANE_SANDBOX_URL", "a run starts its own", "a running sandbox for stub rows"),
    Variable(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "no metrics",
        "where metrics go, an OTLP/HTTP collector; other `OTEL_*` variables as OpenTelemetry defines them",
    ),
    Variable("OTEL_EXPORTER_OTLP_TIMEOUT", "`2`", "seconds that a process waits for the collector"),
    Variable("OTEL_SERVICE_NAME", "`weathervane`", "the service's name in the metrics"),
    Variable("DAGSTER_HOME", "`storage/dagster`", "the Dagster instance; gets our `dagster.yaml` if it has none"),
    Variable(
        "DAGSTER_EVENT_BATCH_SIZE",
        "`500` on SQLite and in the image",
        "Dagster's: events of planned and materialised days that are stored at once; 0 stores each by itself",
    ),
)
CREDENTIALS: Mapping[str, str] = {
    "SHOPIFY_SHOP_DOMAIN": "the shop: `acme` or `acme.myshopify.com`",
    "SHOPIFY_ACCESS_TOKEN": "Admin API token",
    "SHOPIFY_REFRESH_TOKEN": "rotating refresh token of a public app",
    "SHOPIFY_CLIENT_ID": "the app's client id",
    "SHOPIFY_CLIENT_SECRET": "the app's client secret",
    "SHOPIFY_API_VERSION": "Admin API version",
    "SHOPIFY_BASE_URL": "replaces scheme, host and path prefix",
    "META_ACCESS_TOKEN": "token with `ads_read`",
    "META_AD_ACCOUNT_ID": "ad account, digits (`act_` is dropped)",
    "META_APP_ID": "the app that renews the token",
    "META_APP_SECRET": "its secret; also signs calls (`appsecret_proof`)",
    "META_GRAPH_VERSION": "Graph and Marketing API version",
    "META_BASE_URL": "replaces scheme, host and path prefix",
    "META_EFFECTIVE_STATUSES": "ad sets whose spend is asked for, by status, separated by commas: all if unset; `none` sends no filter",
    "GOOGLE_ADS_CUSTOMER_ID": "customer, digits (dashes are dropped)",
    "GOOGLE_ADS_REFRESH_TOKEN": "refresh token of a user who may read the customer",
    "GOOGLE_ADS_ACCESS_TOKEN": "access token instead; lives an hour",
    "GOOGLE_ADS_LOGIN_CUSTOMER_ID": "manager account through which the customer is reached",
    "GOOGLE_ADS_DEVELOPER_TOKEN": "developer token; its quota is shared by all tenants",
    "GOOGLE_ADS_CLIENT_ID": "OAuth client id",
    "GOOGLE_ADS_CLIENT_SECRET": "OAuth client secret",
    "GOOGLE_ADS_API_VERSION": "API version",
    "GOOGLE_ADS_BASE_URL": "replaces scheme, host and path prefix",
    "GOOGLE_OAUTH_URL": "the whole URL of the token endpoint",
    "KLAVIYO_API_KEY": "private key with `campaigns:read`",
    "KLAVIYO_REVISION": "API revision",
    "KLAVIYO_BASE_URL": "replaces scheme, host and path prefix",
    "OPEN_METEO_API_KEY": "key for the customer hosts; the archive needs the Professional plan",
    "OPEN_METEO_NON_COMMERCIAL": "`on`: your use is non-commercial, take the free hosts",
    "OPEN_METEO_FORECAST_URL": "the whole URL of the forecast endpoint",
    "OPEN_METEO_ARCHIVE_URL": "the whole URL of the archive endpoint",
    "GEONAMES_BASE_URL": "replaces `https://download.geonames.org` (postal tables)",
}


def credential_variables() -> dict[str, list[Variable]]:
    """Return the variables of each source, in the order of the graph; GeoNames needs none of its own."""
    found = {}
    for source in SOURCES:
        names = dict.fromkeys((*source.own, *source.app, *source.overrides))
        found[source.vendor] = [Variable(name, _default(name), CREDENTIALS[name]) for name in names]
    found["geonames"] = [Variable("GEONAMES_BASE_URL", "", CREDENTIALS["GEONAMES_BASE_URL"])]
    return found


def _default(name: str) -> str:
    return f"`{DEFAULT_VERSIONS[name]}`" if name in DEFAULT_VERSIONS else ""
