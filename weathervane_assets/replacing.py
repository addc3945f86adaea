"""A function of ours in the place of one of Dagster's, where Dagster has no hook for what we need.

Belongs here: doing so in a way that a new Dagster breaks at the start, not in silence. Does not belong here: what is put
there, and why (`quiet_dev.py`, `webserver.py`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import ModuleType


def replace_called(module: ModuleType, caller: str, name: str, ours: Callable[..., object]) -> None:
    """Let `ours`, which gets the function that it replaces first, be what `caller` calls by the name `name`.

    Raises: RuntimeError: `caller` does not call it, so that ours would never run.
    """
    code = getattr(getattr(module, caller, None), "__code__", None)
    if code is None or name not in code.co_names:
        raise RuntimeError(f"{module.__name__}.{caller} of this Dagster calls no {name}, which we have to replace")
    setattr(module, name, functools.partial(ours, getattr(module, name)))
