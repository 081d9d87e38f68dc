"""What can go wrong between a meter and the journal.

::

    DriverError                 .reason  a member of the kind's Reason enum, for machines
     |                          .offset  octets into the input where it was noticed, or None
     |- TransportError          the octets could not be moved: port, socket, cable, radio
     |- FramingError            octets came, but not as frames of this protocol
     |- ProtocolError           frames came, but not as the protocol's messages
     |- DeviceError             the meter itself says that it cannot
     `- PairingError            the meter and the hub do not trust each other (Bluetooth)

Every message names the input, the place and the remedy. Values that a person measured and names of
persons never stand in one.
"""

from __future__ import annotations

from enum import StrEnum


class TransportReason(StrEnum):
    """Why octets could not be moved."""

    NOT_FOUND = "not_found"
    """No such port, host or device is there now."""
    BUSY = "busy"
    """Another program holds it."""
    NOT_PERMITTED = "not_permitted"
    """The operating system refuses; usually a missing group or udev rule."""
    UNPLUGGED = "unplugged"
    """It was there and went away."""
    CLOSED = "closed"
    """The far end closed the connection."""
    TIMED_OUT = "timed_out"
    """Nothing moved in the time allowed."""
    MISCONFIGURED = "misconfigured"
    """The address cannot be understood."""
    MISSING_LIBRARY = "missing_library"
    """The optional library for this transport is not installed."""


class FramingReason(StrEnum):
    """Why octets are no frame."""

    CHECKSUM = "checksum"
    TOO_LONG = "too_long"
    BAD_SEQUENCE = "bad_sequence"
    """A frame number that neither follows nor repeats the last one."""
    UNEXPECTED = "unexpected"
    """Octets that cannot stand at this place."""
    TRUNCATED = "truncated"


class ProtocolReason(StrEnum):
    """Why frames are no message."""

    NO_HEADER = "no_header"
    NO_END = "no_end"
    """The message never got its last record."""
    BAD_STRUCTURE = "bad_structure"
    BAD_VALUE = "bad_value"
    UNSUPPORTED = "unsupported"


class DeviceReason(StrEnum):
    """What the meter says about itself."""

    REFUSED = "refused"
    GAVE_UP = "gave_up"
    """The meter ended the transfer before it was complete."""
    CLOCK_UNSET = "clock_unset"


class PairingReason(StrEnum):
    """Why two ends do not trust each other."""

    REJECTED = "rejected"
    DOWNGRADED = "downgraded"
    """The agreed method is weaker than the profile demands."""
    BOND_LOST = "bond_lost"
    """One side has no keys any more for a pairing that the other side remembers."""
    NOT_PAIRED = "not_paired"
    """The meter that the configuration names was never paired with this hub."""
    UNKNOWN_METER = "unknown_meter"
    """A meter of the right kind is heard that was never paired with this hub; it may belong to a neighbour."""


class DriverError(Exception):
    """Base of everything a driver or transport raises.

    Attributes:
        reason: machine-readable member of the subclass's reason enum.
        offset: octets from the start of the input to where it was noticed, if that has a meaning.
    """

    def __init__(self, message: str, reason: StrEnum, *, offset: int | None = None) -> None:
        super().__init__(message)
        self.reason: StrEnum = reason
        self.offset = offset


class TransportError(DriverError):
    """The octets could not be moved."""

    def __init__(self, message: str, reason: TransportReason) -> None:
        super().__init__(message, reason)


class FramingError(DriverError):
    """Octets came, but not as frames of this protocol."""

    def __init__(self, message: str, reason: FramingReason, *, offset: int | None = None) -> None:
        super().__init__(message, reason, offset=offset)


class ProtocolError(DriverError):
    """Frames came, but not as messages of this protocol."""

    def __init__(self, message: str, reason: ProtocolReason, *, offset: int | None = None) -> None:
        super().__init__(message, reason, offset=offset)


class DeviceError(DriverError):
    """The meter itself says that it cannot."""

    def __init__(self, message: str, reason: DeviceReason) -> None:
        super().__init__(message, reason)


class PairingError(DriverError):
    """The meter and the hub do not trust each other."""

    def __init__(self, message: str, reason: PairingReason) -> None:
        super().__init__(message, reason)
