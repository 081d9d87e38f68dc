"""Reaching an MLLP receiver: its address, and connections to it in the clear or over TLS."""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from gateway.reporting.channels.mllp_line import Line, connect
from gateway.reporting.channels.mllp_settings import MllpSettings
from gateway.reporting.channels.mllp_tls import Tls
from gateway.reporting.configuration import Delivery
from gateway.reporting.secrets import Secrets

__all__ = ["MllpAddress", "Reach", "UnreachableError", "parse_address"]

_ADDRESS = re.compile(
    r"(?P<scheme>mllps?)://(?P<host>[^\s/:@\[\]]+|\[[0-9A-Fa-f:.]+\]):(?P<port>\d{1,5})/?", re.ASCII
)


class MllpAddress(NamedTuple):
    """Where a receiver listens; `secure`: over TLS."""

    host: str
    port: int
    secure: bool


def parse_address(address: str) -> MllpAddress:
    """The parts of ``mllp://host:port`` or ``mllps://host:port`` (over TLS).

    Raises:
        ValueError: it is none.
    """
    found = _ADDRESS.fullmatch(address)
    if found is None or not 1 <= int(found["port"]) <= 65535:
        raise ValueError(
            f"{address!r} is no MLLP address; write it as mllp://host:port, or mllps://host:port for TLS"
        )
    return MllpAddress(found["host"].strip("[]"), int(found["port"]), found["scheme"] == "mllps")


class UnreachableError(Exception):
    """No connection came about, so that no octet of a message left; the text says why."""


class Reach:
    """The way to one receiver."""

    def __init__(self, address: str, delivery: Delivery, settings: MllpSettings, secrets: Secrets) -> None:
        """Nothing is sent before `connect`.

        Raises:
            ValueError: `address` is none, a secret cannot be used, or there are TLS settings for a line without it.
        """
        self.address = parse_address(address)
        self.peer = f"{self.address.host}:{self.address.port}"
        self._delivery = delivery
        self._tls: Tls | None = None
        if self.address.secure:
            self._tls = Tls(self.address.host, settings, secrets)
            self._tls.context()
        elif settings.for_tls:
            raise ValueError(
                f"{', '.join(settings.for_tls)}: TLS is set for {address}; write the address as mllps://host:port"
            )

    async def connect(self) -> Line:
        """A new connection.

        Raises:
            UnreachableError: none came about.
        """
        patience_s = self._delivery.connect_timeout_s
        try:
            return await connect(
                self.address.host,
                self.address.port,
                timeout_s=patience_s,
                most_octets=self._delivery.answer_most_octets,
                tls=self._tls,
            )
        except TimeoutError:
            kind = "TLS connection" if self._tls else "connection"
            raise UnreachableError(f"no {kind} within {patience_s:g} s") from None
        except (OSError, ValueError) as error:
            raise UnreachableError(self._words(error)) from None

    def _words(self, error: Exception) -> str:
        words = "" if self._tls is None else self._tls.words(error)
        if words or not isinstance(error, OSError):
            return words or str(error)
        number = error.errno or 0  # asyncio puts words of its own in the place of the system's
        return f"cannot connect: {os.strerror(number) if number > 0 else error}"
