"""What the commands about Bluetooth meters share: where the list of pairings is, and for which drivers they are."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

from drivers.contract import Advertisement, Driver

__all__ = ["Wanted", "add_config", "bonds_path", "default_bonds", "in_configuration"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A kind of meter that somebody waits for.

    Attributes:
        attachment: its name in hub.toml, or empty.
        address: as in hub.toml: ``ble:ghs``, or of one meter.
        driver: with its profile.
        profile: the profile's name, or empty.
    """

    attachment: str
    address: str
    driver: Driver
    profile: str

    def is_for(self, address: str) -> bool:
        """Whether its address names this meter, or any."""
        wanted = self.address.removeprefix("ble:")
        return wanted.upper() == address.upper() if ":" in wanted or wanted.count("-") == 4 else True

    def fits(self, seen: Advertisement) -> bool:
        """Whether this is such a meter."""
        return self.is_for(seen.address) and self.driver.recognises(seen)


def add_config(parser: argparse.ArgumentParser) -> None:
    """Declare ``--config``."""
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="hub.toml; without it a list of your own is used"
    )


def default_bonds() -> Path:
    """The list of whoever runs the command, for use without a hub."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "inr-gateway" / "bonds.json"


def bonds_path(config: Path | None) -> Path:
    """The list of the hub, or one's own.

    Raises:
        ConfigurationError: hub.toml cannot be used.
    """
    if config is None:
        return default_bonds()
    from gateway.hub.configuration import read

    return read(config).hub.bonds


def in_configuration(config: Path | None) -> tuple[Wanted, ...]:
    """What hub.toml waits for over Bluetooth.

    Raises:
        ConfigurationError: it cannot be used.
    """
    if config is None:
        return ()
    from gateway.hub.configuration import driver_of, read

    return tuple(
        Wanted(section.name, section.address, driver_of(section), section.profile or "")
        for section in read(config).attachment
        if section.address.startswith("ble:")
    )
