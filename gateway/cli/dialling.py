"""Meters that dial in over the network: who comes within a few seconds, and whether the driver understands it.

Nothing is acknowledged, so the meter keeps everything and dials again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from drivers import registry
from drivers.contract import Decoded
from drivers.errors import DriverError, TransportReason
from gateway.cli.records import driver_with_profile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drivers.contract import Driver
    from gateway.hub.configuration import AttachmentSection

__all__ = ["dials_in", "wait_for"]


def dials_in(section: AttachmentSection) -> bool:
    """Whether meters come to this attachment over the network."""
    return section.address.startswith("tcp-listen:")


def wait_for(section: AttachmentSection, seconds: float) -> str:
    """Listen for so long, hear out the first meter that comes, and say what it is."""
    try:
        driver = driver_with_profile(section.driver, section.profile)
        with registry.listen(section.address, max_connections=1) as listener:
            transport = listener.accept(seconds)
            if transport is None:
                return f"no meter dialled {listener.address} within {seconds:g} s; set this address in the meter"
            return f"{transport.peer} dialled in and {_heard(transport, driver, seconds)}"
    except DriverError as error:
        hub = "; if that is the hub, its log says who dials in" if error.reason is TransportReason.BUSY else ""
        return f"{error}{hub}"
    except (registry.NotUsableError, ValueError, OSError) as error:
        return str(error)


def _heard(transport: registry.Transport, driver: Driver, seconds: float) -> str:
    from gateway.cli.session import Seen, converse, decoded

    meters: list[str] = []

    def name(pieces: Sequence[bytes]) -> None:
        said = decoded(driver, pieces)
        if isinstance(said, Decoded):
            parts = (said.meter.vendor, said.meter.model, said.meter.serial)
            meters.append(" ".join(part for part in parts if part) or "a meter that does not name itself")

    seen = Seen(None, name)
    is_orderly = converse(transport, driver, seen, seconds)
    if meters:
        return f"speaks {driver.name}: {meters[0]}"
    if seen.rejected:
        return f"says what driver {driver.name} does not understand: {seen.rejected[0].error}"
    if seen.unacknowledged or is_orderly:
        return f"speaks {driver.name}"
    return f"said nothing that driver {driver.name} understands within {seconds:g} s"
