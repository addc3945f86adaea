"""What a test may do to the sandbox while it runs. No vendor has these routes."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal, InvalidOperation

from aiohttp import web

from weathervane_resources.sandbox import oauth, order_history
from weathervane_resources.sandbox.ads_world import PLATFORMS
from weathervane_resources.sandbox.call import CONFIG, answer
from weathervane_resources.sandbox.config import SandboxConfig
from weathervane_resources.sandbox.late_events import Refund, Restatement
from weathervane_resources.sandbox.order_shape import utc_text

_TENANT = r"/sandbox/t/{tenant:[A-Za-z0-9][A-Za-z0-9_-]*}"
_REFUND = rf"{_TENANT}/orders/{{order:\d+}}/refund"
NOTHING = Decimal(0)
_RESTATE = rf"{_TENANT}/ads/{{platform:{'|'.join(PLATFORMS)}}}/{{day:\d{{4}}-\d{{2}}-\d{{2}}}}/restate"


class BadRefund(ValueError):
    """A refund that cannot be: no such order, no amount, no time."""


class BadRestatement(ValueError):
    """A restatement that cannot be: no share, no time."""


def routes() -> list[web.RouteDef]:
    """Return the routes that belong to no vendor."""
    return [web.post(_REFUND, _refund), web.post(_RESTATE, _restate)]


def refund_order(
    config: SandboxConfig, tenant: str, order_id: int, amount: Decimal, at: datetime, *, shipping: Decimal = NOTHING
) -> None:
    """Refund items worth a part of an order at a moment: its `updated_at` moves, its current subtotal shrinks, down to nothing.

    `shipping`: what is given back of the shipping's price, with the items or (`amount` 0) alone. Raises: BadRefund.
    """
    found = order_history.find_order(config, tenant, order_id)
    if not found.size:
        msg = f"{tenant} has no order {order_id}"
        raise BadRefund(msg)
    if min(amount, shipping) < 0 or amount + shipping <= 0 or at.tzinfo is None or at.timestamp() < found["created"][0]:
        msg = f"cannot refund {amount + shipping} of order {order_id} at {at}: a positive amount, an aware time after the order"
        raise BadRefund(msg)
    days = int(at.timestamp() - found["created"][0]) // 86_400 + 1
    config.late_events.add(tenant, Refund(order_id, int(amount * 100), at, days, int(shipping * 100)))


def restate_ads(config: SandboxConfig, tenant: str, restatement: Restatement) -> None:
    """Change a day of an ad platform from a moment on: spend and conversions are a share of what they were.

    Raises: BadRestatement.
    """
    if not 0 <= restatement.share <= 1 or restatement.at.tzinfo is None:
        msg = f"cannot restate to {restatement.share} at {restatement.at}: a share from 0 to 1, an aware time"
        raise BadRestatement(msg)
    config.late_events.restate(tenant, restatement)


async def _refund(request: web.Request) -> web.Response:
    """Answer `POST .../orders/<id>/refund` with `{amount, shipping, at}`: `shipping` defaults to none, `at` to the sandbox's now."""
    config, form = request.app[CONFIG], await oauth.form_of(request)
    tenant, order_id = request.match_info["tenant"], int(request.match_info["order"])
    try:
        at = datetime.fromisoformat(form["at"]) if "at" in form else config.clock()
        shipping = Decimal(form.get("shipping", NOTHING))
        refund_order(config, tenant, order_id, Decimal(form["amount"]), at, shipping=shipping)
    except (KeyError, InvalidOperation, ValueError) as error:
        return answer({"error": f"{type(error).__name__}: {error}"}, 422)
    return answer({"order_id": order_id, "amount": form["amount"], "at": utc_text(at)})


async def _restate(request: web.Request) -> web.Response:
    """Answer `POST .../ads/<platform>/<day>/restate` with `{share, at}`; `at` defaults to the sandbox's now."""
    config, form, path = request.app[CONFIG], await oauth.form_of(request), request.match_info
    try:
        at = datetime.fromisoformat(form["at"]) if "at" in form else config.clock()
        restatement = Restatement(path["platform"], date.fromisoformat(path["day"]), float(form["share"]), at)
        restate_ads(config, path["tenant"], restatement)
    except (KeyError, ValueError) as error:
        return answer({"error": f"{type(error).__name__}: {error}"}, 422)
    return answer({"platform": path["platform"], "day": path["day"], "share": restatement.share, "at": utc_text(at)})
