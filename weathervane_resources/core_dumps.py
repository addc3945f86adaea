"""What a crashed process leaves of its memory.

Belongs here: that it is nothing, since every token in use is in it. Does not belong here: who calls it (the command line, for
itself and the processes that it starts; in containers the limit is set from outside).
"""

from __future__ import annotations

import resource


def forbid_core_dumps() -> None:
    """Let the kernel write no core file of this process and those that it starts; it may be allowed again (`ulimit -c`)."""
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, most))
