"""The provider's system: an MLLP server that has every message on disk before it answers."""

from __future__ import annotations

import asyncio
import hashlib
import re
import ssl
from dataclasses import replace

from simulators.ledger import Ledger, LedgerError, instant
from simulators.provider.behaviour import CODED, REFUSALS, Behaviour, Manner
from simulators.provider.hl7 import Header, UnreadableError, acknowledgement, header
from simulators.provider.mllp import Reader, TooLongError, block
from simulators.provider.schedule import Schedule
from simulators.provider.streams import StreamServer

__all__ = ["Provider"]

_CHUNK = 65536
_ERRORS = {
    "AE": "the application could not process the message",
    "AR": "the application does not take this message",
    "CE": "the message could not be stored",
    "CR": "the message is not taken",
}


class Provider(StreamServer):
    """Takes messages from any number of connections.

    The ledger gets one ``message`` line for each copy that arrived: its control id (MSH-10), which copy it is,
    whether it was accepted, the manner of the answer, and its octets (as text, each character one octet). A message
    that was accepted before is answered AA again, whatever the script says of refusals, and its line says whether
    its octets are those of the first accepted copy. What is no HL7 gets an ``unreadable`` line and AR. With
    `Manner.MANGLE` the octets are those that were kept, not those that came.

    Raises:
        LedgerError: the ledger is none of a provider.
    """

    def __init__(
        self, ledger: Ledger, script: Schedule[Behaviour] | None = None, *, tls: ssl.SSLContext | None = None
    ) -> None:
        """`tls`: what connections are made with; None for MLLP in the clear."""
        super().__init__(tls)
        self._ledger = ledger
        self._script = script or Schedule(Behaviour())
        self._arrived = 0
        self._copies: dict[str, int] = {}
        self._accepted: dict[str, str] = {}
        for line in ledger.lines:
            if line["event"] not in ("message", "unreadable"):
                raise LedgerError(f"{ledger.name}: no ledger of a provider, it has a line {line['event']!r}")
            if line["event"] == "message":
                self._copies[line["control_id"]] = line["copy"]
                if line["accepted"]:
                    self._accepted.setdefault(line["control_id"], line["sha256"])

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        frames = Reader()
        previous: Header | None = None
        while octets := await reader.read(_CHUNK):
            try:
                messages = frames.feed(octets)
            except TooLongError:
                return
            for message in messages:
                self._arrived += 1
                try:
                    head = header(message)
                except UnreadableError as error:
                    self._ledger.write(
                        {
                            "event": "unreadable",
                            "reason": str(error),
                            "octets": message.decode("latin-1"),
                            "at": instant(),
                        }
                    )
                    writer.write(block(acknowledgement(Header(), "AR", b"", error=("100", str(error)))))
                    await writer.drain()
                    continue
                behaviour = self._take(head, message)
                goes_on = await self._answer(writer, head, behaviour, previous)
                previous = head
                if not goes_on:
                    return

    def _take(self, head: Header, message: bytes) -> Behaviour:
        """Store a message; on disk when this returns. Returns how it is answered."""
        control_id = head.control_id.decode("latin-1")
        digest = hashlib.sha256(message).hexdigest()
        behaviour = self._script.at(self._arrived)
        first = self._accepted.get(control_id)
        if first is not None and behaviour.manner in REFUSALS:
            behaviour = Behaviour()
        accepted = behaviour.manner not in REFUSALS
        kept = _ascii(message) if behaviour.manner is Manner.MANGLE else message
        copy = self._copies.get(control_id, 0) + 1
        self._ledger.write(
            {
                "event": "message",
                "control_id": control_id,
                "copy": copy,
                "accepted": accepted,
                "manner": behaviour.manner.value,
                "same_octets": None if first is None else first == digest,
                "sha256": digest,
                "octets": kept.decode("latin-1"),
                "at": instant(),
            }
        )
        self._copies[control_id] = copy
        if accepted:
            self._accepted.setdefault(control_id, digest)
        return behaviour

    async def _answer(
        self,
        writer: asyncio.StreamWriter,
        head: Header,
        behaviour: Behaviour,
        previous: Header | None,
    ) -> bool:
        """Answer as the behaviour says. Returns whether the conversation goes on."""
        manner = behaviour.manner
        code = manner.value[:2] if manner in REFUSALS or manner is Manner.CA else "AA"
        error = (behaviour.error_code, _ERRORS[code]) if manner in CODED else None
        words = _ERRORS[code] if manner is Manner.AR_WORDS else ""
        answered = b"NOBODY-SENT-THIS" if manner is Manner.WRONG_ID else head.control_id
        answer = block(acknowledgement(_known(head, manner), code, answered, error=error, words=words))
        match manner:
            case Manner.SILENT:
                return True
            case Manner.HANG_UP:
                return False
            case Manner.LATE:
                await asyncio.sleep(behaviour.late_s)
            case Manner.HALF_FRAME:
                answer = answer[: len(answer) // 2]
            case Manner.STALE_FIRST:
                stale_id = previous.control_id if previous else b"AN-EARLIER-ONE"
                answer = block(acknowledgement(previous or head, "AA", stale_id)) + answer
            case Manner.TWICE:
                answer *= 2
            case Manner.GARBAGE:
                answer = bytes(range(16)) + b"\r\n"
            case _:
                pass
        writer.write(answer)
        await writer.drain()
        return manner is not Manner.CLOSE_AFTER


def _known(head: Header, manner: Manner) -> Header:
    """As much of a header as a system with this manner takes in."""
    match manner:
        case Manner.OLD_ACK:
            return replace(head, message_type=b"ACK", version=b"2.3")
        case Manner.MANGLE:
            sending, receiving = [
                (_ascii(first), _ascii(second)) for first, second in (head.sending, head.receiving)
            ]
            return replace(head, sending=sending, receiving=receiving)
    return head


def _ascii(octets: bytes) -> bytes:
    return re.sub(rb"[^\x00-\x7f]", b"?", octets)
