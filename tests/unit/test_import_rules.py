"""Who may import whom: the walls of the house (docs/architecture.md)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

LIBRARY_ROOMS = {
    "serial": "drivers.transports",
    "usb": "drivers.transports",
    "bleak": "drivers.transports",
    "dbus_fast": "drivers.transports",
    "paho": "gateway.mqtt",
    "amqtt": "gateway.mqtt",
}
SEEN_OF_DRIVERS = {"drivers.contract", "drivers.errors", "drivers.registry"}
CONFIGURATION_SECTIONS = frozenset(
    {
        "gateway.reporting.configuration",
        "gateway.reporting.alerts.configuration",
        "gateway.reporting.registration",
    }
)
"""server.toml has sections for delivery and alerts, so the server's configuration names their models; and the
registry asks each channel whether a destination's address and settings are of its kind."""
CLOCKS_FILES_SOCKETS = {
    "time",
    "os",
    "io",
    "pathlib",
    "socket",
    "sqlite3",
    "asyncio",
    "subprocess",
    "urllib",
    "random",
}


def modules(package: str) -> Iterator[tuple[str, Path]]:
    for path in sorted((ROOT / package.replace(".", "/")).rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        yield name.removesuffix(".__init__"), path


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def inside(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def breaches(room: str, *forbidden: str, but: frozenset[str] = frozenset()) -> list[str]:
    return [
        f"{module} imports {name}"
        for module, path in modules(room)
        for name in sorted(imports(path))
        if any(inside(name, package) for package in forbidden) and not any(inside(name, package) for package in but)
    ]


@pytest.mark.parametrize(
    ("room", "forbidden"),
    [
        ("drivers", ("gateway", "simulators", "tests")),
        ("simulators", ("gateway", "drivers", "tests")),
        ("gateway.hub", ("gateway.server", "gateway.store", "gateway.reporting", "gateway.cli", "simulators")),
        ("gateway.server", ("gateway.hub", "gateway.reporting", "gateway.cli", "simulators", "drivers")),
        (
            "gateway.store",
            ("gateway.hub", "gateway.server", "gateway.reporting.delivery", "gateway.cli", "gateway.mqtt"),
        ),
        (
            "gateway.reporting",
            ("gateway.hub", "gateway.server", "gateway.cli", "gateway.mqtt", "simulators", "drivers"),
        ),
        ("gateway.wire", ("gateway.hub", "gateway.server", "gateway.store", "gateway.reporting", "gateway.mqtt")),
        ("gateway.mqtt", ("gateway.hub", "gateway.server", "gateway.store", "gateway.reporting", "gateway.cli")),
    ],
)
def test_rooms_keep_their_doors_shut(room: str, forbidden: tuple[str, ...]) -> None:
    assert breaches(room, *forbidden, but=CONFIGURATION_SECTIONS) == []


def test_the_gateway_sees_drivers_through_three_doors_only() -> None:
    seen = frozenset(SEEN_OF_DRIVERS)
    found = [
        f"{module} imports {name}"
        for module, path in modules("gateway")
        for name in sorted(imports(path))
        if inside(name, "drivers") and name != "drivers" and not any(inside(name, door) for door in seen)
    ]
    assert found == []


@pytest.mark.parametrize(("library", "room"), LIBRARY_ROOMS.items())
def test_a_library_has_one_room(library: str, room: str) -> None:
    found = [
        f"{module} imports {name}"
        for package in ("drivers", "gateway")
        for module, path in modules(package)
        if not inside(module, room)
        for name in sorted(imports(path))
        if inside(name, library)
    ]
    assert found == []


def test_the_tally_reads_no_clock_file_or_socket() -> None:
    found = [
        f"{module} imports {name}"
        for module, path in modules("gateway.reporting.units")
        for name in sorted(imports(path))
        if name.split(".")[0] in CLOCKS_FILES_SOCKETS
        or inside(name, "gateway.clock")
        or inside(name, "gateway.store")
    ]
    assert found == []


def test_the_check_itself_sees_an_import(tmp_path: Path) -> None:
    file = tmp_path / "late.py"
    file.write_text("def f():\n    from serial import Serial\n    import usb.core\n", encoding="utf-8")
    assert imports(file) == {"serial", "serial.Serial", "usb.core"}
