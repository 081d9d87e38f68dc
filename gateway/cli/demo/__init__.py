"""``inr-gateway demo``: one patient's five weeks travel the whole way, and the hub is killed on it."""

from gateway.cli.demo.command import add_arguments, run

__all__ = ["add_arguments", "run"]
