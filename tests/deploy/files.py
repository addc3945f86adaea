"""The files of deploy/ as its tests read them.

Belongs here: a file, parsed. Does not belong here: what must stand in it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
HELM = yaml.safe_load((DEPLOY / "helm" / "values.yaml").read_text())


def lines_of(file: Path) -> list[str]:
    return [line for line in file.read_text().splitlines() if "=" in line and not line.startswith("#")]


def postgres_config() -> dict[str, Any]:
    return yaml.safe_load((DEPLOY / "dagster.yaml").read_text())["storage"]["postgres"]["postgres_db"]
