"""Little-endian fields of GATT values."""

from __future__ import annotations

from struct import Struct

from drivers.protocols.ieee11073.mder import Number, Reader, float_value

__all__ = ["GattReader"]

_U8 = Struct("<B")
_U16 = Struct("<H")
_U32 = Struct("<I")


class GattReader(Reader):
    """A reader of the other byte order: Bluetooth writes the least significant octet first."""

    __slots__ = ()

    def u8(self, what: str) -> int:
        """An unsigned octet."""
        value: int = self.unpack(_U8, what)[0]
        return value

    def u16(self, what: str) -> int:
        """An unsigned 16-bit number."""
        value: int = self.unpack(_U16, what)[0]
        return value

    def u32(self, what: str) -> int:
        """An unsigned 32-bit number."""
        value: int = self.unpack(_U32, what)[0]
        return value

    def number(self, what: str) -> Number:
        """A MEDFLOAT32: FLOAT of IEEE 11073-20601, with its special values."""
        return float_value(self.u32(what))

    def codes(self, what: str) -> tuple[int, ...]:
        """A list of 32-bit codes behind its count."""
        return tuple(self.u32(what) for _ in range(self.u8(f"count of {what}")))
