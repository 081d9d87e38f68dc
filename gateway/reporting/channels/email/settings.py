"""What one e-mail destination wants: boxes, the link, who vouches for the mail server's certificate."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, NamedTuple, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from gateway.reporting.channels.addresses import loopback
from gateway.reporting.channels.base import ChannelSettings

__all__ = ["EmailSettings", "Relay", "check_address", "relay"]

_BOX = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9]([A-Za-z0-9.-]{0,250}[A-Za-z0-9])?")
REFERENCE = "{reference}"


def _box(text: str) -> str:
    if not _BOX.fullmatch(text):
        raise ValueError("no mailbox; write it as name@domain, in ASCII and without a display name")
    return text


def _portal(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme != "https" or not parts.hostname or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("no link that can be used; write https://host/path, with {reference} where it belongs")
    return text


Box = Annotated[str, AfterValidator(_box)]
SecretName = Annotated[str, StringConstraints(min_length=1, max_length=127)]


class EmailSettings(ChannelSettings):
    """Settings of a destination of channel ``email``."""

    sender: Annotated[Box, Field(description="mailbox that the notice comes from, name@domain")]
    to: Annotated[tuple[Box, ...], Field(min_length=1, max_length=20, description="mailboxes, each name@domain")]
    portal: Annotated[
        Annotated[str, AfterValidator(_portal)],
        Field(description="https link of the portal, with {reference} where the notice's reference belongs"),
    ]
    """Without ``{reference}`` the link is the same in every notice, and the reference stands beside it."""
    user: Annotated[str | None, Field(description="name to log in with")] = None
    password: Annotated[SecretName | None, Field(description="name of the secret with the password")] = None
    ca: Annotated[Path | None, Field(description="PEM file of the authority behind the server's certificate")] = (
        None
    )
    """Without it the authorities that the operating system trusts. With it TLS is wanted on loopback too."""

    @model_validator(mode="after")
    def _login_is_whole(self) -> Self:
        if (self.user is None) != (self.password is None):
            raise ValueError("user and password belong together; give both or neither")
        return self


class Relay(NamedTuple):
    """The mail server that takes our notices. `implicit`: TLS from the first octet."""

    host: str
    port: int
    implicit: bool

    def may_be_plain(self, settings: EmailSettings) -> bool:
        """Whether TLS may be done without: on this machine only."""
        return loopback(self.host) and settings.ca is None


def relay(address: str) -> Relay:
    """The parts of ``smtp://host:port`` (TLS by STARTTLS, port 587) or ``smtps://host:port`` (port 465).

    Raises:
        ValueError: it is none.
    """
    parts = urlsplit(address)
    try:
        port = parts.port
    except ValueError:
        port = 0
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname or port == 0:
        raise ValueError("this is no mail server; write it as smtp://host:587 or smtps://host:465")
    if parts.path not in ("", "/") or parts.username or parts.query or parts.fragment:
        raise ValueError("only host and port; boxes, user and password stand in the settings")
    implicit = parts.scheme == "smtps"
    return Relay(parts.hostname, port or (465 if implicit else 587), implicit)


def check_address(address: str) -> str:
    """The address, if it is one. Raises ValueError as `relay` does."""
    relay(address)
    return address
