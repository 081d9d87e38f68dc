"""The audit packet of one unit: everything that a reviewer asks for, on paper, with a manifest of digests."""

from gateway.reporting.claims.packet.make import Packet, packet, write_packet

__all__ = ["Packet", "packet", "write_packet"]
