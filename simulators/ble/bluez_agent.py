"""Agents: who may ask the person at the hub, as org.bluez.AgentManager1 keeps them."""

from __future__ import annotations

from typing import Any, Final, get_args

from dbus_fast import Message

from simulators.ble.dbus import Answer, BusError, Tree
from simulators.ble.direct import Capability, PairingFailedError

__all__ = ["AgentOverBus", "Agents"]

_INTERFACE: Final = "org.bluez.Agent1"


class AgentOverBus:
    """An agent as one pairing sees it.

    Args:
        where: bus name and path of the agent, or None where nobody can be asked.
        capability: what the link was set up with.
        device: path of the device that is paired.
    """

    def __init__(
        self, tree: Tree, where: tuple[str, str] | None, capability: Capability, device: str, agentless: str
    ) -> None:
        self.capability = capability
        self._tree = tree
        self._where = where
        self._device = device
        self._agentless = agentless

    async def request_passkey(self) -> int:
        """What the meter shows."""
        reply = await self._ask("RequestPasskey", "o", [self._device])
        return int(reply[0])

    async def display_passkey(self, passkey: int) -> None:
        """What is to be typed into the meter."""
        await self._ask("DisplayPasskey", "ouq", [self._device, passkey, 0])

    async def confirm(self, number: int) -> None:
        """Whether the meter shows the same."""
        await self._ask("RequestConfirmation", "ou", [self._device, number])

    async def authorize(self) -> None:
        """Whether to pair without any check."""
        if self._where is not None:
            await self._ask("RequestAuthorization", "o", [self._device])
        elif self._agentless != "just works":
            raise PairingFailedError("there is no agent")

    async def cancel(self) -> None:
        """What was asked is moot."""
        if self._where is not None:
            try:
                await self._ask("Cancel", "", [])
            except PairingFailedError:
                return

    async def _ask(self, member: str, signature: str, body: list[Any]) -> list[Any]:
        if self._where is None:
            raise PairingFailedError("there is no agent")
        name, path = self._where
        try:
            reply = await self._tree.call(
                Message(
                    destination=name,
                    path=path,
                    interface=_INTERFACE,
                    member=member,
                    signature=signature,
                    body=body,
                )
            )
        except BusError as error:
            raise PairingFailedError(f"{error.name}: {error}") from None
        return reply.body


class Agents:
    """The registered agents; the last one asked to be the default is, until it leaves."""

    def __init__(self, agentless: str) -> None:
        self._agentless = agentless
        self._registered: dict[str, tuple[str, Capability]] = {}
        self._defaults: list[str] = []

    @property
    def capability(self) -> Capability:
        """Input and output of the hub, as a link that comes up now takes it over."""
        return self._registered[self._defaults[-1]][1] if self._defaults else "NoInputNoOutput"

    def answer(self, message: Message) -> Answer:
        """Calls of AgentManager1."""
        sender = message.sender or ""
        match message.member:
            case "RegisterAgent":
                if sender in self._registered:
                    raise BusError("AlreadyExists", "Already Exists")
                path, capability = message.body
                if (capability or "KeyboardDisplay") not in get_args(Capability):
                    raise BusError("InvalidArguments", "Invalid arguments in method call")
                self._registered[sender] = (path, capability or "KeyboardDisplay")
                if not self._defaults:  # the first one is the default without asking
                    self._defaults.append(sender)
            case "RequestDefaultAgent":
                if sender not in self._registered:
                    raise BusError("DoesNotExist", "Does Not Exist")
                self._defaults = [name for name in self._defaults if name != sender] + [sender]
            case "UnregisterAgent":
                if self._registered.get(sender, ("",))[0] != message.body[0]:
                    raise BusError("DoesNotExist", "Does Not Exist")
                self.left(sender)
            case _:
                raise BusError("org.freedesktop.DBus.Error.UnknownMethod", str(message.member))
        return None

    def agent(self, tree: Tree, client: str, device: str, *, capability: Capability) -> AgentOverBus:
        """Who is asked when a client pairs a device: its own agent, else the default one."""
        name = client if client in self._registered else self._defaults[-1] if self._defaults else None
        where = None if name is None else (name, self._registered[name][0])
        return AgentOverBus(tree, where, capability, device, self._agentless)

    def left(self, client: str) -> None:
        """A client is gone, or takes its agent back."""
        self._registered.pop(client, None)
        self._defaults = [name for name in self._defaults if name != client]

    def clear(self) -> None:
        """The daemon stops."""
        self._registered.clear()
        self._defaults.clear()
