"""Putting a file into a partner's folder so that it is there whole or not at all, and once."""

from __future__ import annotations

import asyncio
import hashlib
import time
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from gateway.reporting.channels.agreement import kept
from gateway.reporting.channels.base import Answer, Circumstances, Level, Outcome
from gateway.reporting.channels.sftp.line import Line, UnreachableError, connect
from gateway.reporting.channels.sftp.settings import SftpSettings, place
from gateway.reporting.channels.sftp.upload import OccupiedError, Upload

if TYPE_CHECKING:
    import asyncssh

__all__ = ["ReceiptSftpSender", "SftpSender", "sender"]

LOOK_AGAIN_S = 0.5
"""How often the receipt is looked for while the sender waits."""


class SftpSender:
    """A connection to one partner's server, kept open between files."""

    def __init__(self, address: str, settings: SftpSettings, circumstances: Circumstances) -> None:
        """Raises ValueError when `address` is no ``sftp://user@host:port/folder``."""
        self._place = place(address)
        self._settings = settings
        self._circumstances = circumstances
        self._line: Line | None = None

    @property
    def ready(self) -> bool:
        """Whether the connection of the last file still stands."""
        return self._line is not None and self._line.stands

    async def open(self) -> Answer | None:
        """Connect, unless the connection still stands."""
        if self.ready:
            return None
        await self.close()
        try:
            self._line = await connect(self._place, self._settings, self._circumstances)
        except UnreachableError as error:
            return self._answer(Outcome.NOT_SENT, None, b"", str(error))
        return None

    async def send(self, octets: bytes, control_id: str) -> Answer:
        """Have the file in the folder, then wait a little for the partner's receipt."""
        import asyncssh

        line = self._line
        if line is None or not line.stands:
            return self._answer(
                Outcome.NOT_SENT, None, b"", "the connection was closed before the first octet left"
            )
        work = Upload(line, self._place.folder, self._settings, octets, control_id)
        patience_s = self._circumstances.delivery.answer_timeout_s
        try:
            async with asyncio.timeout(patience_s):
                found = await self._look(line, octets, control_id)
                answer = found or self._done(work, await work.run())
        except TimeoutError:
            answer = self._left_open(work, f"the server did not answer within {patience_s:g} s")
        except OccupiedError as error:
            answer = self._answer(Outcome.REFUSED, work.level, b"", str(error))
        except asyncssh.SFTPError as error:
            answer = self._failed(work, error)
        except (OSError, asyncssh.Error) as error:
            answer = self._left_open(work, f"the connection broke: {error}")
        if answer.outcome is Outcome.AMBIGUOUS:
            await self.close()
        if answer.outcome is Outcome.ACCEPTED:
            return await self._wait(octets, control_id) or answer
        return answer

    async def close(self) -> None:
        """Close the connection, if there is one."""
        line, self._line = self._line, None
        if line is not None:
            await line.close()

    async def _wait(self, octets: bytes, control_id: str) -> Answer | None:
        until = time.monotonic() + self._settings.receipt_wait_s
        while self._settings.receipt is not None and time.monotonic() < until and self.ready:
            found = await self._look_once(octets, control_id)
            if found is not None:
                return found
            await asyncio.sleep(min(LOOK_AGAIN_S, self._settings.receipt_wait_s))
        return None

    async def _look_once(self, octets: bytes, control_id: str) -> Answer | None:
        import asyncssh

        line = self._line
        if line is None or not line.stands:
            return None
        try:
            async with asyncio.timeout(self._circumstances.delivery.answer_timeout_s):
                return await self._look(line, octets, control_id)
        except (TimeoutError, OSError, asyncssh.Error):
            await self.close()
            return None

    async def _look(self, line: Line, octets: bytes, control_id: str) -> Answer | None:
        settings, folder = self._settings, self._place.folder
        if settings.refusal is not None:
            path = settings.beside(folder, settings.refusal, control_id)
            said = await self._read(line, path)
            if said is not None:
                words = said.decode("utf-8", "replace").strip()
                text = f"the partner cannot use the file ({path}): {words[:500]}"
                return self._answer(Outcome.REFUSED, Level.ACCEPTED, said, text)
        if settings.receipt is not None:
            path = settings.beside(folder, settings.receipt, control_id)
            said = await self._read(line, path)
            digest = hashlib.sha256(octets).hexdigest().encode()
            if said is not None and (digest in said.lower() or not settings.receipt_has_digest):
                return self._answer(Outcome.DELIVERED, Level.DELIVERED, said, f"receipt {path}")
        return None

    async def _read(self, line: Line, path: str) -> bytes | None:
        """The first octets of a file, None without one."""
        import asyncssh

        try:
            async with line.files.open(path, "rb", encoding=None) as file:
                found = await file.read(self._circumstances.delivery.answer_most_octets)
                return cast("bytes", found)  # without an encoding it gives octets
        except asyncssh.SFTPNoSuchFile:
            return None

    def _done(self, work: Upload, evidence: str) -> Answer:
        what = "the file lies in the partner's folder"
        if work.level is not Level.ACCEPTED:
            text = f"{what}; the server lets nobody read it back"
            return self._answer(Outcome.ACCEPTED, work.level, evidence.encode(), text)
        outcome, text = kept(self._settings.accepted_is_enough, what)
        return self._answer(outcome, work.level, evidence.encode(), text)

    def _failed(self, work: Upload, error: asyncssh.SFTPError) -> Answer:
        """What an error of the server means. What only a person can change is told apart from a full disk."""
        import asyncssh

        text = f"{work.doing}: {error.reason or type(error).__name__}"
        if work.level is Level.ACCEPTED:
            return self._done(work, work.evidence("not looked at again"))
        if isinstance(error, asyncssh.SFTPNoConnection | asyncssh.SFTPConnectionLost):
            return self._left_open(work, f"the connection broke while {text}")
        lasting = isinstance(
            error,
            asyncssh.SFTPPermissionDenied
            | asyncssh.SFTPNoSuchFile
            | asyncssh.SFTPNoSuchPath
            | asyncssh.SFTPWriteProtect
            | asyncssh.SFTPInvalidFilename
            | asyncssh.SFTPOpUnsupported,
        )
        outcome = Outcome.REFUSED if lasting else Outcome.POSTPONED
        return self._answer(outcome, work.level, b"", text)

    def _left_open(self, work: Upload, text: str) -> Answer:
        """Whether it arrived is not known, unless it had its name already when the line broke."""
        if work.level is Level.ACCEPTED:
            return self._done(work, work.evidence("not looked at again"))
        return self._answer(Outcome.AMBIGUOUS, work.level, b"", text)

    def _answer(self, outcome: Outcome, level: Level | None, evidence: bytes, text: str) -> Answer:
        peer = f"{self._place.user}@{self._place.host}:{self._place.port}"
        answer = Answer(outcome, level, evidence, peer, text)
        return answer if self._line is None else replace(answer, certificate=self._line.host_key)


class ReceiptSftpSender(SftpSender):
    """A connection to a partner who writes receipts."""

    async def receipt(self, octets: bytes, control_id: str) -> Answer | None:
        """Look once for what the partner says of a file; None while it says nothing."""
        return await self._look_once(octets, control_id)


def sender(address: str, settings: SftpSettings, circumstances: Circumstances) -> SftpSender:
    """A sender that looks for receipts where the partner writes some. Raises ValueError as its class does."""
    kind = SftpSender if settings.receipt is None else ReceiptSftpSender
    return kind(address, settings, circumstances)
