"""``inr-gateway simulate``: a meter or a provider's system that does not exist, as a process of its own."""

from gateway.cli.simulate.command import add_arguments, run

__all__ = ["add_arguments", "run"]
