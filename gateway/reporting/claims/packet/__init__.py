"""The audit packet of one unit: everything that a reviewer asks for, on paper, with a manifest of digests."""

from gateway.reporting.claims.packet.day import settled
from gateway.reporting.claims.packet.make import Packet, folder_of, packet, write_packet

__all__ = ["Packet", "folder_of", "packet", "settled", "write_packet"]
