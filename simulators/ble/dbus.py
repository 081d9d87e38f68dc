"""A private D-Bus daemon, and a service on it that is a tree of objects with properties.

Messages leave one after the other: dbus-fast loses its connection when many signals are written in one turn of the
loop while file descriptors are negotiated.
"""

from __future__ import annotations

import asyncio
import select
import shutil
import subprocess
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from dbus_fast import Message, MessageType, Variant
from dbus_fast.aio import MessageBus

__all__ = ["BusError", "PrivateBus", "Tree"]

PROPERTIES: Final = "org.freedesktop.DBus.Properties"
OBJECTS: Final = "org.freedesktop.DBus.ObjectManager"
_CONFIGURATION: Final = """\
<busconfig><type>system</type><listen>unix:path={folder}/bus</listen><auth>EXTERNAL</auth>
<policy context="default"><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/></policy>
</busconfig>
"""


class PrivateBus:
    """A dbus-daemon of our own, for the time of a ``with``.

    Attributes:
        address: what ``DBUS_SYSTEM_BUS_ADDRESS`` must say before bleak connects.

    Raises:
        FileNotFoundError: there is no program dbus-daemon.
    """

    def __init__(self) -> None:
        self.address = ""

    @staticmethod
    def is_possible() -> bool:
        """Whether there is a program dbus-daemon."""
        return shutil.which("dbus-daemon") is not None

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="bus")
        configuration = Path(self._folder.name, "bus.conf")
        configuration.write_text(_CONFIGURATION.format(folder=self._folder.name))
        self._daemon = subprocess.Popen(
            ["dbus-daemon", f"--config-file={configuration}", "--nofork", "--print-address=1"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._daemon.stdout is not None
        self.address = self._daemon.stdout.readline().strip()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._daemon.terminate()
        self._daemon.communicate()
        self._folder.cleanup()


class BusError(Exception):
    """A call is answered with an error.

    Args:
        name: of the error; without a dot it is one of org.bluez.Error.
    """

    def __init__(self, name: str, text: str = "") -> None:
        super().__init__(text)
        self.name = name if "." in name else f"org.bluez.Error.{name}"


Answer = tuple[str, list[Any]] | Message | None
Interfaces = dict[str, dict[str, Variant]]


class Tree:
    """A service with one name and a tree of objects.

    Args:
        answer: called with each method call (those of ObjectManager and Properties.Get excepted). It returns the
            signature and body of the reply, a whole reply, or nothing.
        left: called with the unique name of each client that leaves the bus.
    """

    def __init__(
        self, name: str, answer: Callable[[Message], Awaitable[Answer]], left: Callable[[str], None]
    ) -> None:
        self._name = name
        self._answer = answer
        self._left = left
        self._bus: MessageBus | None = None
        self._objects: dict[str, Interfaces] = {}
        self._outgoing: asyncio.Queue[tuple[Message | None, asyncio.Future[None]]] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, address: str) -> None:
        """Connect and take the name."""
        self._bus = await MessageBus(bus_address=address, negotiate_unix_fd=True).connect()
        self._bus.add_message_handler(self._received)
        self._outgoing = asyncio.Queue()
        self.spawn(self._write(self._bus))
        await self._bus.call(
            Message(
                destination="org.freedesktop.DBus",
                path="/org/freedesktop/DBus",
                interface="org.freedesktop.DBus",
                member="AddMatch",
                signature="s",
                body=["type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged'"],
            )
        )
        await self._bus.request_name(self._name)

    async def stop(self) -> None:
        """Leave the bus; what is under way is given up."""
        bus, self._bus = self._bus, None
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if bus is not None:
            bus.disconnect()
            await bus.wait_for_disconnect()  # type: ignore[no-untyped-call]  # dbus-fast's
        self._objects.clear()

    async def flush(self) -> None:
        """Wait until everything said so far has left."""
        await self._send(None)

    def spawn(self, work: Awaitable[None]) -> asyncio.Task[None]:
        """Do something beside; it ends with the service."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # The tree.

    def paths(self, under: str) -> list[str]:
        """Paths of an object and all below it, the deepest first."""
        return sorted((path for path in self._objects if f"{path}/".startswith(f"{under}/")), reverse=True)

    def has(self, path: str) -> bool:
        """Whether there is such an object."""
        return path in self._objects

    def get(self, path: str, interface: str, name: str) -> Any:
        """Value of a property."""
        return self._objects[path][interface][name].value

    def add(self, path: str, interfaces: Mapping[str, Mapping[str, Variant]]) -> None:
        """A new object."""
        self._objects[path] = {name: dict(properties) for name, properties in interfaces.items()}
        self._signal("/", OBJECTS, "InterfacesAdded", "oa{sa{sv}}", [path, self._objects[path]])

    def remove(self, path: str) -> None:
        """An object and all below it are gone."""
        for each in self.paths(path):
            interfaces = list(self._objects.pop(each))
            self._signal("/", OBJECTS, "InterfacesRemoved", "oas", [each, interfaces])

    def change(self, path: str, interface: str, **changed: Variant) -> asyncio.Future[None]:
        """Properties change. The future is done when everybody was told."""
        self._objects[path][interface].update(changed)
        return self._signal(path, PROPERTIES, "PropertiesChanged", "sa{sv}as", [interface, changed, []])

    # The wire.

    async def call(self, message: Message) -> Message:
        """Call a method of a client.

        Raises:
            BusError: it is answered with an error, or the service is stopping.
        """
        if self._bus is None:
            raise BusError("Failed", "stopped")
        reply = await self._bus.call(message)
        if reply.message_type is MessageType.ERROR:
            raise BusError(reply.error_name or "Failed", str(reply.body[0]) if reply.body else "")
        return reply

    def _signal(
        self, path: str, interface: str, member: str, signature: str, body: list[Any]
    ) -> asyncio.Future[None]:
        return self._send(
            Message(
                message_type=MessageType.SIGNAL,
                path=path,
                interface=interface,
                member=member,
                signature=signature,
                body=body,
            )
        )

    def _send(self, message: Message | None) -> asyncio.Future[None]:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._outgoing.put_nowait((message, done))
        return done

    async def _write(self, bus: MessageBus) -> None:
        while True:
            message, done = await self._outgoing.get()
            if message is not None:
                await _room(bus)
                await bus.send(message)
            if not done.done():
                done.set_result(None)

    def _received(self, message: Message) -> bool | None:
        if message.message_type is MessageType.SIGNAL and message.member == "NameOwnerChanged":
            name, _, new = message.body
            if not new:
                self._left(name)
            return None
        if message.message_type is not MessageType.METHOD_CALL or message.interface in (
            "org.freedesktop.DBus.Peer",
            "org.freedesktop.DBus.Introspectable",
        ):
            return None
        self.spawn(self._serve(message))
        return True

    async def _serve(self, message: Message) -> None:
        try:
            answer = await self._answered(message)
        except BusError as error:
            self._send(Message.new_error(message, error.name, str(error)))
            return
        except Exception as error:  # a mistake in the fake: the caller shall not wait for ever, and we shall see it
            self._send(Message.new_error(message, "org.bluez.Error.Failed", repr(error)))
            raise
        if not isinstance(answer, Message):
            signature, body = answer or ("", [])
            answer = Message.new_method_return(message, signature, body)
        self._send(answer)

    async def _answered(self, message: Message) -> Answer:
        path, body = message.path or "", message.body
        if message.interface == OBJECTS and message.member == "GetManagedObjects":
            return "a{oa{sa{sv}}}", [self._objects]
        if path not in self._objects:
            # BlueZ's library answers so for an object that is gone.
            raise BusError("org.freedesktop.DBus.Error.UnknownObject", f"no object {path}")
        if message.interface == PROPERTIES and message.member in ("Get", "GetAll"):
            properties = self._objects[path].get(body[0])
            if properties is None or (message.member == "Get" and body[1] not in properties):
                raise BusError("org.freedesktop.DBus.Error.InvalidArgs", "no such property")
            return ("v", [properties[body[1]]]) if message.member == "Get" else ("a{sv}", [properties])
        return await self._answer(message)


async def _room(bus: MessageBus) -> None:
    """Wait until the socket takes more: dbus-fast takes a full one for a broken one and ends the connection."""
    socket = select.poll()
    assert bus._fd is not None  # noqa: SLF001  (nothing public tells it)
    socket.register(bus._fd, select.POLLOUT)  # noqa: SLF001
    while not socket.poll(0):
        await asyncio.sleep(0.001)
