"""What the commands that look at meters share: drivers with profiles, and records as tables and JSON."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from drivers import registry
from drivers.contract import Decoded, Driver, MeterRecord, Quantity
from drivers.errors import DriverError
from gateway.cli.tables import print_table
from gateway.configuration import shipped

__all__ = ["driver_with_profile", "plain", "print_records", "read_profile"]


def read_profile(name: str) -> tuple[Path, Mapping[str, Any]]:
    """A profile by path or by the name of a shipped one, and where it stands.

    Raises:
        OSError: there is none.
        ValueError: it is no TOML.
    """
    path = Path(name)
    if not path.exists() and path.name == name:
        path = shipped() / "profiles" / f"{name.removesuffix('.toml')}.toml"
    try:
        return path, tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def driver_with_profile(name: str, profile: str | None) -> Driver:
    """A driver by name, with a profile or without one.

    Raises:
        drivers.registry.NotUsableError: there is no such driver.
        OSError: there is no such profile.
        ValueError: driver and profile do not fit each other.
    """
    kind = registry.get(name)
    if profile is None:
        try:
            return kind({})
        except ValueError as error:
            raise ValueError(f"driver {name} needs a profile (--profile): {error}") from error
    path, content = read_profile(profile)
    meant = content.get("driver", name)
    if meant != name:
        raise ValueError(f"{path}: this profile is for the driver {meant!r}, not for {name!r}")
    try:
        return kind(content)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def plain(value: Any) -> Any:
    """Records as JSON knows them; octets are left out."""
    if isinstance(value, DriverError):
        return {"reason": str(value.reason), "text": str(value), "offset": value.offset}
    if dataclasses.is_dataclass(value):
        fields = ((field.name, getattr(value, field.name)) for field in dataclasses.fields(value))
        return {name: plain(content) for name, content in fields if not isinstance(content, bytes)}
    if isinstance(value, (tuple, list)):
        return [plain(content) for content in value]
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, datetime):
        return value.isoformat()
    return value


def print_records(messages: Iterable[Decoded]) -> None:
    """Records as a table, below the meter that sent them."""
    meters: dict[str, list[tuple[object, ...]]] = {}
    for decoded in messages:
        meter = decoded.meter
        name = (
            " ".join(part for part in (meter.vendor, meter.model, meter.serial) if part) or "a meter without name"
        )
        if decoded.clock is not None:
            name += f", its clock shows {decoded.clock.time.local or decoded.clock.time.raw}"
        rows = meters.setdefault(name, [])
        for item in decoded.items:
            if isinstance(item, MeterRecord):
                rows.append(_row(item))
            else:
                rows.append(("unreadable", None, None, None, None, None, None, str(item.error)))
    for name, rows in meters.items():
        print(name)
        print_table(("kind", "meter's time", "INR", "PT", "Quick", "number", "lot", "remarks"), rows)


def _row(record: MeterRecord) -> tuple[object, ...]:
    time = record.device_time
    remarks = "; ".join(part for part in (record.error_code, *record.flags, *record.notes) if part)
    return (
        record.kind.value,
        None if time is None else time.local or time.raw,
        _shown(record.inr),
        _shown(record.pt_seconds),
        _shown(record.quick_percent),
        record.record_number,
        record.strip_lot,
        remarks,
    )


def _shown(quantity: Quantity | None) -> str | None:
    """The number with what the meter said of it; the meter's own words when there is no number."""
    if quantity is None:
        return None
    if quantity.value is None:
        return quantity.text
    return f"{quantity.comparator or ''}{quantity.value:f}"
