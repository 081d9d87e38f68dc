"""Our pairing agent (org.bluez.Agent1). It must be registered before any connection.

BlueZ asks the agent of the caller, or the default agent. bleak calls from connections of its own, which have no
agent, so ours must be the default one. An agent that comes too late, or none, lets a pairing with a passkey become
one without any proof (Just Works), silently; that was measured.
"""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from drivers.contract import Security
from drivers.transports.ble.bluez import BlueZ, DBusError

if TYPE_CHECKING:
    from dbus_fast.message import Message

__all__ = ["Agent", "Person"]

T = TypeVar("T")

PATH: Final = "/org/inr_gateway/agent"
INTERFACE: Final = "org.bluez.Agent1"
MANAGER: Final = "org.bluez.AgentManager1"
REJECTED: Final = "org.bluez.Error.Rejected"
_PROVEN: Final = frozenset({"RequestPasskey", "DisplayPasskey", "RequestConfirmation"})
"""Calls by which a person compares or carries a number; LE Legacy and Secure Connections alike."""

_log = logging.getLogger(__name__)


class Person(Protocol):
    """Somebody at a terminal. All calls block, each in a thread of its own; the meter is named by its address."""

    def passkey(self, meter: str) -> int | None:
        """The number that the meter shows, 0 to 999,999; None to give up."""

    def show(self, meter: str, passkey: int) -> None:
        """Show the number that is to be typed into the meter."""

    def same(self, meter: str, passkey: int) -> bool:
        """Whether the meter shows this number."""

    def unproven(self, meter: str) -> bool:
        """Whether a pairing in which nobody can prove who is at the other end may go on."""


class Agent:
    """Answers BlueZ's questions; in the hub, where nobody is, with no.

    Attributes:
        asked: BlueZ has asked something since `start_anew`: a pairing has begun.
        proven: a number was compared or typed since then.
        refused: the weaker pairing was refused because the profile demands more.
    """

    def __init__(self, person: Person | None) -> None:
        """Args: person: who answers, or None."""
        self._person = person
        self._security: Security = "authenticated"
        self.capability = "NoInputNoOutput" if person is None else "KeyboardDisplay"
        self.asked = self.proven = self.refused = False
        self.on_refused: Callable[[str], None] = lambda _address: None
        """Called with the address of a device that wanted to pair where nobody is asked."""
        self._bluez: BlueZ | None = None
        self._waiting: set[asyncio.Task[None]] = set()

    async def register(self, bluez: BlueZ) -> None:
        """Make it BlueZ's default agent.

        Raises:
            DBusError: BlueZ refuses.
            TransportError: BlueZ does not answer.
        """
        self._bluez = bluez
        bluez.handle(self._asked)
        try:
            await bluez.call("/org/bluez", MANAGER, "RegisterAgent", "os", PATH, self.capability)
        except DBusError as error:
            if error.dbus_error != "org.bluez.Error.AlreadyExists":
                raise
        await self.make_default()

    async def make_default(self) -> None:
        """Be the one who is asked, also if another program's agent came after ours. Raises like `register`."""
        if self._bluez is not None:
            await self._bluez.call("/org/bluez", MANAGER, "RequestDefaultAgent", "o", PATH)

    def start_anew(self, security: Security) -> None:
        """Forget what the last pairing was like; the next must reach this."""
        self._security = security
        self.asked = self.proven = self.refused = False

    def _asked(self, message: Message) -> bool | None:
        from dbus_fast import Message, MessageFlag, MessageType

        if message.message_type is not MessageType.METHOD_CALL or message.interface != INTERFACE:
            return None
        member = message.member or ""
        if member == "Cancel":
            for task in list(self._waiting):
                task.cancel()
        if member in ("Cancel", "Release"):
            if not message.flags & MessageFlag.NO_REPLY_EXPECTED:
                self._answer(Message.new_method_return(message))
            return True
        self.asked = True
        task = asyncio.create_task(self._decide(message, member))
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)
        return True

    async def _decide(self, message: Message, member: str) -> None:
        from dbus_fast import Message

        meter = _address(message.body[0]) if message.body else ""
        try:
            signature, body = await self._decision(member, meter, message.body)
        except (_RefusedError, asyncio.CancelledError):
            self._answer(Message.new_error(message, REJECTED, "refused by inr-gateway"))
            return
        if member in _PROVEN:
            self.proven = True
        self._answer(Message.new_method_return(message, signature, body))

    async def _decision(self, member: str, meter: str, body: list[Any]) -> tuple[str, list[Any]]:
        person = self._person
        if person is None:
            _log.warning("%s wanted to pair and was refused (%s); run: inr-gateway pair %s", meter, member, meter)
            self.on_refused(meter)
            raise _RefusedError
        if member == "RequestPasskey":
            number = await _in_a_thread(lambda: person.passkey(meter))
            if number is None:
                raise _RefusedError
            return "u", [number]
        if member == "DisplayPasskey":
            if body[2] == 0:  # called again for each digit that is typed
                await _in_a_thread(lambda: person.show(meter, body[1]))
            return "", []
        if member == "RequestConfirmation" and await _in_a_thread(lambda: person.same(meter, body[1])):
            return "", []
        if member == "RequestAuthorization":
            if self._security == "authenticated":
                self.refused = True
                raise _RefusedError
            if await _in_a_thread(lambda: person.unproven(meter)):
                return "", []
        raise _RefusedError  # PIN codes and services are of Bluetooth Classic

    def _answer(self, message: Message) -> None:
        if self._bluez is not None:
            self._bluez.send(message)


class _RefusedError(Exception):
    """The answer is no."""


def _address(path: str) -> str:
    found = re.search(r"/dev_([0-9A-F_]{17})", path)
    return found.group(1).replace("_", ":") if found else path


async def _in_a_thread(ask: Callable[[], T]) -> T:
    """Have a person asked; a question that is not needed any more is left alone with its thread."""
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[T] = loop.create_future()

    def run() -> None:
        try:
            answer = ask()
        except BaseException as error:  # the terminal may be closed while it is read
            _log.debug("nobody answered: %s", type(error).__name__)
            _tell(loop, answered.cancel)
        else:
            _tell(loop, lambda: None if answered.done() else answered.set_result(answer))

    threading.Thread(target=run, name="ask", daemon=True).start()
    return await answered


def _tell(loop: asyncio.AbstractEventLoop, what: Callable[[], object]) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(what)
