"""Which hosts are inside: this machine, its network, a cloud's metadata service.

Belongs here: telling whether a name leads there. Does not belong here: who may go there (`notifier.py`).
"""

from __future__ import annotations

import ipaddress
import socket


def is_inside(host: str) -> bool:
    """Return whether any address of `host`, a name or a literal in any spelling, is not a public one.

    A name that cannot be resolved leads nowhere. Blocks while the name is looked up.
    """
    try:
        found = socket.getaddrinfo(host.strip("[]"), None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return False
    return any(not _is_public(str(address[0])) for *_, address in found)


def _is_public(text: str) -> bool:
    address = ipaddress.ip_address(text.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None) or getattr(address, "sixtofour", None)
    if mapped is not None:
        address = mapped
    return address.is_global and not address.is_multicast
