"""Which URLs reports and tokens may go to."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

__all__ = ["check_address", "check_protected"]


def check_address(address: str) -> str:
    """The base URL of a FHIR server, without a slash at its end.

    Raises:
        ValueError: it is none.
    """
    _parsed(address)
    return address.rstrip("/")


def check_protected(url: str, *, allow_plain_http: bool) -> str:
    """The URL, if what is sent there can be read by nobody on the way.

    Raises:
        ValueError: it is no URL, or plain HTTP to another machine.
    """
    scheme, host = _parsed(url)
    if scheme == "https" or allow_plain_http or _is_this_machine(host):
        return url
    raise ValueError(
        f"{url!r} is not encrypted; write it as https://, or set allow_plain_http in the destination's settings"
        " if the line is protected otherwise"
    )


def _parsed(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    try:
        port_is_sound = parts.port != 0
    except ValueError:
        port_is_sound = False
    wrong = parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None
    if wrong or not port_is_sound or parts.query or parts.fragment or any(sign.isspace() for sign in url):
        raise ValueError(f"{url!r} is no address of a FHIR server; write it as https://host/path")
    return parts.scheme, parts.hostname or ""


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
