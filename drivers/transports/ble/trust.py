"""Whether a meter may be contacted. Nothing is paired here: a person does that, with a command."""

from __future__ import annotations

from pathlib import Path

from drivers.contract import Security
from drivers.errors import DriverError, PairingError, PairingReason, TransportError
from drivers.transports.ble.bonds import Bond, BondFile
from drivers.transports.ble.scanner import Heard

__all__ = ["Trust"]


class Trust:
    """What a profile demands, and what the list of pairings and the system's keys give.

    Attributes:
        problem: why the list cannot be used, or None.
    """

    def __init__(self, security: Security, bonds: Path | None, *, one_meter: bool) -> None:
        """Args: one_meter: the configuration names the meter, so that a stranger it is not."""
        self._security = security
        self._bonds = None if bonds is None else BondFile(bonds)
        self._one_meter = one_meter
        self.problem: DriverError | None = None

    def is_bonded(self, heard: Heard) -> bool:
        """Whether there are keys, as far as anybody can tell."""
        return heard.bonded if heard.bonded is not None else self._listed(heard.advertisement.address) is not None

    def objection(self, heard: Heard) -> DriverError | None:
        """Why it must not be contacted, with the remedy; None if it may."""
        if self._security == "none":
            return None
        address, bonded = heard.advertisement.address, self.is_bonded(heard)
        bond = self._listed(address)
        if self.problem is not None:
            return self.problem
        remedy = f"run: inr-gateway pair {address}"
        if bonded:
            if self._security == "encrypted" or (bond is not None and bond.satisfies(self._security)):
                return None
            message = f"{address}: its pairing proves less than its profile demands ({self._security}); {remedy}"
            return PairingError(message, PairingReason.DOWNGRADED)
        if bond is not None:
            message = f"{address}: it was paired, but this machine has lost its keys; {remedy}"
            return PairingError(message, PairingReason.BOND_LOST)
        if self._one_meter:
            return PairingError(f"{address}: this meter is not paired; {remedy}", PairingReason.NOT_PAIRED)
        # Without an address: one that is private changes each quarter of an hour, and this is said once.
        message = "a meter that is not paired is heard; if it is the patient's, run: inr-gateway pair"
        return PairingError(message, PairingReason.UNKNOWN_METER)

    def _listed(self, address: str) -> Bond | None:
        try:
            bond = None if self._bonds is None else self._bonds.get(address)
        except TransportError as error:
            self.problem = error
            return None
        self.problem = None
        return bond
