"""The keys of tenants.toml that override a number: the thresholds of the checks and the limits of the weather flags."""

from weathervane_assets.transforms.weather import FLAG_NAMES
from weathervane_checks.thresholds import THRESHOLD_NAMES

OVERRIDABLE = THRESHOLD_NAMES | FLAG_NAMES
