"""A provider's SFTP server: it takes files into a folder, and writes a receipt for each that it has read.

What comes is counted by the upload: the first WRITE-opening of each file. A file is taken in when it gets its final
name (a rename, or the close of a file that was written under it at once).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulators.ledger import Ledger, LedgerError, instant
from simulators.provider.schedule import Schedule, seconds

if TYPE_CHECKING:
    import asyncssh

__all__ = ["FileBehaviour", "FileManner", "FileServer"]

UNFINISHED = (".part", ".tmp", ".filepart")
"""Endings of files whose writer is not done."""


class FileManner(StrEnum):
    """A way to treat one upload."""

    RECEIPT = "receipt"
    """The file is taken and ``receipts/NAME.ok`` says so."""
    LATE = "late"
    """The receipt comes after some seconds: ``late:2.5``."""
    NO_RECEIPT = "no-receipt"
    """The file lies there; nobody says anything."""
    WRONG_RECEIPT = "wrong-receipt"
    """The receipt gives the SHA-256 of another file."""
    REJECT = "reject"
    """``errors/NAME.err`` says that the file cannot be used."""
    TAKE_AWAY = "take-away"
    """The file is moved away as soon as it has its name, then the receipt is written."""
    TAKE_SILENTLY = "take-silently"
    """It is moved away; nobody says anything."""
    DENY = "deny"
    """No permission to write."""
    DISK_FULL = "disk-full"
    """Writing fails after some octets: ``disk-full:1000``."""
    DROP = "drop"
    """The connection ends after some octets: ``drop:1000``."""
    DROP_RENAME = "drop-rename"
    """The connection ends when the file has its name and before that is answered."""
    NO_READING = "no-reading"
    """A letter box: what lies there cannot be read back. The receipt is written."""


OCTETS = frozenset({FileManner.DISK_FULL, FileManner.DROP})
TAKEN = frozenset({FileManner.TAKE_AWAY, FileManner.TAKE_SILENTLY})
SILENT = frozenset({FileManner.NO_RECEIPT, FileManner.TAKE_SILENTLY, FileManner.REJECT})


@dataclass(frozen=True, slots=True)
class FileBehaviour:
    """One treatment.

    Attributes:
        late_s: for `FileManner.LATE`.
        octets: after which writing ends.
    """

    manner: FileManner = FileManner.RECEIPT
    late_s: float = 0.0
    octets: int = 1000

    @classmethod
    def parse(cls, text: str) -> FileBehaviour:
        """Read ``receipt``, ``late:2.5``, ``disk-full:1000``.

        Raises:
            ValueError: the text is none of these; the message lists them.
        """
        name, _, argument = text.partition(":")
        try:
            manner = FileManner(name)
        except ValueError:
            raise ValueError(f"{name!r} is no behaviour; there are: {', '.join(FileManner)}") from None
        if manner is FileManner.LATE:
            return cls(manner, late_s=seconds(text, argument))
        if not argument:
            return cls(manner)
        if manner not in OCTETS or not argument.isdecimal():
            raise ValueError(
                f"{text!r}: {name} takes no {argument!r}; only late:SECONDS and disk-full, drop:OCTETS do"
            )
        return cls(manner, octets=int(argument))


class FileServer:
    """Takes files under ``inbox`` of a folder, which is all that a user sees.

    The ledger gets one ``file`` line for each file that got its final name: the name, which copy it is, its size
    and SHA-256, and whether its octets are those of the first copy.

    Raises:
        LedgerError: the ledger is none of a file server.
    """

    def __init__(
        self,
        ledger: Ledger,
        folder: Path,
        schedule: Schedule[FileBehaviour] | None = None,
        *,
        users: dict[str, str] | None = None,
        keys: str = "",
        host_key: bytes | None = None,
    ) -> None:
        """`users`: password by name; `keys`: an authorized_keys text for any name; `host_key`: made without one."""
        self._ledger = ledger
        self.folder = folder
        self._schedule = schedule or Schedule(FileBehaviour())
        self._users, self._keys, self._host_key = users or {}, keys, host_key
        self._arrived = 0
        self._first: dict[str, str] = {}
        self._copies: Counter[str] = Counter()
        self._late: set[asyncio.Task[None]] = set()
        self._server: Any = None
        self.fingerprint = ""
        for name in ("inbox", "receipts", "errors", "taken"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        for line in ledger.lines:
            if line["event"] != "file":
                raise LedgerError(f"{ledger.name}: no ledger of a file server, it has a line {line['event']!r}")
            self._copies[line["name"]] = line["copy"]
            self._first.setdefault(line["name"], line["sha256"])

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> tuple[str, int]:
        """Listen; returns the address, with the real port when 0 was asked for. `fingerprint` is known then.

        Raises:
            OSError: the address is taken or not ours.
        """
        import asyncssh

        own = (
            asyncssh.generate_private_key("ssh-ed25519")
            if self._host_key is None
            else asyncssh.import_private_key(self._host_key)
        )
        self.fingerprint = own.get_fingerprint()
        self._server = await asyncssh.create_server(
            lambda: _door(self._users),
            host,
            port,
            server_host_keys=[own],
            authorized_client_keys=asyncssh.import_authorized_keys(self._keys) if self._keys else None,
            sftp_factory=lambda channel: _room(channel, self),
            allow_scp=False,
        )
        address = self._server.sockets[0].getsockname()
        return str(address[0]), int(address[1])

    async def stop(self) -> None:
        """Stop listening and drop all connections."""
        for task in self._late:
            task.cancel()
        await asyncio.gather(*self._late, return_exceptions=True)
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    # ------------------------------------------------------------ one upload

    def upload(self) -> FileBehaviour:
        """The next upload begins: how it is met."""
        self._arrived += 1
        return self._schedule.at(self._arrived)

    def taken_in(self, path: Path, behaviour: FileBehaviour) -> None:
        """A file has its final name: it is on disk, and in the ledger, when this returns."""
        _sync(path)
        octets = path.read_bytes()
        digest = hashlib.sha256(octets).hexdigest()
        first = self._first.setdefault(path.name, digest)
        self._copies[path.name] += 1
        self._ledger.write(
            {
                "event": "file",
                "name": path.name,
                "copy": self._copies[path.name],
                "manner": behaviour.manner.value,
                "same_octets": first == digest,
                "size": len(octets),
                "sha256": digest,
                "at": instant(),
            }
        )
        if behaviour.manner in TAKEN:
            path.rename(self.folder / "taken" / path.name)
        if behaviour.manner is FileManner.REJECT:
            (self.folder / "errors" / f"{path.name}.err").write_text("unknown patient id\n", encoding="utf-8")
        if behaviour.manner in SILENT:
            return
        said = "0" * 64 if behaviour.manner is FileManner.WRONG_RECEIPT else digest
        if behaviour.manner is FileManner.LATE:
            task = asyncio.get_running_loop().create_task(self._later(path.name, said, behaviour.late_s))
            self._late.add(task)
            task.add_done_callback(self._late.discard)
        else:
            self._receipt(path.name, said)

    async def _later(self, name: str, said: str, late_s: float) -> None:
        await asyncio.sleep(late_s)
        self._receipt(name, said)

    def _receipt(self, name: str, said: str) -> None:
        """Under another name first, so that nobody reads half of it."""
        half = self.folder / "receipts" / f".{name}"
        half.write_text(f"received {name} sha256={said} at {instant()}\n", encoding="utf-8")
        half.rename(self.folder / "receipts" / f"{name}.ok")


def _sync(path: Path) -> None:
    for each, flags in ((path, os.O_RDONLY), (path.parent, os.O_RDONLY | os.O_DIRECTORY)):
        descriptor = os.open(each, flags)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _door(users: dict[str, str]) -> asyncssh.SSHServer:
    import asyncssh

    class Door(asyncssh.SSHServer):
        def password_auth_supported(self) -> bool:
            return bool(users)

        def validate_password(self, username: str, password: str) -> bool:
            return users.get(username) == password

    return Door()


def _room(channel: asyncssh.SSHServerChannel[bytes], server: FileServer) -> asyncssh.SFTPServer:
    """The folder as one connection sees it."""
    import asyncssh

    class Room(asyncssh.SFTPServer):
        def __init__(self) -> None:
            super().__init__(channel, chroot=os.fsencode(server.folder))
            self._behaviours: dict[str, FileBehaviour] = {}
            self._files: dict[object, str] = {}

        def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:
            name = Path(os.fsdecode(path)).name
            if not pflags & asyncssh.FXF_WRITE:
                if self._letter_box(name):
                    raise asyncssh.SFTPPermissionDenied("nothing is read here")
                return super().open(path, pflags, attrs)
            behaviour = self._behaviours[_final(name)] = server.upload()
            if behaviour.manner is FileManner.DENY:
                raise asyncssh.SFTPPermissionDenied("nothing is written here")
            file = super().open(path, pflags, attrs)
            self._files[file] = os.fsdecode(self.map_path(path))
            return file

        def write(self, file_obj: object, offset: int, data: bytes) -> int:
            behaviour = self._behaviour_of(file_obj)
            if behaviour is not None and behaviour.manner in OCTETS and offset + len(data) > behaviour.octets:
                super().write(file_obj, offset, data[: max(0, behaviour.octets - offset)])
                if behaviour.manner is FileManner.DROP:
                    self._drop()
                raise asyncssh.SFTPFailure("No space left on device")
            return int(super().write(file_obj, offset, data))  # type: ignore[arg-type]  # as the library defines it

        def close(self, file_obj: object) -> None:
            path = self._files.pop(file_obj, None)
            super().close(file_obj)
            if path is not None and not path.endswith(UNFINISHED):
                server.taken_in(Path(path), self._behaviours[Path(path).name])

        def rename(self, oldpath: bytes, newpath: bytes) -> None:
            name = Path(os.fsdecode(newpath)).name
            target = Path(os.fsdecode(self.map_path(newpath)))
            if target.exists():  # as version 3 of the protocol wants it; os.rename would overwrite
                raise asyncssh.SFTPFailure("a file of this name is there already")
            super().rename(oldpath, newpath)
            behaviour = self._behaviours.get(name, FileBehaviour())
            server.taken_in(target, behaviour)
            if behaviour.manner is FileManner.DROP_RENAME:
                self._drop()

        def _behaviour_of(self, file_obj: object) -> FileBehaviour | None:
            path = self._files.get(file_obj)
            return None if path is None else self._behaviours.get(_final(Path(path).name))

        def _letter_box(self, name: str) -> bool:
            behaviour = self._behaviours.get(_final(name))
            return behaviour is not None and behaviour.manner is FileManner.NO_READING

        def _drop(self) -> None:
            with contextlib.suppress(Exception):
                self.connection.abort()
            raise asyncssh.SFTPConnectionLost("dropped")

    return Room()


def _final(name: str) -> str:
    for ending in UNFINISHED:
        name = name.removesuffix(ending)
    return name
