"""Configurations that agents have told before, kept for later conversations, so that they need not be told again.

An agent's configuration is known by its system-id and configuration identifier (IEEE 11073-20601, clause on the
association procedure). The standard has an agent choose another identifier when its configuration changes; since a
firmware update may forget that, each one is kept together with what the agent said of itself, and is good only
while that stays the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final

from drivers.contract import Memo
from drivers.errors import ProtocolError
from drivers.protocols.ieee11073.apdu import Association, Attribute, EventReport, decode, encode_attributes
from drivers.protocols.ieee11073.association import verdict
from drivers.protocols.ieee11073.objects import KnownConfiguration

__all__ = ["KnownConfigurations", "identity_of", "memo_key"]

MOST_OF_A_CONVERSATION: Final = 64
"""Agents of one conversation whose configurations are at hand; without one an agent only tells it again."""
MEMO_OCTETS: Final = 65_536
_SYSTEM_ID_OCTETS: Final = 8
_VERSION: Final = b"\x01"
_DIGEST_OCTETS: Final = 32
_TELLING: Final = frozenset({0x0928, 0x092D, 0x0A44, 0x0A5A})
"""Model, production specification (serial number and revisions), configuration identifier, specializations."""


def memo_key(system_id: bytes, config_id: int) -> str:
    """Key of the memo that holds a configuration."""
    return f"ieee11073_configuration {system_id.hex()} {config_id:04X}"


def identity_of(attributes: tuple[Attribute, ...]) -> bytes:
    """A digest of what an agent says it is (GET MDS), of what its firmware may change; empty if it says nothing."""
    telling = tuple(sorted((each for each in attributes if each.id in _TELLING), key=lambda each: each.id))
    return hashlib.sha256(encode_attributes(telling)).digest() if telling else b""


class KnownConfigurations:
    """What this conversation knows, and what earlier ones left.

    Args:
        memos: of earlier conversations; whatever is no configuration that can be used is passed over.
        accepts: see `procedure.Settings`.
    """

    def __init__(self, memos: Mapping[str, bytes], accepts: frozenset[int]) -> None:
        self._memos = memos
        self._accepts = accepts
        self._newest: dict[str, bytes] = {}

    def find(self, agent: Association) -> KnownConfiguration | None:
        """The configuration that this agent announces, if it is known."""
        if len(agent.system_id) != _SYSTEM_ID_OCTETS:
            return None
        key = memo_key(agent.system_id, agent.config_id)
        memo = self._newest.get(key, self._memos.get(key, b""))
        front = len(_VERSION) + _DIGEST_OCTETS
        identity, octets = memo[front : front + _DIGEST_OCTETS], memo[front + _DIGEST_OCTETS :]
        if memo[:front] != _VERSION + _seal(key, identity, octets) or not self._is_usable(agent, octets):
            return None
        return KnownConfiguration(octets, identity)

    def learn(self, agent: Association, octets: bytes, identity: bytes) -> list[Memo]:
        """An agent's configuration was accepted, and the agent has said who it is."""
        if len(agent.system_id) != _SYSTEM_ID_OCTETS or len(identity) != _DIGEST_OCTETS:
            return []
        key = memo_key(agent.system_id, agent.config_id)
        return self._keep(key, _VERSION + _seal(key, identity, octets) + identity + octets)

    def forget(self, agent: Association) -> list[Memo]:
        """Have the agent tell its configuration again at the next association."""
        key = memo_key(agent.system_id, agent.config_id)
        return self._keep(key, b"") if self._newest.get(key, self._memos.get(key, b"")) else []

    def _keep(self, key: str, memo: bytes) -> list[Memo]:
        is_new = self._newest.get(key, self._memos.get(key)) != memo
        self._newest.pop(key, None)
        while len(self._newest) >= MOST_OF_A_CONVERSATION:
            del self._newest[next(iter(self._newest))]
        self._newest[key] = memo
        return [Memo(key, memo)] if is_new and len(memo) <= MEMO_OCTETS else []

    def _is_usable(self, agent: Association, octets: bytes) -> bool:
        try:
            report = decode(octets)
            if not isinstance(report, EventReport):
                return False
            reply, configuration = verdict(report, octets, self._accepts)
        except ProtocolError:
            return False
        return configuration is not None and (reply.config_id, reply.result) == (agent.config_id, 0)


def _seal(key: str, identity: bytes, octets: bytes) -> bytes:
    """Tells a memo that is whole and of this agent from any other octets."""
    return hashlib.sha256(b"\0".join((key.encode(), identity, octets))).digest()
