"""A hub without Bluetooth meters pays nothing for Bluetooth."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
from drivers import registry
import gateway.hub.run, gateway.cli.main, gateway.cli.meters, gateway.cli.pair
with registry.listen("tcp-listen://127.0.0.1:0", recognises=None, security="none", bonds=None, again_after_s=1.0):
    pass
try:
    registry.open_transport("ble:ghs")
except Exception as error:
    print(error)
heavy = {"bleak", "dbus_fast", "bumble", "asyncio"}
print(sorted(heavy & set(sys.modules)), [each for each in sys.modules if each.startswith("drivers.transports.ble")])
"""


def test_nothing_of_bluetooth_is_imported_before_it_is_needed() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    said = done.stdout.splitlines()
    assert "cannot be dialled" in said[0]
    assert said[1] == "[] []"
