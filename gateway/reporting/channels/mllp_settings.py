"""How one MLLP receiver is reached: whom TLS trusts, what it shows, and which acknowledgement is the last."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from gateway.reporting.channels.base import ChannelSettings

__all__ = ["MllpSettings"]

Secret = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,126}$")]
_SECRET = "name of a PEM file in the folder [delivery] secrets"


class MllpSettings(ChannelSettings):
    """What the channels over MLLP share. The TLS settings belong to an address ``mllps://host:port``."""

    ca: Annotated[Secret | None, Field(description=_SECRET)] = None
    """The authorities that may have signed the receiver's certificate, instead of those the machine trusts."""
    client_certificate: Annotated[Secret | None, Field(description=_SECRET)] = None
    """Certificate chain that we show, with its private key unless `client_key` names another file."""
    client_key: Annotated[Secret | None, Field(description=_SECRET)] = None
    server_name: Annotated[
        str | None, Field(pattern=r"^[A-Za-z0-9.:_-]{1,253}$", description="the name in the receiver's certificate")
    ] = None
    """Where it is not the host of the address, as with an address in a private network."""
    minimum_tls: Annotated[Literal["1.2", "1.3"], Field(description='"1.2" or "1.3"')] = "1.2"
    connection_each: Annotated[bool, Field(description="true or false")] = False
    """A new connection for every message, for a receiver that closes, or repeats itself, when one is used again.
    Without it that is learnt anew after each start, at the cost of one message sent twice."""
    commit_only: Annotated[bool, Field(description="true or false")] = False
    """The provider agreed that this interface never gives more than a commit acknowledgement (CA): it counts as
    delivered."""

    @model_validator(mode="after")
    def _key_has_a_certificate(self) -> Self:
        if self.client_key is not None and self.client_certificate is None:
            raise ValueError("client_key needs client_certificate")
        return self

    @property
    def for_tls(self) -> list[str]:
        """Names of the settings given that mean nothing without TLS."""
        names = ("ca", "client_certificate", "client_key", "server_name")
        return [name for name in names if getattr(self, name) is not None]
