"""What every channel over MLLP does with its address. What speaks with receivers is imported when it is used."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.reporting.channels.base import Circumstances, Finding, MakeTrial, Sender
from gateway.reporting.channels.mllp_settings import MllpSettings

__all__ = ["check_address", "probe", "sender"]


def check_address(address: str) -> str:
    """The address of an MLLP receiver.

    Raises:
        ValueError: it is none.
    """
    from gateway.reporting.channels.mllp_reach import parse_address

    parse_address(address)
    return address


def sender(address: str, settings: MllpSettings, circumstances: Circumstances) -> Sender:
    """A sender over MLLP."""
    from gateway.reporting.channels.mllp import MllpSender

    return MllpSender(address, circumstances.delivery, settings, circumstances.secrets)


async def probe(
    address: str, settings: MllpSettings, circumstances: Circumstances, make_trial: MakeTrial
) -> Sequence[Finding]:
    """Tries an MLLP receiver."""
    from gateway.reporting.channels import mllp_probe

    return await mllp_probe.probe(address, settings, circumstances, make_trial)
