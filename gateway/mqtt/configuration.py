"""How to reach the broker: the ``[mqtt]`` section of hub.toml and server.toml."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from gateway.configuration import Section


class Tls(Section):
    """TLS towards the broker. With ``certificate`` and ``key`` the client proves itself too."""

    ca: Path | None = None
    """PEM file of the authority that signed the broker's certificate; None for the system's store."""
    certificate: Path | None = None
    key: Path | None = None

    @model_validator(mode="after")
    def _both_or_neither(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key belong together; give both or neither")
        return self


class Mqtt(Section):
    """The broker and how to speak with it."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 1883
    protocol: Literal["auto", "5", "3.1.1"] = "auto"
    """``auto`` asks for MQTT 5 and falls back to 3.1.1 when the broker refuses it."""
    tls: Tls | None = None
    username: str | None = None
    password_file: Path | None = None
    """File that holds the password alone; its content never stands in the configuration."""
    keepalive_s: Annotated[int, Field(ge=5, le=3600)] = 30
    inflight: Annotated[int, Field(ge=1, le=1000)] = 20
    """Most messages published or received that are not yet acknowledged."""
    session_expiry_s: Annotated[int, Field(ge=0, le=0xFFFFFFFF)] = 7 * 24 * 3600
