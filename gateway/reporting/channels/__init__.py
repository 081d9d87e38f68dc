"""Channels to a treating provider: pure renderers and senders behind one interface."""

from __future__ import annotations

from gateway.reporting.channels.base import Channel

__all__ = ["channel"]


def channel(name: str) -> Channel:
    """The channel a destination names.

    Raises:
        ValueError: there is no such channel.
    """
    if name == "hl7v2":
        from gateway.reporting.channels import hl7v2, mllp

        return Channel(render=hl7v2.render, sender=mllp.MllpSender)
    raise ValueError(f"no channel {name!r}; known: hl7v2")
