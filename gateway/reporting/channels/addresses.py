"""What addresses of several channels share."""

from __future__ import annotations

import ipaddress

__all__ = ["loopback"]


def loopback(host: str) -> bool:
    """Whether a host is this machine, by name or by address; there alone may a report travel without TLS."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
