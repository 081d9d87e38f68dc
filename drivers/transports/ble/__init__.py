"""Bluetooth LE meters, through bleak; on Linux that is BlueZ over D-Bus.

==========================  ===========================================================================
``ble:WORD``                any meter that the driver recognises by what it advertises, as in ``ble:ghs``
``ble:AA:BB:CC:DD:EE:FF``   one meter, by its identity address (on macOS by the system's identifier)
==========================  ===========================================================================

One thread (`radio`) owns an event loop, and with it everything that bleak and D-Bus have: bleak keeps one picture
of BlueZ for each loop, and a new loop is the only clean way to forget that picture when BlueZ was restarted. The
hub's threads see a `Listener` and blocking transports that move the frames of `drivers.protocols.gatt`.

A hub never pairs. It refuses every pairing that somebody else starts, and contacts a meter that must be paired only
if ``inr-gateway pair`` has paired it well enough. On macOS and Windows pairing is the operating system's own, and
how well it was done cannot be learned; those systems are untested.

Nothing here imports bleak or dbus-fast before the first radio is started.
"""
