"""Sending over MLLP: one message in flight, and credit only for an answer that names it.

Source: HL7 "Transport Specification: MLLP, Release 1": a message stands between 0x0B and 0x1C 0x0D. Receivers in
the field close after each acknowledgement, repeat an older one on a connection that is used again, or answer in
halves; so whatever is not the whole acknowledgement of this very message leaves it open whether it arrived.
"""

from __future__ import annotations

import asyncio

from gateway.reporting.channels import hl7v2_answer
from gateway.reporting.channels.base import Answer, Level, Outcome
from gateway.reporting.channels.mllp_line import Line, NoAnswerError, frame
from gateway.reporting.channels.mllp_reach import Reach, UnreachableError
from gateway.reporting.channels.mllp_settings import MllpSettings
from gateway.reporting.configuration import Delivery
from gateway.reporting.secrets import Secrets

__all__ = ["MllpSender"]


class MllpSender:
    """A connection to one receiver, kept open between messages and made anew when it can no longer be trusted."""

    def __init__(
        self,
        address: str,
        delivery: Delivery,
        settings: MllpSettings | None = None,
        secrets: Secrets | None = None,
    ) -> None:
        """A sender to one receiver.

        Args:
            address: ``mllp://host:port``, or ``mllps://host:port`` for TLS.
            delivery: time-outs.
            settings: TLS, and whether a commit acknowledgement (CA) is the last word of this receiver.
            secrets: what `settings` name.

        Raises:
            ValueError: `address` is no MLLP address, or TLS cannot be spoken with what is there.
        """
        settings = settings or MllpSettings()
        self._reach = Reach(address, delivery, settings, secrets or Secrets(None))
        self._commit_only = settings.commit_only
        self._patience_s = delivery.answer_timeout_s
        self._line: Line | None = None
        self._peer = self._reach.peer
        # Known or learnt: it closes, or repeats itself, when a connection is used for a second message.
        self._one_each = settings.connection_each

    @property
    def ready(self) -> bool:
        """Whether there is a connection on which nothing unexpected has come."""
        return self._line is not None and self._line.clean

    async def open(self) -> Answer | None:
        """Connect, unless the connection of the last message still stands."""
        if self.ready:
            return None
        await self.close()
        try:
            self._line = await self._reach.connect()
        except UnreachableError as error:
            return self._not_sent(str(error))
        self._peer = self._line.peer
        return None

    async def send(self, octets: bytes, control_id: str) -> Answer:
        """Send one message and wait for the acknowledgement that names `control_id`."""
        line = self._line
        if line is None or not line.clean:
            return self._not_sent("the connection was closed before the first octet left")
        line.write(frame(octets))
        answer = await self._answer(line, control_id)
        if answer.outcome is Outcome.AMBIGUOUS or self._one_each:
            await self.close()
        return answer

    async def close(self) -> None:
        """Close the connection, if there is one."""
        line, self._line = self._line, None
        if line is not None:
            self._one_each = self._one_each or line.unfit_for_reuse
            line.close()

    async def _answer(self, line: Line, control_id: str) -> Answer:
        level, evidence, peer, so_far = Level.SENT, b"", self._peer, ""
        try:
            async with asyncio.timeout(self._patience_s):
                while True:
                    content = await line.next_frame()
                    said = hl7v2_answer.parse(content)
                    if level is Level.SENT:
                        evidence = content
                    if said is None:
                        raise NoAnswerError("the answer is no HL7 acknowledgement")
                    if said.control_id != control_id:
                        line.stale = True
                        raise NoAnswerError("the answer names another message in MSA-2 and is not counted")
                    verdict = hl7v2_answer.judge(said, commit_only=self._commit_only)
                    level, evidence = verdict.level, content
                    peer = f"{self._peer} ({said.sender})" if said.sender else self._peer
                    if verdict.outcome is not None:
                        return Answer(verdict.outcome, level, evidence, peer, verdict.text, line.certificate)
                    so_far = f"{verdict.text}; then "
        except TimeoutError:
            text = f"no whole answer within {self._patience_s:g} s"
        except NoAnswerError as problem:
            text = str(problem)
        return Answer(Outcome.AMBIGUOUS, level, evidence or line.rest(), peer, so_far + text, line.certificate)

    def _not_sent(self, text: str) -> Answer:
        return Answer(Outcome.NOT_SENT, None, b"", self._peer, text)
