"""``inr-gateway meters``: what is plugged in, near or dialling, and which port of the configuration it is for."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from drivers import registry
from drivers.errors import TransportError, TransportReason
from gateway.cli.tables import print_table

if TYPE_CHECKING:
    from gateway.hub.configuration import AttachmentSection

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="hub.toml: say which port of it is there")
    parser.add_argument(
        "--bluetooth", action="store_true", help="listen for Bluetooth meters even if no attachment waits for one"
    )
    parser.add_argument(
        "--dialling",
        action="store_true",
        help="wait at each tcp-listen address of hub.toml for a meter, and hear out who it is; stop the hub first",
    )
    parser.add_argument(
        "--seconds", metavar="N", type=float, default=6.0, help="how long to listen for each (default: 6)"
    )
    parser.description = (
        "Lists serial ports, USB health devices and Bluetooth meters with the address by which hub.toml should "
        "name them, and says which attachment each is for, or why none. But for --dialling it opens no port, so it "
        "may run beside a hub. Nothing is acknowledged to a meter."
    )


def run(arguments: argparse.Namespace) -> int:
    """List them: 0 done, 2 the configuration cannot be used."""
    attachments: Sequence[AttachmentSection] = ()
    if arguments.config is not None:
        from gateway.configuration import ConfigurationError
        from gateway.hub.configuration import read

        try:
            attachments = read(arguments.config).attachment
        except ConfigurationError as error:
            print(f"inr-gateway meters: {error}", file=sys.stderr)
            return 2
    nearby = None
    if arguments.bluetooth or any(section.address.startswith("ble:") for section in attachments):
        from gateway.cli.nearby import look
        from gateway.configuration import ConfigurationError

        try:
            nearby = look(arguments.config, arguments.seconds)
        except ConfigurationError as error:
            print(f"inr-gateway meters: {error}", file=sys.stderr)
            return 2
    seen = registry.serial_ports()
    try:
        seen += registry.phdc_devices()
    except TransportError as error:
        print(f"inr-gateway meters: {error}", file=sys.stderr)
    matches = {section.name: _match(section, seen) for section in attachments}
    rows = []
    for sighting in seen:
        names = [name for name, (found, _) in matches.items() if sighting in found]
        remark = sighting.remark
        if arguments.config is not None and not names:
            remark = "; ".join(part for part in ("no attachment names it", remark) if part)
        rows.append((sighting.address, sighting.place, sighting.text, ", ".join(names), remark))
    if nearby is not None:
        rows += nearby.rows
    if rows:
        print_table(("address", "where", "calls itself", "attachment", "remarks"), rows)
    else:
        print("no serial port and no USB health device is plugged in")
    if nearby is not None and nearby.others:
        print(f"{nearby.others} other Bluetooth devices are near")
    now = {} if nearby is None else dict(nearby.now)
    now.update(_dialling(attachments, arguments))
    if attachments:
        print()
        print_table(
            ("attachment", "driver", "address", "now"),
            [
                (section.name, section.driver, section.address, now.get(section.name, matches[section.name][1]))
                for section in attachments
            ],
        )
    return 0


def _dialling(attachments: Sequence[AttachmentSection], arguments: argparse.Namespace) -> dict[str, str]:
    """What to say of attachments to which meters come over the network."""
    from gateway.cli.dialling import dials_in, wait_for

    hint = "meters dial in there; --dialling waits for one"
    return {
        section.name: wait_for(section, arguments.seconds) if arguments.dialling else hint
        for section in attachments
        if dials_in(section) and not _problem_with_driver(section)
    }


def _match(section: AttachmentSection, seen: Sequence[registry.Sighting]) -> tuple[list[registry.Sighting], str]:
    """The devices that an attachment names, and what to say of it."""
    problem = _problem_with_driver(section)
    try:
        found = registry.there(section.address, seen)
    except TransportError as error:
        text = str(error).removeprefix(f"{section.address}: ")
        if error.reason is TransportReason.NOT_FOUND:
            text = "; ".join((text, *_near(section.address, seen)))
        return [], "; ".join(part for part in (text, problem) if part)
    other = _measures_something_else(section, found)
    if other:
        return [], other
    if len(found) > 1:
        places = ", ".join(sighting.place for sighting in found)
        return found, f"names several devices ({places}); add the serial number"
    return found, "; ".join(part for part in (f"plugged in: {found[0].place}", problem) if part)


def _near(address: str, seen: Sequence[registry.Sighting]) -> list[str]:
    """Devices of the same kind, that have another serial number."""
    wanted = address.lower().split(":")[:3]
    same = [each.address for each in seen if each.address.lower().split(":")[:3] == wanted]
    return [f"there is {other} with another serial number" for other in same]


def _problem_with_driver(section: AttachmentSection) -> str:
    try:
        driver = registry.get(section.driver)
    except registry.NotUsableError as error:
        return str(error)
    kinds = {"phdc": "usb", "tcp": "tcp", "tcp-listen": "tcp", "replay": "replay", "ble": "ble"}
    kind = kinds.get(section.address.partition(":")[0], "serial")
    if kind in driver.transports | {"replay"}:
        return ""
    return f"driver {section.driver} is made for {', '.join(sorted(driver.transports))}, not for {kind}"


def _measures_something_else(section: AttachmentSection, found: Sequence[registry.Sighting]) -> str:
    """Why a USB health device is not read although it is there."""
    from gateway.cli.records import driver_with_profile

    said = {code for sighting in found for code in sighting.specializations}
    try:
        driver = driver_with_profile(section.driver, section.profile)
    except (registry.NotUsableError, ValueError, OSError):
        return ""  # what is wrong with it is said elsewhere
    wanted = driver.serial_parameters().get("specializations", ())
    if not said or not isinstance(wanted, tuple) or not wanted or said & set(wanted):
        return ""
    measures, reads = (", ".join(f"0x{code:04X}" for code in sorted(codes)) for codes in (said, wanted))
    return f"plugged in, but says that it is a {measures}; the profile reads {reads} ([usb] specializations)"
