"""The local stand-in for the vendors' APIs.

One aiohttp application that speaks Shopify, Meta, Google Ads, Klaviyo, Open-Meteo and GeoNames over real HTTP, from
data computed out of a seed and never stored. What belongs here: vendor shapes, synthetic worlds, recorded replays.
What does not: anything of the connectors, of Dagster or of the lake; the sandbox knows only what a vendor would know.
"""

from weathervane_resources.sandbox.admin import BadRefund, refund_order
from weathervane_resources.sandbox.app import create_app
from weathervane_resources.sandbox.config import SandboxConfig, TenantProfile
from weathervane_resources.sandbox.faults import UnknownFaultMode
from weathervane_resources.sandbox.request_log import RequestLog, RequestRecord
from weathervane_resources.sandbox.server import RunningSandbox, SandboxPortBusy, serve_forever

__all__ = [
    "BadRefund",
    "RequestLog",
    "RequestRecord",
    "RunningSandbox",
    "SandboxConfig",
    "SandboxPortBusy",
    "TenantProfile",
    "UnknownFaultMode",
    "create_app",
    "refund_order",
    "serve_forever",
]
