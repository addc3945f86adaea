"""The campaigns of a synthetic shop and their state at a moment. No HTTP shapes: those are `klaviyo.py`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from weathervane_resources.sandbox import seeding
from weathervane_resources.sandbox.config import SandboxConfig

CHANNELS = ("email", "sms", "mobile_push")
OPENED = date(2020, 1, 1)  # lists without a lower bound begin here; an explicit earlier range is served too
_THEMES = ("Spring edit", "Weekend sale", "New arrivals", "Rainy day picks", "Last chance", "Restock", "Members only")
_SEND_HOURS = (9, 10, 12, 17, 19)
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


@dataclass(frozen=True)
class Campaign:
    """The whole life of one campaign; `at` shows it as it stood at a moment."""

    campaign_id: str
    name: str
    channel: str
    fate: str  # sent | cancelled | draft
    created_at: datetime
    scheduled_set_at: datetime
    send_at: datetime
    archived_at: datetime | None


@dataclass(frozen=True)
class CampaignState:
    """What the vendor would show of a campaign at a moment."""

    campaign_id: str
    name: str
    channel: str
    status: str
    archived: bool
    created_at: datetime
    scheduled_at: datetime | None
    send_time: datetime | None
    updated_at: datetime


def _campaign_id(*parts: object) -> str:
    value = seeding.number("campaign id", *parts) * 2**60 + seeding.number("campaign id more", *parts)
    return "01" + "".join(_ALPHABET[(value >> (5 * position)) & 31] for position in range(24))


@lru_cache(maxsize=8192)
def _week(seed: int, tenant: str, timezone: str, monday: date) -> tuple[Campaign, ...]:
    """Return the campaigns meant to go out in one week, two or three of them."""
    random = seeding.stream("campaigns", seed, tenant, monday.toordinal())
    campaigns = []
    for index in range(int(random.integers(2, 4))):
        day = monday + timedelta(days=int(random.integers(0, 7)))
        local = datetime.combine(day, time(int(random.choice(_SEND_HOURS))), ZoneInfo(timezone))
        send_at = local.astimezone(UTC)
        created_at = send_at - timedelta(days=int(random.integers(3, 11)), minutes=int(random.integers(1, 600)))
        channel = str(random.choice(CHANNELS, p=(0.55, 0.3, 0.15)))
        archives = random.random() < 0.15
        campaigns.append(
            Campaign(
                campaign_id=_campaign_id(seed, tenant, monday.toordinal(), index),
                name=f"{random.choice(_THEMES)} {day.isoformat()} {channel}",
                channel=channel,
                fate=str(random.choice(("sent", "cancelled", "draft"), p=(0.86, 0.07, 0.07))),
                created_at=created_at,
                scheduled_set_at=created_at + timedelta(hours=6),
                send_at=send_at,
                archived_at=send_at + timedelta(days=21, hours=5) if archives else None,
            )
        )
    return tuple(campaigns)


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())


def lives(config: SandboxConfig, tenant: str, first: date, last: date) -> list[Campaign]:
    """Return the campaigns meant to go out in the weeks that touch these days, in order of sending."""
    timezone = config.profile(tenant).timezone
    weeks = range((_monday(last) - _monday(first)).days // 7 + 1)
    found = (_week(config.seed, tenant, timezone, _monday(first) + timedelta(weeks=week)) for week in weeks)
    return sorted((c for week in found for c in week), key=lambda c: (c.send_at, c.campaign_id))


def state_at(campaign: Campaign, at: datetime) -> CampaignState | None:
    """Return a campaign as it stood at a moment, None before it was created."""
    if at < campaign.created_at:
        return None
    cancelled_at = campaign.send_at - timedelta(hours=1)
    steps: list[tuple[datetime, str]] = [(campaign.created_at, "Draft")]
    if campaign.fate != "draft":
        steps.append((campaign.scheduled_set_at, "Scheduled"))
    if campaign.fate == "sent":
        steps.append((campaign.send_at + timedelta(minutes=3), "Sent"))
    if campaign.fate == "cancelled":
        steps.append((cancelled_at, "Cancelled"))
    updated_at, status = [step for step in steps if step[0] <= at][-1]
    archived = campaign.archived_at is not None and campaign.archived_at <= at
    if archived and campaign.archived_at is not None:
        updated_at = max(updated_at, campaign.archived_at)
    return CampaignState(
        campaign_id=campaign.campaign_id,
        name=campaign.name,
        channel=campaign.channel,
        status=status,
        archived=archived,
        created_at=campaign.created_at,
        scheduled_at=campaign.send_at if status != "Draft" else None,
        send_time=campaign.send_at if status == "Sent" else None,
        updated_at=updated_at,
    )


def states(config: SandboxConfig, tenant: str, at: datetime) -> list[CampaignState]:
    """Return every campaign of a tenant that exists at a moment, as it stood then."""
    campaigns = lives(config, tenant, OPENED, at.date() + timedelta(days=14))
    return [state for campaign in campaigns if (state := state_at(campaign, at)) is not None]


def sends_on(config: SandboxConfig, tenant: str, day: date) -> int:
    """Return how many campaigns really go out on a tenant-local day."""
    zone = ZoneInfo(config.profile(tenant).timezone)
    campaigns = lives(config, tenant, day, day)
    return sum(c.fate == "sent" and c.send_at.astimezone(zone).date() == day for c in campaigns)
