"""One file on its way: written under another name, read back, and only then given its own."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import PurePosixPath
from typing import cast

from gateway.reporting.channels.base import Level
from gateway.reporting.channels.sftp.line import Line
from gateway.reporting.channels.sftp.settings import SftpSettings

__all__ = ["OccupiedError", "Upload"]


class OccupiedError(Exception):
    """A person must look at the folder."""


class Upload:
    """One file on its way.

    Attributes:
        level: what is proved so far.
        doing: what was begun last, in words.
    """

    def __init__(
        self, line: Line, folder: PurePosixPath, settings: SftpSettings, octets: bytes, control_id: str
    ) -> None:
        self._files, self._settings, self._octets = line.files, settings, octets
        self._digest = hashlib.sha256(octets).hexdigest()
        self._path = str(folder / settings.file_name(control_id))
        self.level: Level | None = None
        self.doing = "looking for the file"

    async def run(self) -> str:
        """Have the file there; returns the evidence.

        Raises:
            OccupiedError: another file of this name lies there.
            asyncssh.SFTPError: the server cannot.
        """
        if not await self._lies_there():
            await self._write()
            await self._rename()
        self.doing = "looking at the file"
        size = await self._size(self._path)
        return self.evidence("taken away at once" if size is None else f"size {size}")

    def evidence(self, lies: str) -> str:
        """What is known of the file, for whoever asks later; `lies`: what a last look gave."""
        seen = "read back: the same octets" if self.level is Level.ACCEPTED else "not read back"
        return f"{self._path}: {lies}; {seen}; sha256 {self._digest}\n"

    async def _lies_there(self) -> bool:
        """Whether an earlier try got as far as this."""
        import asyncssh

        size = await self._size(self._path)
        if size is None:
            return False
        self.doing = "reading the file that lies there"
        same = size == len(self._octets)
        self.level = Level.SENT if same else None
        if same and self._settings.read_back:
            try:
                same = await self._hash(self._path) == self._digest
            except asyncssh.SFTPNoSuchFile:
                return False  # taken away meanwhile, so that nothing is proved of it
            self.level = Level.ACCEPTED if same else None
        if not same:
            raise OccupiedError(
                f"{self._path} lies there with other content; nothing is overwritten: let the partner remove it"
            )
        return True

    async def _write(self) -> None:
        import asyncssh

        self.doing = "writing the file"
        part = f"{self._path}.part"
        async with self._files.open(part, "wb") as file:
            await file.write(self._octets)
            with suppress(asyncssh.SFTPOpUnsupported):  # an extension of OpenSSH; few others have it
                await file.fsync()
        self.level = Level.SENT
        if not self._settings.read_back:
            return
        self.doing = "reading the file back"
        if await self._size(part) != len(self._octets) or await self._hash(part) != self._digest:
            raise asyncssh.SFTPFailure("what the server holds is not what was sent")

    async def _rename(self) -> None:
        """Give it its name. Plain rename of version 3 does not overwrite."""
        self.doing = "renaming the file"
        await self._files.rename(f"{self._path}.part", self._path)
        if self._settings.read_back:
            self.level = Level.ACCEPTED

    async def _size(self, path: str) -> int | None:
        import asyncssh

        try:
            return (await self._files.stat(path)).size
        except asyncssh.SFTPNoSuchFile:
            return None

    async def _hash(self, path: str) -> str:
        async with self._files.open(path, "rb", encoding=None) as file:
            found = cast("bytes", await file.read(len(self._octets) + 1))  # without an encoding it gives octets
        return hashlib.sha256(found).hexdigest()
