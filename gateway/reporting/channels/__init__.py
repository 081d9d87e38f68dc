"""Channels to a treating provider: pure renderers and senders behind one interface."""

from __future__ import annotations

import importlib
from functools import lru_cache
from typing import Any

from pydantic import ValidationError

from gateway.reporting.channels.base import Channel, ChannelSettings

__all__ = ["NAMES", "channel", "settings"]

NAMES = {
    "hl7v2": "hl7v2",
    "pcd01": "pcd01",
    "fhir": "fhir",
    "sftp": "sftp",
    "email": "email",
    "webhook": "webhook",
}
"""The module of each channel, imported when a destination uses it."""


def channel(name: str) -> Channel[Any]:
    """The channel a destination names.

    Raises:
        ValueError: there is no such channel, or what it needs is not installed.
    """
    if name not in NAMES:
        raise ValueError(f"no channel {name!r}; known: {', '.join(NAMES)}")
    try:
        found: Channel[Any] = importlib.import_module(f"gateway.reporting.channels.{NAMES[name]}").CHANNEL
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("gateway."):
            raise ValueError(f"this version has no channel {name}; install a newer one") from None
        raise ValueError(
            f"channel {name} needs the package {error.name}, which is not installed; see the extras in README.md"
        ) from None
    return found


@lru_cache(maxsize=4096)
def settings(name: str, text: str) -> ChannelSettings:
    """A destination's settings out of the JSON in which the store keeps them.

    Raises:
        ValueError: there is no such channel, or these are no settings of it.
    """
    model: type[ChannelSettings] = channel(name).settings
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        names = ", ".join(".".join(str(part) for part in each["loc"]) for each in error.errors())
        raise ValueError(f"the settings do not fit channel {name}: {names}; import the destination again") from None
