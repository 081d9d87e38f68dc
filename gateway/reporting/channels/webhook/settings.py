"""What one receiver of webhooks wants: keys, receipts, who vouches for its certificate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, StringConstraints

from gateway.reporting.channels.addresses import loopback
from gateway.reporting.channels.agreement import Agreement
from gateway.reporting.channels.base import ChannelSettings

__all__ = ["WebhookSettings", "check_address"]

SecretName = Annotated[str, StringConstraints(min_length=1, max_length=127)]


class WebhookSettings(ChannelSettings):
    """Settings of a destination of channel ``webhook``."""

    keys: Annotated[
        tuple[SecretName, ...],
        Field(min_length=1, max_length=2, description="names of one or two secrets with the signing keys"),
    ]
    """Each post is signed with all of them, so that a key is changed in three steps: ours and theirs get the new
    one beside the old, then the old one goes. A secret holds ``whsec_`` and base64, or at least 24 octets."""
    token: Annotated[SecretName | None, Field(description="name of the secret sent as Authorization: Bearer")] = (
        None
    )
    ca: Annotated[Path | None, Field(description="PEM file of the authority behind the receiver's certificate")] = (
        None
    )
    """Without it the authorities that the operating system trusts."""
    signed_receipts: Annotated[bool, Field(description="true or false")] = False
    """True: an answer proves delivery only if it is signed with one of the keys."""
    accepted_is_enough: Annotated[
        Agreement | None, Field(description="who signed that a 2xx answer is the agreed way: by = ..., on = ...")
    ] = None


def check_address(address: str) -> str:
    """The address, if it is one: ``https://``, or ``http://`` to this machine alone.

    Raises:
        ValueError: it is none.
    """
    parts = urlsplit(address)
    try:
        well_formed = bool(parts.hostname) and parts.port != 0
    except ValueError:
        well_formed = False
    if parts.scheme not in ("https", "http") or not well_formed or parts.username or parts.fragment:
        raise ValueError("this is no address of a web service; write it as https://host/path")
    if parts.scheme == "http" and not loopback(parts.hostname or ""):
        raise ValueError("a report would travel in the clear; write https:// instead of http://")
    return address
