"""The Dagster instance in DAGSTER_HOME.

Belongs here: making it, once, before several processes need it: three that start on an empty SQLite home at the same time
break it for good (dagster #27390).
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import dagster as dg

from weathervane_assets.partitions import TENANT_PARTITIONS
from weathervane_resources.settings import ConfigurationError, Settings


def open_instance(settings: Settings) -> dg.DagsterInstance:
    """Return the instance, made with our dagster.yaml where DAGSTER_HOME has none; sets DAGSTER_HOME for what follows.

    Raises: ConfigurationError: the folder cannot be made or written.
    """
    home = settings.dagster_home.absolute()
    try:
        home.mkdir(parents=True, exist_ok=True)
        if not (home / "dagster.yaml").exists():
            shutil.copyfile(shipped("dagster.yaml"), home / "dagster.yaml")
    except OSError as error:
        raise ConfigurationError(
            f"DAGSTER_HOME {home} cannot be written ({error.strerror}); set DAGSTER_HOME to a folder that can be"
        ) from error
    os.environ["DAGSTER_HOME"] = str(home)
    return dg.DagsterInstance.get()


def shipped(name: str) -> Path:
    """Return a file of ours: beside this module in a wheel, at the project's root in a checkout."""
    here = Path(__file__).parent
    packaged = here / name
    return packaged if packaged.exists() else here.parent / name


def sync_tenants(instance: dg.DagsterInstance, wanted: list[str]) -> list[str]:
    """Make the partitions of `wanted` that are missing and return them; none is ever removed here."""
    missing = sorted(set(wanted) - set(instance.get_dynamic_partitions(TENANT_PARTITIONS)))
    if missing:
        instance.add_dynamic_partitions(TENANT_PARTITIONS, missing)
    return missing
