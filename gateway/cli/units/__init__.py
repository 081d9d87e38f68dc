"""``inr-gateway units``: tests toward units of service, signatures, claims, worklists."""

from gateway.cli.units.command import add_arguments, run

__all__ = ["add_arguments", "run"]
