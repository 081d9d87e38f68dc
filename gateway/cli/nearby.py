"""Bluetooth meters that are heard just now: which attachment each is for, and why it is not read."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from drivers import registry
from drivers.contract import Advertisement
from drivers.errors import DriverError
from gateway.cli.bluetooth import Wanted, bonds_path, in_configuration

if TYPE_CHECKING:
    from drivers.registry import Bond, Seen

__all__ = ["Nearby", "look"]


class Nearby:
    """What was heard, ready for tables.

    Attributes:
        rows: address, where, what it calls itself, attachments, remarks; of meters only.
        now: what to say of each Bluetooth attachment, by its name.
        others: how many devices are no meters that any driver knows.
    """

    def __init__(self, heard: Sequence[Seen], kinds: Sequence[Wanted], bonds: dict[str, Bond]) -> None:
        self.rows: list[tuple[str, str, str, str, str]] = []
        self.others = 0
        places: dict[str, list[str]] = {kind.attachment: [] for kind in kinds}
        for seen in heard:
            address, name = seen.advertisement.address, seen.advertisement.name or ""
            fits = [kind for kind in kinds if kind.fits(seen.advertisement)]
            for kind in fits:
                places[kind.attachment].append(address)
            remarks = [_trust(seen, kind, bonds.get(address)) for kind in fits[:1]]
            if not fits:
                driver = _any_driver(seen.advertisement)
                if driver is None:
                    self.others += 1
                    continue
                remarks = [f"driver {driver} reads such meters; no attachment is for it"]
            rssi = seen.advertisement.rssi
            where = "Bluetooth" if rssi is None else f"Bluetooth, {rssi} dBm"
            names = ", ".join(kind.attachment for kind in fits)
            self.rows.append((f"ble:{address}", where, name, names, "; ".join(filter(None, remarks))))
        silent = "not heard now; many meters show themselves only for a while after a test"
        self.now = {name: f"heard: {', '.join(found)}" if found else silent for name, found in places.items()}


def look(config: Path | None, seconds: float) -> Nearby | None:
    """Listen for so long; None, and a word on standard error, where Bluetooth does not work.

    Raises:
        ConfigurationError: hub.toml cannot be used.
    """
    kinds = in_configuration(config)
    try:
        bonds = registry.bond_file(bonds_path(config)).bonds()
        with registry.pairing() as radio:
            return Nearby(radio.look(seconds), kinds, bonds)
    except DriverError as error:
        print(f"inr-gateway meters: {error}", file=sys.stderr)
        return None


def _trust(seen: Seen, kind: Wanted, bond: Bond | None) -> str:
    wanted = kind.driver.security
    if wanted == "none":
        return "needs no pairing"
    remedy = f"run: inr-gateway pair {seen.advertisement.address}"
    if seen.bonded is False or (seen.bonded is None and bond is None):
        return f"was paired, but this machine has lost its keys; {remedy}" if bond else f"not paired; {remedy}"
    if bond is None:
        return f"paired by another program, nobody knows how well; {remedy}"
    if not bond.satisfies(wanted):
        return f"paired ({bond.security}), but its profile demands {wanted}; {remedy}"
    return f"paired ({bond.security})"


def _any_driver(advertisement: Advertisement) -> str | None:
    for offer in registry.available():
        if offer.driver is None or "ble" not in offer.driver.transports:
            continue
        try:
            if offer.driver({}).recognises(advertisement):
                return offer.name
        except ValueError:  # it needs a profile, so it cannot be asked
            continue
    return None
